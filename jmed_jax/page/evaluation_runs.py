"""What a report is made of: evaluation directories, and training runs that were scored on the way."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jmed_jax.artifact import MANIFEST, open_artifact
from jmed_jax.errors import InputError
from jmed_jax.evaluate.evaluations import KIND, SCORES
from jmed_jax.jsonl import field, read_jsonl
from jmed_jax.page.score_columns import Entry
from jmed_jax.page.score_names import place
from jmed_jax.train.run import RUN_FILE
from jmed_jax.train.run import SCORES as TRAINING_SCORES

# What every task in scores.json says; files of earlier versions lack some of it.
_FIELDS = (
    "protocol",
    "language",
    "main_metric",
    "n",
    "metrics",
    "intervals",
    "unparsable",
    "groups",
    "baselines",
    "prompt_sha256",
    "seconds",
)


@dataclass(frozen=True)
class EvaluationRun:
    """An evaluation directory.

    Attributes:
        name: what the report calls it; no two are called the same.
        model: what `scores.json` says of the model: "name", and perhaps "parameters", "step", "tokens".
        hardware: "device" and "count", as far as they are known.
        tasks: the entries of `scores.json`, in the order of the papers' columns.
        fingerprint: of the directory's files.
    """

    name: str
    path: Path
    model: Mapping[str, Any]
    backend: str
    hardware: Mapping[str, Any]
    tasks: Mapping[str, Entry]
    fingerprint: str


@dataclass(frozen=True)
class Measurement:
    """One score of a model in training."""

    step: int
    tokens: int
    value: float


@dataclass(frozen=True)
class TrainingCurves:
    """The scores of a training run.

    Attributes:
        scores: by task and metric, in the order of training.
    """

    name: str
    path: Path
    scores: Mapping[tuple[str, str], Sequence[Measurement]]


@dataclass(frozen=True)
class Inputs:
    """All that was given."""

    runs: Sequence[EvaluationRun]
    curves: Sequence[TrainingCurves]


def read_inputs(paths: Sequence[Path], names: Mapping[Path, str]) -> Inputs:
    """Read evaluation directories and training runs.

    Args:
        names: what to call some of them; the others are called after their model or their directory.

    Raises:
        InputError: a path is neither, is damaged, was made by an earlier version, or stands twice.
    """
    twice = [path for path, count in Counter(path.resolve() for path in paths).items() if count > 1]
    if twice:
        raise InputError(f"{twice[0]}: given twice. Name every directory once.")
    runs, curves = [], []
    for path in paths:
        if (path / MANIFEST).is_file():
            runs.append(_read_evaluation(path))
        elif (path / RUN_FILE).is_file():
            curves.append(_read_training(path))
        else:
            raise InputError(f"{path}: neither an evaluation (`jmed evaluate run`) nor a training run.")
    named_runs = [replace(run, name=name) for run, name in zip(runs, _run_names(runs, names), strict=True)]
    named_curves = [replace(curve, name=names.get(curve.path, curve.path.name)) for curve in curves]
    for found in (Counter(run.name for run in named_runs), Counter(curve.name for curve in named_curves)):
        doubled = [name for name, count in found.items() if count > 1]
        if doubled:
            raise InputError(f'two runs are called "{doubled[0]}". Tell them apart with --label NAME=RUN.')
    return Inputs(named_runs, named_curves)


def _run_names(runs: Sequence[EvaluationRun], names: Mapping[Path, str]) -> list[str]:
    """The model's name; with that of the directory where two have the same model."""
    counts = Counter(run.name for run in runs if run.path not in names)
    return [
        names.get(run.path) or (run.name if counts[run.name] == 1 else f"{run.name} ({run.path.name})") for run in runs
    ]


def _read_evaluation(path: Path) -> EvaluationRun:
    artifact = open_artifact(path, KIND)
    scores_path = path / SCORES
    if SCORES not in artifact.files:
        raise InputError(f"{scores_path}: missing. Evaluate again.")
    scores = json.loads(scores_path.read_text(encoding="utf-8"))
    for task, entry in scores["tasks"].items():
        missing = [name for name in _FIELDS if name not in entry]
        if missing:
            raise InputError(
                f'{scores_path}: {task} has no "{missing[0]}": written by an earlier version. '
                f"Evaluate again with `jmed evaluate run`."
            )
    return EvaluationRun(
        name=scores["model"].get("name") or path.name,
        path=path,
        model=scores["model"],
        backend=scores.get("backend", ""),
        hardware=scores.get("hardware") or {},
        tasks=dict(sorted(scores["tasks"].items(), key=lambda item: place(item[0]))),
        fingerprint=artifact.fingerprint,
    )


def _read_training(path: Path) -> TrainingCurves:
    scores_path = path / TRAINING_SCORES
    if not scores_path.is_file():
        raise InputError(f"{scores_path}: no such file. It is written by `jmed train --evaluate-every`.")
    scores: dict[tuple[str, str], list[Measurement]] = {}
    for line, row in read_jsonl(scores_path):
        key = (field(row, "task", str, scores_path, line), field(row, "metric", str, scores_path, line))
        step, tokens = (field(row, name, int, scores_path, line) for name in ("step", "tokens"))
        value = row.get("value")
        if not isinstance(value, int | float):
            raise InputError(f'{scores_path}:{line}: "value" is {value!r}, expected a number.')
        scores.setdefault(key, []).append(Measurement(step, tokens, value))
    return TrainingCurves(path.name, path, scores)

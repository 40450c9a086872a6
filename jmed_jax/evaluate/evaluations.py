"""Reading evaluation directories: what a model scored, row by row, so that systems can be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jmed_jax import artifact
from jmed_jax.errors import InputError
from jmed_jax.evaluate.kappa import Kappa
from jmed_jax.evaluate.row_scores import RowScores
from jmed_jax.jsonl import field, read_json, read_jsonl

KIND = "evaluation"
SCORES = "scores.json"
NEEDED = ("protocol", "main_metric", "metrics", "how", "out_of")


@dataclass(frozen=True)
class Evaluation:
    """One evaluation directory.

    Attributes:
        name: of the model.
        tasks: task → its entry in `scores.json`.
    """

    path: Path
    name: str
    tasks: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class TaskRows:
    """The rows of one task, as one model answered them.

    Attributes:
        ids: one a row.
        gold: the right answers, as the file has them.
        clusters: rows of one name are one question (rotations); None where every row is its own.
        pairs: what a row and its translation have in common; the id where nothing else is said.
    """

    ids: Sequence[str]
    gold: Sequence[Any]
    scores: RowScores
    clusters: Sequence[str] | None
    pairs: Sequence[str]


def open_evaluation(path: Path) -> Evaluation:
    """
    Raises:
        InputError: not an evaluation directory, or one that an older version wrote.
    """
    found = artifact.open_artifact(path, KIND, verify_hashes=False)
    scores = read_json(found.path / SCORES)
    try:
        name, tasks = str(scores["model"].get("name", path.name)), {**scores["tasks"]}
        known = {task: set(entry) for task, entry in tasks.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path / SCORES}: not the scores of an evaluation ({error!r}). Evaluate again.") from error
    for task, entry in known.items():
        missing = [name for name in NEEDED if name not in entry]
        if missing:
            raise InputError(
                f'{path / SCORES}: {task} has no "{missing[0]}": written by an older version. Evaluate again.'
            )
    return Evaluation(found.path, name, tasks)


def read_rows(evaluation: Evaluation, task: str) -> TaskRows:
    """What every row of a task scored.

    Raises:
        InputError: the file is damaged, or was written by an older version.
    """
    path = evaluation.path / f"predictions-{task}.jsonl"
    rows = [_checked(row, path, line) for line, row in read_jsonl(path)]
    entry = evaluation.tasks[task]
    if not isinstance(entry["how"], dict) or not isinstance(entry["out_of"], dict):
        raise InputError(f'{evaluation.path / SCORES}: "how" or "out_of" of {task} is no object. Evaluate again.')
    kappa = None
    if "kappa_weights" in entry:
        kappa = Kappa([row["gold"] for row in rows], [row["prediction"] for row in rows], entry["kappa_weights"])
    try:
        values = {name: np.array([row["scores"][name] for row in rows], dtype=float) for name in entry["how"]}
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: a row without a score that {SCORES} names ({error!r}). Evaluate again.") from error
    return TaskRows(
        ids=[row["id"] for row in rows],
        gold=[row["gold"] for row in rows],
        scores=RowScores(values, entry["how"], kappa, entry["out_of"]),
        clusters=[row["cluster"] for row in rows] if rows and "cluster" in rows[0] else None,
        pairs=[_pair(row) for row in rows],
    )


def _pair(row: dict[str, Any]) -> str:
    # The third rotation of a question belongs to the third of its translation.
    rotation = f"#{row['id'].rpartition('#')[2]}" if "cluster" in row else ""
    return f"{row['pair']}{rotation}" if row.get("pair") else row["id"]


def _checked(row: dict[str, Any], path: Path, line: int) -> dict[str, Any]:
    field(row, "id", str, path, line)
    field(row, "prediction", str, path, line)
    if "gold" not in row or "scores" not in row:
        raise InputError(f'{path}:{line}: no "gold" or "scores": written by an older version. Evaluate again.')
    return row

"""Where a model comes from: the files that its base hands on, and what its model card says of it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from jmed_jax.artifact import MANIFEST
from jmed_jax.config import ExperimentConfig
from jmed_jax.convert.architecture import read_json
from jmed_jax.convert.huggingface import GENERATION
from jmed_jax.convert.model_card import CARD, Provenance, Score, Stage, licence_of
from jmed_jax.convert.peft import base_name, is_adapter, read_config
from jmed_jax.errors import InputError
from jmed_jax.train.metrics import read_metrics
from jmed_jax.train.run import METRICS, RUN_FILE, SCORES, Run, open_run

SOURCE = "source"
"""Directory of an imported run: files of the model that an export hands on."""
SOURCE_FILES = ("config.json", GENERATION, CARD, MANIFEST)
PROVENANCE = "provenance"
"""Where the manifest of an export keeps base, licence and stages, for what is made from it."""


class Origin(NamedTuple):
    """What was loaded."""

    path: Path
    """A run, a Hugging Face directory or a PEFT directory."""
    base: Path | None = None
    """Of an adapter: where its base was; None is where the adapter says."""
    step: int | None = None
    """Of a run: which checkpoint; None is the newest."""


def source_files(origin: Origin) -> Path | None:
    """The directory with `SOURCE_FILES` of the model that a run, an adapter or a Hugging Face directory comes from.

    None for a run that began from scratch, or whose source is no longer where it was.
    """
    path = origin.path
    if not is_adapter(path) and not (path / RUN_FILE).is_file():
        return path if (path / "config.json").is_file() else None
    if (path / SOURCE).is_dir():
        return path / SOURCE
    before = _before(origin)
    return source_files(before) if before else None


def provenance(origin: Origin | None, name: str, scores: Path | None) -> Provenance:
    """What an origin says of itself, and those before it.

    Args:
        scores: `scores.json` of an evaluation; None takes the newest of the run's own `scores.jsonl`.
    """
    measured = _evaluation_scores(scores) if scores else {}
    if origin is None:
        return Provenance(name, scores=measured)
    return replace(_history(origin), name=name, scores=measured or _run_scores(origin.path))


def as_json(provenance: Provenance) -> dict[str, Any]:
    """What a manifest keeps of it."""
    stages = [stage._asdict() for stage in provenance.stages]
    return {"base": provenance.base, "license": provenance.license, "stages": stages}


def _history(origin: Origin) -> Provenance:
    """Base, licence and stages."""
    path = origin.path
    if (path / SOURCE).is_dir():
        return _of_directory(path / SOURCE, open_run(path).config.name)
    if not (path / RUN_FILE).is_file() and not is_adapter(path):
        return _of_directory(path, path.resolve().name)
    if (path / MANIFEST).is_file() and (known := _in_manifest(path)):
        return known
    before = _before(origin)
    earlier = _history(before) if before else Provenance("", base=_public(_named_base(path)))
    if is_adapter(path):
        lora = read_config(path)
        return replace(earlier, stages=(*earlier.stages, Stage(path.resolve().name, f"LoRA of rank {lora.rank}")))
    return replace(earlier, stages=(*earlier.stages, _stage(open_run(path), origin.step)))


def _before(origin: Origin) -> Origin | None:
    """What an adapter or a run began from, if it is still there."""
    named = _named_base(origin.path)
    path = origin.base or (Path(named) if named else None)
    there = path is not None and ((path / RUN_FILE).is_file() or (path / "config.json").is_file())
    return Origin(path) if path is not None and there else None


def _named_base(path: Path) -> str:
    return base_name(path) if is_adapter(path) else open_run(path).config.train.initialize_from


def _public(base: str) -> str:
    """A name of the Hub as it is; of a directory the last part: cards go out of the house."""
    is_hub_name = base.count("/") == 1 and not base.startswith((".", "/", "~"))
    return base if is_hub_name else Path(base).name


def _of_directory(path: Path, name: str) -> Provenance:
    """Of a Hugging Face directory: what our export says of it; else it is a base itself."""
    known = _in_manifest(path) if (path / MANIFEST).is_file() else None
    return known or Provenance("", base=name, license=licence_of(path))


def _in_manifest(path: Path) -> Provenance | None:
    found = read_json(path / MANIFEST).get("config", {}).get(PROVENANCE)
    if found is None:
        return None
    stages = tuple(Stage(**stage | {"data": tuple(stage["data"])}) for stage in found["stages"])
    return Provenance("", base=found["base"], license=found["license"], stages=stages)


# --- one stage --------------------------------------------------------------------------------------------------------


def _stage(run: Run, step: int | None) -> Stage:
    config = run.config
    lines = read_metrics(run.path) if (run.path / METRICS).is_file() else []
    done = [line for line in lines if step is None or line["step"] <= step]
    return Stage(
        run.path.resolve().name,
        f"LoRA of rank {config.lora.rank}" if config.lora.rank else "all parameters",
        steps=done[-1]["step"] if done else step,
        tokens=done[-1]["tokens"] if done else None,
        peak_lr=config.optimizer.peak_lr,
        data=_data(config),
    )


def _data(config: ExperimentConfig) -> tuple[str, ...]:
    """Sources and licences of the rows that a run trained on, where their manifest still lies there."""
    if not config.data.rows:
        return ()
    rows = Path(config.data.rows)
    if not (rows / MANIFEST).is_file():
        return (rows.name,)
    sources = read_json(rows / MANIFEST)["config"].get("sources") or {rows.name: []}
    return tuple(f"{name} ({', '.join(licences)})" if licences else name for name, licences in sources.items())


# --- scores -----------------------------------------------------------------------------------------------------------


def _run_scores(run: Path) -> dict[str, Score]:
    if not (run / SCORES).is_file():
        return {}
    lines = [json.loads(line) for line in (run / SCORES).read_text(encoding="utf-8").splitlines()]
    newest = max((line["step"] for line in lines), default=0)
    return {f"{line['task']} {line['metric']}": Score(line["value"]) for line in lines if line["step"] == newest}


def _evaluation_scores(path: Path) -> dict[str, Score]:
    """
    Raises:
        InputError: not a `scores.json` of `jmed evaluate`.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected scores.json of `jmed evaluate`.")
    tasks = read_json(path).get("tasks")
    if not isinstance(tasks, dict):
        raise InputError(f'{path}: no "tasks" in it; expected scores.json of `jmed evaluate`.')
    try:
        return {f"{name} {entry['main_metric']}": _score(entry) for name, entry in tasks.items()}
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: a task without {error}; expected scores.json of `jmed evaluate`.") from error


def _score(entry: Mapping[str, Any]) -> Score:
    metric = entry["main_metric"]
    interval = entry.get("intervals", {}).get(metric)
    return Score(entry["metrics"][metric], tuple(interval) if interval else None, entry.get("n"))

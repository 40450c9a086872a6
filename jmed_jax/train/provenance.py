"""Where a model comes from: the files that its base hands on, and what the model card says of it."""

import json
from pathlib import Path

from jmed_jax.artifact import MANIFEST
from jmed_jax.convert.architecture import read_json
from jmed_jax.convert.huggingface import GENERATION
from jmed_jax.convert.model_card import CARD, Provenance, licence_of
from jmed_jax.convert.peft import base_name, is_adapter
from jmed_jax.errors import InputError
from jmed_jax.train.run import RUN_FILE, SCORES, open_run

SOURCE = "source"
"""Directory of an imported run: files of the model that an export hands on."""
SOURCE_FILES = ("config.json", GENERATION, CARD)


def source_files(path: Path) -> Path | None:
    """The directory with `SOURCE_FILES` of the model that a run, an adapter or a Hugging Face directory comes from.

    None for a run that began from scratch, or whose source is no longer where it was.
    """
    if is_adapter(path):
        return source_files(Path(base_name(path)))
    if not (path / RUN_FILE).is_file():
        return path if (path / "config.json").is_file() else None
    if (path / SOURCE).is_dir():
        return path / SOURCE
    before = open_run(path).config.train.initialize_from
    return source_files(Path(before)) if before else None


def provenance(path: Path | None, name: str, scores: Path | None) -> Provenance:
    """What the run or directory `path` says of itself.

    Args:
        scores: `scores.json` of an evaluation; None takes the newest of the run's own `scores.jsonl`.
    """
    measured = _evaluation_scores(scores) if scores else {}
    if path is None:
        return Provenance(name, scores=measured)
    source = source_files(path)
    licence = licence_of(source) if source else ""
    if not (path / RUN_FILE).is_file():
        return Provenance(
            name, base=base_name(path) if is_adapter(path) else path.name, license=licence, scores=measured
        )
    config = open_run(path).config
    base = Path(config.train.initialize_from).name or (config.name if source else "")
    if not config.data.rows:
        return Provenance(name, base=base, license=licence, training="imported, not trained", scores=measured)
    kind = f"LoRA of rank {config.lora.rank}" if config.lora.rank else "all parameters"
    training = f"{config.train.steps:,} steps, {kind}, peak learning rate {config.optimizer.peak_lr:g}"
    return Provenance(name, base, licence, _data(Path(config.data.rows)), training, measured or _run_scores(path))


def _data(rows: Path) -> tuple[str, ...]:
    """The rows that a run trained on, and how many there were, where their manifest still lies there."""
    if not (rows / MANIFEST).is_file():
        return (rows.name,)
    manifest = read_json(rows / MANIFEST)
    return (f"{rows.name} ({manifest['counts'].get('rows', 'unknown')} rows, {manifest['config'].get('mode', '')})",)


def _run_scores(run: Path) -> dict[str, float]:
    if not (run / SCORES).is_file():
        return {}
    lines = [json.loads(line) for line in (run / SCORES).read_text(encoding="utf-8").splitlines()]
    newest = max((line["step"] for line in lines), default=0)
    return {f"{line['task']} {line['metric']}": line["value"] for line in lines if line["step"] == newest}


def _evaluation_scores(path: Path) -> dict[str, float]:
    """
    Raises:
        InputError: not a `scores.json` of `jmed evaluate`.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected scores.json of `jmed evaluate`.")
    tasks = read_json(path).get("tasks")
    if not isinstance(tasks, dict):
        raise InputError(f'{path}: no "tasks" in it; expected scores.json of `jmed evaluate`.')
    return {f"{name} {entry['main_metric']}": entry["metrics"][entry["main_metric"]] for name, entry in tasks.items()}

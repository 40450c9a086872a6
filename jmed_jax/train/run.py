"""The run directory: what a training run is, and the lock that keeps two processes out of it.

run.json            configuration, package version, fingerprints of rows and tokenizer
tokenizer/          a copy of the tokenizer that the rows were packed with
checkpoints/STEP/   parameters, optimizer, loop state (Orbax)
metrics.jsonl       one line a step
tensorboard/        event files
"""

import fcntl
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jmed_jax import __version__, config
from jmed_jax.artifact import Artifact, replacing
from jmed_jax.config import ExperimentConfig
from jmed_jax.errors import InputError

RUN_FILE = "run.json"
TOKENIZER = "tokenizer"
CHECKPOINTS = "checkpoints"
METRICS = "metrics.jsonl"

# What may differ when a run goes on: where and how it runs, not what it computes.
FREE_FIELDS = (
    "mesh",
    "data.rows",
    "train.log_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.keep_every",
    "train.initialize_from",
    "train.remat",
    "train.loss_chunk",
)


@dataclass(frozen=True)
class Run:
    """An existing run directory."""

    path: Path
    config: ExperimentConfig
    inputs: dict[str, str]
    """Fingerprints of "rows" and "tokenizer"."""

    @property
    def tokenizer_path(self) -> Path:
        return self.path / TOKENIZER


def open_run(path: Path) -> Run:
    """
    Raises:
        InputError: no run there, or one that this version cannot read.
    """
    run_file = path / RUN_FILE
    if not run_file.is_file():
        raise InputError(f"{path}: no {RUN_FILE} here, so this is not a run directory made by `jmed train`.")
    try:
        content = json.loads(run_file.read_text(encoding="utf-8"))
        return Run(path, config.from_dict(content["config"]), content["inputs"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise InputError(f"{run_file}: not a run description ({error!r}).") from error
    except InputError as error:
        raise InputError(f"{run_file}: {error}") from error


def prepare_run(path: Path, experiment: ExperimentConfig, rows: Artifact) -> Run:
    """Open the run to go on with, or begin one.

    Raises:
        InputError: the directory holds a run of another configuration, rows or tokenizer, or something else.
    """
    inputs = {"rows": rows.fingerprint, "tokenizer": rows.inputs["tokenizer"]}
    if (path / RUN_FILE).exists():
        run = open_run(path)
        _check_same(run, experiment, inputs)
        return Run(path, experiment, inputs)
    if path.is_dir() and any(entry.name != ".lock" for entry in path.iterdir()):
        raise InputError(f"{path}: not empty, and no run of ours. Give --run another directory.")
    shutil.copytree(rows.path / TOKENIZER, path / TOKENIZER, dirs_exist_ok=True)
    write_run(path, experiment, inputs)
    return Run(path, experiment, inputs)


def write_run(path: Path, experiment: ExperimentConfig, inputs: dict[str, str]) -> None:
    """Write `run.json`; the run exists from then on."""
    content = {
        "kind": "run",
        "package": f"jmed_jax {__version__}",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "config": config.to_dict(experiment),
        "inputs": inputs,
    }
    with replacing(path / RUN_FILE) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _check_same(run: Run, experiment: ExperimentConfig, inputs: dict[str, str]) -> None:
    for role, fingerprint in inputs.items():
        if run.inputs[role] != fingerprint:
            raise InputError(f"{run.path}: this run was made with other {role}. Use those, or another --run directory.")
    saved, given = _flatten(config.to_dict(run.config)), _flatten(config.to_dict(experiment))
    differing = [
        f"{name} is {saved.get(name)!r} there and {given.get(name)!r} here"
        for name in sorted(saved.keys() | given.keys())
        if saved.get(name) != given.get(name) and not name.startswith(FREE_FIELDS)
    ]
    if differing:
        raise InputError(f"{run.path}: a run of another configuration ({'; '.join(differing)}). Use another --run.")


def _flatten(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the run directory; the system lets go of the lock when the process ends, however it ends.

    Raises:
        InputError: another live process holds it.
    """
    path.mkdir(parents=True, exist_ok=True)
    with (path / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"{path}: another process is training in this run directory.") from error
        yield

"""The run directory: what a training run is, and the lock that keeps two processes out of it.

run.json                 configuration, package version, fingerprints of rows and tokenizer
tokenizer/               a copy of the tokenizer that the rows were packed with
checkpoints/STEP/        parameters, optimizer, loop state (Orbax)
metrics.jsonl            one line a step
validation.jsonl         one line a validation (`train.validate_every`)
scores.jsonl             one line a score (`jmed train --evaluate-every`), and the answers under evaluations/
goodput.json             where the time went
tensorboard/, profile/   event files, profiler traces (`--profile-steps`)
"""

import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jmed_jax import __version__, config
from jmed_jax.artifact import Artifact, replacing, replacing_directory
from jmed_jax.config import ExperimentConfig
from jmed_jax.errors import InputError
from jmed_jax.jsonl import read_json
from jmed_jax.parallel import distributed

RUN_FILE = "run.json"
TOKENIZER = "tokenizer"
CHECKPOINTS = "checkpoints"
METRICS = "metrics.jsonl"
VALIDATION = "validation.jsonl"
SCORES = "scores.jsonl"
LOCK = ".lock"

# What may differ when a run goes on: where and how it runs, not what it computes.
FREE_FIELDS = (
    "mesh",
    "data.rows",
    "data.validation_rows",
    "data.validation_limit",
    "train.validate_every",
    "train.log_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.keep_every",
    "train.initialize_from",
    "train.remat",
    "train.attention",
    "train.loss_chunk",
    "train.max_skipped",
    "train.statistics_every",
    "train.hang_timeout_s",
    "train.hang_abort",
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
    content = read_json(run_file)
    try:
        return Run(path, config.from_dict(content["config"]), content["inputs"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{run_file}: not a run description ({error!r}).") from error
    except InputError as error:
        raise InputError(f"{run_file}: {error}") from error


@contextmanager
def enter_run(path: Path, experiment: ExperimentConfig, rows: Artifact) -> Iterator[Run]:
    """Lock the run directory and open or begin the run: process 0 does, and the others wait for it.

    Raises:
        InputError: as `locked` and `prepare_run`.
    """
    with ExitStack() as stack:
        if distributed.is_first():
            stack.enter_context(locked(path))
            prepare_run(path, experiment, rows)
        distributed.barrier("run")
        yield Run(path, experiment, inputs_of(rows))


def inputs_of(rows: Artifact) -> dict[str, str]:
    """What a run on these rows is made from."""
    return {"rows": rows.fingerprint, "tokenizer": rows.inputs["tokenizer"]}


def prepare_run(path: Path, experiment: ExperimentConfig, rows: Artifact) -> Run:
    """Open the run to go on with, or begin one.

    Raises:
        InputError: the directory holds a run of another configuration, rows or tokenizer, or something else.
    """
    inputs = inputs_of(rows)
    path.mkdir(parents=True, exist_ok=True)
    if (path / RUN_FILE).exists():
        _check_same(open_run(path), experiment, inputs)
    elif any(not _is_leftover(entry) for entry in path.iterdir()):
        raise InputError(f"{path}: not empty, and no run of ours. Give --run another directory.")
    else:
        write_run(path, experiment, inputs)
    if not (path / TOKENIZER).exists():
        # After run.json: a process killed in between leaves a directory that the next one knows for a run.
        _copy_tokenizer(rows.path / TOKENIZER, path / TOKENIZER)
    return Run(path, experiment, inputs)


def _is_leftover(entry: Path) -> bool:
    """Of a process that was killed before the run existed."""
    return entry.name == LOCK or (entry.name.startswith(".partial-") and entry.name.endswith(RUN_FILE))


def _copy_tokenizer(source: Path, out: Path) -> None:
    for leftover in out.parent.glob(f".{out.name}.partial-*"):
        shutil.rmtree(leftover)
    with replacing_directory(out) as directory:
        shutil.copytree(source, directory, dirs_exist_ok=True)


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


def add_input(path: Path, name: str, fingerprint: str) -> None:
    """Take one more fingerprint down in `run.json`: what is known only when training begins."""
    content = json.loads((path / RUN_FILE).read_text(encoding="utf-8"))
    content["inputs"][name] = fingerprint
    with replacing(path / RUN_FILE) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _check_same(run: Run, experiment: ExperimentConfig, inputs: dict[str, str]) -> None:
    for role, fingerprint in inputs.items():
        if run.inputs[role] != fingerprint:
            raise InputError(f"{run.path}: this run was made with other {role}. Use those, or another --run directory.")
    if differing := differences(config.to_dict(run.config), config.to_dict(experiment)):
        raise InputError(f"{run.path}: a run of another configuration ({differing}). Use another --run.")


def differences(saved: dict[str, Any], given: dict[str, Any]) -> str:
    """`optimizer.peak_lr is 0.1 there and 0.2 here; …` of two saved configurations, or nothing.

    Fields that may differ when a run goes on do not count.
    """
    saved, given = _flatten(saved), _flatten(given)
    return "; ".join(
        f"{name} is {saved.get(name)!r} there and {given.get(name)!r} here"
        for name in sorted(saved.keys() | given.keys())
        if saved.get(name) != given.get(name) and not name.startswith(FREE_FIELDS)
    )


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
    # Not "w": that would empty what the holder wrote into it.
    with (path / LOCK).open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip()
            raise InputError(
                f"{path / LOCK}: another process is training in this run directory ({holder}). Wait for it or "
                "stop it, or give --run another directory."
            ) from error
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        lock.flush()
        yield

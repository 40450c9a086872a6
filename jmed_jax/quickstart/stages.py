"""What the recipes of the quickstart have in common: their directory, their stages with what each took, their text."""

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from jmed_jax import artifact
from jmed_jax.errors import InputError
from jmed_jax.page.page import Stage
from jmed_jax.progress import say

SUMMARY = "quickstart.json"
PAGE = "index.html"

# Text to pre-train on: the smallest files of pretrain/ first, up to this many bytes on disk.
CORPUS_BYTES = 2_000_000

Result = TypeVar("Result")


class Stages:
    """Runs the stages and keeps what each took."""

    def __init__(self) -> None:
        self.done: list[Stage] = []

    def run(self, name: str, work: Callable[[], Result], describe: Callable[[Result], tuple[str, str]]) -> Result:
        """Run one stage; `describe` gives its size and a detail for the page."""
        say(f"── {name}")
        start, cpu_start = time.perf_counter(), time.process_time()
        result = work()
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        size, detail = describe(result)
        self.done.append(Stage(name, seconds, size, detail, cpu_seconds))
        say(f"   {seconds:.1f} s: {size}. {detail}")
        return result

    def summary(self) -> dict[str, Any]:
        """ "seconds", "cpu_seconds" and "stages" of the recipe's summary."""
        return {
            "seconds": round(sum(stage.seconds for stage in self.done), 1),
            "cpu_seconds": round(sum(stage.cpu_seconds for stage in self.done), 1),
            "stages": {stage.name: round(stage.seconds, 1) for stage in self.done},
        }


def check_data(data: Path, parts: tuple[str, ...]) -> None:
    """
    Raises:
        InputError: the data folder lacks a part.
    """
    for part in parts:
        if not (data / part).is_dir():
            raise InputError(
                f"{data}: no {part}/ in it. `jmed data sample --out DIR` writes a folder in the right layout."
            )


def claim(out: Path, overwrite: bool) -> None:
    """Make `out` ours, without ever deleting what no quickstart wrote.

    Raises:
        InputError: it is not empty, and not an earlier quickstart to replace.
    """
    if out.exists() and any(out.iterdir()):
        artifact.check_free(out, overwrite)
        if not (out / SUMMARY).is_file():
            raise InputError(f"{out}: not empty, and no quickstart wrote it (no {SUMMARY}). Give --out another name.")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    write_summary(out, {"status": "running"})


def write_summary(out: Path, summary: Mapping[str, Any]) -> None:
    """Write what the quickstart says of itself; a directory that has it is one."""
    with artifact.replacing(out / SUMMARY) as temporary:
        temporary.write_text(json.dumps(summary, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def smallest_files(folder: Path) -> list[Path]:
    """Files from the smallest up to CORPUS_BYTES together, at least one.

    Raises:
        InputError: there is none.
    """
    files = sorted((path for path in folder.iterdir() if ".jsonl" in path.name), key=lambda path: path.stat().st_size)
    if not files:
        raise InputError(f"{folder}: no .jsonl file to pre-train on.")
    chosen = files[:1]
    for path in files[1:]:
        if sum(p.stat().st_size for p in [*chosen, path]) > CORPUS_BYTES:
            break
        chosen.append(path)
    return chosen


# --- what a stage made, and a detail ----------------------------------------------------------------------------------


def describe_sample(folder: Path) -> tuple[str, str]:
    """The synthetic sample."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return megabytes(sum(path.stat().st_size for path in files)), f"{len(files)} files, invented by templates"


def describe_corpus(made: artifact.Artifact) -> tuple[str, str]:
    """A corpus artefact."""
    detail = f"{made.counts['documents']:,} documents after cleaning, filters and removal of duplicates"
    return f"{made.counts['characters']:,} characters", detail


def describe_rows(rows: artifact.Artifact) -> tuple[str, str]:
    """A rows artefact."""
    counts = rows.counts
    size = f"{counts['rows']:,} rows of {rows.config['row_length']}"
    return size, f"{counts['tokens']:,} tokens; {counts['truncated']:,} truncated, {counts['dropped']:,} dropped"


def describe_training(result: Mapping[str, Any]) -> tuple[str, str]:
    """What `train` returns."""
    detail = f"{result['steps']:,} steps, last loss {result['loss']:.2f} nats a token"
    return f"{result['tokens']:,} tokens", detail


def megabytes(count: int) -> str:
    """`3.1 MB`."""
    return f"{count / 1e6:.1f} MB"

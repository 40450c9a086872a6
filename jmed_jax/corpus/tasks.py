"""How the files of a corpus are shared out among tasks: by the input alone, never by the number of workers.

So the corpus is the same whoever builds it, and a build that was killed goes on with the tasks that are left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from jmed_jax import __version__
from jmed_jax.artifact import visible_files
from jmed_jax.corpus.config import CorpusConfig, SourceConfig
from jmed_jax.corpus.sources import list_source_files
from jmed_jax.errors import InputError
from jmed_jax.jsonl import without_surrogates

# Enough tasks for 100 workers to end at about the same time; datatrove holds a file a task open in some stages.
MOST_TASKS = 256
SMALLEST_TASK_BYTES = 8_000_000


class Input(NamedTuple):
    """One file of a source."""

    source: SourceConfig
    path: Path


Task = Sequence[Input]


def plan_tasks(config: CorpusConfig, data: Path) -> list[Task]:
    """Runs of files, in the order of the sources, of about equal size; a file is never split.

    Args:
        data: the folder that the paths of the sources are relative to.

    Raises:
        InputError: a source has no file, or a file stands in two sources.
    """
    inputs = [Input(source, path) for source in config.sources for path in list_source_files(source, data)]
    seen: dict[Path, str] = {}
    for source, path in inputs:
        if path in seen:
            raise InputError(f"{path}: in two sources, {seen[path]} and {source.name}. Leave it out of one.")
        seen[path] = source.name
        if without_surrogates(str(path)) != str(path):
            raise InputError(f"{without_surrogates(str(path))}: its name is not UTF-8. Rename it.")
    sizes = [path.stat().st_size for _, path in inputs]
    target = max(SMALLEST_TASK_BYTES, sum(sizes) // MOST_TASKS)
    tasks: list[list[Input]] = []
    room = 0
    for entry, size in zip(inputs, sizes, strict=True):
        if room < size or not tasks:
            tasks.append([])
            room = target
        tasks[-1].append(entry)
        room -= size
    return list(tasks)


def build_settings(
    config: CorpusConfig, tasks: Sequence[Task], rules: Mapping[str, Any], evaluation_sets: Sequence[Path]
) -> dict[str, Any]:
    """All that decides what a corpus becomes, files by size and time, for `unfinished`.

    Args:
        rules: versions and thresholds of everything that decides what a document becomes.

    Raises:
        InputError: an evaluation set is missing.
    """
    missing = [path for path in evaluation_sets if not path.exists()]
    if missing:
        raise InputError(f"{missing[0]}: no such evaluation set.")
    questions = [file for path in evaluation_sets for file in (visible_files(path) if path.is_dir() else [path])]
    files = [path for task in tasks for _, path in task] + questions
    states = [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
    return {"package": __version__, "config": asdict(config), "rules": dict(rules), "files": states}

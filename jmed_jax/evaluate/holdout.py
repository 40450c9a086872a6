"""Validation questions from training rows, so that a recipe can be chosen without looking at test rows.

They make a data folder of their own, in which the evaluation finds them where test rows stand and instruction tuning
finds the rest where training rows stand.
"""

import random
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jmed_jax.artifact import replacing_directory
from jmed_jax.errors import InputError
from jmed_jax.evaluate.gold import shared_options_file
from jmed_jax.evaluate.protocols.jmed_llm import TEST, TRAIN
from jmed_jax.evaluate.task import Task
from jmed_jax.evaluate.tasks import get_task
from jmed_jax.jsonl import SUFFIXES, read_jsonl, write_jsonl

LARGEST_SHARE = 3
"""At most one in so many rows of an answer is held out: what is rare has to stay in training."""


def hold_out(tasks: Sequence[str], data: Path, out: Path, *, questions: int, seed: int = 0) -> dict[str, int]:
    """Write `out`, a data folder: `questions` training rows of each task as test rows, the others as training rows.

    Choice tasks: every answer equally often, as in JMED-LLM's test sets, as far as `LARGEST_SHARE` allows. Rows are
    drawn one by one, not by document, because the benchmark's own test rows were: most of their reports and tweets also
    stand in training rows, and a validation set without them would measure something else.

    Returns:
        Rows held out, by task.

    Raises:
        InputError: a task is unknown or has no training rows in JSON Lines, a row is damaged, or none can be held out.
    """
    counts: dict[str, int] = {}
    with replacing_directory(out) as directory:
        for task in map(get_task, tasks):
            path = _training_file(task, data)
            rows = [row for _, row in read_jsonl(path)]
            # Seeded by task too, so that a task's rows do not depend on which others are held out.
            held = _draw(rows, questions, random.Random(f"{seed} {task.name}"))
            if not held:
                raise InputError(
                    f"{path}: no question can be held out. Of each answer at most a third of its rows is taken, and "
                    f"{questions} questions must be enough for one of every answer."
                )
            name = path.name.partition(".")[0]
            for part, wanted in ((TEST, True), (TRAIN, False)):
                (directory / part).mkdir(parents=True, exist_ok=True)
                write_jsonl(
                    directory / part / f"{name}.jsonl", [row for i, row in enumerate(rows) if (i in held) is wanted]
                )
            options = shared_options_file(path, name)
            if options.is_file():
                shutil.copyfile(options, shared_options_file(directory / TEST / path.name, name))
            counts[task.name] = len(held)
    return counts


def _training_file(task: Task[Any], data: Path) -> Path:
    path = task.train_path(data)
    if path is None or not path.name.endswith(SUFFIXES):
        raise InputError(f"{data / TRAIN}: no training rows of {task.name} in JSON Lines.")
    return path


def _draw(rows: Sequence[dict[str, Any]], questions: int, generator: random.Random) -> set[int]:
    by_answer: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_answer[str(row.get("answer", ""))].append(index)
    held: set[int] = set()
    for _, members in sorted(by_answer.items()):
        share = min(questions // len(by_answer), len(members) // LARGEST_SHARE)
        held.update(generator.sample(members, share))
    return held

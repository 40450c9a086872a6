"""Training conversations for instruction tuning, in the evaluation's own prompts (arXiv 2412.16423 §2.4.2)."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from jmed_jax.artifact import replacing
from jmed_jax.errors import InputError
from jmed_jax.evaluate.gold import read_sources
from jmed_jax.evaluate.prompts import Prompts
from jmed_jax.evaluate.protocols.jmed_llm import TEST, TRAIN
from jmed_jax.evaluate.questions import ChoiceQuestion, ExtractionQuestion, Question
from jmed_jax.evaluate.task import Task
from jmed_jax.evaluate.tasks import get_task
from jmed_jax.jsonl import write_jsonl

TrainRow = ChoiceQuestion | ExtractionQuestion


def training_conversations(task: Task[Any], rows: Sequence[Question], prompts: Prompts) -> Iterator[dict[str, Any]]:
    """Yield {"id", "task", "messages": [system, user, assistant]}; the assistant says what a perfect model would.

    A row that stands several times in `rows` gets "#2", "#3" … behind its id.
    """
    seen: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        seen[row.id] += 1
        times = seen[row.id]
        answer = {"role": "assistant", "content": task.expected_output(row)}
        yield {
            "id": row.id if times == 1 else f"{row.id}#{times}",
            "task": task.name,
            "messages": [*task.messages(row, prompts), answer],
        }


def write_conversations(
    tasks: Sequence[str],
    data: Path,
    out: Path,
    *,
    exclude_test_documents: bool = False,
    balance: bool = False,
    seed: int = 0,
    limit_per_task: int | None = None,
    prompts: Path | None = None,
) -> dict[str, int]:
    """Write the training conversations of `tasks` to one JSONL file (`.gz` and `.zst` by name).

    The same arguments give the same file. Rows come in their own order unless `balance` or `limit_per_task` draws.

    Args:
        data: a folder with `jmed_llm/train/TASK.jsonl[.gz]`.
        exclude_test_documents: leave out rows whose report, tweet or sentence stands in a test row of any task: those
            that say so themselves, and those that share a source with the test rows found in `data`.
        balance: draw rows so that within a tag every answer is equally frequent, because the test sets are even and the
            training rows are not (SMDIS: 88 % B). Frequent answers are thinned, rare ones repeated; the number of rows
            of a tag stays. Choice tasks only: extraction answers have no classes.
        limit_per_task: draw at most so many rows of a task.

    Returns:
        Rows written, by task.

    Raises:
        InputError: a task is unknown or has no training rows in `data`, a row is damaged, or nothing is left.
    """
    test_sources = _test_sources(data) if exclude_test_documents else frozenset()
    counts: dict[str, int] = {}
    conversations: list[dict[str, Any]] = []
    for task in map(get_task, tasks):
        rows = _read_rows(task, data)
        if exclude_test_documents:
            rows = [row for row in rows if not row.overlaps_test and row.sources.isdisjoint(test_sources)]
        # Seeded by task too, so that a task's rows do not depend on which others are written.
        rows = _draw(rows, random.Random(f"{seed} {task.name}"), balance, limit_per_task)
        counts[task.name] = len(rows)
        conversations += training_conversations(task, rows, task.load_wording(prompts))
    if not conversations:
        raise InputError(f"{data}: no training rows are left for {', '.join(tasks)}.")
    with replacing(out) as temporary:
        write_jsonl(temporary, conversations)
    return counts


def _read_rows(task: Task[Any], data: Path) -> list[TrainRow]:
    path = task.train_path(data)
    if path is None:
        expected = data / TRAIN / f"{task.name.rpartition('.')[2]}.jsonl.gz"
        raise InputError(f"{expected}: no such file. The training rows of {task.name} are expected there.")
    return list(task.read_gold([path]))


def _test_sources(data: Path) -> frozenset[str]:
    directory = data / TEST
    return read_sources([directory]) if directory.is_dir() else frozenset()


def _draw(rows: list[TrainRow], generator: random.Random, balance: bool, limit: int | None) -> list[TrainRow]:
    if balance:
        rows = _balanced(rows, generator)
    if limit is not None and limit < len(rows):
        rows = generator.sample(rows, limit)
    return rows


def _balanced(rows: list[TrainRow], generator: random.Random) -> list[TrainRow]:
    """As many rows of every answer within each tag (to within one), in random order."""
    by_class: dict[str | None, dict[str, list[TrainRow]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if not isinstance(row, ChoiceQuestion):
            return rows
        by_class[row.tag][row.answer].append(row)
    drawn: list[TrainRow] = []
    for classes in by_class.values():
        total = sum(map(len, classes.values()))
        for index, (_, members) in enumerate(sorted(classes.items())):
            share = (total + index) // len(classes)
            repeats, remainder = divmod(share, len(members))
            drawn += members * repeats + generator.sample(members, remainder)
    generator.shuffle(drawn)
    return drawn

"""Scoring a predictions file, and the score of the rows that no training row gives away."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jmed_jax.evaluate.gold import read_sources
from jmed_jax.evaluate.predictions import read_predictions
from jmed_jax.evaluate.questions import ExamQuestion, Question
from jmed_jax.evaluate.task_kinds import Metrics, Task
from jmed_jax.evaluate.tasks import get_task


def score_predictions(
    task: str, gold: Sequence[Path], predictions: Path, *, system: str | None = None, train: Sequence[Path] = ()
) -> Metrics:
    """Score a predictions file of any system against gold files or directories.

    Args:
        task: a name of `tasks.TASKS`.
        system: which system, where the file holds several.
        train: JMED-LLM training files or directories; given, the score on clean rows stands beside.

    Returns:
        igakuqa: {"task", "n", "points", "total", "accuracy", "relaxed_points", "unparsable", "groups": {"2018": {…},
        "2018/A": {…}}}; "accuracy" is the share of questions, "points" of "total" the share that the papers print.
        "other_years" counts predictions passed over because their year is none of the gold's, when there are any.
        JMED-LLM: {"task", "n", "accuracy", "kappa", "unparsable", "groups": by tag}, or "exact_f1", "partial_f1" and
        "overlap_f1"; with `train`, "clean": the same over the rows whose source is in no training row (None if none).

    Raises:
        InputError: the task is unknown, or gold or predictions are not as `gold` and `predictions` expect them.
    """
    entry = get_task(task)
    questions = entry.read_gold(gold)
    read = read_predictions(predictions, entry, questions, system=system)
    result: Metrics = {"task": task, **entry.score(questions, read.values)}
    if read.other_years:
        result["other_years"] = read.other_years
    if train:
        result["clean"] = score_clean(entry, questions, read.values, read_sources(train))
    return result


def score_clean(
    task: Task[Any], questions: Sequence[Question], predictions: Sequence[str], trained_on: frozenset[str]
) -> Metrics | None:
    """Score the rows whose source (report, tweet, sentence) is not among `trained_on`; None when no row is left."""
    clean = [
        (question, prediction)
        for question, prediction in zip(questions, predictions, strict=True)
        if isinstance(question, ExamQuestion) or question.sources.isdisjoint(trained_on)
    ]
    if not clean:
        return None
    metrics = task.score([question for question, _ in clean], [prediction for _, prediction in clean])
    return {name: value for name, value in metrics.items() if name != "groups"}

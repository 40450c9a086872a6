"""Scoring a predictions file, and which rows no training row gives away."""

from collections.abc import Sequence
from pathlib import Path

from jmed_jax.evaluate.gold import read_sources
from jmed_jax.evaluate.predictions import read_predictions
from jmed_jax.evaluate.questions import Question
from jmed_jax.evaluate.row_scores import metrics
from jmed_jax.evaluate.task import Metrics
from jmed_jax.evaluate.tasks import get_task


def score_predictions(
    task: str,
    gold: Sequence[Path],
    predictions: Path,
    *,
    protocol: str | None = None,
    system: str | None = None,
    train: Sequence[Path] = (),
) -> Metrics:
    """Score a predictions file of any system against gold files or directories.

    Args:
        task: a name of `tasks.TASKS`.
        protocol: one that the task can be put under; its default if None.
        system: which system, where the file holds several.
        train: JMED-LLM training files or directories; given, the score on clean rows stands beside.

    Returns:
        igakuqa: {"task", "n", "points", "total", "accuracy", "relaxed_points", "unparsable", "groups": {"2018": {…},
        "2018/A": {…}}}; "accuracy" is the share of questions, "points" of "total" the share that the papers print.
        "other_years" counts predictions passed over because their year is none of the gold's, when there are any.
        JMED-LLM: {"task", "n", "accuracy", "kappa", "unparsable", "groups": by tag}, or "exact_f1", "partial_f1" and
        "overlap_f1"; with `train`, "clean": the same over the rows whose source is in no training row (None if none).
        Other protocols: their metrics.

    Raises:
        InputError: the task is unknown, or gold or predictions are not as `gold` and `predictions` expect them.
    """
    entry = get_task(task, protocol)
    every = entry.read_gold(gold)
    questions = entry.asked(every)
    read = read_predictions(predictions, entry, questions, system=system, passed_over={one.id for one in every})
    result: Metrics = {"task": task, **entry.score(questions, read.values)}
    if read.other_years:
        result["other_years"] = read.other_years
    if train:
        clean = clean_rows(questions, read_sources(train))
        rows = entry.row_scores(questions, read.values)
        result["clean"] = {"n": len(clean), **metrics(rows, clean)} if clean else None
    return result


def clean_rows(questions: Sequence[Question], trained_on: frozenset[str]) -> list[int]:
    """Places of the questions whose sources (report, tweet, sentence) are not among `trained_on`."""
    return [i for i, question in enumerate(questions) if trained_on.isdisjoint(getattr(question, "sources", ()))]

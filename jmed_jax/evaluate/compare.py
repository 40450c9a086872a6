"""Comparing systems that answered the same questions.

Two systems are compared question by question, which sees differences that two separate intervals hide. Accuracies (all
that is right or wrong in each row) by McNemar's exact test; kappa, F1, points and whatever else by the paired
bootstrap: the same questions are drawn for both, and the difference is taken in each resample.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jmed_jax.errors import InputError
from jmed_jax.evaluate.evaluations import Evaluation, TaskRows, open_evaluation, read_rows
from jmed_jax.evaluate.intervals import Interval, interval, resampled_metrics
from jmed_jax.evaluate.paired_tests import bootstrap_p, holm, mcnemar
from jmed_jax.evaluate.row_scores import RowScores, metrics

RESAMPLES = 10_000
"""More than an interval needs: the smallest p is 2 / 10,001, and below .05 after a correction over 200 comparisons."""

Test = Literal["McNemar", "paired bootstrap"]


class Difference(NamedTuple):
    """Two systems in one metric.

    Attributes:
        difference: second - first, and its 95 % interval.
        p: two-sided, of `test`.
    """

    first_value: float
    second_value: float
    difference: float
    interval: Interval
    test: Test
    p: float


@dataclass(frozen=True)
class Comparison:
    """One metric of one task, of two systems.

    Attributes:
        n: questions; rotations of one count once.
        p_holm: after Holm's correction over all comparisons of the call.
    """

    task: str
    metric: str
    first: str
    second: str
    n: int
    result: Difference
    p_holm: float

    def to_dict(self) -> dict[str, Any]:
        """As one flat object."""
        fields = {name: getattr(self, name) for name in ("task", "metric", "first", "second", "n")}
        return {**fields, **self.result._asdict(), "p_holm": self.p_holm}


@dataclass(frozen=True)
class Comparisons:
    """
    Attributes:
        refused: a line for each task or metric of two systems that cannot be compared: why, and what to do.
    """

    rows: tuple[Comparison, ...]
    refused: tuple[str, ...]


def compare_evaluations(
    paths: Sequence[Path], *, tasks: Sequence[str] = (), chosen_metrics: Sequence[str] = (), seed: int = 0
) -> Comparisons:
    """Compare every two of some evaluation directories in every task that both have.

    Args:
        tasks: only these; () for all.
        chosen_metrics: only these, where a task has them; () for a task's main metric, and accuracy beside it.

    Raises:
        InputError: a directory is no evaluation or is damaged, or nothing at all is left to compare.
    """
    evaluations = [open_evaluation(path) for path in paths]
    named = zip(evaluations, system_names(evaluations), strict=True)
    by_path = {evaluation.path: evaluation for evaluation in evaluations}
    rows_of = cache(lambda path, task: read_rows(by_path[path], task))
    compared: list[Comparison] = []
    refused: list[str] = []
    for (first, first_name), (second, second_name) in combinations(named, 2):
        for task in (task for task in first.tasks if task in second.tasks and task in (tasks or first.tasks)):
            first_rows, second_rows = rows_of(first.path, task), rows_of(second.path, task)
            both = f"{first.path} and {second.path}: {task}"
            reason = _why_not(first, second, first_rows, second_rows, task)
            if reason is not None:
                refused.append(f"{both}: {reason}")
                continue
            shared, reasons = _shared_metrics(first, second, task, chosen_metrics)
            refused += [f"{both}: {reason}" for reason in reasons]
            for metric in shared:
                n = len(set(first_rows.clusters or first_rows.ids))
                result = compare_rows(first_rows, second_rows, metric, seed=seed)
                compared.append(Comparison(task, metric, first_name, second_name, n, result, result.p))
    if not compared and not refused:
        wanted = [*tasks, *chosen_metrics]
        raise InputError(
            f"{', '.join(map(str, paths))}: nothing that two of them have in common"
            + (f" among {', '.join(wanted)}." if wanted else ".")
        )
    corrected = holm([comparison.p_holm for comparison in compared])
    rows = tuple(replace(comparison, p_holm=p) for comparison, p in zip(compared, corrected, strict=True))
    return Comparisons(rows, tuple(refused))


def compare_rows(
    first: TaskRows, second: TaskRows, metric: str, *, seed: int = 0, resamples: int = RESAMPLES
) -> Difference:
    """Compare two systems that answered the same ids, in whatever order."""
    place = {identifier: index for index, identifier in enumerate(second.ids)}
    aligned = second.scores.take([place[identifier] for identifier in first.ids])
    return paired_difference(first.scores, aligned, metric, clusters=first.clusters, seed=seed, resamples=resamples)


def paired_difference(
    first: RowScores,
    second: RowScores,
    metric: str,
    *,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Difference:
    """Compare two systems whose rows stand in the same order.

    Args:
        clusters: rows of one name are one question: drawn together, and never tested by McNemar, whose questions are
            independent.
    """
    samples = [resampled_metrics(rows, seed, resamples, clusters=clusters)[metric] for rows in (first, second)]
    difference_R = samples[1] - samples[0]
    values = [metrics(rows)[metric] for rows in (first, second)]
    test: Test = "paired bootstrap" if clusters is not None or not _is_right_or_wrong(metric) else "McNemar"
    p = bootstrap_p(difference_R) if test != "McNemar" else mcnemar(first.values[metric], second.values[metric])
    return Difference(values[0], values[1], values[1] - values[0], interval(difference_R), test, p)


def system_names(evaluations: Sequence[Evaluation]) -> list[str]:
    """The models' names; the directories where two models have one name."""
    names = [evaluation.name for evaluation in evaluations]
    return names if len(set(names)) == len(names) else [str(evaluation.path) for evaluation in evaluations]


def tested_metrics(evaluation: Evaluation, task: str, chosen: Sequence[str]) -> list[str]:
    """Those of the chosen metrics that a task has; without a choice its main metric, and accuracy beside it."""
    entry = evaluation.tasks[task]
    # Counts, such as that of unparsable answers, are sums out of nothing.
    counts = {name for name, how in entry["how"].items() if how == "sum" and name not in entry["out_of"]}
    wanted = dict.fromkeys(chosen or (entry["main_metric"], "accuracy"))
    return [metric for metric in wanted if metric in entry["metrics"] and metric not in counts]


def _shared_metrics(
    first: Evaluation, second: Evaluation, task: str, chosen: Sequence[str]
) -> tuple[list[str], list[str]]:
    """The tested metrics that both have, and a line for each of the others."""
    shared, reasons = [], []
    entries = [evaluation.tasks[task] for evaluation in (first, second)]
    judges = [entry.get("judge", {}).get("name") for entry in entries]
    for metric in dict.fromkeys([*tested_metrics(first, task, chosen), *tested_metrics(second, task, chosen)]):
        if not all(metric in entry["metrics"] for entry in entries):
            reasons.append(f"only one of them has the metric {metric}. Evaluate the other in the same way.")
        elif metric == "judge" and judges[0] != judges[1]:
            reasons.append(f"graded by {judges[0]} and by {judges[1]}. Evaluate both with one --judge.")
        else:
            shared.append(metric)
    return shared, reasons


def _why_not(
    first: Evaluation, second: Evaluation, first_rows: TaskRows, second_rows: TaskRows, task: str
) -> str | None:
    protocols = [evaluation.tasks[task]["protocol"] for evaluation in (first, second)]
    if protocols[0] != protocols[1]:
        return f"protocol {protocols[0]} against {protocols[1]}. Evaluate both with one --protocol."
    one, other = (dict(zip(rows.ids, rows.gold, strict=True)) for rows in (first_rows, second_rows))
    if one.keys() != other.keys():
        only_one, only_other = len(one.keys() - other.keys()), len(other.keys() - one.keys())
        return (
            f"different questions ({only_one} and {only_other} that the other lacks). Evaluate both on the same rows."
        )
    changed = sum(one[identifier] != other[identifier] for identifier in one)
    if changed:
        return f"different right answers to {changed} of {len(one)} questions. Evaluate both on the same rows."
    return None


def _is_right_or_wrong(metric: str) -> bool:
    return metric == "exact_match" or "accuracy" in metric

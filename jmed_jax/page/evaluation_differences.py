"""The paired tests between the runs of a report, as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from jmed_jax.evaluate.compare import Comparisons, compare_evaluations, system_names
from jmed_jax.evaluate.evaluations import open_evaluation
from jmed_jax.page.evaluation_runs import EvaluationRun
from jmed_jax.page.score_names import METRICS, label, place

# As the field draws the line.
SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Difference:
    """One paired test.

    Attributes:
        difference: second less first.
        clear: significant after the correction.
    """

    task: str
    metric: str
    first: str
    second: str
    difference: str
    interval: str
    n: int
    test: str
    p: str
    p_holm: str
    clear: bool


@dataclass(frozen=True)
class Differences:
    """
    Attributes:
        rows: one a task, metric and pair of runs; those of a pair stand together.
        refused: a line for each task that two runs cannot be compared in.
    """

    rows: Sequence[Difference]
    refused: Sequence[str]

    @property
    def pairs(self) -> dict[str, list[Difference]]:
        """The rows by "first → second"."""
        pairs: dict[str, list[Difference]] = {}
        for row in self.rows:
            pairs.setdefault(f"{row.first} → {row.second}", []).append(row)
        return pairs


def compare_runs(runs: Sequence[EvaluationRun]) -> Differences:
    """Compare every two runs in every task that both have.

    Raises:
        InputError: a file of predictions is damaged.
    """
    if not any(first.tasks.keys() & second.tasks.keys() for first, second in combinations(runs, 2)):
        return Differences((), ())
    paths = [run.path for run in runs]
    own_names = system_names([open_evaluation(path) for path in paths])
    names = dict(zip(own_names, (run.name for run in runs), strict=True))
    found: Comparisons = compare_evaluations(paths)
    refused = list(found.refused)
    for run in runs:
        refused = [line.replace(str(run.path), run.name) for line in refused]
    rows = sorted((row.to_dict() for row in found.rows), key=lambda row: place(row["task"]))
    # Sorting is stable: the rows of a pair keep the order of their tasks and metrics.
    pairs = [(first.name, second.name) for first, second in combinations(runs, 2)]
    differences = sorted(
        (_difference(row, names) for row in rows), key=lambda row: pairs.index((row.first, row.second))
    )
    return Differences(differences, refused)


def _difference(row: Mapping[str, Any], names: Mapping[str, str]) -> Difference:
    metric = row["metric"]
    whole = metric in ("points", "relaxed_points")
    return Difference(
        task=label(row["task"]),
        metric=METRICS.get(metric, metric),
        first=names[row["first"]],
        second=names[row["second"]],
        difference=signed(row["difference"], whole=whole),
        interval=" to ".join(signed(value, whole=whole) for value in row["interval"]),
        n=row["n"],
        test=row["test"],
        p=p_value(row["p"]),
        p_holm=p_value(row["p_holm"]),
        clear=is_significant(row["p_holm"]),
    )


def is_significant(p_holm: float) -> bool:
    """After the correction for all tests of a table."""
    return p_holm < SIGNIFICANT


def signed(value: float, *, whole: bool) -> str:
    """`+0.086`, `−12`."""
    text = f"{abs(value):.0f}" if whole else f"{abs(value):.3f}"
    if not float(text):
        return text
    return ("+" if value > 0 else "−") + text


def p_value(value: float) -> str:
    """`0.043`, `< 0.001`."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"

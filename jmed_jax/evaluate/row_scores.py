"""What every row of a task scored, and the task's metrics from it: of all rows, of some, or of many resamples at once.

Axes: N rows, R resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from jmed_jax.evaluate.kappa import Kappa

How = Literal["mean", "sum"]


@dataclass(frozen=True)
class RowScores:
    """The values of every row, and how they make a metric.

    Attributes:
        values: metric → [N], e.g. {"accuracy": [1, 0, 1]}. Sums of whole numbers stay whole numbers.
        how: the same metrics → "mean" or "sum" over the rows.
        kappa: makes the metric "kappa", which is no mean of rows.
        out_of: a sum → the sum that it is at most: {"points": "total"}. In a resample it is given out of the total of
            all rows. A sum without an entry is a count ("unparsable", "total") and has no interval.
    """

    values: Mapping[str, NDArray[np.float64]]
    how: Mapping[str, How]
    kappa: Kappa | None = None
    out_of: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.values.keys() == self.how.keys()
        assert (
            len({len(value) for value in self.values.values()} | ({len(self.kappa.gold)} if self.kappa else set())) == 1
        )
        assert all(self.how[part] == self.how[whole] == "sum" for part, whole in self.out_of.items())

    def __len__(self) -> int:
        return self._lengths()[0]

    def _lengths(self) -> list[int]:
        return [*map(len, self.values.values()), *([len(self.kappa.gold)] if self.kappa else [])]

    def to_entry(self) -> dict[str, Any]:
        """What `scores.json` must say for `read_row_scores` to make the metrics from a file of predictions."""
        weights = {} if self.kappa is None else {"kappa_weights": self.kappa.weights}
        return {"how": dict(self.how), "out_of": dict(self.out_of), **weights}

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> "RowScores":
        """The rows at `indices`, in that order."""
        kappa = None
        if self.kappa is not None:
            gold, predicted = ([labels[i] for i in indices] for labels in (self.kappa.gold, self.kappa.predicted))
            kappa = Kappa(gold, predicted, self.kappa.weights)
        values = {name: value_N[np.asarray(indices)] for name, value_N in self.values.items()}
        return RowScores(values, self.how, kappa, self.out_of)

    def row(self, index: int) -> dict[str, float | int]:
        """The values of one row, as they stand in the "scores" of a predictions file."""
        return {name: _plain(value[index]) for name, value in self.values.items()}


def metrics(rows: RowScores, indices: Sequence[int] | NDArray[np.int64] | None = None) -> dict[str, float | int]:
    """The metrics of all rows, or of those at `indices`, which may repeat; in the order of `rows.values`, then kappa.

    Sums are int where all their values are whole numbers.
    """
    counts_N = np.ones(len(rows)) if indices is None else np.bincount(np.asarray(indices), minlength=len(rows))
    found = {name: float(value[0]) for name, value in metrics_of_counts(rows, counts_N[None].astype(float)).items()}
    return {name: _plain(value) if rows.how.get(name) == "sum" else value for name, value in found.items()}


def metrics_of_counts(rows: RowScores, counts_RN: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Every metric [R] of samples in which row n stands `counts_RN[r, n]` times; no sample may be empty."""
    size_R = counts_RN.sum(axis=1)
    assert size_R.all(), "a sample without rows has no metrics"
    found = {}
    for name, value_N in rows.values.items():
        sum_R = counts_RN @ np.asarray(value_N, dtype=float)
        found[name] = sum_R / size_R if rows.how[name] == "mean" else sum_R
    if rows.kappa is not None:
        found["kappa"] = rows.kappa.of_counts(counts_RN)
    return found


def _plain(value: float) -> float | int:
    number = float(value)
    return int(number) if number.is_integer() else number

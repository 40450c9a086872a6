import numpy as np
import pytest

from jmed_jax.evaluate.kappa import Kappa
from jmed_jax.evaluate.row_scores import RowScores, metrics, metrics_of_counts

ROWS = RowScores(
    values={
        "accuracy": np.array([1.0, 0.0, 1.0]),
        "points": np.array([3.0, 0.0, 1.0]),
        "total": np.array([3.0, 1.0, 1.0]),
    },
    how={"accuracy": "mean", "points": "sum", "total": "sum"},
    kappa=Kappa(["A", "B", "B"], ["A", "A", "B"]),
    out_of={"points": "total"},
)


def test_means_and_sums_are_over_the_rows() -> None:
    assert metrics(ROWS) == {"accuracy": pytest.approx(2 / 3), "points": 4, "total": 5, "kappa": pytest.approx(0.4)}
    assert isinstance(metrics(ROWS)["points"], int)


def test_rows_can_be_chosen_and_repeated() -> None:
    chosen = metrics(ROWS, [0, 0, 1])
    assert (chosen["points"], chosen["total"], chosen["accuracy"]) == (6, 7, pytest.approx(2 / 3))
    assert chosen["kappa"] == pytest.approx(Kappa(["A", "A", "B"], ["A", "A", "A"]).value)


def test_samples_at_once_are_the_samples_one_by_one() -> None:
    samples = [[0, 1, 2], [2, 2, 2], [0, 0, 1]]
    counts_RN = np.array([np.bincount(sample, minlength=3) for sample in samples], dtype=float)
    at_once = metrics_of_counts(ROWS, counts_RN)
    for number, sample in enumerate(samples):
        assert {name: value[number] for name, value in at_once.items()} == pytest.approx(metrics(ROWS, sample))


def test_a_row_has_its_own_values() -> None:
    assert ROWS.row(0) == {"accuracy": 1, "points": 3, "total": 3}


def test_values_of_another_length_than_the_labels_are_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError):
        RowScores({"accuracy": np.ones(2)}, {"accuracy": "mean"}, Kappa(["A"], ["A"]))

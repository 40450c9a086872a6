import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from jmed_jax.evaluate.intervals import bootstrap, resample_counts, resampled_metrics
from jmed_jax.evaluate.kappa import Kappa
from jmed_jax.evaluate.row_scores import RowScores


def mean_of(value_N: NDArray[np.float64]) -> RowScores:
    return RowScores({"accuracy": value_N}, {"accuracy": "mean"})


def right(n: int, seed: int = 0, p: float = 0.7) -> NDArray[np.float64]:
    return (np.random.default_rng(seed).random(n) < p).astype(float)


def test_the_interval_is_scipys() -> None:
    value_N = np.random.default_rng(1).exponential(size=80)
    other = stats.bootstrap((value_N,), np.mean, method="percentile", n_resamples=10_000, rng=0).confidence_interval
    # Two Monte Carlo estimates of the same quantiles: a twentieth of the interval's width.
    found = bootstrap(mean_of(value_N), resamples=10_000)["accuracy"]
    assert found == pytest.approx((other.low, other.high), abs=0.05 * (other.high - other.low))


def test_the_interval_of_a_share_is_binomial() -> None:
    value_N = right(1000)
    low, high = stats.binom.interval(0.95, len(value_N), value_N.mean())
    assert bootstrap(mean_of(value_N), resamples=4000)["accuracy"] == pytest.approx((low / 1000, high / 1000), abs=4e-3)


def test_95_of_100_intervals_cover_the_truth() -> None:
    intervals = [bootstrap(mean_of(right(200, seed)), seed, resamples=400)["accuracy"] for seed in range(500)]
    covered = sum(low <= 0.7 <= high for low, high in intervals) / len(intervals)
    # ± 2.5 standard errors of a share of 500.
    assert covered == pytest.approx(0.95, abs=0.025)


def test_the_interval_of_kappa_is_that_of_its_resamples() -> None:
    generator = np.random.default_rng(0)
    gold = generator.choice(list("ABC"), size=60)
    predicted = np.where(generator.random(60) < 0.7, gold, generator.choice(list("ABC"), size=60))

    def kappa(gold_N: NDArray, predicted_N: NDArray) -> float:
        return Kappa(list(gold_N), list(predicted_N), "linear").value

    other = stats.bootstrap(
        (gold, predicted), kappa, method="percentile", paired=True, vectorized=False, n_resamples=2000, rng=0
    ).confidence_interval
    rows = RowScores({}, {}, Kappa(list(gold), list(predicted), "linear"))
    found = bootstrap(rows, resamples=2000)["kappa"]
    assert found == pytest.approx((other.low, other.high), abs=0.1 * (other.high - other.low))


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    rows = mean_of(np.random.default_rng(0).exponential(size=50))
    assert bootstrap(rows, seed=1) == bootstrap(rows, seed=1) != bootstrap(rows, seed=2)


def test_rows_of_a_cluster_are_drawn_together() -> None:
    clusters = [f"question {n // 5}" for n in range(100)]
    counts_RN = np.concatenate(list(resample_counts(100, 0, 50, clusters=clusters)))
    by_question = counts_RN.reshape(50, 20, 5)
    assert (by_question == by_question[:, :, :1]).all()


def test_five_copies_of_a_question_are_no_five_questions() -> None:
    value_N = right(60)
    alone = bootstrap(mean_of(value_N), resamples=4000)["accuracy"]
    copies = mean_of(np.repeat(value_N, 5))
    together = bootstrap(copies, resamples=4000, clusters=[str(n // 5) for n in range(300)])["accuracy"]
    assert together == pytest.approx(alone, abs=0.01)
    low, high = bootstrap(copies)["accuracy"]
    assert high - low < 0.6 * (alone[1] - alone[0])


def test_only_rows_of_the_group_are_drawn() -> None:
    counts_RN = np.concatenate(list(resample_counts(10, 0, 30, indices=[2, 5, 7])))
    assert counts_RN[:, [0, 1, 3, 4, 6, 8, 9]].sum() == 0
    assert (counts_RN.sum(axis=1) == 3).all()


def test_many_rows_are_drawn_a_part_at_a_time() -> None:
    parts = list(resample_counts(100_000, 0, 100))
    assert len(parts) > 1
    assert sum(map(len, parts)) == 100


def exam(points: list[int], got: list[int]) -> RowScores:
    values = {"points": np.array(got, float), "total": np.array(points, float), "unparsable": np.zeros(len(points))}
    return RowScores(values, {"points": "sum", "total": "sum", "unparsable": "sum"}, out_of={"points": "total"})


def test_points_are_given_out_of_the_total() -> None:
    points = [3, 1, 1, 1, 0] * 20
    assert bootstrap(exam(points, points))["points"] == (120, 120)
    half = [value if n % 2 else 0 for n, value in enumerate(points)]
    low, high = bootstrap(exam(points, half))["points"]
    assert 0 < low < sum(half) < high < 120


def test_counts_have_no_interval() -> None:
    assert set(bootstrap(exam([1, 3], [1, 0]))) == {"points"}


def test_two_systems_get_the_same_draws() -> None:
    value_N = right(40)
    one, other = resampled_metrics(mean_of(value_N)), resampled_metrics(mean_of(1 - value_N))
    assert one["accuracy"] + other["accuracy"] == pytest.approx(np.ones(1000))


VALUES = st.lists(st.integers(0, 4), min_size=2, max_size=40).filter(lambda values: len(set(values)) > 1)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(VALUES, st.integers(0, 2**32))
def test_an_interval_holds_the_score_and_has_a_width(values: list[int], seed: int) -> None:
    value_N = np.array(values, float)
    low, high = bootstrap(mean_of(value_N), seed, resamples=400)["accuracy"]
    assert value_N.min() <= low <= value_N.mean() <= high <= value_N.max()
    assert low < high


@settings(derandomize=True, max_examples=40, deadline=None)
@given(VALUES, st.data())
def test_rows_that_are_drawn_by_name_may_stand_in_any_order(values: list[int], data: st.DataObject) -> None:
    names = [f"question {n // 2:02d}" for n in range(len(values))]
    order = data.draw(st.permutations(range(len(values))))
    one = bootstrap(mean_of(np.array(values, float)), resamples=200, clusters=names)["accuracy"]
    shuffled = mean_of(np.array([values[n] for n in order], float))
    other = bootstrap(shuffled, resamples=200, clusters=[names[n] for n in order])["accuracy"]
    assert other == pytest.approx(one)


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(0, 2**32), st.data())
def test_a_resample_has_as_many_rows_as_there_are(n: int, seed: int, data: st.DataObject) -> None:
    indices = data.draw(st.lists(st.integers(0, n - 1), min_size=1, unique=True))
    counts_RN = np.concatenate(list(resample_counts(n, seed, 20, indices=indices)))
    assert (counts_RN.sum(axis=1) == len(indices)).all()
    assert not np.delete(counts_RN, indices, axis=1).any()

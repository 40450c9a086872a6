import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from jmed_jax.evaluate.paired_tests import bootstrap_p, holm, mcnemar


def answers(both: int, only_first: int, only_second: int, neither: int) -> tuple[NDArray, NDArray]:
    counts = (both, only_first, only_second, neither)
    return np.repeat([1.0, 1, 0, 0], counts), np.repeat([1.0, 0, 1, 0], counts)


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (1, 0), (3, 12), (12, 3), (10, 10), (40, 61)])
def test_mcnemar_is_the_exact_test(only_first: int, only_second: int) -> None:
    # As statsmodels computes it: twice the binomial tail of the smaller count, at most 1.
    expected = 2 * stats.binom.cdf(min(only_first, only_second), only_first + only_second, 0.5)
    assert mcnemar(*answers(30, only_first, only_second, 7)) == pytest.approx(min(1.0, expected))


def test_mcnemar_does_not_count_what_both_know() -> None:
    assert mcnemar(*answers(5, 2, 9, 0)) == mcnemar(*answers(500, 2, 9, 70))


def test_mcnemar_is_at_most_as_often_significant_as_it_says() -> None:
    generator = np.random.default_rng(0)
    rejected = [mcnemar(*(generator.random((2, 80)) < 0.6).astype(float)) < 0.05 for _ in range(400)]
    # 2.5 standard errors of a share of 400.
    assert sum(rejected) / 400 <= 0.05 + 0.027


def test_a_resampled_difference_is_significant_where_its_interval_leaves_out_zero() -> None:
    below = np.concatenate([np.full(20, -1.0), np.full(980, 1.0)])
    assert bootstrap_p(below) == pytest.approx(2 * 21 / 1001)
    assert bootstrap_p(-below) == bootstrap_p(below)
    assert bootstrap_p(np.full(999, 1.0)) == pytest.approx(2 / 1000)
    assert bootstrap_p(np.zeros(10)) == 1.0


def test_holm_against_an_example_by_hand() -> None:
    # Sorted: .01 · 4 = .04; .02 · 3 = .06; .03 · 2 = .06; .04 · 1 = .04, which is not below the one before: .06.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.6]) == pytest.approx([1.0, 1.0])
    assert holm([0.03]) == [0.03]
    assert holm([]) == []


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_counts_tosses_of_a_fair_coin_for_either_side(both: int, first: int, second: int, neither: int) -> None:
    tosses, fewer = first + second, min(first, second)
    expected = min(1.0, 2 * sum(math.comb(tosses, k) for k in range(fewer + 1)) / 2**tosses)
    one, other = answers(both, first, second, neither)
    assert mcnemar(one, other) == pytest.approx(expected)
    assert mcnemar(other, one) == mcnemar(one, other)


def closed_bonferroni(p_values: list[float]) -> list[float]:
    """Holm's correction by what it means: a hypothesis is rejected where Bonferroni rejects every set that it is in."""
    places = range(len(p_values))
    sets = [s for size in range(1, len(p_values) + 1) for s in itertools.combinations(places, size)]
    bonferroni = {s: min(1.0, len(s) * min(p_values[i] for i in s)) for s in sets}
    return [max(p for s, p in bonferroni.items() if place in s) for place in places]


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), max_size=6))
def test_holm_is_the_closure_of_bonferroni_and_keeps_the_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert corrected == pytest.approx(closed_bonferroni(p_values))
    assert all(raw <= p <= 1 for raw, p in zip(p_values, corrected, strict=True))
    by_raw = [p for _, p in sorted(zip(p_values, corrected, strict=True))]
    assert by_raw == sorted(by_raw)


@settings(derandomize=True, max_examples=50, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=60))
def test_a_resampled_p_is_the_same_for_either_side(differences: list[int]) -> None:
    difference_R = np.array(differences, float)
    assert 2 / (len(differences) + 1) <= bootstrap_p(difference_R) == bootstrap_p(-difference_R) <= 1

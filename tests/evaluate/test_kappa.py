from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from jmed_jax.evaluate.kappa import Kappa, KappaWeights

PAIRS = st.lists(st.tuples(*[st.sampled_from(["A", "B", "C", "F", "None"])] * 2), min_size=1, max_size=12)


def kappa(gold: Sequence[str], predicted: Sequence[str], weights: KappaWeights = None) -> float:
    return Kappa(gold, predicted, weights).value


def test_kappa_against_a_hand_computed_table() -> None:
    # 10 rows: 4 AA, 3 BB, 2 gold A predicted B, 1 gold B predicted A. Observed .7; expected .6·.5 + .4·.5 = .5.
    gold = ["A"] * 6 + ["B"] * 4
    predicted = ["A"] * 4 + ["B"] * 2 + ["B"] * 3 + ["A"]
    assert kappa(gold, predicted) == pytest.approx((0.7 - 0.5) / (1 - 0.5))


def test_linear_kappa_against_a_hand_computed_table() -> None:
    # Labels A, B, C; disagreements cost 1 or 2. Pairs AA, BB, CC, AC: observed cost 2/4.
    # Expected: gold A 2/4, B 1/4, C 1/4; predicted A 1/4, B 1/4, C 2/4:
    # (2·1·0 + 2·1·1 + 2·2·2 + 1·1·1 + 1·1·0 + 1·2·1 + 1·1·2 + 1·1·1 + 1·2·0) / 16 = 16/16.
    assert kappa(list("ABCA"), list("ABCC"), weights="linear") == pytest.approx(1 - 0.5 / 1.0)


def test_none_counts_as_one_step_below_the_last_letter_that_occurs() -> None:
    as_none = kappa(["A", "B", "A"], ["A", "B", "None"], weights="linear")
    as_next_letter = kappa(["A", "B", "A"], ["A", "B", "C"], weights="linear")
    assert as_none == pytest.approx(as_next_letter)


def test_an_unused_letter_leaves_no_gap_in_linear_kappa() -> None:
    assert kappa(list("ABFA"), list("ABFF"), weights="linear") == pytest.approx(
        kappa(list("ABCA"), list("ABCC"), weights="linear")
    )


@settings(deadline=None)
@given(PAIRS, st.sampled_from([None, "linear"]))
def test_kappa_is_scikit_learns(pairs: list[tuple[str, str]], weights: KappaWeights) -> None:
    gold, predicted = zip(*pairs, strict=True)
    if len({*gold, *predicted}) > 1:
        expected = cohen_kappa_score(gold, predicted, weights=weights)
        assert Kappa(gold, predicted, weights).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("weights", [None, "linear"])
def test_every_resample_has_scikit_learns_kappa_of_its_own_rows(weights: KappaWeights) -> None:
    generator = np.random.default_rng(0)
    gold, predicted = generator.choice(list("ABCF"), size=(2, 8))
    indices_RN = generator.integers(8, size=(200, 8))
    counts_RN = np.array([np.bincount(indices_N, minlength=8) for indices_N in indices_RN], dtype=float)
    expected = [cohen_kappa_score(gold[indices_N], predicted[indices_N], weights=weights) for indices_N in indices_RN]
    found = Kappa(list(gold), list(predicted), weights).of_counts(counts_RN)
    # Some resamples leave a letter out, which moves the distances of the others.
    assert found == pytest.approx(expected, abs=1e-12)


def test_kappa_of_a_single_label_is_zero_and_not_nan() -> None:
    assert Kappa(["A", "A"], ["A", "A"]).value == 0.0
    # The second resample draws only the rows that are A throughout.
    counts_RN = np.array([[1.0, 1, 1], [2, 1, 0]])
    assert Kappa(["A", "A", "B"], ["A", "A", "B"], "linear").of_counts(counts_RN).tolist() == [1.0, 0.0]

"""Tests of two systems on the same questions, and the correction for making many of them.

Axes: R resamples.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def mcnemar(first_N: NDArray[np.float64], second_N: NDArray[np.float64]) -> float:
    """Two-sided p of McNemar's exact test (McNemar 1947; the exact form is the sign test).

    Only questions that one system got right and the other wrong tell them apart; if neither is better, each of those is
    a toss of a fair coin. 1.0 where there is none.

    Args:
        first_N: 1 where the first system is right, else 0; `second_N` the same questions.
    """
    # SciPy's statistics take most of a second to import.
    from scipy.stats import binomtest

    assert first_N.shape == second_N.shape
    only_first, only_second = int(np.sum(first_N > second_N)), int(np.sum(second_N > first_N))
    if only_first + only_second == 0:
        return 1.0
    return float(binomtest(only_first, only_first + only_second, 0.5).pvalue)


def bootstrap_p(difference_R: NDArray[np.float64]) -> float:
    """Two-sided p of a resampled difference: below .05 when its 95 % interval leaves out zero.

    Twice the share of resamples on the rarer side of zero, the resamples that are exactly zero counted on both. One is
    added to the count and to the number (Davison and Hinkley 1997, §4.2), so that no p is zero: at least 2 / (R + 1).
    """
    rarer = min(np.sum(difference_R <= 0), np.sum(difference_R >= 0))
    return float(min(1.0, 2 * (rarer + 1) / (len(difference_R) + 1)))


def holm(p_values: Sequence[float]) -> list[float]:
    """p values after Holm's correction (1979), in their order: below .05 together with a chance of 5 % for any mistake.

    The k-th smallest of m, from 0, is multiplied by m - k; none comes out below a smaller one, or above 1.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected

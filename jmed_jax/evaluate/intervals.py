"""Bootstrap intervals: how far a score would move with other questions of the same kind.

The percentile bootstrap over questions (Efron and Tibshirani 1993, chapter 13): 1,000 samples of as many questions,
drawn with replacement; the middle 95 % of their scores. It says nothing of other sources of variation: another prompt,
another seed.

Axes: N rows, R resamples, G groups.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from jmed_jax.evaluate.row_scores import RowScores, metrics, metrics_of_counts

RESAMPLES = 1000
CONFIDENCE = 0.95
_CELLS = 1 << 22
"""Counts held at a time, 32 MB."""

Interval = tuple[float, float]


def bootstrap(
    rows: RowScores,
    seed: int = 0,
    resamples: int = RESAMPLES,
    *,
    clusters: Sequence[str] | None = None,
    indices: Sequence[int] | None = None,
) -> dict[str, Interval]:
    """The 95 % interval of every metric; counts ("unparsable") have none. The same seed gives the same intervals.

    Points of an examination are resampled as a share: whole questions are drawn, with the points that they give and
    got, and the share of the points drawn is given out of the examination's total. So 499 of 499 is sure to be that.

    Args:
        clusters: [N] names; rows of one name are drawn together, e.g. the rotations of one question, which are no
            independent questions.
        indices: only these rows, e.g. of a group.
    """
    samples = resampled_metrics(rows, seed, resamples, clusters=clusters, indices=indices)
    return {name: interval(value_R) for name, value_R in samples.items()}


def interval(value_R: NDArray[np.float64], confidence: float = CONFIDENCE) -> Interval:
    """The middle `confidence` of resampled values, by linear interpolation between them."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(value_R, [tail, 1 - tail])
    return float(low), float(high)


def resampled_metrics(
    rows: RowScores,
    seed: int = 0,
    resamples: int = RESAMPLES,
    *,
    clusters: Sequence[str] | None = None,
    indices: Sequence[int] | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Every metric [R] that has an interval, over the same resamples. Arguments as `bootstrap`.

    Two systems that answered the same questions get the same draws from the same seed, so that their difference in each
    resample is a paired one.
    """
    counts = resample_counts(len(rows), seed, resamples, clusters=clusters, indices=indices)
    parts = [metrics_of_counts(rows, counts_RN) for counts_RN in counts]
    samples = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    whole = metrics(rows, indices)
    for name, total in rows.out_of.items():
        # A sample without a point to be had scores none.
        samples[name] = samples[name] / np.maximum(samples[total], 1) * whole[total]
    return {name: value_R for name, value_R in samples.items() if name in rows.out_of or rows.how.get(name) != "sum"}


def resample_counts(
    n: int,
    seed: int,
    resamples: int,
    *,
    clusters: Sequence[str] | None = None,
    indices: Sequence[int] | None = None,
) -> Iterator[NDArray[np.float64]]:
    """Yield [r, N] counts of how often each resample draws each row, `resamples` in all, a bounded number at a time."""
    chosen = np.arange(n) if indices is None else np.asarray(indices)
    names = chosen if clusters is None else np.asarray(clusters)[chosen]
    unique, group_of_row = np.unique(names, return_inverse=True)
    G = len(unique)
    generator = np.random.default_rng(seed)
    at_a_time = max(1, _CELLS // max(n, 1))
    for start in range(0, resamples, at_a_time):
        R = min(at_a_time, resamples - start)
        drawn_RG = generator.integers(G, size=(R, G)) + G * np.arange(R)[:, None]
        counts_RG = np.bincount(drawn_RG.ravel(), minlength=R * G).reshape(R, G)
        counts_RN = np.zeros((R, n))
        counts_RN[:, chosen] = counts_RG[:, group_of_row]
        yield counts_RN

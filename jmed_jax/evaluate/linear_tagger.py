"""A linear tagger of characters: which strings of a report are asked for, by the characters around them.

Axes: C characters of all reports, one after another, F features of a character (as many for each).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BEGIN, INSIDE, OUTSIDE = 0, 1, 2
EPOCHS = 8
_BITS = 18
"""Features are hashed into so many bits."""
_REACH = 5
"""Characters to each side that a feature may see."""
# Runs of one, two and three characters, by the place of the first.
_WINDOWS = [(start, length) for length, far in ((1, 5), (2, 3), (3, 2)) for start in range(-far, far - length + 2)]


class LinearTagger:
    """Begin, inside or outside of a string, for every character by itself: a linear classifier on its neighbours."""

    def __init__(self, reports: Sequence[str], strings: Sequence[Sequence[str]]) -> None:
        """Fit.

        Args:
            reports: texts.
            strings: what was asked for in each. Every place where one stands verbatim counts as one, the longer first.
        """
        from sklearn.linear_model import SGDClassifier

        labels_C = np.concatenate([_labels(*pair) for pair in zip(reports, strings, strict=True)])
        # One label only where no string stands in any report.
        self._only = int(labels_C[0]) if len(set(labels_C)) == 1 else None
        # Averaged, a stochastic fit depends little on its order, which the seed fixes.
        self._classifier: Any = SGDClassifier("modified_huber", max_iter=EPOCHS, tol=None, average=True, random_state=0)
        if self._only is None:
            self._classifier.fit(_features(reports), labels_C)

    def find(self, reports: Sequence[str]) -> list[list[str]]:
        """The different strings found in each report, in their order."""
        if self._only is not None or not any(reports):
            return [[] for _ in reports]
        labels_C = self._classifier.predict(_features(reports))
        ends = np.cumsum([len(report) for report in reports])
        return [_strings(report, labels_C[end - len(report) : end]) for report, end in zip(reports, ends, strict=True)]


def _labels(report: str, strings: Sequence[str]) -> NDArray[np.int64]:
    """[C] of one report."""
    labels_C = np.full(len(report), OUTSIDE)
    for string in sorted(filter(None, strings), key=lambda string: (-len(string), string)):
        start = report.find(string)
        while start >= 0:
            end = start + len(string)
            if (labels_C[start:end] == OUTSIDE).all():
                labels_C[start:end] = INSIDE
                labels_C[start] = BEGIN
            start = report.find(string, end)
    return labels_C


def _strings(report: str, labels_C: NDArray[np.int64]) -> list[str]:
    found, start = [], None
    for place, label in enumerate([*labels_C, OUTSIDE]):
        if start is not None and label != INSIDE:
            found.append(report[start:place])
            start = None
        if start is None and label != OUTSIDE:
            start = place
    return list(dict.fromkeys(found))


def _features(reports: Sequence[str]) -> Any:
    """Sparse [C, 2 ** 18], F ones a row."""
    from scipy.sparse import csr_matrix

    indices_CF = np.concatenate([_report_features(report) for report in reports])
    C, F = indices_CF.shape
    return csr_matrix(
        (np.ones(C * F, np.float64), indices_CF.ravel(), np.arange(0, C * F + 1, F)), shape=(C, 1 << _BITS)
    )


def _report_features(report: str) -> NDArray[np.int64]:
    """Indices [C, F] of the runs of characters around each character; beyond the ends stand zeros."""
    codes = np.frombuffer(report.encode("utf-32-le"), np.uint32).astype(np.uint64)
    padded = np.concatenate([np.zeros(_REACH, np.uint64), codes, np.zeros(_REACH, np.uint64)])
    columns = []
    for number, (start, length) in enumerate(_WINDOWS, start=1):
        key_C = np.full(len(codes), number, np.uint64)
        for place in range(start, start + length):
            character_C = padded[_REACH + place : _REACH + place + len(codes)]
            # Multiplication by an odd 64-bit number (Knuth's golden ratio) spreads into the upper bits, which are kept.
            key_C = (key_C ^ (character_C + np.uint64(1))) * np.uint64(0x9E3779B97F4A7C15)
        columns.append((key_C >> np.uint64(64 - _BITS)).astype(np.int64))
    return np.stack(columns, axis=1)

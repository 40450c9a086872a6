"""Cohen's kappa of labels, for one sample or for many resamples of it at once.

Axes: N rows, R resamples, L labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

KappaWeights = Literal["linear"] | None


@dataclass(frozen=True)
class Kappa:
    """Labels whose agreement is Cohen's kappa, with scikit-learn's default order of labels, as JMED-LLM calls it.

    The labels are those that occur in `gold` or `predicted`, sorted. With linear weights a disagreement costs the
    distance in that list, which has two consequences the published figures contain: "None" sorts behind "F", so that
    an unreadable answer counts as one step below the last letter; and a letter that nobody used leaves no gap.

    When only one label occurs, kappa is 0/0. It is given as 0.0: there is no agreement beyond chance to speak of. Each
    resample is a sample of its own: its labels are those that occur in it, and it too is 0.0 when that is only one.

    Attributes:
        gold: N labels.
        predicted: N labels.
        weights: "linear" where the labels are a scale.
    """

    gold: Sequence[str]
    predicted: Sequence[str]
    weights: KappaWeights = None

    def __post_init__(self) -> None:
        assert len(self.gold) == len(self.predicted) > 0

    def of_counts(self, counts_RN: NDArray[np.float64]) -> NDArray[np.float64]:
        """Kappa [R] of samples in which row n stands `counts_RN[r, n]` times."""
        gold_N, predicted_N, L = self._codes()
        pairs_NLL = np.zeros((len(gold_N), L, L))
        pairs_NLL[np.arange(len(gold_N)), gold_N, predicted_N] = 1
        return _kappa((counts_RN @ pairs_NLL.reshape(-1, L * L)).reshape(-1, L, L), self.weights)

    @property
    def value(self) -> float:
        """Kappa of all rows, each once."""
        return float(self.of_counts(np.ones((1, len(self.gold))))[0])

    def _codes(self) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        labels, codes = np.unique([*self.gold, *self.predicted], return_inverse=True)
        gold_N, predicted_N = codes.reshape(2, -1)
        return gold_N, predicted_N, len(labels)


def _kappa(confusion_RLL: NDArray[np.float64], weights: KappaWeights) -> NDArray[np.float64]:
    """1 - observed / expected disagreement [R], from how often each label was gold (rows) and predicted (columns)."""
    gold_RL, predicted_RL = confusion_RLL.sum(axis=2), confusion_RLL.sum(axis=1)
    expected_RLL = gold_RL[:, :, None] * predicted_RL[:, None, :] / gold_RL.sum(axis=1)[:, None, None]
    # Labels that do not occur in a resample have no rank of their own; their cells are zero.
    rank_RL = np.cumsum(gold_RL + predicted_RL > 0, axis=1)
    distance_RLL = np.abs(rank_RL[:, :, None] - rank_RL[:, None, :])
    cost_RLL = distance_RLL if weights == "linear" else 1.0 - np.eye(confusion_RLL.shape[1])
    observed_R, expected_R = (cost_RLL * confusion_RLL).sum(axis=(1, 2)), (cost_RLL * expected_RLL).sum(axis=(1, 2))
    alone_R = rank_RL[:, -1] == 1
    return np.where(alone_R, 0.0, 1.0 - observed_R / np.where(alone_R, 1.0, expected_R))

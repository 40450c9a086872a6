"""A trained random forest as plain arrays: written by scikit-learn's trainer, read and applied without it.

A pickled forest would run whatever code a file holds, and opens in one version of scikit-learn only. These arrays are
read as numbers and nothing else, and give scikit-learn's own probabilities.

Axes: N vectors, D their dimensions, K nodes of all trees, R trees.
"""

import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jmed_jax.errors import InputError

LEAF = -1


@dataclass(frozen=True)
class Forest:
    """Decision trees over vectors; their mean answer is the probability of "high".

    Attributes:
        roots: [R] node of each tree's root.
        left, right: [K] node where a vector goes on; `LEAF` in a leaf. Children stand behind their parent.
        feature: [K] which number of the vector decides.
        threshold: [K] the vector goes left where the number is at most this.
        probability: [K] of "high", in a leaf.
        dimensions: D.
    """

    roots: NDArray[np.int32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    probability: NDArray[np.float64]
    dimensions: int

    def probabilities(self, vectors_ND: NDArray[np.float32]) -> NDArray[np.float64]:
        """P("high") [N] of each vector: the mean over the trees."""
        vectors_ND = np.asarray(vectors_ND, np.float32)
        assert vectors_ND.shape[1] == self.dimensions, (vectors_ND.shape, self.dimensions)
        trees, vectors = len(self.roots), len(vectors_ND)
        # One entry for each pair of a tree and a vector, all trees at once; those still on their way are `active`.
        node_RN = np.repeat(self.roots, vectors)
        active = np.flatnonzero(self.left[node_RN] != LEAF)
        while len(active):
            node = node_RN[active]
            goes_left = vectors_ND[active % vectors, self.feature[node]] <= self.threshold[node]
            node = np.where(goes_left, self.left[node], self.right[node])
            node_RN[active] = node
            active = active[self.left[node] != LEAF]
        return self.probability[node_RN].reshape(trees, vectors).mean(axis=0)

    @classmethod
    def from_sklearn(cls, forest: Any) -> "Forest":
        """The arrays of a fitted `RandomForestClassifier` whose classes are 0 and 1; 1 is "high"."""
        assert list(forest.classes_) == [0, 1], forest.classes_
        trees = [estimator.tree_ for estimator in forest.estimators_]
        roots_R = np.cumsum([0, *(tree.node_count for tree in trees[:-1])])

        def join(name: str) -> NDArray[Any]:
            return np.concatenate([getattr(tree, name) for tree in trees])

        # Node numbers start anew in each tree.
        offset_K = np.repeat(roots_R, [tree.node_count for tree in trees])
        left_K, right_K = join("children_left"), join("children_right")
        inner_K = left_K != LEAF
        value_K2 = join("value")[:, 0]
        return cls(
            roots_R.astype(np.int32),
            np.where(inner_K, left_K + offset_K, LEAF).astype(np.int32),
            np.where(inner_K, right_K + offset_K, LEAF).astype(np.int32),
            np.where(inner_K, join("feature"), 0).astype(np.int32),
            np.where(inner_K, join("threshold"), 0.0),
            value_K2[:, 1] / value_K2.sum(axis=1),
            forest.n_features_in_,
        )

    def save(self, path: Path) -> None:
        """Write an `.npz` file."""
        np.savez_compressed(path, **{entry.name: getattr(self, entry.name) for entry in fields(self)})

    @classmethod
    def load(cls, path: Path) -> "Forest":
        """Read what `save` wrote.

        Raises:
            InputError: it is something else.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                values = {entry.name: arrays[entry.name] for entry in fields(cls)}
        except (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: not a forest of `jmed corpus quality train` ({error}).") from error
        forest = cls(**{**values, "dimensions": int(values["dimensions"])})
        if not forest._is_sound():
            raise InputError(f"{path}: damaged: its nodes are no trees. Train the classifier again.")
        return forest

    def _is_sound(self) -> bool:
        """Whether every vector of the right dimensions ends in a leaf."""
        nodes_K = np.arange(len(self.left))
        inner_K = self.left != LEAF
        children = np.stack([self.left, self.right])[:, inner_K]
        return bool(
            len(self.roots)
            and all(len(array) == len(nodes_K) for array in (self.right, self.feature, self.threshold))
            and len(self.probability) == len(nodes_K)
            and ((self.roots >= 0) & (self.roots < len(nodes_K))).all()
            # Upwards only, so there is no way round in circles.
            and ((children > nodes_K[inner_K]) & (children < len(nodes_K))).all()
            and ((self.feature >= 0) & (self.feature < self.dimensions)).all()
        )

from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from jmed_jax.corpus.forest import Forest
from jmed_jax.errors import InputError


@pytest.fixture(scope="module")
def trained() -> RandomForestClassifier:
    generator = np.random.default_rng(0)
    vectors_ND = generator.normal(size=(400, 6)).astype(np.float32)
    high_N = (vectors_ND[:, 0] + 0.7 * generator.normal(size=400) > -1).astype(int)
    return RandomForestClassifier(25, class_weight="balanced", random_state=0).fit(vectors_ND, high_N)


def test_probabilities_are_those_of_scikit_learn(trained: RandomForestClassifier, tmp_path: Path) -> None:
    Forest.from_sklearn(trained).save(tmp_path / "forest.npz")
    forest = Forest.load(tmp_path / "forest.npz")
    vectors_ND = np.random.default_rng(1).normal(size=(1000, 6)).astype(np.float32)
    # Vectors that lie exactly on thresholds go left.
    on_edge = np.zeros((forest.threshold.size, 6), np.float32)
    on_edge[np.arange(len(on_edge)), forest.feature] = forest.threshold
    for vectors in (vectors_ND, on_edge):
        np.testing.assert_allclose(forest.probabilities(vectors), trained.predict_proba(vectors)[:, 1], atol=1e-12)
    assert forest.probabilities(vectors_ND[:0]).shape == (0,)


def test_a_tree_of_one_leaf_is_a_tree() -> None:
    stump = RandomForestClassifier(3, max_depth=1, min_samples_split=1000, random_state=0)
    stump.fit(np.zeros((4, 2), np.float32), [0, 1, 1, 1])
    forest = Forest.from_sklearn(stump)
    np.testing.assert_allclose(forest.probabilities(np.ones((2, 2))), stump.predict_proba(np.ones((2, 2)))[:, 1])


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 broken", b"\x80\x04\x95"])
def test_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "forest.npz").write_bytes(content)
    with pytest.raises(InputError, match="not a forest"):
        Forest.load(tmp_path / "forest.npz")


def test_pickled_objects_are_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "forest.npz", roots=np.array([print], dtype=object))
    with pytest.raises(InputError, match="not a forest"):
        Forest.load(tmp_path / "forest.npz")


@pytest.mark.parametrize(("name", "value"), [("left", 0), ("right", 10**6), ("feature", 6), ("roots", -1)])
def test_nodes_that_lead_in_circles_or_away_are_refused(
    trained: RandomForestClassifier, tmp_path: Path, name: str, value: int
) -> None:
    forest = Forest.from_sklearn(trained)
    getattr(forest, name)[0] = value
    forest.save(tmp_path / "forest.npz")
    with pytest.raises(InputError, match="damaged"):
        Forest.load(tmp_path / "forest.npz")

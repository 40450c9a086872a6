import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jmed_jax.models.layers import dropout
from jmed_jax.models.noise import hashed_bits

SHAPE = (16, 8, 64, 64)


def bits(seed: int) -> np.ndarray:
    return np.asarray(hashed_bits(SHAPE, jnp.uint32(seed)))


def test_bits_are_even_and_unlike_their_neighbours() -> None:
    count = np.prod(SHAPE)
    shares = [(bits(0) >> bit & 1).mean() for bit in range(32)]
    np.testing.assert_allclose(shares, 0.5, atol=4 * 0.5 / np.sqrt(count))
    uniform = bits(0).ravel() / 2**32
    for distance in (1, 2, 64, 64 * 64, 8 * 64 * 64):
        correlation = np.corrcoef(uniform[:-distance], uniform[distance:])[0, 1]
        assert abs(correlation) < 4 / np.sqrt(count), distance


def test_another_seed_gives_independent_bits() -> None:
    for seed in (1, 2**31):
        correlation = np.corrcoef(bits(0).ravel() / 2**32, bits(seed).ravel() / 2**32)[0, 1]
        assert abs(correlation) < 4 / np.sqrt(np.prod(SHAPE)), seed


def test_dropout_keeps_the_share_and_the_mean() -> None:
    dropped = np.asarray(dropout(jnp.ones(SHAPE), 0.1, jax.random.key(0)))
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.9)}
    assert abs((dropped == 0).mean() - 0.1) < 4 * 0.3 / np.sqrt(dropped.size)


def test_the_mask_is_the_same_however_the_array_is_spread() -> None:
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
    x, key = jnp.ones((8, 4, 6, 6)), jax.random.key(3)
    spread = jax.device_put(x, NamedSharding(mesh, PartitionSpec("a", "b")))
    drop = jax.jit(lambda x: dropout(x, 0.5, key))
    np.testing.assert_array_equal(drop(spread), drop(x))

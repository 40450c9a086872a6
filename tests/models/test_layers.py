import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jmed_jax.models.layers import MLP, Linear, RMSNorm, dropout

NORMAL = nnx.initializers.normal(1.0)


def test_dropout_keeps_its_share_and_scales_it_up() -> None:
    out = np.array(dropout(jnp.ones((200, 500)), 0.1, jax.random.key(0)))
    kept = out > 0
    np.testing.assert_allclose(out[kept], 1 / 0.9, rtol=1e-6)
    # 100,000 draws: the standard deviation of the share is 0.001.
    assert abs(kept.mean() - 0.9) < 0.004
    assert kept.any(axis=0).all() and kept.any(axis=1).all()


def test_dropout_is_off_without_a_key_or_rate() -> None:
    x = jnp.ones((4, 4))
    assert dropout(x, 0.5, None) is x
    assert dropout(x, 0.0, jax.random.key(0)) is x


def test_dropout_follows_its_key() -> None:
    first, again, other = (dropout(jnp.ones((64,)), 0.5, jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_norm_divides_by_the_root_mean_square() -> None:
    norm = RMSNorm(6, epsilon=1e-3)
    norm.scale[...] = jnp.arange(1.0, 7.0)
    x = np.random.default_rng(0).normal(size=(2, 3, 6)).astype(np.float32)
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-3) * np.arange(1, 7)
    np.testing.assert_allclose(norm(jnp.array(x)), expected, rtol=1e-5)


def test_norm_is_computed_in_float32() -> None:
    # The square of 300 in bfloat16 would be off by up to 0.4 %; the result here must only be rounded once.
    x = jnp.full((1, 1, 64), 300, jnp.bfloat16).at[0, 0, 0].set(1)
    expected = np.float32(300) / np.sqrt((63 * 300**2 + 1) / 64 + 1e-6)
    out = RMSNorm(64, epsilon=1e-6)(x)
    assert out.dtype == jnp.bfloat16
    assert out[0, 0, 1] == jnp.bfloat16(expected)


@pytest.mark.parametrize("gated", [False, True])
def test_mlp_is_plain_or_gated_silu(gated: bool) -> None:
    mlp = MLP(4, 6, gated=gated, initializer=NORMAL, output_initializer=NORMAL, rngs=nnx.Rngs(0))
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)

    def silu(y: np.ndarray) -> np.ndarray:
        return y / (1 + np.exp(-y))

    up = x @ np.array(mlp.up.kernel[...])
    inner = silu(x @ np.array(mlp.gate.kernel[...])) * up if gated else silu(up)
    np.testing.assert_allclose(mlp(jnp.array(x)), inner @ np.array(mlp.down.kernel[...]), rtol=2e-4, atol=1e-5)


def test_linear_adds_its_bias_in_the_dtype_of_x() -> None:
    linear = Linear(3, 2, initializer=NORMAL, use_bias=True, rngs=nnx.Rngs(0))
    assert (linear.bias[...] == 0).all()
    linear.bias[...] = jnp.array([1.0, -2.0])
    x = np.ones((2, 5, 3), np.float32)
    expected = x @ np.array(linear.kernel[...]) + np.array([1, -2])
    np.testing.assert_allclose(linear(jnp.array(x)), expected, rtol=1e-5)
    assert linear(jnp.array(x, jnp.bfloat16)).dtype == jnp.bfloat16
    assert linear.kernel[...].dtype == jnp.float32

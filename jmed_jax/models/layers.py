"""The parts a decoder block is made of.

Axes: B batch, T positions, D hidden, F MLP hidden, V vocabulary.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

Initializer = Callable[..., Array]


class Linear(nnx.Module):
    """`x @ kernel (+ bias)`, in the dtype of x; the parameters are float32."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        initializer: Initializer,
        use_bias: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        self.kernel = nnx.Param(initializer(rngs.params(), (in_features, out_features), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((out_features,), jnp.float32)) if use_bias else None

    def __call__(self, x: Array) -> Array:
        # Flattened to two dimensions: XLA's CPU back end runs that product faster than the batched one.
        y = x.reshape(-1, x.shape[-1]) @ self.kernel[...].astype(x.dtype)
        if self.bias is not None:
            y = y + self.bias[...].astype(x.dtype)[None]
        return y.reshape(*x.shape[:-1], y.shape[-1])


class Embedding(nnx.Module):
    """Token embedding table [V, D]."""

    def __init__(self, vocab_size: int, hidden_size: int, *, initializer: Initializer, rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Param(initializer(rngs.params(), (vocab_size, hidden_size), jnp.float32))

    def __call__(self, tokens_BT: Array, dtype: jnp.dtype) -> Array:
        return self.embedding[...][tokens_BT].astype(dtype)


class RMSNorm(nnx.Module):
    """Root-mean-square norm, computed in float32 (arXiv 1910.07467)."""

    def __init__(self, hidden_size: int, *, epsilon: float) -> None:
        self.scale = nnx.Param(jnp.ones((hidden_size,), jnp.float32))
        self.epsilon = epsilon

    def __call__(self, x_BTD: Array) -> Array:
        x32_BTD = x_BTD.astype(jnp.float32)
        inverse_BT1 = jax.lax.rsqrt(jnp.mean(jnp.square(x32_BTD), axis=-1, keepdims=True) + self.epsilon)
        return (x32_BTD * inverse_BT1 * self.scale[...][None, None]).astype(x_BTD.dtype)


class MLP(nnx.Module):
    """`down(silu(up x))`, or gated `down(silu(gate x) · up x)` (arXiv 2412.16423 §2.3 is not gated; Qwen2 is)."""

    def __init__(
        self,
        hidden_size: int,
        mlp_size: int,
        *,
        gated: bool,
        initializer: Initializer,
        output_initializer: Initializer,
        rngs: nnx.Rngs,
    ) -> None:
        self.gate = Linear(hidden_size, mlp_size, initializer=initializer, rngs=rngs) if gated else None
        self.up = Linear(hidden_size, mlp_size, initializer=initializer, rngs=rngs)
        self.down = Linear(mlp_size, hidden_size, initializer=output_initializer, rngs=rngs)

    def __call__(self, x_BTD: Array) -> Array:
        up_BTF = self.up(x_BTD)
        inner_BTF = jax.nn.silu(up_BTF) if self.gate is None else jax.nn.silu(self.gate(x_BTD)) * up_BTF
        return self.down(inner_BTF)


def dropout(x: Array, rate: float, key: Array | None) -> Array:
    """Zero a share `rate` of x and scale up the rest; without a key (inference) or rate, x itself."""
    if key is None or rate == 0.0:
        return x
    keep = jax.random.bernoulli(key, 1.0 - rate, x.shape)
    return jnp.where(keep, x / (1.0 - rate), jnp.zeros((), x.dtype))

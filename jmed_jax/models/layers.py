"""The parts a decoder block is made of.

Axes: B batch, T positions, P = B·T, I input, O output, D hidden, F MLP hidden, V vocabulary.
"""

from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from jmed_jax.models.noise import hashed_bits
from jmed_jax.models.quantize import Kernel, frozen_product

Initializer = Callable[..., Array]


class Adapter(Protocol):
    """What is trained beside a frozen kernel: `lora.LowRank`."""

    def __call__(self, x_PI: Array, y_PO: Array, kernel: Kernel, dropout_key: Array | None, /) -> Array:
        """What is added to `y = x @ kernel`."""
        ...


class Linear(nnx.Module):
    """`x @ kernel (+ bias)`, in the dtype of x.

    The parameters are float32; `lora.freeze` makes of them what is not trained, and adds an adapter.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        initializer: Initializer,
        use_bias: bool = False,
        rngs: nnx.Rngs,
    ) -> None:
        self.kernel: nnx.Param | nnx.Dict = nnx.Param(
            initializer(rngs.params(), (in_features, out_features), jnp.float32)
        )
        self.bias = nnx.Param(jnp.zeros((out_features,), jnp.float32)) if use_bias else None
        self.frozen = False
        self.lora: Adapter | None = None

    def __call__(self, x: Array, dropout_key: Array | None = None) -> Array:
        """
        Args:
            dropout_key: of the adapter's dropout; None is inference.
        """
        # Flattened to two dimensions: XLA's CPU back end runs that product faster than the batched one.
        x_PI = x.reshape(-1, x.shape[-1])
        y_PO = self._frozen(x_PI, dropout_key) if self.frozen else x_PI @ self.kernel[...].astype(x.dtype)
        if self.bias is not None:
            y_PO = y_PO + self.bias[...].astype(x.dtype)[None]
        return y_PO.reshape(*x.shape[:-1], y_PO.shape[-1])

    def _frozen(self, x_PI: Array, dropout_key: Array | None) -> Array:
        is_array = isinstance(self.kernel, nnx.Param)
        kernel: Kernel = self.kernel[...] if is_array else {name: leaf[...] for name, leaf in self.kernel.items()}
        y_PO = frozen_product(x_PI, kernel)
        return y_PO if self.lora is None else y_PO + self.lora(x_PI, y_PO, kernel, dropout_key)


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

    def __call__(self, x_BTD: Array, dropout_key: Array | None = None) -> Array:
        up_key, gate_key, down_key = split_key(dropout_key, 3)
        up_BTF = self.up(x_BTD, up_key)
        inner_BTF = jax.nn.silu(up_BTF) if self.gate is None else jax.nn.silu(self.gate(x_BTD, gate_key)) * up_BTF
        return self.down(inner_BTF, down_key)


def dropout(x: Array, rate: float, key: Array | None) -> Array:
    """Zero a share `rate` of x and scale up the rest; without a key (inference) or rate, x itself.

    The mask is hashed from the key and the position: drawn with `jax.random.bernoulli`, masks of attention weights cost
    a CPU a third of a training step's time.
    """
    if key is None or rate == 0.0:
        return x
    keep = hashed_bits(x.shape, jax.random.bits(key)) >= jnp.uint32(round(rate * 2**32))
    return jnp.where(keep, x / (1.0 - rate), jnp.zeros((), x.dtype))


def split_key(key: Array | None, count: int) -> tuple[Array | None, ...]:
    """As many keys; of None (inference), as many None."""
    return (None,) * count if key is None else tuple(jax.random.split(key, count))

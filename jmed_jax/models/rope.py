"""Rotary positions.

Axes: B batch, T positions, N heads, H head dim, h = H // 2.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array


class Rope(NamedTuple):
    """Cosines and sines [B, T, 1, H/2] in float32 (bfloat16 has no 257)."""

    cos: Array
    sin: Array


def rope_table(positions_BT: Array, head_dim: int, theta: float) -> Rope:
    """Angles of rotary positions over the whole head dim (arXiv 2104.09864)."""
    frequencies_h = theta ** -(jnp.arange(0, head_dim, 2, dtype=jnp.float32) / head_dim)
    angles_BT1h = positions_BT.astype(jnp.float32)[:, :, None, None] * frequencies_h[None, None, None]
    return Rope(jnp.cos(angles_BT1h), jnp.sin(angles_BT1h))


def apply_rope(x_BTNH: Array, rope: Rope) -> Array:
    """Rotate the two halves of the head dim, as Hugging Face's Llama does; float32 inside, dtype of x outside."""
    first, second = jnp.split(x_BTNH.astype(jnp.float32), 2, axis=-1)
    rotated = jnp.concatenate(
        [first * rope.cos - second * rope.sin, second * rope.cos + first * rope.sin],
        axis=-1,
    )
    return rotated.astype(x_BTNH.dtype)

"""Rotary positions and causal grouped-query attention.

Axes: B batch, T query positions, S key positions, N query heads, K KV heads, H head dim.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jmed_jax.models.layers import dropout

# Large enough to vanish in the softmax, small enough that a fully masked row stays finite.
NEGATIVE = -1e30

# Queries handled together: a chunk reads only the keys up to its own end, which skips nearly half of the square.
QUERY_CHUNK = 128


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


def attend(
    q_BTNH: Array,
    k_BSKH: Array,
    v_BSKH: Array,
    mask_BTS: Array,
    *,
    dropout_rate: float = 0.0,
    dropout_key: Array | None = None,
) -> Array:
    """Grouped-query attention (arXiv 2305.13245). Softmax in float32; output [B, T, N, H] in the dtype of q.

    Args:
        mask_BTS: bool, true where a query may look; broadcastable on B and T.
        dropout_key: applied to the attention weights; None is inference.
    """
    N, K, H = q_BTNH.shape[2], k_BSKH.shape[2], q_BTNH.shape[3]
    # Repeating the KV heads costs little memory and keeps one plain batched product over all heads.
    k_BSNH = jnp.repeat(k_BSKH, N // K, axis=2)
    v_BSNH = jnp.repeat(v_BSKH, N // K, axis=2)
    # The scale goes into q: T·H multiplications instead of T·S.
    scores_BNTS = jnp.einsum("BTNH,BSNH->BNTS", q_BTNH * H**-0.5, k_BSNH, preferred_element_type=jnp.float32)
    weights_BNTS = jax.nn.softmax(jnp.where(mask_BTS[:, None], scores_BNTS, NEGATIVE), axis=-1).astype(v_BSKH.dtype)
    weights_BNTS = dropout(weights_BNTS, dropout_rate, dropout_key)
    return jnp.einsum("BNTS,BSNH->BTNH", weights_BNTS, v_BSNH)


def causal_attention(
    q_BTNH: Array,
    k_BTKH: Array,
    v_BTKH: Array,
    segment_ids_BT: Array | None = None,
    *,
    dropout_rate: float = 0.0,
    dropout_key: Array | None = None,
) -> Array:
    """Causal attention over whole sequences, in chunks of queries that read only the keys they need.

    Args:
        segment_ids_BT: where given, a query sees only keys of its own segment (the document mask); None is the plain
            causal window over the packed row (arXiv 2412.16423 §2.4.1).
    """
    T = q_BTNH.shape[1]
    chunks = []
    for index, start in enumerate(range(0, T, QUERY_CHUNK)):
        end = min(start + QUERY_CHUNK, T)
        mask_BTS = (jnp.arange(start, end)[:, None] >= jnp.arange(end)[None])[None]
        if segment_ids_BT is not None:
            mask_BTS = mask_BTS & (segment_ids_BT[:, start:end, None] == segment_ids_BT[:, None, :end])
        chunks.append(
            attend(
                q_BTNH[:, start:end],
                k_BTKH[:, :end],
                v_BTKH[:, :end],
                mask_BTS,
                dropout_rate=dropout_rate,
                dropout_key=None if dropout_key is None else jax.random.fold_in(dropout_key, index),
            )
        )
    return jnp.concatenate(chunks, axis=1)

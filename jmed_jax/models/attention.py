"""Causal grouped-query attention over whole sequences, in plain XLA: for any device, with dropout.

Axes: B batch, T query positions, S key positions, N query heads, K KV heads, H head dim,
R = N // K · T queries that read the same KV head.

`attention_choice.py` picks between these and the kernels of one kind of device.
"""

from typing import Protocol

import jax
import jax.numpy as jnp
from jax import Array

from jmed_jax.models.layers import dropout

# Large enough to vanish in the softmax, small enough that a fully masked row stays finite.
NEGATIVE = -1e30

# Queries handled together: a chunk reads only the keys up to its own end, which skips nearly half of the square.
QUERY_CHUNK = 128


class CausalAttention(Protocol):
    """What every implementation is: attention in which position t sees positions up to t.

    Output [B, T, N, H] in the dtype of q; softmax in float32; scores scaled by 1 / sqrt(H).
    """

    def __call__(
        self,
        q_BTNH: Array,
        k_BTKH: Array,
        v_BTKH: Array,
        segment_ids_BT: Array | None = None,
        /,
        *,
        dropout_rate: float = 0.0,
        dropout_key: Array | None = None,
    ) -> Array:
        """
        Args:
            segment_ids_BT: where given, a query sees only keys of its own segment (the document mask); None is the
                plain causal window over the packed row (arXiv 2412.16423 §2.4.1).
            dropout_rate: of the attention weights, applied where there is a key; None is inference.
        """
        ...


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
    q_BNTH, k_BKSH, v_BKSH = (x.swapaxes(1, 2) for x in (_scaled(q_BTNH), k_BSKH, v_BSKH))
    return _attend_by_head(q_BNTH, k_BKSH, v_BKSH, mask_BTS, dropout_rate, dropout_key).swapaxes(1, 2)


def reference_attention(
    q_BTNH: Array,
    k_BTKH: Array,
    v_BTKH: Array,
    segment_ids_BT: Array | None = None,
    *,
    dropout_rate: float = 0.0,
    dropout_key: Array | None = None,
) -> Array:
    """`CausalAttention` with the whole mask in one piece: what the faster ones are measured by."""
    T = q_BTNH.shape[1]
    mask_BTS = visible(0, T, segment_ids_BT)
    return attend(q_BTNH, k_BTKH, v_BTKH, mask_BTS, dropout_rate=dropout_rate, dropout_key=dropout_key)


def causal_attention(
    q_BTNH: Array,
    k_BTKH: Array,
    v_BTKH: Array,
    segment_ids_BT: Array | None = None,
    *,
    dropout_rate: float = 0.0,
    dropout_key: Array | None = None,
) -> Array:
    """`CausalAttention` in chunks of queries that read only the keys they need."""
    T = q_BTNH.shape[1]
    # Heads first, once for all chunks.
    q_BNTH, k_BKTH, v_BKTH = (x.swapaxes(1, 2) for x in (_scaled(q_BTNH), k_BTKH, v_BTKH))
    chunks = []
    for index, start in enumerate(range(0, T, QUERY_CHUNK)):
        end = min(start + QUERY_CHUNK, T)
        chunks.append(
            _attend_by_head(
                q_BNTH[:, :, start:end],
                k_BKTH[:, :, :end],
                v_BKTH[:, :, :end],
                visible(start, end, segment_ids_BT),
                dropout_rate,
                None if dropout_key is None else jax.random.fold_in(dropout_key, index),
            )
        )
    return jnp.concatenate(chunks, axis=2).swapaxes(1, 2)


def _scaled(q_BTNH: Array) -> Array:
    """The scale of the scores goes into q: T·H multiplications instead of T·S."""
    return q_BTNH * q_BTNH.shape[-1] ** -0.5


def visible(start: int, end: int, segment_ids_BT: Array | None) -> Array:
    """What the queries from `start` to `end` may see of the keys up to `end`, [B or 1, end − start, end]."""
    mask_BTS = (jnp.arange(start, end)[:, None] >= jnp.arange(end)[None])[None]
    if segment_ids_BT is None:
        return mask_BTS
    return mask_BTS & (segment_ids_BT[:, start:end, None] == segment_ids_BT[:, None, :end])


def _attend_by_head(
    q_BNTH: Array,
    k_BKSH: Array,
    v_BKSH: Array,
    mask_BTS: Array,
    dropout_rate: float,
    dropout_key: Array | None,
) -> Array:
    """Attention [B, N, T, H] of scaled queries."""
    B, N, T, H = q_BNTH.shape
    K, S = k_BKSH.shape[1:3]
    # The queries of a group lie below each other as the rows of one matrix, and no key is repeated.
    q_BKRH = q_BNTH.reshape(B, K, N // K * T, H)
    scores_BKRS = jnp.einsum("BKRH,BKSH->BKRS", q_BKRH, k_BKSH, preferred_element_type=jnp.float32)
    # An addition, which unlike a selection has nothing to do in the backward pass.
    scores_BNTS = scores_BKRS.reshape(B, N, T, S) + jnp.where(mask_BTS, 0.0, NEGATIVE)[:, None]
    # The softmax divides last: T·H numbers instead of T·S. Its maximum cancels, so no gradient goes through it.
    weights_BNTS = jnp.exp(scores_BNTS - jax.lax.stop_gradient(jnp.max(scores_BNTS, axis=-1, keepdims=True)))
    sums_BNT1 = jnp.sum(weights_BNTS, axis=-1, keepdims=True)
    weights_BNTS = dropout(weights_BNTS.astype(v_BKSH.dtype), dropout_rate, dropout_key)
    attended_BKRH = jnp.einsum(
        "BKRS,BKSH->BKRH", weights_BNTS.reshape(B, K, -1, S), v_BKSH, preferred_element_type=jnp.float32
    )
    return (attended_BKRH.reshape(B, N, T, H) / sums_BNT1).astype(q_BNTH.dtype)

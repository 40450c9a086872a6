"""Next-token cross-entropy in chunks, so that the logits of a whole batch never exist.

Axes: B rows, T positions, C positions of a chunk, D hidden, V vocabulary.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class LossSums(NamedTuple):
    """Sums, not means: whoever holds all passes and devices divides once by the number of valid tokens."""

    loss: Array
    """Sum of −log p over the targets, nats, float32."""
    tokens: Array
    """Number of targets, float32."""


def next_token_targets(tokens_BT: Array, loss_mask_BT: Array) -> tuple[Array, Array]:
    """Targets [B, T] and their weights (float32): position t predicts token t+1; the last position predicts nothing."""
    targets_BT = jnp.roll(tokens_BT, -1, axis=1)
    weights_BT = jnp.roll(loss_mask_BT, -1, axis=1).at[:, -1].set(False)
    return targets_BT, weights_BT.astype(jnp.float32)


def chunked_cross_entropy(
    x_BTD: Array, kernel_DV: Array, targets_BT: Array, weights_BT: Array, chunk_tokens: int
) -> LossSums:
    """Cross-entropy of `softmax(x @ kernel)` summed over weighted positions; log-softmax in float32.

    Positions without a target are moved to the end of each row and chunks without any target are skipped: instruction
    rows, whose targets are a few answer tokens, pay for those alone. The backward pass computes a chunk's logits again
    instead of keeping them.

    Args:
        chunk_tokens: positions, over all rows, whose logits exist at one time.
    """
    B, T, D = x_BTD.shape
    chunk = max(1, min(T, chunk_tokens // B))
    order_BT = jnp.argsort(weights_BT == 0, axis=1, stable=True)
    padding = -T % chunk
    order_BT = jnp.pad(order_BT, ((0, 0), (0, padding)))
    valid_T = jnp.arange(T + padding) < T
    weights_BT = jnp.take_along_axis(weights_BT, order_BT, axis=1) * valid_T[None]
    targets_BT = jnp.take_along_axis(targets_BT, order_BT, axis=1)

    def chunk_sum(x_BCD: Array, targets_BC: Array, weights_BC: Array) -> Array:
        logits_PV = jnp.dot(x_BCD.reshape(-1, D), kernel_DV, preferred_element_type=jnp.float32)
        picked_P1 = jnp.take_along_axis(logits_PV, targets_BC.reshape(-1, 1), axis=1)
        losses_P = jax.nn.logsumexp(logits_PV, axis=1) - picked_P1[:, 0]
        return jnp.sum(losses_P * weights_BC.reshape(-1))

    @jax.checkpoint
    def add_chunk(total: Array, columns: tuple[Array, Array, Array]) -> tuple[Array, None]:
        order_BC, targets_BC, weights_BC = columns

        def with_targets() -> Array:
            x_BCD = jnp.take_along_axis(x_BTD, order_BC[:, :, None], axis=1)
            return chunk_sum(x_BCD, targets_BC, weights_BC)

        return total + jax.lax.cond(jnp.any(weights_BC > 0), with_targets, lambda: jnp.zeros((), jnp.float32)), None

    def split(a_BT: Array) -> Array:
        return a_BT.reshape(B, -1, chunk).swapaxes(0, 1)

    total, _ = jax.lax.scan(
        add_chunk, jnp.zeros((), jnp.float32), (split(order_BT), split(targets_BT), split(weights_BT))
    )
    return LossSums(total, jnp.sum(weights_BT))

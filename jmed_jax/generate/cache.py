"""Keys and values of the tokens so far, with static shapes.

Axes: B rows, W beams of a row, T positions of packed prompts, S cache positions, C tail positions, R prompts of a pack,
N query heads, K KV heads, G = N // K, H head dim.

A row's tokens lie in two places. The cache [B, K, S, H] is only read while tokens are decoded; what they add goes into
a short tail [B, K, W, C, H], where all rows write at one position whatever their lengths. That is an update in place; a
position of its own for each row would be a scatter in every layer for every token. In a beam search the beams of a
prompt share the row that holds it, and only tails are reordered.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jmed_jax.config import ModelConfig
from jmed_jax.models.attention import NEGATIVE
from jmed_jax.parallel.mesh import BATCH_AXES


class LayerCache(NamedTuple):
    """Keys and values of one layer: of rows [B, K, S, H] or of tails [B, K, W, C, H]."""

    k: Array
    v: Array


Cache = tuple[LayerCache, ...]
"""One of each layer."""


def cache_sharding(config: ModelConfig, mesh: Mesh) -> NamedSharding:
    """Rows over the data-parallel axes, heads like those of the model."""
    heads = "tensor" if config.num_kv_heads % mesh.shape["tensor"] == 0 else None
    return NamedSharding(mesh, PartitionSpec(BATCH_AXES, heads))


def empty_cache(
    config: ModelConfig, rows: int, length: int, dtype: jnp.dtype, sharding: NamedSharding | None = None
) -> Cache:
    """A cache of zeros."""
    shape = (rows, config.num_kv_heads, length, config.head_dim)
    return tuple(
        LayerCache(jnp.zeros(shape, dtype, device=sharding), jnp.zeros(shape, dtype, device=sharding))
        for _ in range(config.num_layers)
    )


def empty_tail(cache: Cache, beams: int, length: int) -> Cache:
    """Tails for the rows of a cache."""

    def like(rows_BKSH: Array) -> Array:
        B, K, _, H = rows_BKSH.shape
        return jnp.zeros((B, K, beams, length, H), rows_BKSH.dtype)

    return jax.tree.map(like, cache)


def lengthened(cache: Cache, length: int) -> Cache:
    """The cache with room for `length` positions."""
    return jax.tree.map(lambda rows: jnp.pad(rows, ((0, 0), (0, 0), (0, length - rows.shape[2]), (0, 0))), cache)


def with_rows(cache: Cache, rows_B: Array) -> Cache:
    """Another choice of rows."""
    return jax.tree.map(lambda rows: rows[rows_B], cache)


def with_prompts(cache: Cache, packed: Cache, starts_R: Array, rows_R: Array, count: Array) -> Cache:
    """Copy packed prompts into rows.

    Args:
        packed: [1, K, T, H]. Prompt i begins at `starts_R[i]`; what follows it there lies in its row too, behind its
            end, where nobody looks.
        rows_R: the row that each goes to.
        count: how many of the R there are.
    """
    window = min(packed[0].k.shape[2], cache[0].k.shape[2])
    padded = jax.tree.map(lambda a: jnp.pad(a, ((0, 0), (0, 0), (0, window), (0, 0))), packed)

    def copy(index: Array, cache: Cache) -> Cache:
        def copy_one(rows_BKSH: Array, packed_1KTH: Array) -> Array:
            _, K, _, H = rows_BKSH.shape
            prompt = jax.lax.dynamic_slice(packed_1KTH, (0, 0, starts_R[index], 0), (1, K, window, H))
            return jax.lax.dynamic_update_slice(rows_BKSH, prompt, (rows_R[index], 0, 0, 0))

        return jax.tree.map(copy_one, cache, padded)

    return jax.lax.fori_loop(0, count, copy, cache)


def with_tails(cache: Cache, tail: Cache, lengths_B: Array) -> Cache:
    """Append the tail of every row (of one beam) at its length; there must be room for all of it."""

    def append(row_KSH: Array, tail_KCH: Array, length: Array) -> Array:
        return jax.lax.dynamic_update_slice(row_KSH, tail_KCH, (0, length, 0))

    return jax.tree.map(lambda rows, tails: jax.vmap(append)(rows, tails[:, :, 0], lengths_B), cache, tail)


def with_token(tail: LayerCache, k_BWKH: Array, v_BWKH: Array, position: Array) -> LayerCache:
    """The tail with one more token of every beam."""

    def write(tail_BKWCH: Array, new_BWKH: Array) -> Array:
        new_BKW1H = new_BWKH.swapaxes(1, 2)[:, :, :, None]
        return jax.lax.dynamic_update_slice(tail_BKWCH, new_BKW1H, (0, 0, 0, position, 0))

    return LayerCache(write(tail.k, k_BWKH), write(tail.v, v_BWKH))


def attend_to_both(q_BWNH: Array, rows: LayerCache, seen_BS: Array, tail: LayerCache, seen_C: Array) -> Array:
    """Attention of one new token a beam over its row and its tail, [B, W, N, H]; softmax in float32.

    Args:
        seen_BS: bool, positions of the cache that hold the row's tokens.
        seen_C: bool, positions of the tail that hold tokens.
    """
    B, W, N, H = q_BWNH.shape
    K, S = rows.k.shape[1:3]
    q_BKWGH = (q_BWNH * H**-0.5).reshape(B, W, K, N // K, H).swapaxes(1, 2)
    # All queries that read one KV head of a row are the rows of one matrix.
    q_BKRH = q_BKWGH.reshape(B, K, -1, H)
    row_scores = jnp.einsum("BKRH,BKSH->BKRS", q_BKRH, rows.k, preferred_element_type=jnp.float32)
    row_scores += jnp.where(seen_BS, 0.0, NEGATIVE)[:, None, None]
    tail_scores = jnp.einsum("BKWGH,BKWCH->BKWGC", q_BKWGH, tail.k, preferred_element_type=jnp.float32)
    tail_scores += jnp.where(seen_C, 0.0, NEGATIVE)[None, None, None, None]
    scores = jnp.concatenate([row_scores, tail_scores.reshape(B, K, q_BKRH.shape[2], -1)], axis=-1)
    weights = jnp.exp(scores - jnp.max(scores, axis=-1, keepdims=True))
    sums_BKR1 = jnp.sum(weights, axis=-1, keepdims=True)
    weights = weights.astype(rows.v.dtype)
    from_row_BKRH = jnp.einsum("BKRS,BKSH->BKRH", weights[..., :S], rows.v, preferred_element_type=jnp.float32)
    tail_weights = weights[..., S:].reshape(*q_BKWGH.shape[:4], -1)
    from_tail = jnp.einsum("BKWGC,BKWCH->BKWGH", tail_weights, tail.v, preferred_element_type=jnp.float32)
    attended_BKRH = (from_row_BKRH + from_tail.reshape(from_row_BKRH.shape)) / sums_BKR1
    return attended_BKRH.reshape(B, K, W, N // K, H).swapaxes(1, 2).reshape(B, W, N, H).astype(q_BWNH.dtype)

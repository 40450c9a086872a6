"""Programs that write tokens for many rows at a time: prefill of packed prompts, and some steps of decoding.

Axes: B rows, T positions, S cache positions, V vocabulary, C = CHUNK steps.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jmed_jax.generate.cache import Cache, empty_tail, lengthened, with_prompts, with_rows, with_tails
from jmed_jax.generate.forward import CachedDecoder
from jmed_jax.generate.sampling import Choice, Strengths, choose_tokens, with_tokens

CHUNK = 16
"""Most tokens a row between two looks of the host, which refills finished rows and stops texts."""
NOTHING = -1
"""In a chunk's output: the row had ended."""


Numbers = Any
"""An array of numpy on the host, which a program sees as one of JAX."""


class Rows(NamedTuple):
    """What the host knows of every row and tells the device before each chunk."""

    tokens: Numbers
    """Each row's last token, which is not in the cache yet, int32 [B]."""
    lengths: Numbers
    """Tokens in the cache, int32 [B]."""
    remaining: Numbers
    """Tokens that may still be written; 0 for a row that rests; int32 [B]."""
    written: Numbers
    """Tokens of the answer so far, int32 [B]."""
    seeds: Numbers
    """uint32 [B]."""
    history: Numbers | None
    """Prompt and answer, V where nothing is, int32 [B, S]; None where nothing penalises repetition."""


@partial(jax.jit, static_argnames="decoder")
def prefill(
    decoder: CachedDecoder, parameters: Any, tokens_1T: Array, positions_1T: Array, segment_ids_1T: Array
) -> Cache:
    """Keys and values [1, K, T, H] of packed prompts."""
    return decoder.transform(parameters, tokens_1T, positions_1T, segment_ids_1T)[1]


@partial(jax.jit, static_argnames="decoder", donate_argnames="cache")
def copy_prompts(
    decoder: CachedDecoder, cache: Cache, packed: Cache, starts_R: Array, rows_R: Array, count: Array
) -> Cache:
    """`cache.with_prompts`, compiled."""
    return decoder.keep(with_prompts(cache, packed, starts_R, rows_R, count))


@partial(jax.jit, static_argnames=("decoder", "length"))
def lengthen(decoder: CachedDecoder, cache: Cache, length: int) -> Cache:
    """`cache.lengthened`, compiled."""
    return decoder.keep(lengthened(cache, length))


@partial(jax.jit, static_argnames="decoder")
def take_rows(decoder: CachedDecoder, cache: Cache, rows_B: Array) -> Cache:
    """`cache.with_rows`, compiled."""
    return decoder.keep(with_rows(cache, rows_B))


@partial(jax.jit, static_argnames=("decoder", "choice"), donate_argnames="cache")
def decode_chunk(
    decoder: CachedDecoder,
    parameters: Any,
    cache: Cache,
    rows: Rows,
    steps: Array,
    stop_ids: Array,
    strengths: Strengths,
    choice: Choice,
) -> tuple[Cache, Array]:
    """Write at most `steps` (up to CHUNK) tokens in every row that has some remaining.

    A row ends with the first of `stop_ids`, which is written out. The cache must have room for CHUNK more tokens.

    Returns:
        The longer cache, and the tokens int32 [B, C], NOTHING behind a row's end.
    """
    B = rows.tokens.shape[0]
    vocab_size = decoder.config.vocab_size
    seen_BV = None
    if choice.penalizes:
        assert rows.history is not None
        seen_BV = with_tokens(jnp.zeros((B, vocab_size), bool), rows.history)

    def unfinished(carry: tuple) -> Array:
        index, _, remaining_B, *_ = carry
        return (index < steps) & jnp.any(remaining_B > 0)

    def add_token(carry: tuple) -> tuple:
        index, tokens_B, remaining_B, outputs_BC, tail, seen_BV = carry
        logits_B1V, tail = decoder.decode(parameters, tokens_B[:, None], cache, rows.lengths, tail, index)
        tokens_B = choose_tokens(logits_B1V[:, 0], seen_BV, choice, strengths, rows.seeds, rows.written + index)
        if seen_BV is not None:
            seen_BV = with_tokens(seen_BV, tokens_B[:, None])
        written_B1 = jnp.where(remaining_B > 0, tokens_B, NOTHING)[:, None]
        outputs_BC = jax.lax.dynamic_update_slice(outputs_BC, written_B1, (0, index))
        ends_B = jnp.any(tokens_B[:, None] == stop_ids[None], axis=1)
        remaining_B = jnp.where(ends_B, 0, jnp.maximum(remaining_B - 1, 0))
        return index + 1, tokens_B, remaining_B, outputs_BC, tail, seen_BV

    start = (
        jnp.zeros((), jnp.int32),
        jnp.asarray(rows.tokens),
        jnp.asarray(rows.remaining),
        jnp.full((B, CHUNK), NOTHING, jnp.int32),
        empty_tail(cache, beams=1, length=CHUNK),
        seen_BV,
    )
    _, _, _, outputs_BC, tail, _ = jax.lax.while_loop(unfinished, add_token, start)
    return decoder.keep(with_tails(cache, tail, rows.lengths)), outputs_BC

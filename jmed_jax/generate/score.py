"""Log-probabilities of given continuations.

Axes: T positions of a pack, C = CHUNK of them, D hidden, V vocabulary.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jmed_jax.generate.forward import CachedDecoder
from jmed_jax.generate.packing import Pack, packs

CHUNK = 64
"""Positions whose logits exist at one time."""


@dataclass(frozen=True)
class Score:
    """What a model thinks of a continuation."""

    log_probabilities: tuple[float, ...]
    """Natural, of each of its tokens after all before."""
    greedy: bool
    """Whether greedy decoding would write it."""

    @property
    def log_probability(self) -> float:
        """Of the whole."""
        return math.fsum(self.log_probabilities)


def scores(
    decoder: CachedDecoder,
    parameters: Any,
    prompts: Sequence[Sequence[int]],
    continuations: Sequence[Sequence[int]],
) -> Iterator[tuple[int, Score]]:
    """Every pair's index and score, the longest pairs first."""
    # A continuation's last token is looked for, not looked at.
    sequences = [[*prompt, *continuation][:-1] for prompt, continuation in zip(prompts, continuations, strict=True)]
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
    for indices, pack in packs([sequences[i] for i in order]):
        members = [order[i] for i in indices]
        starts = [start + len(prompts[i]) - 1 for start, i in zip(pack.starts.tolist(), members, strict=False)]
        tokens = [continuations[i] for i in members]
        places = [start + offset for start, ids in zip(starts, tokens, strict=True) for offset in range(len(ids))]
        values, is_best = _score_pack(decoder, parameters, pack, places, [token for ids in tokens for token in ids])
        end = 0
        for index, ids in zip(members, tokens, strict=True):
            start, end = end, end + len(ids)
            yield index, Score(tuple(values[start:end].tolist()), bool(is_best[start:end].all()))


def _score_pack(
    decoder: CachedDecoder, parameters: Any, pack: Pack, places: Sequence[int], targets: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Of every place the target's log-probability, and whether it is the most probable token."""
    T = pack.tokens.shape[1]
    padded = np.zeros((2, T), np.int32)
    padded[:, : len(places)] = places, targets
    arrays = _log_probabilities(decoder, parameters, *pack[:3], *padded, np.int32(len(places)))
    values_T, is_best_T = map(np.asarray, arrays)
    return values_T[: len(places)], is_best_T[: len(places)]


@partial(jax.jit, static_argnames="decoder")
def _log_probabilities(
    decoder: CachedDecoder,
    parameters: Any,
    tokens_1T: Array,
    positions_1T: Array,
    segment_ids_1T: Array,
    places_T: Array,
    targets_T: Array,
    count: Array,
) -> tuple[Array, Array]:
    """Of the first `count` places: log-probabilities float32 [T] and whether they are the highest [T]."""
    hidden_1TD, _ = decoder.transform(parameters, tokens_1T, positions_1T, segment_ids_1T)

    def score_chunk(index: Array, found: tuple[Array, Array]) -> tuple[Array, Array]:
        start = index * CHUNK
        places_C, targets_C = (jax.lax.dynamic_slice(a, (start,), (CHUNK,)) for a in (places_T, targets_T))
        logits_CV = decoder.logits(parameters, hidden_1TD[:, places_C])[0]
        log_probabilities_CV = jax.nn.log_softmax(logits_CV, axis=-1)
        values_C = jnp.take_along_axis(log_probabilities_CV, targets_C[:, None], axis=1)[:, 0]
        best_C = jnp.argmax(logits_CV, axis=-1) == targets_C
        values_T, best_T = found
        update = jax.lax.dynamic_update_slice
        return update(values_T, values_C, (start,)), update(best_T, best_C, (start,))

    T = tokens_1T.shape[1]
    nothing = (jnp.zeros(T, jnp.float32), jnp.zeros(T, bool))
    return jax.lax.fori_loop(0, -(-count // CHUNK), score_chunk, nothing)

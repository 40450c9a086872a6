"""Beam search as transformers 5 does it (`GenerationMixin._beam_search`), all steps in one program.

Axes: B rows (prompts), W beams, M positions of an answer, S cache positions, V vocabulary, J candidates.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jmed_jax.generate.cache import Cache, empty_tail
from jmed_jax.generate.decode import NOTHING, Rows
from jmed_jax.generate.forward import CachedDecoder
from jmed_jax.generate.sampling import penalized, with_tokens

# Added to what shall not be chosen; sums of log-probabilities stay far above.
NEVER = -1e9


class Plan(NamedTuple):
    """What makes another program."""

    beams: int
    steps: int
    """M; the answer's own limit may be lower."""
    early_stopping: bool | str
    penalizes: bool


class Hypotheses(NamedTuple):
    """Sequences of each row, the best first."""

    tokens: Array
    """int32 [B, W, M], NOTHING behind an end."""
    scores: Array
    """[B, W]."""


class Beams(NamedTuple):
    """What goes from step to step."""

    step: Array
    running: Hypotheses
    """Scores are sums of log-probabilities."""
    finished: Hypotheses
    """Scores are divided by the length penalty."""
    is_finished: Array
    """bool [B, W]."""
    improvable: Array
    """bool [B]: whether a running sequence may still beat the finished ones."""
    tail: Cache
    seen: Array | None
    """bool [B, W, V]."""


@partial(jax.jit, static_argnames=("decoder", "plan"))
def beam_search(
    decoder: CachedDecoder,
    parameters: Any,
    cache: Cache,
    rows: Rows,
    stop_ids: Array,
    limit: Array,
    length_penalty: Array,
    repetition_penalty: Array,
    plan: Plan,
) -> Array:
    """The best sequence of every row, int32 [B, M], NOTHING behind its end; a stop id is written out.

    Args:
        rows: rows with nothing remaining are padding.
        limit: most tokens of an answer.
    """
    first = _first_beams(cache, rows, plan, decoder.config.vocab_size)

    def unfinished(beams: Beams) -> Array:
        full_B = jnp.all(beams.is_finished, axis=1) & (plan.early_stopping is True)
        return (beams.step < limit) & jnp.any(beams.improvable & ~full_B)

    def extend(beams: Beams) -> Beams:
        last_BW = jax.lax.dynamic_index_in_dim(beams.running.tokens, beams.step - 1, axis=2, keepdims=False)
        tokens_BW = jnp.where(beams.step == 0, jnp.asarray(rows.tokens)[:, None], last_BW)
        logits_BWV, tail = decoder.decode(parameters, tokens_BW, cache, rows.lengths, beams.tail, beams.step)
        log_probabilities_BWV = jax.nn.log_softmax(logits_BWV, axis=-1)
        if beams.seen is not None:
            log_probabilities_BWV = penalized(log_probabilities_BWV, beams.seen, repetition_penalty)
        candidates, parents_BJ = _candidates(beams, log_probabilities_BWV, len(stop_ids))
        tokens_BJ = jax.lax.dynamic_index_in_dim(candidates.tokens, beams.step, axis=2, keepdims=False)
        ends_BJ = jnp.any(tokens_BJ[:, :, None] == stop_ids[None, None], axis=2) | (beams.step + 1 >= limit)
        running, chosen_BW = _best(
            Hypotheses(candidates.tokens, candidates.scores + jnp.where(ends_BJ, NEVER, 0.0)), plan.beams
        )
        finished, is_finished_BW = _finish(beams, candidates, ends_BJ, length_penalty, plan)
        parents_BW = jnp.take_along_axis(parents_BJ, chosen_BW, axis=1)
        seen_BWV = beams.seen
        if seen_BWV is not None:
            new_BW = jnp.take_along_axis(tokens_BJ, chosen_BW, axis=1)
            seen_BWV = _with_new_tokens(jnp.take_along_axis(seen_BWV, parents_BW[:, :, None], axis=1), new_BW)
        # What a running sequence would be worth if it ended here, or (early_stopping "never") at the longest.
        longest = limit if plan.early_stopping == "never" else beams.step + 1
        length = jnp.where(length_penalty > 0, longest, beams.step + 1).astype(jnp.float32)
        hoped_B1 = running.scores[:, :1] / length**length_penalty
        worst_B1 = jnp.min(finished.scores, axis=1, keepdims=True)
        better_B = jnp.any(hoped_B1 > jnp.where(is_finished_BW, worst_B1, NEVER), axis=1)
        return Beams(
            beams.step + 1,
            running,
            finished,
            is_finished_BW,
            beams.improvable & better_B,
            _of_parents(tail, parents_BW),
            seen_BWV,
        )

    return jax.lax.while_loop(unfinished, extend, first).finished.tokens[:, 0]


def _first_beams(cache: Cache, rows: Rows, plan: Plan, vocab_size: int) -> Beams:
    B, W = rows.tokens.shape[0], plan.beams
    nothing_BWM = jnp.full((B, W, plan.steps), NOTHING, jnp.int32)
    # Of equal beams only the first counts.
    scores_BW = jnp.broadcast_to(jnp.where(jnp.arange(W) == 0, 0.0, NEVER)[None], (B, W))
    seen_BWV = None
    if plan.penalizes:
        assert rows.history is not None
        seen_BV = with_tokens(jnp.zeros((B, vocab_size), bool), rows.history)
        seen_BWV = jnp.broadcast_to(seen_BV[:, None], (B, W, vocab_size))
    return Beams(
        step=jnp.zeros((), jnp.int32),
        running=Hypotheses(nothing_BWM, scores_BW),
        finished=Hypotheses(nothing_BWM, jnp.full((B, W), NEVER)),
        is_finished=jnp.zeros((B, W), bool),
        improvable=jnp.asarray(rows.remaining) > 0,
        tail=empty_tail(cache, W, plan.steps),
        seen=seen_BWV,
    )


def _candidates(beams: Beams, log_probabilities_BWV: Array, stops: int) -> tuple[Hypotheses, Array]:
    """The J best continuations of all beams of a row, and the beam [B, J] of each.

    J is so many that W do not end, even if all stop tokens of all beams are among them.
    """
    B, W, V = log_probabilities_BWV.shape
    totals_BWV = log_probabilities_BWV + beams.running.scores[:, :, None]
    scores_BJ, places_BJ = jax.lax.top_k(totals_BWV.reshape(B, W * V), min(max(2, 1 + stops) * W, W * V))
    parents_BJ = places_BJ // V
    tokens_BJM = jnp.take_along_axis(beams.running.tokens, parents_BJ[:, :, None], axis=1)
    new_BJ1 = (places_BJ % V).astype(jnp.int32)[:, :, None]
    tokens_BJM = jax.lax.dynamic_update_slice(tokens_BJM, new_BJ1, (0, 0, beams.step))
    return Hypotheses(tokens_BJM, scores_BJ), parents_BJ


def _finish(
    beams: Beams, candidates: Hypotheses, ends_BJ: Array, length_penalty: Array, plan: Plan
) -> tuple[Hypotheses, Array]:
    """The best of the finished sequences and of the candidates that just ended, and which of them are real."""
    J = ends_BJ.shape[1]
    # The candidates behind the first W are there to go on from.
    ended_BJ = ends_BJ & (jnp.arange(J) < plan.beams)[None]
    closed_B = ~beams.improvable
    if plan.early_stopping is True:
        closed_B |= jnp.all(beams.is_finished, axis=1)
    scores_BJ = candidates.scores / (beams.step + 1).astype(jnp.float32) ** length_penalty
    scores_BJ += jnp.where(ended_BJ, 0.0, NEVER) + jnp.where(closed_B, NEVER, 0.0)[:, None]
    both = Hypotheses(
        jnp.concatenate([beams.finished.tokens, candidates.tokens], axis=1),
        jnp.concatenate([beams.finished.scores, scores_BJ], axis=1),
    )
    best, chosen_BW = _best(both, plan.beams)
    return best, jnp.take_along_axis(jnp.concatenate([beams.is_finished, ended_BJ], axis=1), chosen_BW, axis=1)


def _best(hypotheses: Hypotheses, count: int) -> tuple[Hypotheses, Array]:
    """The best `count` of each row, and their places."""
    scores, chosen = jax.lax.top_k(hypotheses.scores, count)
    return Hypotheses(jnp.take_along_axis(hypotheses.tokens, chosen[:, :, None], axis=1), scores), chosen


def _of_parents(tail: Cache, parents_BW: Array) -> Cache:
    """Every beam with the tail of the beam that it continues."""
    places = parents_BW[:, None, :, None, None]
    return jax.tree.map(lambda a_BKWCH: jnp.take_along_axis(a_BKWCH, places, axis=2), tail)


def _with_new_tokens(seen_BWV: Array, tokens_BW: Array) -> Array:
    B, W, V = seen_BWV.shape
    return with_tokens(seen_BWV.reshape(B * W, V), tokens_BW.reshape(B * W, 1)).reshape(B, W, V)

"""How the next token is chosen: greedy, or drawn from what temperature, top-k and top-p leave.

Axes: B rows, V vocabulary.

Operations and their order are those of transformers: repetition penalty, temperature, top-k, top-p.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jmed_jax.errors import InputError

EXCLUDED = -jnp.inf


@dataclass(frozen=True)
class Sampling:
    """How answers are chosen; the default is greedy."""

    temperature: float = 0.0
    """0 is greedy; higher is more random."""
    top_k: int = 0
    """Draw from so many of the most probable tokens; 0 is from all."""
    top_p: float = 1.0
    """Draw from the most probable tokens that together have this probability (arXiv 1904.09751)."""
    beams: int = 1
    """Above 1: beam search."""
    length_penalty: float = 1.0
    """Beam search divides a sequence's log-probability by its length to this power: above 0 favours longer ones."""
    early_stopping: bool | Literal["never"] = False
    """When a beam search ends, in transformers' words: True, once there are as many finished sequences as beams; False,
    once no running one would be better at its present length; "never", once none can become better."""
    repetition_penalty: float = 1.0
    """Above 1, tokens of the prompt and the answer so far become less probable (arXiv 1909.05858 §4.1)."""
    seed: int = 0
    """The same seed and prompt give the same answer, whatever else is in the batch."""
    stop: tuple[str, ...] = ()
    """Texts before which an answer ends, beside the tokens that end it."""

    def __post_init__(self) -> None:
        _require(self.temperature >= 0, f"temperature must not be negative, not {self.temperature}.")
        _require(self.top_k >= 0, f"top_k must not be negative, not {self.top_k}.")
        _require(0 < self.top_p <= 1, f"top_p must be above 0 and at most 1, not {self.top_p}.")
        _require(self.beams >= 1, f"beams must be at least 1, not {self.beams}.")
        _require(self.repetition_penalty > 0, f"repetition_penalty must be positive, not {self.repetition_penalty}.")
        _require(all(self.stop), "a stop text is empty.")
        _require(
            self.temperature > 0 or (self.top_k == 0 and self.top_p == 1),
            "top_k and top_p choose what is drawn from, and greedy draws nothing: set a temperature.",
        )
        _require(
            self.beams == 1 or self.temperature == 0, "beam search draws nothing: leave out beams or the temperature."
        )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


GREEDY = Sampling()


class Choice(NamedTuple):
    """What of a `Sampling` makes another program; its other numbers are arguments of the program."""

    draws: bool
    top_k: int
    top_p: bool
    penalizes: bool

    @classmethod
    def of(cls, sampling: Sampling) -> "Choice":
        return cls(sampling.temperature > 0, sampling.top_k, sampling.top_p < 1, sampling.repetition_penalty != 1)


class Strengths(NamedTuple):
    """The numbers of a `Sampling`, float32 scalars."""

    temperature: np.float32
    top_p: np.float32
    repetition_penalty: np.float32

    @classmethod
    def of(cls, sampling: Sampling) -> "Strengths":
        return cls(*map(np.float32, (sampling.temperature, sampling.top_p, sampling.repetition_penalty)))


def row_seed(seed: int, prompt: Sequence[int]) -> int:
    """A seed of its own for every prompt: prompts of a batch shall not share their luck."""
    return zlib.crc32(np.array([seed, *prompt], np.int64).tobytes())


def choose_tokens(
    logits_BV: Array,
    seen_BV: Array | None,
    choice: Choice,
    strengths: Strengths,
    seeds_B: Array,
    written_B: Array,
) -> Array:
    """The next token of every row, int32 [B].

    Args:
        seen_BV: bool, tokens of the prompt and of the answer so far; None where nothing penalises them.
        seeds_B: `row_seed` of every row, uint32.
        written_B: how many tokens each answer has: every one is drawn with a key of its own.
    """
    if choice.penalizes:
        assert seen_BV is not None
        logits_BV = penalized(logits_BV, seen_BV, strengths.repetition_penalty)
    if not choice.draws:
        return jnp.argmax(logits_BV, axis=-1).astype(jnp.int32)
    kept_BV = filtered(logits_BV / strengths.temperature, choice.top_k, strengths.top_p if choice.top_p else None)

    def draw(logits_V: Array, seed: Array, written: Array) -> Array:
        return jax.random.categorical(jax.random.fold_in(jax.random.key(seed), written), logits_V)

    return jax.vmap(draw)(kept_BV, seeds_B, written_B).astype(jnp.int32)


def penalized(scores: Array, seen: Array, penalty: Array | np.float32) -> Array:
    """Scores (logits or log-probabilities) with those of seen tokens moved away from being chosen."""
    return jnp.where(seen, jnp.where(scores < 0, scores * penalty, scores / penalty), scores)


def filtered(logits_BV: Array, top_k: int, top_p: Array | np.float32 | None) -> Array:
    """Logits with all but the most probable tokens at −∞."""
    if 0 < top_k < logits_BV.shape[-1]:
        lowest_B1 = jax.lax.top_k(logits_BV, top_k)[0][:, -1:]
        logits_BV = jnp.where(logits_BV < lowest_B1, EXCLUDED, logits_BV)
    if top_p is None:
        return logits_BV
    sorted_BV = jnp.sort(logits_BV, axis=-1, descending=True)
    probabilities_BV = jax.nn.softmax(sorted_BV, axis=-1)
    # A token is kept as long as the more probable ones do not reach top_p yet: always the first.
    before_BV = jnp.cumsum(probabilities_BV, axis=-1) - probabilities_BV
    lowest_B1 = jnp.min(jnp.where(before_BV < top_p, sorted_BV, jnp.inf), axis=-1, keepdims=True)
    return jnp.where(logits_BV < lowest_B1, EXCLUDED, logits_BV)


def with_tokens(seen_BV: Array, tokens_BS: Array) -> Array:
    """`seen_BV` with more tokens in every row; ids from V on are none."""
    rows_B1 = jnp.arange(seen_BV.shape[0])[:, None]
    return seen_BV.at[rows_B1, tokens_BS].set(True, mode="drop")

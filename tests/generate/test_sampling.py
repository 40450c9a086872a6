"""What is drawn from, against transformers; seeds."""

import jax.numpy as jnp
import numpy as np
import pytest

from jmed_jax.errors import InputError
from jmed_jax.generate.sampling import Choice, Sampling, Strengths, choose_tokens, filtered, row_seed

LOGITS = np.random.default_rng(0).normal(size=(5, 40)).astype(np.float32) * 3


@pytest.mark.parametrize("top_k", [0, 1, 7, 40])
@pytest.mark.parametrize("top_p", [None, 0.05, 0.5, 0.95])
def test_what_is_left_is_what_transformers_leaves(top_k: int, top_p: float | None) -> None:
    torch = pytest.importorskip("torch")
    from transformers import TopKLogitsWarper, TopPLogitsWarper

    theirs = torch.tensor(LOGITS)
    if top_k:
        theirs = TopKLogitsWarper(top_k)(None, theirs)
    if top_p:
        theirs = TopPLogitsWarper(top_p)(None, theirs)
    ours = filtered(jnp.asarray(LOGITS), top_k, None if top_p is None else np.float32(top_p))
    np.testing.assert_array_equal(np.asarray(ours), theirs.numpy())


def draw(sampling: Sampling, count: int) -> np.ndarray:
    logits_BV = jnp.broadcast_to(jnp.asarray(LOGITS[:1]), (count, 40))
    seeds = np.array([row_seed(sampling.seed, [n]) for n in range(count)], np.uint32)
    zeros = jnp.zeros(count, jnp.int32)
    return np.asarray(choose_tokens(logits_BV, None, Choice.of(sampling), Strengths.of(sampling), seeds, zeros))


def test_tokens_are_drawn_with_their_probabilities() -> None:
    tokens = draw(Sampling(temperature=1.5), 20_000)
    expected = np.exp(LOGITS[0] / 1.5)
    np.testing.assert_allclose(np.bincount(tokens, minlength=40) / 20_000, expected / expected.sum(), atol=0.01)
    assert set(draw(Sampling(temperature=1.5, top_k=3), 500)) == set(np.argsort(LOGITS[0])[-3:])


def test_a_seed_decides_what_is_drawn() -> None:
    hot = Sampling(temperature=5.0)
    np.testing.assert_array_equal(draw(hot, 50), draw(hot, 50))
    assert (draw(hot, 50) != draw(Sampling(temperature=5.0, seed=1), 50)).sum() > 25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1.0}, "temperature must not be negative"),
        ({"top_p": 0.0, "temperature": 1.0}, "top_p must be above 0"),
        ({"top_k": 5}, "greedy draws nothing"),
        ({"beams": 2, "temperature": 1.0}, "beam search draws nothing"),
        ({"beams": 0}, "beams must be at least 1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty must be positive"),
        ({"stop": ("",)}, "stop text is empty"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Sampling(**options)

import jax
import numpy as np
import pytest
from flax import nnx

from jmed_jax.generate.engine import Generator
from jmed_jax.models.decoder import abstract_parameters, initialize_parameters
from tests.tiny import MODEL


@pytest.fixture(scope="module")
def parameters() -> dict:
    # Ten times the usual scale, so that greedy choices are far from ties.
    fresh = nnx.to_pure_dict(initialize_parameters(MODEL, seed=3))
    return jax.tree.map(lambda a: a * 10 if a.ndim > 1 else a, fresh)


def greedy_without_cache(parameters: dict, prompt: list[int], length: int) -> list[int]:
    graphdef, _ = abstract_parameters(MODEL)
    forward = jax.jit(lambda ids_BT: nnx.merge(graphdef, parameters)(ids_BT))
    ids = np.zeros((1, 96), np.int32)
    ids[0, : len(prompt)] = prompt
    for end in range(len(prompt), len(prompt) + length):
        # What stands after `end` is invisible to a causal model.
        ids[0, end] = forward(ids)[0, end - 1].argmax()
    return ids[0, len(prompt) : len(prompt) + length].tolist()


def test_cached_greedy_equals_recomputing_everything(parameters: dict) -> None:
    prompts = [[1, 5, 9, 13], [2], list(range(70))]
    answers = Generator(MODEL, parameters, eos_id=None).generate(prompts, max_new_tokens=12)
    assert answers == [greedy_without_cache(parameters, prompt, 12) for prompt in prompts]


def test_an_answer_does_not_depend_on_its_batch(parameters: dict) -> None:
    generator = Generator(MODEL, parameters, eos_id=None)
    prompts = [np.random.default_rng(i).integers(0, 96, 3 + 7 * i).tolist() for i in range(5)]
    together = generator.generate(prompts, max_new_tokens=10)
    assert together == [generator.generate([prompt], max_new_tokens=10)[0] for prompt in prompts]


def test_an_answer_ends_before_the_end_token(parameters: dict) -> None:
    full = Generator(MODEL, parameters, eos_id=None).generate([[1, 5, 9]], max_new_tokens=8)[0]
    end = full[4]
    ended = Generator(MODEL, parameters, eos_id=end).generate([[1, 5, 9]], max_new_tokens=8)[0]
    assert ended == full[: full.index(end)]


def test_an_empty_prompt_is_refused(parameters: dict) -> None:
    with pytest.raises(ValueError, match="begin_of_text"):
        Generator(MODEL, parameters, eos_id=None).generate([[]], max_new_tokens=2)

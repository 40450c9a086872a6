"""The same tokens and log-probabilities as transformers, on random models of both families."""

from typing import Any

import numpy as np
import pytest

from jmed_jax.config import ModelConfig
from jmed_jax.generate.engine import Generator
from jmed_jax.generate.sampling import GREEDY, Sampling
from tests.generate.models import ENDS, FAMILIES, parameters_of, random_prompts, torch_model

pytest.importorskip("torch")

LENGTHS = [1, 5, 17, 40]
NEW = 24


@pytest.fixture(params=FAMILIES, scope="module")
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return FAMILIES[request.param]


@pytest.fixture(scope="module")
def generator(config: ModelConfig) -> Generator:
    return Generator(config, parameters_of(config), ENDS)


def reference(config: ModelConfig, prompt: list[int], **options: Any) -> list[int]:
    import torch

    ids = torch.tensor([prompt])
    output = torch_model(config).generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW, **options
    )[0]
    answer = output[len(prompt) :].tolist()
    return answer[: next((place for place, token in enumerate(answer) if token in ENDS), len(answer))]


def compare(generator: Generator, sampling: Sampling, **options: Any) -> list[list[int]]:
    prompts = random_prompts(LENGTHS)
    ours = generator.generate(prompts, max_new_tokens=NEW, sampling=sampling)
    assert ours == [reference(generator.config, prompt, **options) for prompt in prompts]
    return ours


def test_greedy(generator: Generator) -> None:
    answers = compare(generator, GREEDY)
    # Some end early and others do not, or the test says little.
    assert {len(answer) == NEW for answer in answers} == {True, False}


@pytest.mark.parametrize("penalty", [1.3, 0.8])
def test_repetition_penalty(generator: Generator, penalty: float) -> None:
    penalized = compare(generator, Sampling(repetition_penalty=penalty), repetition_penalty=penalty)
    assert penalized != generator.generate(random_prompts(LENGTHS), max_new_tokens=NEW)


@pytest.mark.parametrize(
    ("beams", "length_penalty", "early_stopping"),
    [(2, 1.0, False), (2, 0.0, False), (4, 1.0, True), (4, 2.0, "never"), (4, -0.5, "never")],
)
def test_beam_search(generator: Generator, beams: int, length_penalty: float, early_stopping: Any) -> None:
    options = {"length_penalty": length_penalty, "early_stopping": early_stopping}
    compare(generator, Sampling(beams=beams, **options), num_beams=beams, **options)


def test_beam_search_with_repetition_penalty(generator: Generator) -> None:
    compare(generator, Sampling(beams=3, repetition_penalty=1.2), num_beams=3, repetition_penalty=1.2)


def test_log_probabilities(config: ModelConfig) -> None:
    import torch

    # As wide as trained ones are: float32 has seven digits, and the tolerance is absolute.
    generator = Generator(config, parameters_of(config, width=2.0))
    prompts, continuations = random_prompts([1, 4, 30, 3]), random_prompts([6, 3, 5, 100])
    # One that greedy decoding writes.
    prompts.append([1, 7, 9])
    continuations.append(generator.generate([prompts[-1]], max_new_tokens=5)[0])
    scores = generator.score(prompts, continuations)
    for prompt, continuation, score in zip(prompts, continuations, scores, strict=True):
        ids = torch.tensor([[*prompt, *continuation]])
        with torch.no_grad():
            logits = torch_model(config, width=2.0)(ids).logits[0, len(prompt) - 1 : -1]
        targets = torch.tensor(continuation)
        expected = logits.log_softmax(-1).gather(1, targets[:, None])[:, 0].numpy()
        np.testing.assert_allclose(score.log_probabilities, expected, atol=1e-4, rtol=0)
        assert score.log_probability == pytest.approx(expected.sum(), abs=1e-3)
        assert score.greedy == bool((logits.argmax(-1) == targets).all())
    assert [score.greedy for score in scores] == [False] * 4 + [True]

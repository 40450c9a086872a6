"""Our models behind the protocol, against the engine itself."""

from dataclasses import replace

import pytest

from jmed_jax.backends.protocol import Decoding, Scorer
from jmed_jax.errors import InputError
from jmed_jax.generate.sampling import Sampling
from jmed_jax.language_model import LanguageModel
from jmed_jax.language_model.backend import OurModel
from jmed_jax.tokenizer.tokenizer import Tokenizer
from tests import tiny

PROMPTS = ["発熱", "頭痛がある。", "咳"]


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> LanguageModel:
    """Random, with a tokenizer and chat tokens."""
    config = replace(tiny.MODEL, vocab_size=tokenizer.vocab_size, context_length=24)
    random = LanguageModel.random(config)
    return LanguageModel(config, random.parameters, tokenizer, "random")


def test_texts_and_conversations_are_answered_as_the_model_itself_does(model: LanguageModel) -> None:
    backend = OurModel(model)
    texts = backend.complete(PROMPTS, Decoding(6))
    assert [answer.text for answer in texts] == model.generate(PROMPTS, max_new_tokens=6)
    talks = [[{"role": "user", "content": prompt}] for prompt in PROMPTS]
    answers = backend.complete(talks, Decoding(6, beams=2))
    assert [answer.text for answer in answers] == model.chat(talks, max_new_tokens=6, sampling=Sampling(beams=2))
    assert backend.counts["requests"] == 6
    assert backend.counts["prompt_tokens"] == sum(answer.prompt_tokens or 0 for answer in [*texts, *answers])
    assert backend.restores_writing


def test_prompts_beyond_the_context_are_read_whole_and_marked(model: LanguageModel) -> None:
    short, long = OurModel(model).complete(["咳", "頭痛と発熱と咳と痰。" * 3], Decoding(6))
    assert (short.overlong, long.overlong) == (False, True)
    assert long.prompt_tokens is not None and long.prompt_tokens > 18


def test_likelihoods_are_the_engines(model: LanguageModel) -> None:
    backend = OurModel(model)
    assert isinstance(backend, Scorer)
    pairs = [("発熱", "がある。"), ([{"role": "user", "content": "咳"}], "A"), ("頭痛", "と咳")]
    found = dict(backend.loglikelihood(pairs))
    assert model.tokenizer is not None
    first, third = (model.tokenizer.document_ids(text)[:-1] for text in ("発熱", "頭痛"))
    prompts = [first, model.chat_prompt(pairs[1][0]), third]  # type: ignore[arg-type]
    continuations = [model.tokenizer.encode(text) for _, text in pairs]
    expected = model.generator.score(prompts, continuations)
    for index, score in enumerate(expected):
        assert found[index].log_probability == pytest.approx(score.log_probability)
        assert (found[index].tokens, found[index].is_greedy) == (len(continuations[index]), score.greedy)


def test_where_it_runs_is_known(model: LanguageModel) -> None:
    machine = OurModel(model).machine()
    assert machine.device == "cpu" and machine.peak_memory_bytes > 10_000_000


def test_a_model_without_a_tokenizer_reads_nothing() -> None:
    with pytest.raises(InputError, match="no tokenizer"):
        OurModel(LanguageModel.random(tiny.MODEL))

"""Batches, refill, ends, limits, compiled programs, sharding, and parameters that are not plain float32 kernels."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jmed_jax.config import LoraConfig, MeshConfig, ModelConfig
from jmed_jax.errors import InputError
from jmed_jax.generate import session
from jmed_jax.generate.decode import CHUNK
from jmed_jax.generate.engine import Answer, Generator
from jmed_jax.generate.sampling import Sampling
from jmed_jax.models.decoder import abstract_parameters
from jmed_jax.models.lora import attach, initialize_adapter
from jmed_jax.models.quantize import quantized
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.parallel.sharding import TENSOR_AXES, tree_shardings
from tests.generate.models import FAMILIES, QWEN2, parameters_of, random_prompts
from tests.tiny import MODEL

DRAWN = Sampling(temperature=0.8, top_k=20, top_p=0.9, seed=5)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return Generator(MODEL, parameters_of(MODEL), decode=lambda ids: "".join(chr(0x3041 + i) for i in ids))


def greedy_without_cache(config: ModelConfig, prompt: list[int], length: int) -> list[int]:
    graphdef, _ = abstract_parameters(config)
    forward = jax.jit(lambda parameters, ids_BT: nnx.merge(graphdef, parameters)(ids_BT))
    ids = np.zeros((1, 128), np.int32)
    ids[0, : len(prompt)] = prompt
    for end in range(len(prompt), len(prompt) + length):
        # What stands after `end` is invisible to a causal model.
        ids[0, end] = forward(parameters_of(config), ids)[0, end - 1].argmax()
    return ids[0, len(prompt) : len(prompt) + length].tolist()


@contextmanager
def counted_compilations() -> Iterator[list[str]]:
    """Programs that are compiled (or taken from the cache on disk) meanwhile."""
    seen: list[str] = []

    def listen(event: str, _seconds: float, **_: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)


# --- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_cached_greedy_equals_recomputing_everything(family: str) -> None:
    config = FAMILIES[family]
    prompts = [[1, 5, 9, 13], [2], list(range(70))]
    answers = Generator(config, parameters_of(config)).generate(prompts, max_new_tokens=20)
    assert answers == [greedy_without_cache(config, prompt, 20) for prompt in prompts]


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(repetition_penalty=1.2), DRAWN])
def test_an_answer_does_not_depend_on_its_batch(sampling: Sampling) -> None:
    # Few rows, so that most prompts come into the row of another whose answer has ended.
    ended = Generator(MODEL, parameters_of(MODEL), {3, 30, 50, 70}, max_rows=4)
    prompts = random_prompts([1, 2, 150, 3, 64, 65, 33, 7, 90, 20, 41, 5, 12, 130])
    together = ended.generate(prompts, max_new_tokens=40, sampling=sampling)
    assert together == [ended.generate([prompt], max_new_tokens=40, sampling=sampling)[0] for prompt in prompts]
    assert len({len(answer) for answer in together}) > 3


def test_a_row_is_refilled_while_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = random_prompts([9, 8, 7])
    full = Generator(MODEL, parameters_of(MODEL)).generate(prompts, max_new_tokens=3 * CHUNK)
    # Only the first answer ends, in the first chunk.
    stop = next(token for token in full[0][:CHUNK] if token not in full[1] + full[2])
    steps: list[list[int]] = []
    original = session.Session.step

    def recording(self: session.Session, count: int) -> Any:
        news = original(self, count)
        steps.append(sorted(request.index for request, _ in news))
        return news

    monkeypatch.setattr(session.Session, "step", recording)
    stopping = Generator(MODEL, parameters_of(MODEL), {stop}, max_rows=2)
    answers = stopping.generate(prompts, max_new_tokens=3 * CHUNK)
    assert answers == [full[0][: full[0].index(stop)], *full[1:]]
    assert steps == [[0, 1], [1, 2], [1, 2], [2]]


def test_long_and_short_prompts_have_batches_of_their_own(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jmed_jax.generate.engine.CACHE_TOKENS", 512)
    rows: list[int] = []
    original = session.Session.__init__

    def recording(self: session.Session, *args: Any) -> None:
        rows.append(args[-1])
        original(self, *args)

    monkeypatch.setattr(session.Session, "__init__", recording)
    prompts = random_prompts([300, *[20] * 9])
    answers = generator.generate(prompts, max_new_tokens=4)
    assert rows == [1, 8]
    monkeypatch.undo()
    assert answers == generator.generate(prompts, max_new_tokens=4)


def test_nothing_is_compiled_after_warming_up() -> None:
    # A configuration of its own: programs are shared among equal ones.
    fresh = Generator(replace(MODEL, norm_eps=2e-6), parameters_of(MODEL), {3, 30}, max_rows=4)
    with counted_compilations() as compiled:
        fresh.warm_up(longest=100)
    assert compiled
    with counted_compilations() as compiled:
        for seed, count in enumerate((1, 4, 3, 20)):
            lengths = np.random.default_rng(seed).integers(1, 80, count).tolist()
            fresh.generate(random_prompts(lengths), max_new_tokens=20)
        list(fresh.stream([1, 2], max_new_tokens=3))
    assert not compiled


# --- ends -------------------------------------------------------------------------------------------------------------


def test_an_answer_ends_before_the_stop_id(generator: Generator) -> None:
    full = generator.generate([[1, 5, 9]], max_new_tokens=20)[0]
    end = full[17]
    stopping = Generator(MODEL, parameters_of(MODEL), {end})
    (found,) = stopping.answers([[1, 5, 9]], max_new_tokens=20)
    assert found == (0, Answer(full[: full.index(end)], "stop"))


def test_an_answer_ends_with_the_token_that_completes_a_stop_text(generator: Generator) -> None:
    full = generator.generate([[1, 5, 9]], max_new_tokens=30)[0]
    text = "".join(chr(0x3041 + i) for i in full)
    sampling = Sampling(stop=("not in it", text[19:22]))
    (found,) = generator.answers([[1, 5, 9]], max_new_tokens=30, sampling=sampling)
    assert found == (0, Answer(full[: text.index(text[19:22]) + 3], "stop"))


def test_limits_end_an_answer() -> None:
    limited = Generator(MODEL, parameters_of(MODEL), context_length=32)
    answers = dict(limited.answers(random_prompts([10, 30]), max_new_tokens=5))
    assert [(len(answers[i].ids), answers[i].end) for i in (0, 1)] == [(5, "length"), (2, "context")]
    with pytest.raises(InputError, match="32 tokens leaves no room in a context of 32"):
        limited.generate(random_prompts([32]), max_new_tokens=1)
    beams = dict(limited.answers(random_prompts([10, 30]), max_new_tokens=5, sampling=Sampling(beams=2)))
    assert [(len(beams[i].ids), beams[i].end) for i in (0, 1)] == [(5, "length"), (2, "context")]


def test_tokens_are_streamed(generator: Generator) -> None:
    whole = generator.generate([[1, 5, 9]], max_new_tokens=9, sampling=DRAWN)[0]
    pieces = list(generator.stream([1, 5, 9], max_new_tokens=9, sampling=DRAWN))
    assert pieces == [[token] for token in whole]
    assert [len(p) for p in generator.stream([1, 5, 9], max_new_tokens=9, steps=4)] == [4, 4, 1]


def test_what_cannot_be_done_is_refused(generator: Generator) -> None:
    with pytest.raises(InputError, match="a prompt is empty"):
        generator.generate([[1], []], max_new_tokens=2)
    with pytest.raises(InputError, match="max_new_tokens"):
        generator.generate([[1]], max_new_tokens=0)
    with pytest.raises(InputError, match="streamed"):
        generator.stream([1], max_new_tokens=2, sampling=Sampling(beams=2))
    with pytest.raises(InputError, match="decode"):
        Generator(MODEL, parameters_of(MODEL)).generate([[1]], max_new_tokens=2, sampling=Sampling(stop=("x",)))
    assert generator.generate([], max_new_tokens=2) == []


# --- parameters -------------------------------------------------------------------------------------------------------


def test_bfloat16_weights_give_the_answers_of_the_bfloat16_model() -> None:
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), parameters_of(MODEL))
    prompt = [1, 5, 9]
    answer = Generator(MODEL, half, dtype=jnp.bfloat16).generate([prompt], max_new_tokens=6)[0]
    graphdef, _ = abstract_parameters(MODEL)
    logits = nnx.merge(graphdef, half)(jnp.array([[*prompt, *answer]]), dtype=jnp.bfloat16)[0, 2:-1]
    # The cache's sums are in another order: bfloat16 has three digits.
    chosen = np.take_along_axis(np.asarray(logits), np.array(answer)[:, None], 1)[:, 0]
    assert (chosen > logits.max(-1) - 0.05 * np.abs(logits).max(-1)).all()


@pytest.mark.parametrize("base", ["float32", "int8"])
def test_attached_and_quantized_parameters_work(base: Any) -> None:
    lora = LoraConfig(rank=4, base=base, targets=("q_proj", "down_proj"))
    parameters = parameters_of(QWEN2)
    adapter = initialize_adapter(QWEN2, lora, 0, parameters)
    adapter = jax.tree.map(lambda a: a + 0.1 * jnp.sin(jnp.arange(a.size, dtype=jnp.float32)).reshape(a.shape), adapter)
    frozen = {**parameters, "blocks": _quantized(parameters["blocks"]) if base == "int8" else parameters["blocks"]}
    tree = attach(frozen, adapter)
    prompts = random_prompts([5, 20])
    answers = Generator(QWEN2, tree, lora=lora).generate(prompts, max_new_tokens=10)
    graphdef, _ = abstract_parameters(QWEN2, lora)
    for prompt, answer in zip(prompts, answers, strict=True):
        logits = nnx.merge(graphdef, tree)(jnp.array([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
        assert logits.argmax(-1).tolist() == answer
    assert answers != Generator(QWEN2, parameters).generate(prompts, max_new_tokens=10)


def _quantized(blocks: dict[str, Any]) -> dict[str, Any]:
    return {
        key: quantized(value, "int8") if key == "kernel" else _quantized(value) if isinstance(value, dict) else value
        for key, value in blocks.items()
    }


def test_a_mesh_changes_no_answer(generator: Generator) -> None:
    mesh = make_mesh(MeshConfig(data=4, tensor=2), jax.devices()[:8])
    parameters = jax.device_put(parameters_of(MODEL), tree_shardings(parameters_of(MODEL), TENSOR_AXES, mesh))
    sharded = Generator(MODEL, parameters, mesh=mesh)
    prompts = random_prompts([3, 40, 7, 20, 11])
    assert sharded.generate(prompts, max_new_tokens=20) == generator.generate(prompts, max_new_tokens=20)
    cache = session.Session(sharded._model, [], Sampling(), 8)._cache
    # 8 rows over 4, 2 KV heads over 2.
    assert {shard.data.shape[:2] for shard in cache[0].k.addressable_shards} == {(2, 1)}
    beams = Sampling(beams=2)
    assert sharded.generate(prompts, max_new_tokens=9, sampling=beams) == generator.generate(
        prompts, max_new_tokens=9, sampling=beams
    )

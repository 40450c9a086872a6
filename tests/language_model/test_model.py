"""The Python API on a run that was really trained, and on what it exports."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import jmed_jax
from jmed_jax import LanguageModel
from jmed_jax.config import ExperimentConfig
from jmed_jax.data.pack import pack_conversations
from jmed_jax.errors import InputError
from jmed_jax.jsonl import write_jsonl
from jmed_jax.tokenizer.tokenizer import Tokenizer
from jmed_jax.train import loop
from tests import tiny

LENGTH = 48


def experiment(tokenizer: Tokenizer, rows: Path) -> ExperimentConfig:
    base = tiny.experiment(rows, steps=2, batch_size=1)
    return replace(base, model=replace(base.model, vocab_size=tokenizer.vocab_size, context_length=LENGTH))


@pytest.fixture(scope="module")
def run(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps on conversations, with checkpoints of steps 1 and 2."""
    path = tmp_path_factory.mktemp("run")
    talks = [[{"role": "user", "content": text[:12]}, {"role": "assistant", "content": "はい"}] for text in tiny.TEXTS]
    write_jsonl(path / "talks.jsonl", ({"messages": talk} for talk in talks))
    rows = pack_conversations(tokenizer.path, [path / "talks.jsonl"], path / "rows", row_length=LENGTH).path
    config = experiment(tokenizer, rows)
    config = replace(config, train=replace(config.train, checkpoint_every=1))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "make_mesh", tiny.one_device_mesh)
        loop.train(config, path / "run")
    return path / "run"


@pytest.fixture(scope="module")
def trained(run: Path) -> LanguageModel:
    return jmed_jax.load(run)


@pytest.fixture(scope="module")
def exported(trained: LanguageModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained.save_hf(tmp_path_factory.mktemp("exported") / "model")


def some_ids(model: LanguageModel) -> np.ndarray:
    return np.random.default_rng(0).integers(0, model.config.vocab_size, (2, 20))


def test_a_random_model_gives_float32_logits_of_its_seed() -> None:
    first, again, other = (LanguageModel.random(tiny.MODEL, seed=seed) for seed in (0, 0, 1))
    logits = first.logits(some_ids(first))
    assert (logits.shape, logits.dtype) == ((2, 20, tiny.VOCAB), np.float32)
    np.testing.assert_array_equal(logits, again.logits(some_ids(first)))
    assert not np.allclose(logits, other.logits(some_ids(first)))
    assert LanguageModel.random(tiny.experiment()).config == tiny.MODEL


@pytest.mark.parametrize("ids", [[1, 2, 3], [[[1]]], [[-1, 2]], [[1, tiny.VOCAB]]])
def test_ids_that_cannot_be_are_refused(ids: list) -> None:
    with pytest.raises(ValueError, match=r"token ids"):
        LanguageModel.random(tiny.MODEL).logits(ids)


def test_a_model_without_a_tokenizer_says_so() -> None:
    with pytest.raises(InputError, match="no tokenizer; use generate_ids or logits"):
        LanguageModel.random(tiny.MODEL).generate(["発熱"])


def test_a_run_generates_text_and_answers(trained: LanguageModel, tokenizer: Tokenizer) -> None:
    assert trained.tokenizer is not None and trained.tokenizer.fingerprint == tokenizer.fingerprint
    texts = trained.generate(["発熱", ""], max_new_tokens=5)
    answers = trained.chat([[{"role": "user", "content": "発熱"}]], max_new_tokens=5)
    assert len(texts) == 2 and len(answers) == 1
    # What generate gives is what the ids of the prompt give.
    (ids,) = trained.generate_ids([[tokenizer.bos_id, *tokenizer.encode("発熱")]], max_new_tokens=5)
    assert 0 < len(ids) <= 5
    assert texts[0] == tokenizer.decode(ids)


def test_generate_takes_a_list(trained: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"generate\(\[prompt\]\)"):
        trained.generate("発熱")


def test_chat_needs_the_chat_tokens(tokenizer: Tokenizer) -> None:
    base = LanguageModel.random(replace(tiny.MODEL, vocab_size=tokenizer.base_vocab_size))
    base.tokenizer = tokenizer
    with pytest.raises(InputError, match="not instruction-tuned, its vocabulary lacks the chat tokens"):
        base.chat([[{"role": "user", "content": "発熱"}]])


def test_a_run_holds_the_parameters_of_every_checkpoint(run: Path, trained: LanguageModel) -> None:
    newest, first = jmed_jax.load(run, step=2), jmed_jax.load(run, step=1)
    jax.tree.map(np.testing.assert_array_equal, newest.parameters, trained.parameters)
    assert (first.parameters["head"]["kernel"] != trained.parameters["head"]["kernel"]).any()
    with pytest.raises(InputError, match="no complete checkpoint of step 7"):
        jmed_jax.load(run, step=7)


def test_the_export_gives_the_run_s_logits_and_texts(trained: LanguageModel, exported: Path) -> None:
    loaded = jmed_jax.load(exported)
    ids_BT = some_ids(trained)
    np.testing.assert_allclose(loaded.logits(ids_BT), trained.logits(ids_BT), atol=1e-4, rtol=0)
    prompts = tiny.TEXTS[:2]
    assert loaded.generate(prompts, max_new_tokens=4) == trained.generate(prompts, max_new_tokens=4)


def test_transformers_gives_the_run_s_logits(trained: LanguageModel, exported: Path) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    ids_BT = some_ids(trained)
    with torch.no_grad():
        theirs = AutoModelForCausalLM.from_pretrained(exported)(torch.tensor(ids_BT)).logits.numpy()
    np.testing.assert_allclose(trained.logits(ids_BT), theirs, atol=1e-4, rtol=0)


def test_an_existing_export_is_kept(trained: LanguageModel, exported: Path) -> None:
    before = (exported / "manifest.json").read_bytes()
    with pytest.raises(InputError, match="model exists"):
        trained.save_hf(exported)
    assert (exported / "manifest.json").read_bytes() == before


def test_what_is_neither_run_nor_export_is_refused(tmp_path: Path, exported: Path) -> None:
    with pytest.raises(InputError, match="neither a run"):
        jmed_jax.load(tmp_path)
    with pytest.raises(InputError, match="not a run, so it has no checkpoint of step 1"):
        jmed_jax.load(exported, step=1)

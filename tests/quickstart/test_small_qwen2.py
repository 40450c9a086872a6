from pathlib import Path

import numpy as np
import pytest

import jmed_jax
from jmed_jax.quickstart.small_qwen2 import CONTEXT, HEAD_SIGMA, train_byte_bpe, write_random_qwen2
from jmed_jax.tokenizer.load import load_tokenizer

TEXTS = ["肺炎の治療には抗菌薬を用いる。", "糖尿病の患者 12 人を調べた。It's late.\n\n次の段落。"] * 20


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bpe") / "tokenizer"
    train_byte_bpe(TEXTS, path, vocab_size=300)
    return path


def test_the_tokenizer_reads_any_text_and_knows_chat_as_qwen2_does(tokenizer: Path) -> None:
    loaded = load_tokenizer(tokenizer)
    for text in (*TEXTS[:2], "未知の文字：𠮷 😷"):
        assert loaded.decode(loaded.encode(text)) == text
    # Digits one by one.
    assert len(loaded.encode("2026")) == 4
    assert loaded.bos_id is None
    messages = [{"role": "user", "content": "問い"}, {"role": "assistant", "content": "答え"}]
    ids, mask = loaded.encode_chat_with_mask(messages)
    assert loaded.decode(ids, skip_special=False) == (
        "<|im_start|>user\n問い<|im_end|>\n<|im_start|>assistant\n答え<|im_end|>\n"
    )
    learned = [index for index, target in zip(ids, mask, strict=True) if target]
    assert loaded.decode(learned, skip_special=False) == "答え<|im_end|>"


def test_the_same_texts_give_the_same_tokenizer(tokenizer: Path, tmp_path: Path) -> None:
    train_byte_bpe(TEXTS, tmp_path / "again", vocab_size=300)
    assert load_tokenizer(tmp_path / "again").fingerprint == load_tokenizer(tokenizer).fingerprint


def test_the_random_model_is_a_directory_that_loads(tokenizer: Path, tmp_path: Path) -> None:
    config = write_random_qwen2(tokenizer, tmp_path / "model")
    assert config.vocab_size == 512 and config.context_length == CONTEXT and not config.tie_embeddings
    model = jmed_jax.load(tmp_path / "model")
    assert model.config == config
    assert float(np.std(model.parameters["head"]["kernel"])) == pytest.approx(HEAD_SIGMA, rel=0.05)
    # Wide enough that a frozen head can say what it means.
    assert float(np.std(model.logits([[1, 2, 3]]))) == pytest.approx(HEAD_SIGMA * config.hidden_size**0.5, rel=0.2)

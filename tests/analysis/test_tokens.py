from pathlib import Path

import pytest

from jmed_jax.analysis.tokens import Writing, shown, text_tokens, token_labels, word_test, writing
from jmed_jax.tokenizer.pretrained import PretrainedTokenizer
from jmed_jax.tokenizer.tokenizer import Tokenizer
from tests.tokenizer.test_pretrained import write_tokenizer


@pytest.fixture(scope="module")
def bytes_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PretrainedTokenizer:
    """Of Qwen2's kind; its few merges leave most characters in pieces."""
    return PretrainedTokenizer.load(write_tokenizer(tmp_path_factory.mktemp("bytes") / "tokenizer"))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("胃癌", Writing.KANJI),
        ("佐々木", Writing.KANJI),
        ("がん", Writing.KANA),
        ("レボフロキサシン", Writing.KANA),
        ("ｶﾙﾃ", Writing.KANA),
        ("2型糖尿病", Writing.MIXED),
        ("食べる", Writing.MIXED),
        (" cancer", Writing.LATIN),
        ("β", Writing.LATIN),
        ("HbA1c", Writing.OTHER),
        ("38.5", Writing.OTHER),
        ("、", Writing.OTHER),
        ("рак", Writing.OTHER),
    ],
)
def test_writing(text: str, kind: Writing) -> None:
    assert writing(text) == kind


def test_only_text_is_shown_of_bytes(bytes_tokenizer: PretrainedTokenizer) -> None:
    ids = text_tokens(bytes_tokenizer, bytes_tokenizer.vocab_size)
    assert {"A", "、"} <= ids.keys()
    assert not {"<|im_end|>", "<tool_call>", "\n", " "} & ids.keys()
    assert all("\ufffd" not in text and text.strip() for text in ids)
    assert all(bytes_tokenizer.decode([index]) == text for text, index in ids.items())


def test_ids_of_another_model_are_left_out(tokenizer: Tokenizer) -> None:
    assert max(text_tokens(tokenizer, 300).values()) < 300


def test_parts_of_a_character_say_which(bytes_tokenizer: PretrainedTokenizer) -> None:
    ids = bytes_tokenizer.encode("鬱。癌A")
    labels = token_labels(bytes_tokenizer, [*ids, bytes_tokenizer.eos_id])
    assert len(labels) == len(ids) + 1
    assert labels[:3] == ["鬱₁", "鬱₂", "鬱₃"]
    assert labels[-2:] == ["A", "<|im_end|>"]
    assert "。" in labels


def test_half_a_character_at_the_end_hides_nothing(bytes_tokenizer: PretrainedTokenizer) -> None:
    assert token_labels(bytes_tokenizer, [*bytes_tokenizer.encode("A鬱")][:3]) == ["A", "\ufffd", "\ufffd"]


def test_words_are_told_from_pieces(tokenizer: Tokenizer, bytes_tokenizer: PretrainedTokenizer) -> None:
    is_word = word_test(tokenizer)
    assert [is_word(text) for text in ("診断", " 診断", "浸潤", "した。")] == [True, True, True, False]
    assert word_test(bytes_tokenizer)("した。")


def test_a_space_is_seen() -> None:
    assert (shown(" cancer"), shown("癌")) == ("␣cancer", "癌")


def test_qwen2_has_japanese_tokens(real_data: Path) -> None:
    tokenizer = PretrainedTokenizer.load(real_data / "qwen2_tokenizer")
    ids = text_tokens(tokenizer, tokenizer.vocab_size)
    kinds = [writing(text) for text in ids]
    assert kinds.count(Writing.KANJI) > 20_000
    assert kinds.count(Writing.KANA) > 1_000
    assert token_labels(tokenizer, tokenizer.encode("鱗屑の癌"))[-2:] == ["の", "癌"]

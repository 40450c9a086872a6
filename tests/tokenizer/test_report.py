"""The report measures several tokenizers on the same cleaned text and the same words."""

import json
from pathlib import Path

import pytest

from jmed_jax.config import TokenizerConfig
from jmed_jax.errors import InputError
from jmed_jax.tokenizer.morphology import Segmenter
from jmed_jax.tokenizer.plain import train_plain_unigram
from jmed_jax.tokenizer.report import (
    Encoder,
    measure_terms,
    measure_texts,
    our_encoder,
    plain_encoder,
    qwen_encoder,
    tokenizer_report,
    tokenizer_stats,
)
from jmed_jax.tokenizer.tokenizer import Tokenizer
from tests.tokenizer.conftest import TEXTS

# A tokenizer whose numbers can be told by hand: a token a character, "鱩" in three fragments, "？" unknown.
LETTERS = Encoder(
    "letters",
    vocab_size=9,
    encode=lambda text: [index for character in text for index in {"鱩": [1, 1, 1], "?": [2]}.get(character, [3])],
    is_fragment=lambda index: index == 1,
    is_unknown=lambda index: index == 2,
)


@pytest.fixture(scope="module")
def plain_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("plain") / "plain.model"
    train_plain_unigram(TEXTS * 20, TokenizerConfig(vocab_size=425), out)
    return out


def test_numbers_are_those_of_a_tokenizer_counted_by_hand() -> None:
    measured = measure_texts([LETTERS], ["発熱あり？", "鱩"])
    assert (measured["documents"], measured["characters"], measured["bytes"]) == (2, 6, 16)
    assert measured["words"] == len(Segmenter().words("発熱あり?")) + 1
    numbers = measured["tokenizers"]["letters"]
    assert numbers == {
        "tokens": 8,
        "characters_per_token": 6 / 8,
        "bytes_per_token": 16 / 8,
        "tokens_per_word": 8 / measured["words"],
        "fragment_share": 3 / 8,
        "unknown_share": 1 / 8,
        "distinct_tokens": 3,
    }


def test_our_numbers_are_those_of_the_tokenizers_own_statistics(tokenizer: Tokenizer) -> None:
    ours = measure_texts([our_encoder(tokenizer)], TEXTS)["tokenizers"]["jmed"]
    stats = tokenizer_stats(tokenizer, TEXTS)
    for name in ("tokens", "characters_per_token", "bytes_per_token", "distinct_tokens"):
        assert ours[name] == stats[name]
    assert ours["fragment_share"] == stats["byte_token_share"]


def test_a_plain_unigram_crosses_words_and_writes_every_text(tokenizer: Tokenizer, plain_model: Path) -> None:
    plain = plain_encoder(plain_model)
    assert plain.vocab_size == 425
    measured = measure_texts([our_encoder(tokenizer), plain], TEXTS)
    numbers = {name: values["tokens_per_word"] for name, values in measured["tokenizers"].items()}
    # On six sentences learned by heart, the one that is not held at words is ahead.
    assert numbers["plain Unigram"] < numbers["jmed"]
    fragments = [index for index in plain.encode("鱩") if plain.is_fragment(index)]
    assert len(fragments) == 3 and not any(map(plain.is_unknown, fragments))
    # It has no piece for a newline, but the byte is all of it.
    assert plain.encode("\n") and not any(map(plain.is_fragment, plain.encode("\n")))


def test_a_plain_unigram_needs_text_and_room(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no text to train a plain tokenizer on"):
        train_plain_unigram(["😀", "\n"], TokenizerConfig(vocab_size=400), tmp_path / "plain.model")
    with pytest.raises(InputError, match="does not suit 9,000 plain pieces: Vocabulary size too high"):
        train_plain_unigram(TEXTS, TokenizerConfig(vocab_size=9000), tmp_path / "plain.model")
    with pytest.raises(InputError, match="no sentencepiece model"):
        plain_encoder(tmp_path / "plain.model")


def test_a_vocabulary_without_room_for_every_character_leaves_rare_ones_out(tmp_path: Path) -> None:
    # The six sentences need more than 420 pieces for all of their characters.
    train_plain_unigram([*TEXTS * 20, "瘭疽"], TokenizerConfig(vocab_size=418), tmp_path / "plain.model")
    plain = plain_encoder(tmp_path / "plain.model")
    assert plain.vocab_size == 418
    assert all(map(plain.is_fragment, plain.encode("瘭疽"))) and not any(map(plain.is_fragment, plain.encode("認めた")))


def test_terms_are_counted_by_kind_listed_and_in_text(tokenizer: Tokenizer, dictionary: Path) -> None:
    measured = measure_terms(
        [our_encoder(tokenizer), LETTERS], dictionary, [*TEXTS, "脳梗塞後遺症あり。 脳梗塞後遺症。"]
    )
    assert {kind: entry["terms"] for kind, entry in measured["listed"].items()} == {"disease": 4, "drug": 6}
    assert measured["listed"]["drug"]["tokenizers"]["letters"]["tokens_per_term"] == pytest.approx(
        (
            len("リバーロキサバン")
            + len("架空マブ")
            + len("カクウビ")
            + len("架空塩酸塩水和物")
            + len("架空")
            + len("カクウジン")
        )
        / 6
    )
    # 脳梗塞後遺症 three times, 高血圧症, 2型糖尿病, 急性心筋梗塞 once.
    assert measured["in_text"]["disease"]["terms"] == 6
    assert measured["in_text"]["disease"]["tokenizers"]["letters"]["tokens_per_term"] == pytest.approx(
        (6 * 3 + 4 + 5 + 6) / 6
    )
    assert measured["in_text"]["disease"]["tokenizers"]["letters"]["one_token"] == 0
    ours = [len(tokenizer.encode(term)) == 1 for term in ("脳梗塞後遺症", "高血圧症", "2型糖尿病", "急性心筋梗塞")]
    assert measured["listed"]["disease"]["tokenizers"]["jmed"]["one_token"] == sum(ours) / 4


def test_the_whole_report_is_one_json_object(tokenizer: Tokenizer, dictionary: Path) -> None:
    report = tokenizer_report([our_encoder(tokenizer), LETTERS], iter(TEXTS[:2]), iter(TEXTS[2:]), dictionary)
    assert json.loads(json.dumps(report)) == report
    assert report["tokenizers"] == {"jmed": {"vocab_size": 403}, "letters": {"vocab_size": 9}}
    assert (report["general"]["documents"], report["medical"]["documents"]) == (2, 4)
    assert tokenizer_report([LETTERS], TEXTS, TEXTS, None)["terms"] is None
    with pytest.raises(InputError, match="no text to measure"):
        tokenizer_report([LETTERS], ["😀"], TEXTS, None)


def test_qwens_tokenizer_is_that_of_transformers(real_data: Path) -> None:
    from transformers import AutoTokenizer

    qwen = qwen_encoder(real_data / "qwen2_tokenizer")
    reference = AutoTokenizer.from_pretrained(real_data / "qwen2_tokenizer")
    for text in (*TEXTS, "鱩の塩焼き", "  two  spaces\n\nand lines 12345"):
        assert list(qwen.encode(text)) == reference(text)["input_ids"]
    # A rare kanji is spelled in parts of it.
    assert all(qwen.is_fragment(index) for index in qwen.encode("鱩"))
    assert not any(qwen.is_fragment(index) for index in qwen.encode("the patient"))


def test_a_directory_that_is_not_qwens_names_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text("{}")
    with pytest.raises(InputError, match=r"no merges\.txt here"):
        qwen_encoder(tmp_path)
    (tmp_path / "vocab.json").write_text("no json")
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n")
    with pytest.raises(InputError, match="are no tokenizer of Qwen2"):
        qwen_encoder(tmp_path)


def test_stats_count_what_they_say(tokenizer: Tokenizer) -> None:
    stats = tokenizer_stats(tokenizer, ["発熱あり。", "😀鱩"])
    assert stats["documents"] == 2
    assert stats["characters"] == 6
    assert stats["tokens"] == len(tokenizer.encode("発熱あり。")) + 3
    tokens = [tokenizer.core.tokens[index] for index in tokenizer.encode("発熱あり。") + tokenizer.encode("鱩")]
    assert stats["byte_token_share"] == sum(token.startswith("<0x") for token in tokens) / stats["tokens"]
    assert stats["tokens_per_word"] == stats["tokens"] / stats["words"]
    with pytest.raises(InputError, match="no text to measure"):
        tokenizer_stats(tokenizer, ["😀"])

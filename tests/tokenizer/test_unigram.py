"""The Unigram model keeps to word boundaries and says when the text is too small."""

from pathlib import Path

import pytest
import sentencepiece

from jmed_jax.config import TokenizerConfig
from jmed_jax.errors import InputError
from jmed_jax.tokenizer.tokenizer import Tokenizer
from jmed_jax.tokenizer.unigram import _write_words, train_unigram

NAMES = ["発熱", "頭痛", "腹痛", "咳嗽", "倦怠感", "pain", "painful", "浮腫", "呼吸困難", "胸部不快感"]
NAMES += ["高血圧症", "糖尿病", "心筋梗塞", "脳梗塞", "肺炎", "気管支喘息"]
WORDS = {
    name + end: 10 + len(name) for name in NAMES for end in ("", "時", "あり", "なし", "のため", "を認める", "です")
}
WORDS |= {" " + name: 5 for name in NAMES}


def test_special_pieces_have_fixed_ids(tokenizer: Tokenizer) -> None:
    model = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer.path / "tokenizer.model"))
    assert [model.id_to_piece(index) for index in range(5)] == [
        "<unk>",
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "\n",
        "<0x00>",
    ]
    assert model.vocab_size() == 400


def test_too_large_a_vocabulary_names_the_largest_possible(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"too small for 5,000 pieces: \d+ is the largest possible") as caught:
        train_unigram(WORDS, TokenizerConfig(vocab_size=5000), tmp_path / "a.model")
    largest = int(str(caught.value).split("pieces: ")[1].split(" ")[0])
    train_unigram(WORDS, TokenizerConfig(vocab_size=largest), tmp_path / "b.model")
    assert capfd.readouterr().err == "", "sentencepiece stays silent"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.model"]


def test_no_words_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty after cleaning"):
        train_unigram({}, TokenizerConfig(vocab_size=400), tmp_path / "a.model")


def test_more_characters_than_pieces_are_spelled_in_bytes(tmp_path: Path) -> None:
    words = {chr(0x4E00 + index): 5 for index in range(1000)} | WORDS
    train_unigram(words, TokenizerConfig(vocab_size=320), tmp_path / "a.model")
    model = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "a.model"))
    assert model.vocab_size() == 320
    assert model.decode(model.encode(chr(0x4E00 + 999))) == chr(0x4E00 + 999)


def test_counts_are_scaled_to_the_limit_and_rare_words_stay(tmp_path: Path) -> None:
    _write_words({"a": 900_000, "b": 100_000, "c": 1}, 1000, tmp_path / "words.tsv")
    assert (tmp_path / "words.tsv").read_text(encoding="utf-8") == "a\t900\nb\t100\nc\t1\n"


def test_training_twice_gives_the_same_model(tmp_path: Path) -> None:
    for name, words in (("a", WORDS), ("b", dict(reversed(WORDS.items())))):
        (tmp_path / name).mkdir()
        train_unigram(words, TokenizerConfig(vocab_size=310), tmp_path / name / "x.model")
    models = [sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / name / "x.model")) for name in "ab"]
    pieces = [[(m.id_to_piece(i), m.get_score(i)) for i in range(m.vocab_size())] for m in models]
    assert pieces[0] == pieces[1]

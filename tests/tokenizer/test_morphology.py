"""Words join to the text again, whatever the text."""

import pickle
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from jmed_jax.tokenizer.morphology import LONGEST_LINE, Segmenter

SEGMENTER = Segmenter()


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])) | st.text("患者は発熱 \n\t\0　Ða1。"))
def test_words_join_to_the_text(text: str) -> None:
    assert "".join(SEGMENTER.words(text)) == text


def test_space_stands_before_its_word_and_newline_alone() -> None:
    words = SEGMENTER.words("発熱 あり\n\n咳 ")
    assert words == ["発熱", " あり", "\n", "\n", "咳", " "]


def test_a_very_long_line_is_cut_after_a_sentence() -> None:
    sentence = "患者は発熱した。"
    text = sentence * (3 * LONGEST_LINE // len(sentence))
    words = SEGMENTER.words(text)
    assert "".join(words) == text
    assert set(words) == set(SEGMENTER.words(sentence))


def test_an_endless_word_survives() -> None:
    for text in ("a" * 70_000, " " * 70_000, "ア" * 70_000):
        assert "".join(SEGMENTER.words(text)) == text


def test_a_copy_in_another_process_segments_alike(dictionary: Path) -> None:
    segmenter = Segmenter(dictionary / "user.dic")
    text = "脳梗塞後遺症に対し治療中。"
    words = segmenter.words(text)
    assert pickle.loads(pickle.dumps(segmenter)).words(text) == words


def test_a_dictionary_path_with_comma_and_space_opens(dictionary: Path, tmp_path: Path) -> None:
    path = tmp_path / "a, b" / "user.dic"
    path.parent.mkdir()
    path.write_bytes((dictionary / "user.dic").read_bytes())
    assert Segmenter(path).words("脳梗塞後遺症")[0] == "脳梗塞後遺症"

"""The chart draws every tokenizer on both texts, labelled, and the same bytes each time."""

from pathlib import Path
from typing import Any

from jmed_jax.page.tokenizer_chart import draw_tokenizer_report


def numbers(characters: float, words: float) -> dict[str, float]:
    return {"characters_per_token": characters, "tokens_per_word": words}


def report(terms: bool) -> dict[str, Any]:
    shares = {"disease": {"terms": 1234, "tokenizers": {"a": {"one_token": 0.125}, "b": {"one_token": 0.0}}}}
    texts = {"tokenizers": {"a": numbers(1.5, 1.25), "b": numbers(2.5, 0.75)}}
    return {
        "tokenizers": {"a": {"vocab_size": 8192}, "b": {"vocab_size": 151_646}},
        "general": texts,
        "medical": texts,
        "terms": {"listed": shares, "in_text": {}} if terms else None,
    }


def words_of(path: Path) -> str:
    # Letters are drawn as shapes; each text stands in a comment before its shapes.
    return path.read_text(encoding="utf-8")


def test_every_bar_has_its_number_and_every_tokenizer_its_name(tmp_path: Path) -> None:
    draw_tokenizer_report(report(terms=True), [tmp_path / "a.svg", tmp_path / "a.png"])
    svg = words_of(tmp_path / "a.svg")
    for text in ("a (8,192 ids)", "b (151,646 ids)", "general text", "medical text", "1.50", "0.75", "12.5", "disease"):
        assert f"<!-- {text} -->" in svg, text
    assert "% of terms" in svg
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_without_terms_only_the_texts_are_drawn(tmp_path: Path) -> None:
    draw_tokenizer_report(report(terms=False), [tmp_path / "a.svg"])
    assert "% of terms" not in words_of(tmp_path / "a.svg")


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        draw_tokenizer_report(report(terms=True), [tmp_path / f"{name}.svg", tmp_path / f"{name}.png"])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()

"""`jmed analyze` end to end, on the workshop's model."""

from pathlib import Path

import pytest

from jmed_jax.page import fonts
from tests.cli.conftest import Ask, Refuse, Workshop


def test_embeddings_are_drawn(ask: Ask, workshop: Workshop, tmp_path: Path) -> None:
    given = ("--model", workshop["run"], "--rows", workshop["rows"], "--dictionary", workshop["dictionary"])
    result = ask("analyze", "embeddings", *given, "--limit", "60", "--out", tmp_path / "map")
    assert result["tokens"] == 60
    assert result["files"][0] == "index.html"
    assert {path.name for path in (tmp_path / "map").iterdir()} == {*result["files"], "manifest.json"}
    assert "other medical term" in (tmp_path / "map" / "index.html").read_text(encoding="utf-8")


def test_without_a_japanese_font_the_page_stands_and_a_line_says_what_to_install(
    ask: Ask, workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fonts, "_candidates", list)
    said: list[str] = []
    monkeypatch.setattr("jmed_jax.cli.analyze_embeddings.say", said.append)
    result = ask("analyze", "embeddings", "--model", workshop["run"], "--limit", "50", "--out", tmp_path / "map")
    assert result["files"] == ["index.html"]
    assert any("fonts-noto-cjk" in line for line in said)


def test_attention_of_a_row_and_of_a_text(ask: Ask, workshop: Workshop, tmp_path: Path) -> None:
    given = ("analyze", "attention", "--model", workshop["run"])
    row = ask(*given, "--rows", workshop["rows"], "--row", "1", "--heads", "1,2", "--out", tmp_path / "row")
    assert row["mask"] == "causal"
    assert row["largest_difference"] < 1e-5
    (tmp_path / "text.txt").write_text("発熱と咳嗽。\n心電図に異常なし。\n", encoding="utf-8")
    text = ask(*given, "--text", tmp_path / "text.txt", "--mask", "document", "--out", tmp_path / "text")
    assert (text["documents"], text["even"]) == (2, 0.0)
    assert [layer["earlier"] for layer in text["layers"]] == [0.0]
    assert {path.name for path in (tmp_path / "text").iterdir()} == {"index.html", "attention.png", "manifest.json"}


def test_losses_of_runs(ask: Ask, workshop: Workshop, tmp_path: Path) -> None:
    result = ask("analyze", "loss", workshop["run"], workshop["run"], "--out", tmp_path / "loss.html")
    assert result["out"] == str(tmp_path / "loss.html")
    assert set(result["runs"]) == {workshop["run"]}


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("embeddings --model RUN --method pca --out OUT", "'pca' is none of tsne, umap"),
        ("embeddings --model RUN --writing runes --out OUT", "'runes' is none of kanji"),
        ("embeddings --model RUN --rows RUN --out OUT", "manifest.json"),
        ("attention --model RUN --rows ROWS --row 99999 --out OUT", "no row 99999"),
        ("attention --model RUN --rows ROWS --layers 0 --out OUT", "not whole numbers from 1"),
        ("attention --model RUN --rows ROWS --layers 9 --out OUT", "layer 9: this model has layers 1 to 1"),
        ("attention --model RUN --out OUT", "--rows --text"),
        ("loss nowhere --out OUT.html", "no run.json here"),
        ("loss RUN --out OUT.pdf", "name a file that ends in"),
    ],
)
def test_bad_input(command: str, message: str, refuse: Refuse, workshop: Workshop, tmp_path: Path) -> None:
    places = {"RUN": workshop["run"], "ROWS": workshop["rows"], "OUT": str(tmp_path / "out")}
    words = [places.get(word, word.replace("OUT", places["OUT"])) for word in command.split()]
    assert message in refuse("analyze", *words)
    assert list(tmp_path.iterdir()) == []

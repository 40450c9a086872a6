"""`jmed corpus report`."""

import json
from pathlib import Path

import pytest

from jmed_jax.artifact import create
from jmed_jax.cli import main
from tests.cli.conftest import Ask, Refuse
from tests.page.corpus_reports import small_report


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus"
    with create(path, "corpus", {"evaluation_sets": ["exam.jsonl"], "synthetic_cap": 1.0}) as draft:
        (draft.path / "documents-00000.jsonl.zst").write_bytes(b"")
        (draft.path / "report.json").write_text(json.dumps(small_report()), encoding="utf-8")
    return path


def files(path: Path) -> list[str]:
    return sorted(str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())


def test_the_page_stands_beside_the_corpus(ask: Ask, corpus: Path, tmp_path: Path) -> None:
    before = files(corpus)
    result = ask("corpus", "report", corpus)
    assert result["out"] == str(tmp_path / "corpus-report.html")
    assert "Corpus report: invented" in (tmp_path / "corpus-report.html").read_text(encoding="utf-8")
    assert files(corpus) == before


def test_the_corpus_is_where_we_stand(ask: Ask, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(corpus)
    assert ask("corpus", "report", ".")["out"] == str(tmp_path / "corpus-report.html")


def test_totals(ask: Ask, corpus: Path) -> None:
    result = ask("corpus", "report", corpus)
    assert result["read"]["documents"] == 14
    assert result["kept"] == {"documents": 10, "characters": 150}
    assert list(result["dropped"]) == ["too_short", "contaminated", "near_duplicate"]
    assert result["dropped"]["too_short"] == {"documents": 2, "characters": 12}
    assert (result["sources"], result["problems"]) == (2, 40)
    assert result["findings"][0] == {"text": "Input was lost in web: not UTF-8, 40 ×.", "serious": True}


def test_a_short_table(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["corpus", "report", str(corpus)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["web", "10", "6", "60", "%", "90", "73", "%"] in lines
    assert ["all", "sources", "14", "10", "71", "%", "150", "80", "%"] in lines
    assert ["too_short", "2", "14", "%"] in lines
    assert ["!", "Input", "was", "lost", "in", "web:", "not", "UTF-8,", "40", "×."] in lines
    assert lines[-1] == [f"{corpus}-report.html"]


def test_a_page_that_exists_is_replaced_only_when_asked(ask: Ask, refuse: Refuse, corpus: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("mine")
    assert "page.html exists." in refuse("corpus", "report", corpus, "--out", page)
    assert page.read_text() == "mine"
    ask("corpus", "report", corpus, "--out", page, "--overwrite")
    assert page.read_text(encoding="utf-8") != "mine"


@pytest.mark.parametrize("name", ["page.html", "deeper/page.html", "report.json"])
def test_nothing_is_written_into_the_corpus(name: str, refuse: Refuse, corpus: Path) -> None:
    before = files(corpus)
    line = refuse("corpus", "report", corpus, "--out", corpus / name, "--overwrite")
    assert "within the corpus, whose manifest lists all its files" in line
    assert files(corpus) == before


def test_what_is_no_corpus(refuse: Refuse, tmp_path: Path) -> None:
    assert "nowhere: no manifest.json here" in refuse("corpus", "report", tmp_path / "nowhere")
    with create(tmp_path / "old", "corpus", {}):
        pass
    assert "old: no report.json in this corpus" in refuse("corpus", "report", tmp_path / "old")
    assert not (tmp_path / "old-report.html").exists()

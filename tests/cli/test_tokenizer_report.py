"""`jmed tokenizer report`: a table, report.json and a chart of several tokenizers."""

import json
from pathlib import Path

import pytest

from jmed_jax.artifact import open_artifact
from jmed_jax.cli import main
from tests.cli.conftest import Ask, Refuse, Workshop


@pytest.fixture
def held_out(tmp_path: Path) -> tuple[str | Path, ...]:
    (tmp_path / "general.txt").write_text("今日は良い天気なので、公園へ散歩に出かけた。\n", encoding="utf-8")
    rows = [{"body": "主訴は発熱。血圧150/90mmHg、体温38.5℃。"}, {"body": "既往に高血圧症あり。"}]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (tmp_path / "medical.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "general.jsonl").write_text('{"body": "今日は良い天気。"}\n', encoding="utf-8")
    return "--general", tmp_path / "general.jsonl", "--medical", tmp_path / "medical.jsonl", "--text-field", "body"


def test_a_report_compares_and_draws(
    ask: Ask, workshop: Workshop, held_out: tuple[str | Path, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("tokenizer", "report", "--tokenizer", workshop["tokenizer"], *held_out)
    terms = ("--terms", workshop["dictionary"])
    report = ask(*command, *terms, "--train-plain", workshop["corpus"], "--out", tmp_path / "report")
    assert report["tokenizers"] == {"jmed": {"vocab_size": 1003}, "plain Unigram": {"vocab_size": 1000}}
    assert (report["general"]["documents"], report["medical"]["documents"]) == (1, 2)
    assert report["terms"]["listed"].keys() == {"term"}
    written = open_artifact(tmp_path / "report", "tokenizer_report")
    assert set(written.files) == {"report.json", "report.svg", "report.png", "plain.model"}
    assert json.loads((tmp_path / "report/report.json").read_text(encoding="utf-8"))["medical"] == report["medical"]
    assert (tmp_path / "report/report.png").read_bytes().startswith(b"\x89PNG")

    again = [*command, "--plain", tmp_path / "report", "--out", tmp_path / "again"]
    assert main([str(part) for part in again]) == 0
    printed = capsys.readouterr().out
    assert "medical: 2 documents" in printed and "plain Unigram" in printed and "one token" not in printed
    repeated = json.loads((tmp_path / "again/report.json").read_text(encoding="utf-8"))
    assert repeated["general"] == report["general"] and repeated["terms"] is None
    svg = (tmp_path / "again/report.svg").read_text(encoding="utf-8")
    assert "Characters a token" in svg or "<path" in svg


def test_what_is_missing_is_one_line(
    refuse: Refuse, workshop: Workshop, held_out: tuple[str | Path, ...], tmp_path: Path
) -> None:
    command = ("tokenizer", "report", "--tokenizer", workshop["tokenizer"], *held_out, "--out", tmp_path / "report")
    assert "no vocab.json and no merges.txt here" in refuse(*command, "--qwen", tmp_path)
    assert "no sentencepiece model" in refuse(*command, "--plain", tmp_path)
    assert "not allowed with argument" in refuse(*command, "--plain", tmp_path, "--train-plain", tmp_path)
    assert not (tmp_path / "report").exists()

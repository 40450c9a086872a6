import json
import re
from pathlib import Path

import pytest

from jmed_jax.cli import main
from jmed_jax.evaluate.exams.registry import question_sets
from jmed_jax.instruct.dialogues import LAYOUTS
from jmed_jax.jsonl import read_jsonl
from tests.cli.conftest import Ask, Refuse

ROW = {"id": "q1", "question": "Which?", "options": {"A": "x", "B": "y"}, "answer_idx": "B"}


def write(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_instructions_are_packed(ask: Ask, workshop: object, tmp_path: Path) -> None:
    source, out = write(tmp_path / "train.jsonl", ROW, ROW | {"id": "q2"}), tmp_path / "out.jsonl"
    command = ("data", "instructions", "--source", f"medqa={source}", "--license", "medqa=CC0", "--language", "en")
    result = ask(*command, "--style", "letters", "--longest", "en=2048", "ja=1024", "--out", out)
    assert (result["conversations"], result["sources"], result["left_out"]) == (2, {"medqa": 2}, {})
    assert next(read_jsonl(out))[1]["messages"][-1]["content"] == "B"
    pack = ("pack", "--mode", "fit", "--tokenizer", workshop["tokenizer"], "--row-length", "512")  # type: ignore[index]
    rows = ask(*pack, "--conversations", out, "--overlong", "truncate", "--out", tmp_path / "rows")
    assert rows["counts"]["documents"] == 2


def test_an_estimate_asks_nobody(ask: Ask, tmp_path: Path) -> None:
    source = write(tmp_path / "train.jsonl", ROW)
    command = ("data", "translate", source, "--set", "medqa", "--to", "ja", "--out", tmp_path / "ja.jsonl")
    result = ask(*command, "--estimate", "--price", "1", "2")
    assert result["items"] == 1 and result["cost"] > 0
    assert not (tmp_path / "ja.jsonl").exists()


def test_bad_input(refuse: Refuse, tmp_path: Path) -> None:
    source, out = write(tmp_path / "train.jsonl", ROW), tmp_path / "out.jsonl"
    command = ("data", "instructions", "--out", out, "--source")
    assert "'medqa' is not NAME=VALUE" in refuse(*command, "medqa")
    assert "no such file" in refuse(*command, f"medqa={tmp_path}/absent.jsonl")
    assert "no --source of that name" in refuse(*command, f"medqa={source}", "--license", "mmlu=MIT")
    assert "is not ja=CHARACTERS" in refuse(*command, f"medqa={source}", "--longest", "fr=1")
    assert "nothing is left" in refuse(*command, f"medqa={source}", "--language", "ja")
    translate = ("data", "translate", source, "--to", "ja", "--out", out)
    assert 'no "language" field' in refuse(*translate)
    assert "no model" in refuse(*translate, "--set", "medqa")
    assert not out.exists()


def test_the_help_names_every_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "instructions", "--help"]) == 0
    words = set(re.findall(r"\w+", capsys.readouterr().out))
    assert {*question_sets(), *LAYOUTS} <= words

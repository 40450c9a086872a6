"""`jmed corpus clean` as a filter."""

import gzip
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.cli.arguments import Parser
from jmed_jax.cli.clean import add_clean
from jmed_jax.corpus.personal_data import KINDS
from jmed_jax.errors import InputError

TEXT = "ＣＲＰ　ｱﾚﾙｷﾞｰ\n\n患者ID：００１２３４　℡０３－１２３４－５６７８\n"


def run(*arguments: str | Path) -> dict[str, Any]:
    parser = Parser(prog="jmed corpus")
    add_clean(parser.add_subparsers())
    args = parser.parse_args(["clean", *map(str, arguments)])
    return args.handler(args)


@pytest.mark.parametrize("name", ["notes.txt", "notes.txt.gz"])
def test_a_file_is_cleaned_line_by_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(TEXT.encode()) if path.suffix == ".gz" else TEXT.encode())
    assert run(path) == {"lines": 3, "personal_data": {"telephone": 1}}
    assert capsys.readouterr().out == "CRP アレルギー\n\n患者ID:001234 TEL\n"


def test_standard_input_is_cleaned(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(TEXT))
    assert run("--personal-data", "patient_id,postal_code")["personal_data"] == {"telephone": 1, "patient_id": 1}
    assert capsys.readouterr().out == "CRP アレルギー\n\n TEL\n"


def test_explain_shows_what_each_step_did(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("３８．５°Ｃ ID:12345！！！！\n発熱\n"))
    run("--explain", "--personal-data", "patient_id")
    assert capsys.readouterr().out.splitlines() == [
        "３８．５°Ｃ ID:12345！！！！",
        "  1 full-width period and comma: ３８.５°Ｃ ID:12345！！！！",
        "  2 NFKC: 38.5°C ID:12345!!!!",
        "  4 three dots and ℃ restored: 38.5℃ ID:12345!!!!",
        "  9 repetition squeezed: 38.5℃ ID:12345!!!",
        "  personal data removed (patient_id): 38.5℃ !!!",
        "発熱",
    ]


def test_an_unknown_kind_is_refused_before_anything_is_read() -> None:
    with pytest.raises(InputError, match=r'no kind of personal data "shoe_size"\. There are: postal_code, '):
        run("--personal-data", "postal_code,shoe_size")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\n" * 3000 + b"\xff\n", r"notes\.txt:3001: not UTF-8 \(invalid start byte\)"),
        (b"a\n" + gzip.compress(b"a\n" * 3000, mtime=0)[:30], r"notes\.txt:2: not UTF-8"),
    ],
)
def test_a_bad_line_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        run(tmp_path / "notes.txt")


def test_a_truncated_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt.gz"
    path.write_bytes(gzip.compress(TEXT.encode() * 10)[:-20])
    with pytest.raises(InputError, match=r"notes\.txt\.gz:\d+: broken compression"):
        run(path)


def test_the_help_lists_every_kind(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("--help")
    assert ", ".join(KINDS) in " ".join(capsys.readouterr().out.split())

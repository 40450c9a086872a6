import os
from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.jsonl import field, open_text, read_jsonl, read_lines, write_jsonl

ROWS = [{"id": "1", "text": "発熱\u2028と\n咳嗽"}, {"id": "2", "text": ""}]
SUFFIXES = ["", ".gz", ".zst"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_written_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.jsonl{suffix}"
    assert write_jsonl(path, ROWS) == 2
    assert list(read_jsonl(path)) == [(1, ROWS[0]), (2, ROWS[1])]


def test_japanese_is_written_readably(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", ROWS)
    assert "発熱" in (tmp_path / "rows.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compression_is_the_one_of_the_name(tmp_path: Path, suffix: str) -> None:
    write_jsonl(tmp_path / f"rows.jsonl{suffix}", ROWS)
    magic = {".gz": b"\x1f\x8b", ".zst": b"\x28\xb5\x2f\xfd"}[suffix]
    assert (tmp_path / f"rows.jsonl{suffix}").read_bytes().startswith(magic)


def test_empty_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\n{"a": 1}\r\n  \n{"a": 2}')
    assert list(read_jsonl(path)) == [(2, {"a": 1}), (4, {"a": 2})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a": ', r"rows\.jsonl:2: not JSON"),
        (b'{"a": 1}\n[1]\n', r"rows\.jsonl:2: expected a JSON object, found list"),
        (b'{"a": 1}\n{"a": "\x80"}\n', r"rows\.jsonl: not UTF-8 after line"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read_jsonl(path))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_without_the_compression_of_its_name_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.jsonl{suffix}"
    path.write_bytes(b"plain text\n")
    with pytest.raises(InputError, match=rf"rows\.jsonl\{suffix}: broken after line 0"):
        list(read_lines(path))


@pytest.mark.parametrize(
    "suffix",
    [".gz", ".zst"],
)
def test_a_truncated_compressed_file_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.jsonl{suffix}"
    write_jsonl(path, ({"id": str(number**5)} for number in range(3000)))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match=rf"rows\.jsonl\{suffix}: broken after line"):
        list(read_lines(path))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_file_is_named(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(InputError, match=r"nowhere\.jsonl.*: No such file"):
        open_text(tmp_path / f"nowhere.jsonl{suffix}")


def test_a_field_is_there_and_of_its_type() -> None:
    row = {"text": "a", "n": 1}
    assert field(row, "text", str, Path("x.jsonl"), 3) == "a"
    with pytest.raises(InputError, match=r'x\.jsonl:3: no "body" field \(found: text, n\)'):
        field(row, "body", str, Path("x.jsonl"), 3)
    with pytest.raises(InputError, match=r'x\.jsonl:3: "n" is int, expected str'):
        field(row, "n", str, Path("x.jsonl"), 3)

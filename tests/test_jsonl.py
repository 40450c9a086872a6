import gzip
import json
import os
import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from jmed_jax import jsonl
from jmed_jax.errors import InputError
from jmed_jax.jsonl import (
    field,
    open_bytes,
    open_text,
    parse_json,
    read_json,
    read_jsonl,
    read_lines,
    salvage_jsonl,
    salvage_lines,
    write_jsonl,
)

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


def test_half_an_emoji_is_read_as_what_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(r'{"\ud83d": ["a\uD83D", "\ud83d\ude00", "\ud55c"]}', encoding="utf-8")
    assert read_json(path) == {"\ufffd": ["a\ufffd", "😀", "한"]}
    rows = [row for _, row in read_jsonl(path)]
    write_jsonl(tmp_path / "copy.jsonl", rows)
    assert list(read_jsonl(tmp_path / "copy.jsonl")) == [(1, rows[0])]


@pytest.mark.parametrize("content", [b'"\xed\xa0\xbd"', b"1" + b"0" * 5000, b"[" * 100_000])
def test_what_only_looks_like_json_is_none(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(content)


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


@pytest.mark.parametrize("checksum", [True, False])
def test_a_zst_of_many_blocks_and_frames_is_read_whole(tmp_path: Path, checksum: bool) -> None:
    noise, zeros = random.Random(0).randbytes(300_000), bytes(700_000)
    compressor = zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=False)
    skippable = b"\x5a\x2a\x4d\x18\x03\0\0\0abc"
    frames = [compressor.compress(noise), skippable, compressor.compress(b""), compressor.compress(zeros + b"end")]
    (tmp_path / "a.zst").write_bytes(b"".join(frames))
    with open_bytes(tmp_path / "a.zst") as stream:
        assert stream.read() == noise + zeros + b"end"


# --- what is broken ---------------------------------------------------------------------------------------------------


class Faults(list[tuple[str, int]]):
    def __call__(self, kind: str, number: int) -> None:
        self.append((kind, number))


def test_a_bad_line_does_not_cost_the_good_ones(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [
        b'\xef\xbb\xbf{"a": 1}\r',
        b'{"a": "\xe3\x81"}',
        b'{"a": ',
        b"",
        b"[1]",
        b'{"a\0": "x"}',
        b"[" * 100_000,
        b'{"a": NaN, "b": "\\ud83d\\ude00\\udc00", "\\ud800": ["\\udfff"]}',
        b'{"a": 2}',
    ]
    path.write_bytes(b"\n".join(lines))
    faults = Faults()
    rows = list(salvage_jsonl(path, faults))
    assert [number for number, _ in rows] == [1, 6, 8, 9]
    assert rows[1][1] == {"a": "x"}
    assert {**rows[2][1], "a": None} == {"a": None, "b": "😀\ufffd", "\ufffd": ["\ufffd"]}
    json.dumps(rows[2][1], ensure_ascii=False).encode()
    assert faults == [
        ("not UTF-8", 2),
        ("not JSON", 3),
        ("not a JSON object", 5),
        ("NUL bytes", 6),
        ("not JSON", 7),
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_line_is_taken_up_to_the_limit(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "LONGEST_LINE", 8)
    monkeypatch.setattr(jsonl, "SKIPPED_AT_ONCE", 3)
    path = tmp_path / f"a.txt{suffix}"
    with open_text(path, "w") as stream:
        stream.write("12345678\n123456789\n" + "x" * 100 + "\n1\n" + "y" * 9)
    faults = Faults()
    assert list(salvage_lines(path, faults)) == [(1, b"12345678"), (4, b"1")]
    assert faults == [("line too long", 2), ("line too long", 3), ("line too long", 5)]


@pytest.mark.parametrize(("suffix", "megabytes"), [(".gz", 80), (".zst", 500)])
def test_half_a_gigabyte_in_one_line_passes_in_bounded_memory(tmp_path: Path, suffix: str, megabytes: int) -> None:
    path = tmp_path / f"a.txt{suffix}"
    compress = zstandard.compress if suffix == ".zst" else gzip.compress
    # 500 MB are one frame of 50 kB: a decompressor may give away too much at once.
    path.write_bytes(
        b"".join([compress("前\n".encode()), compress(bytes(megabytes << 20)), compress("\n後\n".encode())])
    )
    faults = Faults()
    tracemalloc.start()
    lines = [line.decode() for _, line in salvage_lines(path, faults)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (lines, faults) == (["前", "後"], [("line too long", 2)])
    assert peak < 3 * jsonl.LONGEST_LINE


def numbered(count: int) -> Iterator[dict[str, str]]:
    return ({"id": str(number), "text": random.Random(number).randbytes(200).hex()} for number in range(count))


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_rows_before_the_break_are_used(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.jsonl{suffix}"
    write_jsonl(path, numbered(4000))
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(whole[:half])
    faults = Faults()
    rows = [row for _, row in salvage_jsonl(path, faults)]
    assert 1500 < len(rows) < 2500
    assert rows == list(numbered(len(rows)))
    assert faults == [("broken compression", len(rows))]

    path.write_bytes(whole[:half] + whole[half + 1000 :])
    faults = Faults()
    assert [row for _, row in salvage_jsonl(path, faults)][: len(rows) - 500] == rows[:-500]
    assert faults[-1][0] == "broken compression"


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_that_is_not_compressed_is_one_fault(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows.jsonl{suffix}"
    path.write_bytes(b"plain text\n")
    faults = Faults()
    assert list(salvage_lines(path, faults)) == []
    assert faults == [("broken compression", 0)]


def test_a_field_is_there_and_of_its_type() -> None:
    row = {"text": "a", "n": 1}
    assert field(row, "text", str, Path("x.jsonl"), 3) == "a"
    with pytest.raises(InputError, match=r'x\.jsonl:3: no "body" field \(found: text, n\)'):
        field(row, "body", str, Path("x.jsonl"), 3)
    with pytest.raises(InputError, match=r'x\.jsonl:3: "n" is int, expected str'):
        field(row, "n", str, Path("x.jsonl"), 3)

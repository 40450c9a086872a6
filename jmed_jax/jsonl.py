"""Reading and writing JSON Lines, plain, gzip or zstd, with errors that name file and line.

`read_*` stop at the first fault; `salvage_*` report it, go on with the next line and hold one line in memory at most.
"""

import codecs
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import orjson
import zstandard

from jmed_jax.errors import InputError

LONGEST_LINE = 64 << 20
"""Bytes of the longest line that `salvage_lines` takes: a long book is 5 MB."""
SKIPPED_AT_ONCE = 1 << 20
NUL_BYTES = "NUL bytes"
"""The one kind of fault with which the line is read all the same."""
SURROGATES = re.compile("[\ud800-\udfff]")
BROKEN_COMPRESSION = (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError)

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
"""How the names of JSON Lines files end."""

Report = Callable[[str, int], None]
"""Is told of every fault: its kind, a short phrase, and the number of the line or record, from 1."""


def open_text(path: Path, mode: str = "r") -> IO[str]:
    """Open UTF-8 text for "r" or "w"; `.gz` and `.zst` are (de)compressed on the way.

    Raises:
        InputError: the file is missing or cannot be opened.
    """
    assert mode in ("r", "w")
    if mode == "r":
        return io.TextIOWrapper(open_bytes(path), encoding="utf-8", newline="\n")
    try:
        if path.suffix == ".gz":
            return cast(IO[str], gzip.open(path, "wt", encoding="utf-8", newline="\n"))
        if path.suffix == ".zst":
            return cast(IO[str], zstandard.open(path, "wt", encoding="utf-8", newline="\n"))
        return path.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}.") from error


def open_bytes(path: Path) -> io.BufferedReader:
    """Open a file for reading; `.gz` and `.zst` are decompressed on the way.

    Raises:
        InputError: the file is missing or cannot be opened.
    """
    try:
        if path.suffix == ".gz":
            # Around it, because `GzipFile.readline` itself is Python and slow.
            return io.BufferedReader(cast(io.RawIOBase, gzip.open(path, "rb")))
        if path.suffix == ".zst":
            return io.BufferedReader(_ZstdReader(path), _ZstdReader.BLOCK)
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}.") from error


class _ZstdReader(io.RawIOBase):
    """Decompressed bytes of a file, block by block, so that memory is bounded whatever the blocks hold.

    A file that ends inside a frame is an error; `zstandard.open` just stops there.
    """

    BLOCK = 1 << 17
    """Largest block of a frame (RFC 8878 §3.1.1)."""

    def __init__(self, path: Path) -> None:
        self.stream = path.open("rb", buffering=self.BLOCK)
        self.blocks = self._blocks()
        self.plain = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.plain:
            try:
                self.plain = memoryview(next(self.blocks))
            except StopIteration:
                return 0
        count = min(len(buffer), len(self.plain))
        buffer[:count], self.plain = self.plain[:count], self.plain[count:]
        return count

    def _blocks(self) -> Iterator[bytes]:
        """The blocks of all frames, decompressed."""
        while magic := self.stream.read(4):
            if len(magic) == 4 and magic[1:] == b"\x2a\x4d\x18" and magic[0] >> 4 == 5:
                # A skippable frame: its size, and something that is not for us.
                self.stream.seek(int.from_bytes(self._exactly(4), "little"), io.SEEK_CUR)
            else:
                yield from self._frame(magic + self._exactly(1))

    def _frame(self, start: bytes) -> Iterator[bytes]:
        header = start + self._exactly(zstandard.frame_header_size(start) - len(start))
        checksum = 4 if zstandard.get_frame_parameters(header).has_checksum else 0
        frame = zstandard.ZstdDecompressor().decompressobj()
        frame.decompress(header)
        last = 0
        while not last:
            start = self._exactly(3)
            bits = int.from_bytes(start, "little")
            last, repeated = bits & 1, bits >> 1 & 3 == 1
            yield frame.decompress(start + self._exactly((1 if repeated else bits >> 3) + checksum * last))

    def _exactly(self, count: int) -> bytes:
        data = self.stream.read(count)
        if len(data) < count:
            raise EOFError("the file ends inside a zstd frame")
        return data

    def close(self) -> None:
        self.stream.close()
        super().close()


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of a text file.

    Raises:
        InputError: the file is missing, truncated, not UTF-8, or not in the compression its name claims.
    """
    number = 0
    with open_text(path) as stream:
        try:
            for number, line in enumerate(stream, start=1):
                yield number, line.rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 after line {number} ({error.reason}). Convert it first.") from error
        except BROKEN_COMPRESSION as error:
            raise InputError(f"{path}: broken after line {number} ({error}). Fetch or write it again.") from error


def parse_json(text: str | bytes) -> Any:
    """`json.loads`, for which brackets nested too deeply are no JSON either.

    Lone surrogates, which JSON can spell and UTF-8 cannot (half an emoji that a program cut), become U+FFFD: what is
    read can be written.

    Raises:
        ValueError: it is none.
    """
    text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return without_surrogates(value) if r"\ud" in text or r"\uD" in text else value


def read_json(path: Path) -> Any:
    """The one JSON value of a file.

    Raises:
        InputError: the file is missing, or holds none.
    """
    try:
        return parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}).") from error


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSON Lines file; empty lines are skipped.

    Raises:
        InputError: as `read_lines`, or a line is not a JSON object.
    """
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            row = parse_json(line)
        except ValueError as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else error
            raise InputError(f"{path}:{number}: not JSON ({reason}). Expected one object a line.") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}:{number}: expected a JSON object, found {type(row).__name__}.")
        yield number, row


def salvage_lines(path: Path, report: Report) -> Iterator[tuple[int, bytes]]:
    """Yield (line number, line without its end) of what can be read of a text file, in bounded memory.

    NUL bytes are removed, a line of more than `LONGEST_LINE` bytes is skipped, and what stands behind a break in the
    compression is lost; `report` hears of each. A byte order mark goes silently.

    Raises:
        InputError: the file is missing or cannot be opened.
    """
    number = 0
    with open_bytes(path) as stream:
        try:
            while line := stream.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                    report("line too long", number)
                    while line and not line.endswith(b"\n"):
                        line = stream.readline(SKIPPED_AT_ONCE)
                    continue
                if b"\0" in line:
                    report(NUL_BYTES, number)
                    line = line.replace(b"\0", b"")
                yield number, (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).rstrip(b"\r\n")
        except BROKEN_COMPRESSION:
            report("broken compression", number)


def salvage_jsonl(path: Path, report: Report) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of what can be read of a JSON Lines file; empty lines are skipped.

    Faults of `salvage_lines`, and lines that are not UTF-8, not JSON or no object, go to `report`. Lone surrogates,
    which JSON can spell and UTF-8 cannot, become U+FFFD.

    Raises:
        InputError: the file is missing or cannot be opened.
    """
    for number, line in salvage_lines(path, report):
        if not line.strip():
            continue
        try:
            row = _parse(line)
        except UnicodeDecodeError:
            report("not UTF-8", number)
        except ValueError:
            report("not JSON", number)
        else:
            if isinstance(row, dict):
                yield number, row
            else:
                report("not a JSON object", number)


def _parse(line: bytes) -> Any:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        # It refuses lone surrogates and NaN, which other writers let through.
        return parse_json(line.decode())


def without_surrogates(value: Any) -> Any:
    """The same JSON value with U+FFFD for every lone surrogate, in keys too, so that it can be written as UTF-8."""
    if isinstance(value, str):
        return SURROGATES.sub("\ufffd", value)
    if isinstance(value, list):
        return [without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {without_surrogates(key): without_surrogates(item) for key, item in value.items()}
    return value


def field(row: dict[str, Any], name: str, kind: type, path: Path, number: int) -> Any:
    """Return `row[name]`, checked to be a `kind`.

    Raises:
        InputError: the field is missing or of another type; names file, line and the fields found.
    """
    if name not in row:
        raise InputError(f'{path}:{number}: no "{name}" field (found: {", ".join(row)}).')
    if not isinstance(row[name], kind):
        raise InputError(f'{path}:{number}: "{name}" is {type(row[name]).__name__}, expected {kind.__name__}.')
    return row[name]


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write one object a line in readable UTF-8 and return how many there were.

    For a whole file inside an artefact under construction; a loose file goes through `artifact.replacing`.
    """
    count = 0
    with open_text(path, "w") as stream:
        for row in rows:
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def sidecar(path: Path, role: str) -> Path:
    """The file beside JSON Lines that plays a role: `a.ja.jsonl.gz`, "manifest.json" → `a.ja.manifest.json`."""
    ending = next((ending for ending in SUFFIXES if path.name.endswith(ending)), path.suffix)
    return path.with_name(f"{path.name.removesuffix(ending)}.{role}")

"""Reading and writing JSON Lines, plain, gzip or zstd, with errors that name file and line."""

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import zstandard

from jmed_jax.errors import InputError


def open_text(path: Path, mode: str = "r") -> IO[str]:
    """Open UTF-8 text for "r" or "w"; `.gz` and `.zst` are (de)compressed on the way.

    Raises:
        InputError: the file is missing or cannot be opened.
    """
    assert mode in ("r", "w")
    try:
        if path.suffix == ".gz":
            return cast(IO[str], gzip.open(path, mode + "t", encoding="utf-8", newline="\n"))
        if path.suffix == ".zst":
            if mode == "r":
                return io.TextIOWrapper(io.BufferedReader(_ZstdReader(path)), encoding="utf-8", newline="\n")
            return cast(IO[str], zstandard.open(path, "wt", encoding="utf-8", newline="\n"))
        return path.open(mode, encoding="utf-8", newline="\n")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}.") from error


class _ZstdReader(io.RawIOBase):
    """Decompressed bytes of a file; one that ends inside a frame is an error (`zstandard.open` just stops there)."""

    CHUNK = 1 << 18

    def __init__(self, path: Path) -> None:
        self.stream = path.open("rb")
        self.frame: Any = None
        self.compressed = self.plain = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.plain:
            self.compressed = self.compressed or self.stream.read(self.CHUNK)
            if not self.compressed:
                if self.frame is not None:
                    raise EOFError("the file ends inside a zstd frame")
                return 0
            self.frame = self.frame or zstandard.ZstdDecompressor().decompressobj()
            self.plain = self.frame.decompress(self.compressed)
            # A file may hold several frames, one after the other.
            self.compressed = self.frame.unused_data if self.frame.eof else b""
            self.frame = None if self.frame.eof else self.frame
        count = min(len(buffer), len(self.plain))
        buffer[:count], self.plain = self.plain[:count], self.plain[count:]
        return count

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
        except (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError) as error:
            raise InputError(f"{path}: broken after line {number} ({error}). Fetch or write it again.") from error


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSON Lines file; empty lines are skipped.

    Raises:
        InputError: as `read_lines`, or a line is not a JSON object.
    """
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}:{number}: not JSON ({error.msg}). Expected one object a line.") from error
        if not isinstance(row, dict):
            raise InputError(f"{path}:{number}: expected a JSON object, found {type(row).__name__}.")
        yield number, row


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

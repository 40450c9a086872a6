"""Common Crawl's archives: text out of the pages of WARC files, and WET files, where that is done already.

warcio reads the records; finding them is done here, because a record that is broken must not take the rest of a
gigabyte with it: the next one begins with its own gzip member, or in a plain file with a line `WARC/1.0`.
"""

import functools
import io
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from jmed_jax.corpus.config import SourceConfig
from jmed_jax.corpus.sources.html import decode_page, extract_text
from jmed_jax.corpus.sources.row import Row
from jmed_jax.errors import InputError
from jmed_jax.jsonl import BROKEN_COMPRESSION, Report, open_bytes

if TYPE_CHECKING:
    from warcio.recordloader import ArcWarcRecord

BROKEN = "broken WARC record"
LONGEST_RECORD = 16 << 20
"""Bytes of the longest page that is taken; Common Crawl itself cuts them at 5 MiB, at 1 MiB before 2025."""
LONGEST_HEADER = 1 << 16
CHUNK = 1 << 14
GZIP_MAGIC = b"\x1f\x8b\x08"
HTML_TYPES = ("text/html", "application/xhtml+xml")
CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.ASCII | re.IGNORECASE)


def read_warc_rows(path: Path, source: SourceConfig, report: Report) -> Iterator[Row]:
    """The texts of responses (status 2xx, HTML or plain text) and of WET's conversions; other records say nothing.

    Raises:
        InputError: the file cannot be opened, or warcio or trafilatura is not installed.
    """
    del source
    _check_installed(path)
    number = 0
    for stream in _streams(path):
        told = -1
        for record in _records(stream):
            number += 1
            row, fault = _row(record, number) if record is not None else (None, BROKEN)
            if fault:
                report(fault, number)
                told = number
            elif row is not None:
                yield row
        if cast(_Stream, stream.raw).broken and told != number:
            number += 1
            report(BROKEN, number)


def _check_installed(path: Path) -> None:
    try:
        import trafilatura  # noqa: F401
        import warcio  # noqa: F401
    except ImportError as error:
        raise InputError(f"{path}: reading WARC needs {error.name}. Install jmed_jax[corpus].") from error


# --- a record ---------------------------------------------------------------------------------------------------------


def _row(record: "ArcWarcRecord", number: int) -> tuple[Row | None, str]:
    """The record's text, None if it has none to give, and what is wrong with it, "" if nothing is."""
    kind, charset = _media_type(record)
    if kind not in (*HTML_TYPES, "text/plain"):
        return None, ""
    payload = record.content_stream().read(LONGEST_RECORD + 1)
    _finish(record)
    if record.raw_stream.limit:
        return None, BROKEN
    if len(payload) > LONGEST_RECORD:
        return None, "record too long"
    origin = record.rec_headers.get_header("WARC-Target-URI") or ""
    page = decode_page(payload, charset)
    title, text = extract_text(page) if kind in HTML_TYPES else ("", page)
    return Row(number, text, title=title, origin=origin), ""


def _media_type(record: "ArcWarcRecord") -> tuple[str, str]:
    """Media type and charset, "" where the record holds no page or does not say."""
    if record.rec_type == "conversion":
        value = record.content_type
    elif record.rec_type == "response" and record.http_headers and record.http_headers.get_statuscode()[:1] == "2":
        value = record.http_headers.get_header("Content-Type")
        value = value or record.rec_headers.get_header("WARC-Identified-Payload-Type")
    else:
        value = ""
    kind, _, parameters = (value or "").partition(";")
    charset = CHARSET.search(parameters)
    return kind.strip().lower(), charset[1] if charset else ""


# --- finding records --------------------------------------------------------------------------------------------------


def _records(stream: io.BufferedReader) -> Iterator["ArcWarcRecord | None"]:
    """The records of a stream; None for something that is none."""
    from warcio.exceptions import ArchiveLoadFailed
    from warcio.limitreader import LimitReader
    from warcio.recordloader import ArcWarcRecordLoader
    from warcio.statusandheaders import StatusAndHeadersParserException

    loader = ArcWarcRecordLoader(verify_http=False, arc2warc=False)
    broken = False
    while True:
        start, skipped = _next_start(stream)
        if skipped and not broken:
            yield None
        if not start:
            return
        try:
            record = loader.parse_record_stream(stream, start, "warc")
            broken = not isinstance(record.raw_stream, LimitReader)
        # The last two: a response that names no URI, a record that names no length.
        except (ArchiveLoadFailed, StatusAndHeadersParserException, EOFError, AttributeError, io.UnsupportedOperation):
            broken = True
        if broken:
            yield None
        else:
            yield record
            _finish(record)


def _next_start(stream: io.BufferedReader) -> tuple[bytes, bool]:
    """The first line of the next record, b"" at the end, and whether anything but empty lines stood before it."""
    skipped = False
    while (line := stream.readline()) and not line.startswith(b"WARC/"):
        skipped = skipped or bool(line.strip())
    return line, skipped


def _finish(record: "ArcWarcRecord") -> None:
    while record.raw_stream.read(CHUNK):
        pass


# --- streams that end where they break --------------------------------------------------------------------------------


class _Stream(io.RawIOBase):
    """The bytes that `more` gives until it gives none; `broken` if the compression does not hold until the end."""

    def __init__(self, more: Callable[[], bytes]) -> None:
        self.more = more
        self.chunk = b""
        self.broken = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self.chunk and not self.broken:
            try:
                self.chunk = self.more()
            except BROKEN_COMPRESSION:
                self.broken = True
        count = min(len(buffer), len(self.chunk))
        buffer[:count], self.chunk = self.chunk[:count], self.chunk[count:]
        return count


class _Lines(io.BufferedReader):
    """With an end to its lines, whoever asks for one."""

    def readline(self, size: int | None = -1) -> bytes:
        return super().readline(LONGEST_HEADER if size is None or size < 0 else min(size, LONGEST_HEADER))


class _Member:
    """A member of a gzip file, decompressed piece by piece."""

    def __init__(self, file: BinaryIO, start: bytes) -> None:
        self.file = file
        self.compressed = start
        self.decompressor = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        self.pieces = 0

    def more(self) -> bytes:
        plain = b""
        while not plain and not self.decompressor.eof:
            self.compressed = self.compressed if self.pieces == 0 else self.file.read(CHUNK)
            self.pieces += 1
            if not self.compressed:
                raise EOFError
            plain = self.decompressor.decompress(self.compressed)
        return plain

    def rest(self) -> bytes:
        """What follows in the file, as far as it is in memory: behind its end, or what may be the next beginning."""
        if self.decompressor.eof:
            return self.decompressor.unused_data or self.file.read(CHUNK)
        window = self.compressed[1:] if self.pieces == 1 else self.compressed
        while (place := window.find(GZIP_MAGIC)) < 0:
            more = self.file.read(CHUNK)
            if not more:
                return b""
            window = window[-2:] + more
        return window[place:]


def _streams(path: Path) -> Iterator[io.BufferedReader]:
    """Decompressed streams that begin with a record: a gzip file's members, else the file."""
    if path.suffix != ".gz":
        with open_bytes(path) as plain:
            yield _Lines(_Stream(functools.partial(plain.read1, CHUNK)))
        return
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}.") from error
    with file:
        rest = file.read(CHUNK)
        while rest:
            member = _Member(file, rest)
            yield _Lines(_Stream(member.more))
            rest = member.rest()

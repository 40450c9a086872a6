"""Plain text: a document a line, or a document a file."""

from collections.abc import Iterator
from pathlib import Path

from jmed_jax import jsonl
from jmed_jax.corpus.config import SourceConfig
from jmed_jax.corpus.sources.row import Row
from jmed_jax.jsonl import Report, open_bytes, salvage_lines


def read_lines_as_rows(path: Path, source: SourceConfig, report: Report) -> Iterator[Row]:
    """A document a line, the shape of naika-text (arXiv 2409.11783 §3.1); empty lines are skipped.

    Raises:
        InputError: the file cannot be opened.
    """
    del source
    for number, line in salvage_lines(path, report):
        try:
            text = line.decode()
        except UnicodeDecodeError:
            report("not UTF-8", number)
            continue
        if text.strip():
            yield Row(number, text)


def read_file_as_row(path: Path, source: SourceConfig, report: Report) -> Iterator[Row]:
    """The whole file as one document, of at most `jsonl.LONGEST_LINE` bytes; line ends become `\\n`.

    Raises:
        InputError: the file cannot be opened.
    """
    del source
    with open_bytes(path) as stream:
        try:
            content = stream.read(jsonl.LONGEST_LINE + 1)
        except jsonl.BROKEN_COMPRESSION:
            report("broken compression", 0)
            return
    if len(content) > jsonl.LONGEST_LINE:
        report("file too long", 1)
        return
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        report("not UTF-8", content.count(b"\n", 0, error.start) + 1)
        return
    yield Row(1, text.replace("\r\n", "\n").rstrip("\n"))

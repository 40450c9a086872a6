"""Documents out of files of any format: ids, licence and origin for each, and an account of what was bad."""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from datatrove.data import Document

from jmed_jax.corpus.config import SourceConfig
from jmed_jax.corpus.record import UNKNOWN_LICENSE, Problems
from jmed_jax.corpus.sources import json_lines, parquet, text, warc, wiki40b
from jmed_jax.corpus.sources.listing import format_of, label, list_source_files, plain_sources
from jmed_jax.corpus.sources.row import Row
from jmed_jax.errors import InputError
from jmed_jax.jsonl import NUL_BYTES, Report, without_surrogates

READERS = {
    "jsonl": json_lines.read_jsonl_rows,
    "oscar": json_lines.read_oscar_rows,
    "lines": text.read_lines_as_rows,
    "files": text.read_file_as_row,
    "parquet": parquet.read_parquet_rows,
    "warc": warc.read_warc_rows,
    "wiki40b": wiki40b.read_wiki40b_rows,
}
"""Format → `(path, source, report) → rows`: streams what can be used, and tells `report` of the rest."""


def read_documents(source: SourceConfig, files: Sequence[Path], problems: Problems) -> Iterator[Document]:
    """Stream the documents of files of a source; memory holds one record, or a few rows of Parquet.

    The id is the source's name, a slash, and the row's own id or file and number (`web/part-3-0000012`). Metadata:
    source; license, the row's own, else the source's, else "unknown"; origin, a URL if there is one, else what the row
    calls its source, else file and line; title and provenance where there are any; and what the format adds (OSCAR).

    Args:
        files: all or some of `list_source_files`.
        problems: bad input is added here, and goes on to be passed over.

    Raises:
        InputError: a file is missing, its first record lacks the text field, or it has records but none is usable
            (text files of a document each aside: there every file is a record).
    """
    for path in files:
        yield from _read_file(source, path, problems)


def _read_file(source: SourceConfig, path: Path, problems: Problems) -> Iterator[Document]:
    name, kind = without_surrogates(path.name), format_of(source, path)
    faults: list[tuple[str, int]] = []

    def report(fault: str, number: int) -> None:
        problems.add(fault, f"{name}:{number}")
        if not faults:
            faults.append((fault, number))

    usable = unlicensed = False
    for document in _documents(source, path, kind, report):
        usable = True
        if document.metadata["license"] == "unknown":
            # Every document counts, but the file says enough about where.
            if unlicensed:
                problems.counts[UNKNOWN_LICENSE] += 1
            else:
                problems.add(UNKNOWN_LICENSE, name)
            unlicensed = True
        yield document
    if faults and not usable and kind != "files":
        fault, number = faults[0]
        raise InputError(f'{path}:{number}: {fault}, and no usable record in the file. Is its format "{kind}"?')


def _documents(source: SourceConfig, path: Path, kind: str, report: Report) -> Iterator[Document]:
    """Documents of one file; NUL characters that were spelled in JSON or HTML go too."""
    for row in READERS[kind](path, source, report):
        content = row.text
        if "\0" in content:
            report(NUL_BYTES, row.number)
            content = content.replace("\0", "")
        yield Document(content, _identifier(source, path, kind, row), metadata=_metadata(source, path, row))


def _identifier(source: SourceConfig, path: Path, kind: str, row: Row) -> str:
    """Unique among the sources if the row's own id is unique in its file: another file may use it too."""
    file = label(source, path)
    if not row.id:
        return f"{source.name}/{file if kind == 'files' else f'{file}-{row.number:07d}'}"
    is_only_file = len(source.paths) == 1 and Path(source.paths[0]).name == path.name
    return f"{source.name}/{row.id}" if is_only_file else f"{source.name}/{file}/{row.id}"


def _metadata(source: SourceConfig, path: Path, row: Row) -> dict[str, Any]:
    metadata = {
        "source": source.name,
        "license": row.license or source.license or "unknown",
        "origin": row.origin or f"{without_surrogates(path.name)}:{row.number}",
    }
    if row.title:
        metadata["title"] = row.title.replace("\0", "")
    return metadata | row.metadata


def iter_texts(path: Path, *, text_field: str = "text") -> Iterator[str]:
    """Yield the texts of a file, or of the recognised files of a directory, in order.

    Raises:
        InputError: the path is missing or of an unknown kind, or a record is bad; names file and line.
    """
    for source in plain_sources([path], text_field=text_field):
        for file in list_source_files(source, Path()):
            for document in _documents(source, file, format_of(source, file), functools.partial(_refuse, file)):
                yield document.text


def _refuse(path: Path, fault: str, number: int) -> None:
    raise InputError(f"{path}:{number}: {fault}.")

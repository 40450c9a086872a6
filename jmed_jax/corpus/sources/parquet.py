"""Parquet as Hugging Face publishes it: a row a document, read in batches of rows, only the columns that are needed."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jmed_jax.corpus.config import SourceConfig
from jmed_jax.corpus.sources.row import FIELDS, Row, no_such_field, row_of_fields
from jmed_jax.errors import InputError
from jmed_jax.jsonl import Report

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 256
# Without one, the whole column of a row group is read at once, and many files have one row group.
FILE_BUFFER = 1 << 20
UNREADABLE = "unreadable Parquet"


def read_parquet_rows(path: Path, source: SourceConfig, report: Report) -> Iterator[Row]:
    """The rows of a file, their text in the column `source.text_field`; a broken row group is passed over.

    Raises:
        InputError: the file cannot be opened, or it has no such column of strings.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError(f"{path}: No such file or directory.")
    try:
        file = pq.ParquetFile(path, buffer_size=FILE_BUFFER, pre_buffer=False)
        schema = file.schema_arrow
        _ = schema.names
    except (pa.ArrowException, OSError, UnicodeDecodeError):  # a column's name, too, may be no UTF-8
        report(UNREADABLE, 0)
        return
    with file:
        columns = _columns(path, schema, source.text_field)
        end = 0
        for group in range(file.num_row_groups):
            number, end = end, end + file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False):
                    yield from _rows(batch, number, source.text_field, report)
                    number += batch.num_rows
            except (pa.ArrowException, OSError):
                report(UNREADABLE, number)


def _columns(path: Path, schema: "pa.Schema", text_field: str) -> list[str]:
    """The columns to read, all others being left on disk."""
    from pyarrow import types

    def is_text(name: str) -> bool:
        kind = schema.field(name).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)

    if text_field not in schema.names:
        likely = next((name for name in schema.names if is_text(name) and name not in FIELDS), "")
        raise no_such_field(path, 1, text_field, schema.names, likely)
    if not is_text(text_field):
        raise InputError(f'{path}: "{text_field}" is a column of {schema.field(text_field).type}, not of strings.')
    return [text_field, *(name for name in FIELDS if name in schema.names and name != text_field)]


def _rows(batch: "pa.RecordBatch", before: int, text_field: str, report: Report) -> Iterator[Row]:
    for number, fields in enumerate(_fields(batch), start=before + 1):
        if fields is None:
            report("not UTF-8", number)
        elif isinstance(fields[text_field], str):
            yield row_of_fields(number, fields[text_field], fields)
        else:
            report(f'"{text_field}" is not a string', number)


def _fields(batch: "pa.RecordBatch") -> list[dict[str, Any] | None]:
    """The rows as dictionaries; None where a string is not UTF-8, which Parquet does not check."""
    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            return [None]
        return [fields for index in range(batch.num_rows) for fields in _fields(batch.slice(index, 1))]

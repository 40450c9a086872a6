"""Wiki-40B (LREC 2020, 2020.lrec-1.297), read from the shards that tensorflow-datasets prepared, without TensorFlow."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jmed_jax.corpus.config import SourceConfig
from jmed_jax.corpus.sources.listing import PREPARE_WIKI40B
from jmed_jax.corpus.sources.row import Row
from jmed_jax.errors import InputError
from jmed_jax.jsonl import Report

MARKER = re.compile(r"_START_(ARTICLE|SECTION|PARAGRAPH)_")
LINE_BREAK = "_NEWLINE_"
BROKEN = "broken record"
BATCH_RECORDS = 64
LONGEST_RECORD = 64 << 20
# Length and its checksum before the record, another checksum behind it.
TFRECORD_HEADER = struct.Struct("<QI")
TFRECORD_FOOTER = 4


def read_wiki40b_rows(path: Path, source: SourceConfig, report: Report) -> Iterator[Row]:
    """The articles of a shard, ArrayRecord or TFRecord.

    Raises:
        InputError: the file cannot be opened, or tensorflow-datasets is not installed.
    """
    del source
    try:
        from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
        from tensorflow_datasets.proto import tf_example_pb2
    except ImportError as error:
        advice = f"Install jmed_jax[corpus]. {PREPARE_WIKI40B}"
        raise InputError(f"{path}: reading Wiki-40B needs {error.name}. {advice}") from error
    if not path.is_file():
        raise InputError(f"{path}: no such file. {PREPARE_WIKI40B}")
    for number, record in (_tfrecords if ".tfrecord" in path.name else _array_records)(path, report):
        try:
            features = tf_example_pb2.Example.FromString(record).features.feature
            title, text = split_structure(_string(features, "text"))
            origin = f"https://www.wikidata.org/wiki/{_string(features, 'wikidata_id')}"
        except (DecodeError, LookupError, UnicodeDecodeError):
            report(BROKEN, number)
        else:
            yield Row(number, text, title=title, origin=origin)


def _string(features: Any, name: str) -> str:
    return features[name].bytes_list.value[0].decode()


def split_structure(text: str) -> tuple[str, str]:
    """Title and text of an article whose structure is marked inline: headings and paragraphs on lines of their own.

    All that is no marker stays as it is.
    """
    before, *marked = MARKER.split(text)
    title, blocks = "", [before]
    for kind, block in zip(marked[::2], marked[1::2], strict=True):
        if kind == "ARTICLE" and not title:
            title = block.replace(LINE_BREAK, " ").strip()
        else:
            blocks.append(block.replace(LINE_BREAK, "\n"))
    lines = (block.strip("\n") for block in blocks)
    return title, "\n".join(line for line in lines if line)


def _array_records(path: Path, report: Report) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each record."""
    from array_record.python.array_record_module import ArrayRecordReader

    reader = ArrayRecordReader(str(path), "readahead_buffer_size:0,max_parallelism:0")
    count = reader.num_records()
    if count == 0:
        # What it says of a file that lost its end, where the index stands; such a reader cannot be closed either.
        report("unreadable ArrayRecord", 0)
        return
    for start in range(0, count, BATCH_RECORDS):
        stop = min(count, start + BATCH_RECORDS)
        try:
            yield from enumerate(reader.read(start, stop), start + 1)
        except RuntimeError:
            yield from _one_by_one(reader, start, stop, report)
    reader.close()


def _one_by_one(reader: Any, start: int, stop: int, report: Report) -> Iterator[tuple[int, bytes]]:
    for index in range(start, stop):
        try:
            yield index + 1, reader.read([index])[0]
        except RuntimeError:
            report(BROKEN, index + 1)


def _tfrecords(path: Path, report: Report) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each record; checksums, which are CRC-32C, are left alone."""
    number = 0
    with path.open("rb") as stream:
        while header := stream.read(TFRECORD_HEADER.size):
            number += 1
            length = TFRECORD_HEADER.unpack(header)[0] if len(header) == TFRECORD_HEADER.size else LONGEST_RECORD
            record = stream.read(length + TFRECORD_FOOTER) if length < LONGEST_RECORD else b""
            if len(record) < length + TFRECORD_FOOTER:
                # Nothing says where the next one begins.
                report(BROKEN, number)
                return
            yield number, record[:length]

"""Packed rows on disk: the one record format of pre-training, instruction tuning and LoRA.

A record is three arrays of one row, end to end: token ids (uint16, or uint32 where the vocabulary needs it), segment
ids (uint16; documents of the row count from 1, padding is 0), and the loss mask, a bit a token. A set bit means that
the token is a target: the loss at the position before it counts. Records have a fixed size, one a group, uncompressed:
that is what makes random access fast.

Axes: T positions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jmed_jax import artifact
from jmed_jax.artifact import Artifact
from jmed_jax.errors import InputError

WRITER_OPTIONS = "group_size:1,uncompressed"


class Row(NamedTuple):
    """One packed row; all of shape [T]."""

    tokens: np.ndarray
    """int32 token ids."""
    segment_ids: np.ndarray
    """int32, documents from 1, padding 0."""
    loss_mask: np.ndarray
    """bool, true where the token is a target."""


@dataclass(frozen=True)
class RowFormat:
    """How a row is laid out in a record."""

    row_length: int
    vocab_size: int

    @property
    def token_dtype(self) -> np.dtype:
        return np.dtype("<u2" if self.vocab_size <= 2**16 else "<u4")

    @property
    def record_bytes(self) -> int:
        return self.row_length * (self.token_dtype.itemsize + 2) + -(-self.row_length // 8)

    def encode(self, row: Row) -> bytes:
        assert row.tokens.shape == (self.row_length,)
        assert row.tokens.min() >= 0 and row.tokens.max() < self.vocab_size
        return b"".join(
            (
                row.tokens.astype(self.token_dtype).tobytes(),
                row.segment_ids.astype("<u2").tobytes(),
                np.packbits(row.loss_mask).tobytes(),
            )
        )

    def decode(self, record: bytes) -> Row:
        """
        Raises:
            InputError: the record has another size than this format's.
        """
        if len(record) != self.record_bytes:
            raise InputError(f"a row record has {len(record)} bytes instead of {self.record_bytes}: damaged rows.")
        T = self.row_length
        segments_at = T * self.token_dtype.itemsize
        mask_at = segments_at + 2 * T
        return Row(
            np.frombuffer(record, self.token_dtype, T).astype(np.int32),
            np.frombuffer(record, "<u2", T, segments_at).astype(np.int32),
            np.unpackbits(np.frombuffer(record, np.uint8, offset=mask_at), count=T).astype(bool),
        )


def write_shards(rows: Iterable[Row], directory: Path, row_format: RowFormat, rows_per_shard: int = 65_536) -> int:
    """Write `rows-00000.array_record`, … and return the number of rows."""
    from array_record.python.array_record_module import ArrayRecordWriter

    count = 0
    writer = None
    for row in rows:
        if count % rows_per_shard == 0:
            if writer:
                writer.close()
            name = f"rows-{count // rows_per_shard:05d}.array_record"
            writer = ArrayRecordWriter(str(directory / name), WRITER_OPTIONS)
        assert writer is not None
        writer.write(row_format.encode(row))
        count += 1
    if writer:
        writer.close()
    return count


def open_rows(path: Path) -> tuple[Artifact, RowFormat, list[Path]]:
    """A rows artefact with its format and shards, sizes checked.

    Raises:
        InputError: not a rows artefact, or a shard is missing or truncated.
    """
    rows = artifact.open_artifact(path, "rows", verify_hashes=False)
    sizes: list[Any] = [rows.config.get(name) for name in ("row_length", "vocab_size")]
    shards = [path / name for name in sorted(rows.files) if name.endswith(".array_record")]
    # A flag is an int to `isinstance`.
    if not shards or any(type(size) is not int or size <= 0 for size in sizes):
        raise InputError(f"{path}: its manifest names no shards, or no row_length and vocab_size. Pack the rows again.")
    return rows, RowFormat(*sizes), shards


class Records:
    """The records of shards by number, counted over all shards in order: a source of Grain's for random access."""

    def __init__(self, shards: Sequence[Path]) -> None:
        """
        Raises:
            InputError: a shard is damaged.
        """
        import grain

        self._folder = shards[0].parent
        try:
            self._source = grain.sources.ArrayRecordDataSource([str(shard) for shard in shards])
        except RuntimeError as error:
            raise self._damaged(error) from error

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, number: int) -> bytes:
        """
        Raises:
            InputError: the record is damaged: it has a checksum.
        """
        try:
            record: bytes = self._source[number]
        except RuntimeError as error:
            raise self._damaged(error) from error
        return record

    def _damaged(self, error: RuntimeError) -> InputError:
        return InputError(f"{self._folder}: damaged rows ({error}). Copy them again, or pack them again.")

"""Batches from packed rows through Grain; the whole state is one row index.

Axes: A accumulation passes, B rows of a pass on this process, T positions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jmed_jax.data.rows import Records, RowFormat
from jmed_jax.errors import InputError


class Batch(NamedTuple):
    """The rows of one optimiser step; all of shape [A, B, T]."""

    tokens: Any
    """int32."""
    segment_ids: Any
    """int32, documents from 1, padding 0."""
    loss_mask: Any
    """bool, true where the token is a target."""


def make_loader(
    shards: Sequence[Path],
    row_format: RowFormat,
    *,
    batch_size: int,
    accumulation: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
) -> Any:
    """An endless Grain iterator of `Batch`, shuffled anew every epoch.

    Step i covers the same rows for any number of processes, and the iterator's state (`get_state`, `set_state`) is the
    index of the next batch, so a run goes on exactly where it was, on any number of hosts.

    Args:
        batch_size: rows of one pass over all processes.
        accumulation: passes in a step.

    Raises:
        InputError: fewer rows than one step takes, or a batch that the processes cannot share evenly; now or from the
            iterator, that a shard is damaged.
    """
    import grain

    if batch_size % process_count:
        raise InputError(f"data.batch_size {batch_size} does not divide over {process_count} processes.")
    source = Records(shards)
    rows_per_step = batch_size * accumulation
    if len(source) < rows_per_step:
        raise InputError(
            f"{shards[0].parent}: {len(source)} rows, but one step takes {rows_per_step} "
            f"(data.batch_size {batch_size} × data.accumulation {accumulation}). Lower one, or pack more text."
        )
    local_batch = batch_size // process_count

    def stack(rows: Sequence[bytes]) -> Batch:
        columns = zip(*(row_format.decode(row) for row in rows), strict=True)
        return Batch(*(np.stack(column).reshape(accumulation, local_batch, -1) for column in columns))

    dataset = (
        grain.MapDataset.source(source)
        .shuffle(seed=seed)
        .repeat()[process_index::process_count]
        # There is no remainder; but without the flag, Grain's length of an endless set of batches of one row overflows.
        .batch(accumulation * local_batch, drop_remainder=True, batch_fn=stack)
    )
    # Reading a row takes microseconds: threads only cost (EXPERIMENTS.md).
    return iter(dataset.to_iter_dataset(grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)))


def rows_of_step(
    batch_index: int,
    *,
    row_count: int,
    batch_size: int,
    accumulation: int,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
) -> np.ndarray:
    """Which rows a batch of `make_loader` holds, counted over all shards in order.

    Args:
        batch_index: from 0, as in the iterator's state.
        row_count: rows of all shards together.

    Returns:
        [A, B], rows of this process.
    """
    import grain

    order = grain.MapDataset.range(row_count).shuffle(seed=seed).repeat()[process_index::process_count]
    shape = (accumulation, batch_size // process_count)
    first = batch_index * shape[0] * shape[1]
    return np.array([order[first + i] for i in range(shape[0] * shape[1])]).reshape(shape)

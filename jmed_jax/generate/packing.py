"""Several token sequences behind one another in one row, for prefill and for scores: no padding but at the end.

Axes: T positions, R sequences of a pack.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from jmed_jax.generate.buckets import length_bucket

PACK_TOKENS = 512
"""Of one pack, unless it is one longer sequence: enough for efficient products, and attention looks at T² pairs."""
PACK_SEQUENCES = 16


class Pack(NamedTuple):
    """Arrays of the host; padding has segment 0."""

    tokens: NDArray[np.int32]
    """[1, T]."""
    positions: NDArray[np.int32]
    """From 0 in every sequence, [1, T]."""
    segment_ids: NDArray[np.int32]
    """From 1, [1, T]."""
    starts: NDArray[np.int32]
    """[R], which is always PACK_SEQUENCES."""
    size: np.int32
    """Sequences."""


def packs(sequences: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], Pack]]:
    """All sequences, in their order, with the indices of those in each pack."""
    indices: list[int] = []
    tokens = 0
    for index, sequence in enumerate(sequences):
        if indices and (tokens + len(sequence) > PACK_TOKENS or len(indices) == PACK_SEQUENCES):
            yield indices, make_pack([sequences[i] for i in indices])
            indices, tokens = [], 0
        indices.append(index)
        tokens += len(sequence)
    if indices:
        yield indices, make_pack([sequences[i] for i in indices])


def make_pack(sequences: Sequence[Sequence[int]]) -> Pack:
    """At most PACK_SEQUENCES sequences, of which some may be empty."""
    lengths = [len(sequence) for sequence in sequences]
    T = length_bucket(sum(lengths))
    tokens_T, positions_T, segment_ids_T = np.zeros((3, T), np.int32)
    starts_R = np.zeros(PACK_SEQUENCES, np.int32)
    start = 0
    for number, (sequence, length) in enumerate(zip(sequences, lengths, strict=True)):
        starts_R[number] = start
        tokens_T[start : start + length] = sequence
        positions_T[start : start + length] = np.arange(length)
        segment_ids_T[start : start + length] = number + 1
        start += length
    return Pack(tokens_T[None], positions_T[None], segment_ids_T[None], starts_R, np.int32(len(sequences)))

"""Safetensors files written tensor by tensor: nothing but what is on its way is in memory.

While one tensor goes to disk, the next are being made and the last is being hashed, each in a thread of its own: numpy,
the system and hashlib let go of the interpreter meanwhile.
"""

import hashlib
import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from jmed_jax.convert.tensor_files import DTYPES, INDEX, WEIGHTS

MAX_SHARD_BYTES = 4 * 2**30
# Tensors that are made ahead.
_AHEAD = 2
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Planned(NamedTuple):
    """A tensor to be written."""

    name: str
    dtype: np.dtype
    shape: tuple[int, ...]
    make: Callable[[], np.ndarray]
    """Its numbers, of that dtype and shape."""

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def write_shards(out: Path, tensors: Sequence[Planned]) -> dict[Path, str]:
    """Write files of at most MAX_SHARD_BYTES, and an index where there are several.

    Returns:
        sha256 of the files with tensors.
    """
    shards = _shards(tensors)
    if len(shards) == 1:
        return {out / WEIGHTS: write_file(out / WEIGHTS, tensors)}
    hashes: dict[Path, str] = {}
    weight_map: dict[str, str] = {}
    for number, shard in enumerate(shards, start=1):
        file = out / f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        hashes[file] = write_file(file, shard)
        weight_map |= dict.fromkeys((tensor.name for tensor in shard), file.name)
    content = {"metadata": {"total_size": sum(tensor.bytes for tensor in tensors)}, "weight_map": weight_map}
    (out / INDEX).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return hashes


def _shards(tensors: Sequence[Planned]) -> list[list[Planned]]:
    shards: list[list[Planned]] = [[]]
    size = 0
    for tensor in tensors:
        if shards[-1] and size + tensor.bytes > MAX_SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor.bytes
    return shards


def write_file(file: Path, tensors: Sequence[Planned]) -> str:
    """Write one file; its sha256."""
    digest = hashlib.sha256()
    with file.open("wb") as stream, ThreadPoolExecutor(_AHEAD) as makers, ThreadPoolExecutor(1) as hasher:
        hashed = hasher.submit(digest.update, _write(stream, _header(tensors)))
        for array in _made(tensors, makers):
            data = _write(stream, memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8)))
            # One at most waits to be hashed, and holds its memory.
            hashed.result()
            hashed = hasher.submit(digest.update, data)
        hashed.result()
    return digest.hexdigest()


def _write(stream: IO[bytes], data: bytes | memoryview) -> bytes | memoryview:
    stream.write(data)
    return data


def _made(tensors: Sequence[Planned], makers: ThreadPoolExecutor) -> Iterator[np.ndarray]:
    """The arrays in their order, made ahead by the threads."""
    waiting: deque[Future[np.ndarray]] = deque()
    for tensor in tensors:
        waiting.append(makers.submit(tensor.make))
        if len(waiting) > _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _header(tensors: Sequence[Planned]) -> bytes:
    content: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for tensor in tensors:
        start, end = end, end + tensor.bytes
        content[tensor.name] = {"dtype": _NAMES[tensor.dtype], "shape": tensor.shape, "data_offsets": (start, end)}
    text = json.dumps(content, separators=(",", ":")).encode()
    # Numbers begin at a multiple of eight bytes.
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text

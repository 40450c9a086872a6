"""The tensors of a Hugging Face directory: where they lie in its safetensors files, and their numbers.

Format: eight bytes with the length of the header, the header (JSON: name → dtype, shape, offsets), the numbers
(https://github.com/huggingface/safetensors#format). Read here, not by the library, because rows of a tensor then go
straight into memory of ours, and nothing of the file stays mapped.
"""

import json
import math
from collections.abc import Mapping, Sequence
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from jmed_jax.convert.architecture import read_json
from jmed_jax.errors import InputError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
DTYPES = {
    "F32": np.dtype(np.float32),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F16": np.dtype(np.float16),
}
# As the library; what is longer is none.
_LONGEST_HEADER = 100_000_000
# Rows that are turned at a time: source and target of a block stay in the processor's cache.
_BLOCK = 64
_ALIGNMENT = 64


class Slot(NamedTuple):
    """Where one tensor lies."""

    file: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    start: int
    """Byte of the file where its numbers begin."""

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def model_slots(path: Path) -> dict[str, Slot]:
    """Every tensor of a model directory, by name.

    Raises:
        InputError: there are no safetensors, a shard is missing or a file is damaged.
    """
    names = [WEIGHTS]
    if (path / INDEX).is_file():
        names = _indexed_files(path / INDEX)
    elif not (path / WEIGHTS).is_file():
        if list(path.glob("*.bin")) or list(path.glob("*.pt")):
            raise InputError(
                f"{path}: a pickled checkpoint (.bin), which can run code and is not read. Convert it where you trust "
                "it: AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(OUT)."
            )
        raise InputError(f"{path}: no {WEIGHTS} and no {INDEX} here. Fetch the model again.")
    found: dict[str, Slot] = {}
    for name in names:
        slots = file_slots(path / name)
        if twice := found.keys() & slots:
            raise InputError(f"{path / name}: {min(twice)} is in another file, too. Fetch the model again.")
        found |= slots
    return found


def _indexed_files(index: Path) -> list[str]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise InputError(f"{index}: no weight_map of tensors and files in it. Fetch the model again.")
    return sorted(set(weight_map.values()))


def file_slots(file: Path) -> dict[str, Slot]:
    """Every tensor of one safetensors file, by name.

    Raises:
        InputError: the file is missing, truncated or damaged, or holds another dtype than float32, bfloat16, float16.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length)) if length <= min(size - 8, _LONGEST_HEADER) else None
    except FileNotFoundError as error:
        raise InputError(f"{file}: missing. Fetch or export the model again.") from error
    except OSError as error:
        raise InputError(f"{file}: {error.strerror}. Fetch or export the model again.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: damaged, its header is no JSON. Fetch or export the model again.") from error
    if not isinstance(header, dict):
        raise InputError(f"{file}: truncated or no safetensors file. Fetch or export the model again.")
    header.pop("__metadata__", None)
    found = {name: _slot(file, name, entry, 8 + length) for name, entry in header.items()}
    _check_ranges(file, found, 8 + length, size)
    return found


def _slot(file: Path, name: str, entry: Any, begin: int) -> Slot:
    """
    Args:
        entry: what the header says of the tensor.
        begin: byte of the file where numbers begin.
    """
    try:
        dtype, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        well_formed = isinstance(dtype, str) and all(type(n) is int and n >= 0 for n in (*shape, start, end))
    except (KeyError, TypeError, ValueError):
        well_formed = False
    if not well_formed:
        raise InputError(f"{file}: damaged, its header makes no sense at {name}. Fetch or export the model again.")
    if dtype not in DTYPES:
        raise InputError(
            f"{file}: {name} is of dtype {dtype}, expected {', '.join(DTYPES)}. A quantised checkpoint? Fetch the one "
            "in bfloat16."
        )
    slot = Slot(file, DTYPES[dtype], shape, begin + start)
    if slot.bytes != end - start:
        raise InputError(
            f"{file}: damaged, {name} has {end - start} bytes and a shape of {slot.bytes}. Fetch or export the model "
            "again."
        )
    return slot


def _check_ranges(file: Path, slots: Mapping[str, Slot], begin: int, size: int) -> None:
    """The tensors fill the file, one behind the other, as the format demands."""
    end, before = begin, ""
    for name, slot in sorted(slots.items(), key=lambda item: (item[1].start, item[1].bytes)):
        if slot.start < end:
            raise InputError(f"{file}: damaged, {before} and {name} overlap. Fetch or export the model again.")
        if slot.start > end:
            raise InputError(f"{file}: damaged, a gap is before {name}. Fetch or export the model again.")
        end, before = slot.start + slot.bytes, name
        if end > size:
            raise InputError(f"{file}: truncated, it ends before {name} does. Fetch or export the model again.")
    if end < size:
        raise InputError(f"{file}: damaged, {size - end} bytes belong to no tensor. Fetch or export the model again.")


def read_into(target: np.ndarray, slot: Slot, index: tuple[slice, ...], *, transpose: bool) -> None:
    """Fill `target` with the part `index` of a tensor, converted to its dtype.

    Args:
        index: of the tensor as we keep it, so after transposition.

    Raises:
        InputError: the file ends before the tensor does.
    """
    rows, columns = (index[1], index[0]) if transpose else (index[0], *index[1:], slice(None))[:2]
    first, end, _ = rows.indices(slot.shape[0])
    width = math.prod(slot.shape[1:])
    as_it_lies = not transpose and target.dtype == slot.dtype and target.size == (end - first) * width
    # The system's cache is the only one: a second would copy everything once more.
    with slot.file.open("rb", buffering=0) as stream:
        stream.seek(slot.start + first * width * slot.dtype.itemsize)
        if as_it_lies and target.flags.c_contiguous:
            _fill(target, stream, slot)
            return
        block = np.empty((_BLOCK, *slot.shape[1:]), slot.dtype)
        for start in range(0, end - first, _BLOCK):
            array = block[: end - first - start]
            _fill(array, stream, slot)
            bits = raw(converted(array if array.ndim == 1 else array[:, columns], target.dtype))
            if transpose:
                raw(target)[:, start : start + _BLOCK] = bits.T
            else:
                raw(target)[start : start + _BLOCK] = bits


def _fill(array: np.ndarray, stream: FileIO, slot: Slot) -> None:
    left = memoryview(array.reshape(-1).view(np.uint8))
    while left:
        if not (count := stream.readinto(left)):
            raise InputError(f"{slot.file}: truncated while it was read. Fetch or export the model again.")
        left = left[count:]


def empty(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """`np.empty` where a CPU's vectors begin: XLA takes such an array over as it is, and copies any other."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size].view(dtype).reshape(shape)


def transposed(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A transposed copy in `dtype`, made block by block."""
    target = np.empty(array.shape[::-1], dtype)
    for start in range(0, target.shape[1], _BLOCK):
        raw(target)[:, start : start + _BLOCK] = raw(converted(array[start : start + _BLOCK], dtype)).T
    return target


def converted(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """`array.astype(dtype)`; bfloat16 to float32 by moving bits."""
    if array.dtype == dtype:
        return array
    if array.dtype == DTYPES["BF16"] and dtype == np.float32:
        return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return array.astype(dtype)


def raw(array: np.ndarray) -> np.ndarray:
    """The bits of a bfloat16 array as integers, which numpy copies natively; other arrays as they are."""
    return array.view(np.uint16) if array.dtype == DTYPES["BF16"] else array

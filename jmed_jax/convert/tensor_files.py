"""The tensors of a Hugging Face directory: where they lie in its safetensors files, and their numbers.

Format: eight bytes with the length of the header, the header (JSON: name → dtype, shape, offsets), the numbers
(https://github.com/huggingface/safetensors#format). Read here, not by the library, because rows of a tensor then go
straight into memory of ours, and nothing of the file stays mapped.
"""

import json
import math
from pathlib import Path
from typing import NamedTuple

import ml_dtypes
import numpy as np

from jmed_jax.convert.architecture import read_json
from jmed_jax.errors import InputError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
_DTYPES = {
    "F32": np.dtype(np.float32),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F16": np.dtype(np.float16),
}
# Rows that are turned at a time: source and target of a block stay in the processor's cache.
_BLOCK = 64


class Slot(NamedTuple):
    """Where one tensor lies."""

    file: Path
    dtype: np.dtype
    shape: tuple[int, ...]
    start: int
    """Byte of the file where its numbers begin."""


def model_slots(path: Path) -> dict[str, Slot]:
    """Every tensor of a model directory, by name.

    Raises:
        InputError: there are no safetensors, a shard is missing or a file is damaged.
    """
    names = [WEIGHTS]
    if (path / INDEX).is_file():
        names = sorted(set(read_json(path / INDEX).get("weight_map", {}).values()))
    elif not (path / WEIGHTS).is_file():
        if list(path.glob("*.bin")) or list(path.glob("*.pt")):
            raise InputError(
                f"{path}: a pickled checkpoint (.bin), which can run code and is not read. Convert it where you trust "
                "it: AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(OUT)."
            )
        raise InputError(f"{path}: no {WEIGHTS} and no {INDEX} here. Fetch the model again.")
    found: dict[str, Slot] = {}
    for name in names:
        found |= file_slots(path / name)
    return found


def file_slots(file: Path) -> dict[str, Slot]:
    """Every tensor of one safetensors file, by name.

    Raises:
        InputError: the file is missing, truncated or damaged, or holds another dtype than float32, bfloat16, float16.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length)) if length <= size else None
    except FileNotFoundError as error:
        raise InputError(f"{file}: missing. Fetch or export the model again.") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: damaged, its header is no JSON. Fetch or export the model again.") from error
    if not isinstance(header, dict):
        raise InputError(f"{file}: truncated or no safetensors file. Fetch or export the model again.")
    found: dict[str, Slot] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _DTYPES:
            raise InputError(
                f"{file}: {name} is of dtype {entry['dtype']}, expected {', '.join(_DTYPES)}. A quantised checkpoint? "
                "Fetch the one in bfloat16."
            )
        slot = Slot(file, _DTYPES[entry["dtype"]], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
        if slot.start + math.prod(slot.shape) * slot.dtype.itemsize > size:
            raise InputError(f"{file}: truncated, it ends before {name} does. Fetch or export the model again.")
        found[name] = slot
    return found


def read_into(target: np.ndarray, slot: Slot, index: tuple[slice, ...], *, transpose: bool) -> None:
    """Fill `target` with the part `index` of a tensor, converted to its dtype.

    Args:
        index: of the tensor as we keep it, so after transposition.
    """
    rows, columns = (index[1], index[0]) if transpose else (index[0], *index[1:], slice(None))[:2]
    first, end, _ = rows.indices(slot.shape[0])
    width = math.prod(slot.shape[1:])
    count, offset = (end - first) * width, slot.start + first * width * slot.dtype.itemsize
    numbers = np.fromfile(slot.file, np.uint8, count * slot.dtype.itemsize, offset=offset).view(slot.dtype)
    array = numbers.reshape(end - first, *slot.shape[1:])
    if not transpose:
        raw(target)[...] = raw(converted(array if array.ndim == 1 else array[:, columns], target.dtype))
        return
    for start in range(0, end - first, _BLOCK):
        block = converted(array[start : start + _BLOCK, columns], target.dtype)
        raw(target)[:, start : start + _BLOCK] = raw(block).T


def transposed(array: np.ndarray) -> np.ndarray:
    """A transposed copy, made block by block."""
    target = np.empty(array.shape[::-1], array.dtype)
    for start in range(0, target.shape[1], _BLOCK):
        raw(target)[:, start : start + _BLOCK] = raw(array)[start : start + _BLOCK].T
    return target


def converted(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """`array.astype(dtype)`; bfloat16 to float32 by moving bits."""
    if array.dtype == dtype:
        return array
    if array.dtype == _DTYPES["BF16"] and dtype == np.float32:
        return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return array.astype(dtype)


def raw(array: np.ndarray) -> np.ndarray:
    """The bits of a bfloat16 array as integers, which numpy copies natively; other arrays as they are."""
    return array.view(np.uint16) if array.dtype == _DTYPES["BF16"] else array

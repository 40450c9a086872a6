"""Whether two directories hold the same model: tensor by tensor, and by what they answer to random ids.

Axes: B rows, T positions, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from jmed_jax.config import ModelConfig
from jmed_jax.convert import huggingface
from jmed_jax.convert.tensor_files import Slot, converted, model_slots, read_into
from jmed_jax.convert.tensor_writer import Planned
from jmed_jax.language_model.loading import is_adapter, load
from jmed_jax.train.run import RUN_FILE

LENGTH = 48
"""Positions of the rows of random ids."""
# What changes the answers and no tensor.
_SETTINGS = ("num_heads", "num_kv_heads", "head_dim", "norm_eps", "rope_theta", "context_length")
# Numbers that are compared at one time: a tensor of a gigabyte is not four gigabytes of differences.
_BLOCK = 2**22


class Difference(NamedTuple):
    """A tensor that is not the same on both sides."""

    name: str
    what: str
    """"values", "float32 and bfloat16", "(4, 8) and (4, 9)", "only in the first", "only in the second"."""
    largest: float | None
    """Largest difference of two numbers; None where there are none to compare."""
    share: float | None
    """Of the numbers that differ."""


@dataclass(frozen=True)
class Comparison:
    """What was compared, and what differs."""

    tensors: int
    """Names on either side."""
    differences: tuple[Difference, ...]
    """Those without numbers first, then by the largest."""
    settings: tuple[str, ...]
    """`rope_theta is 10000.0 and 1000000.0`; "the tokenizers differ"."""
    logits: Mapping[str, float]
    """Largest difference by kind of row: "plain", "padded" (on the left), "packed". Empty where vocabularies differ."""

    def equal(self, tolerance: float = 0.0) -> bool:
        """Whether no number is further from its other than `tolerance`. At 0 the dtypes are the same, too."""
        numbers = [difference.largest for difference in self.differences]
        if self.settings or not self.logits or None in numbers or (numbers and not tolerance):
            return False
        return max([*cast(list[float], numbers), *self.logits.values()]) <= tolerance


def compare(
    first: Path, second: Path, *, first_base: Path | None = None, second_base: Path | None = None, seed: int = 0
) -> Comparison:
    """Compare two directories: Hugging Face ones, runs, or adapters, which are merged with their base.

    Tensors are those that an export has, in the dtype that a directory keeps; logits are computed in float32. What is
    no Hugging Face directory is in memory meanwhile.

    Args:
        first_base, second_base: where the base of an adapter is; None where the adapter says.
        seed: of the random ids.

    Raises:
        InputError: a directory is none of these, or damaged.
    """
    one, other = _read(first, first_base, seed), _read(second, second_base, seed)
    found = [_difference(name, one.tensors.get(name), other.tensors.get(name)) for name in one.tensors | other.tensors]
    differences = sorted(filter(None, found), key=lambda d: (d.largest is not None, -(d.largest or 0), d.name))
    logits: dict[str, float] = {}
    if one.config.vocab_size == other.config.vocab_size:
        logits = {name: float(np.max(np.abs(one.logits[name] - other.logits[name]))) for name in one.logits}
    return Comparison(len(found), tuple(differences), tuple(_settings(one, other)), logits)


class _Side(NamedTuple):
    config: ModelConfig
    tokenizer: str
    """Its fingerprint."""
    tensors: dict[str, Planned]
    logits: dict[str, NDArray[np.float32]]


def _read(path: Path, base: Path | None, seed: int) -> _Side:
    model = load(path, base=base, dtype=None)
    assert model.tokenizer is not None
    logits = {
        name: np.asarray(model.logits(ids_BT, segments_BT))[segments_BT > 0]
        for name, (ids_BT, segments_BT) in _random_rows(model.config.vocab_size, seed).items()
    }
    if (path / RUN_FILE).is_file() or is_adapter(path):
        dtype = cast(huggingface.Dtype, str(model.parameters["embedding"]["embedding"].dtype))
        format = huggingface.formats(model.config)[0]
        tensors = huggingface.hf_tensors(model.config, model.parameters, format=format, dtype=dtype)
    else:
        # As they lie there, read one by one.
        slots = model_slots(path).items()
        tensors = [Planned(name, slot.dtype, slot.shape, partial(_numbers, slot)) for name, slot in slots]
    return _Side(model.config, model.tokenizer.fingerprint, {tensor.name: tensor for tensor in tensors}, logits)


def _numbers(slot: Slot) -> np.ndarray:
    target = np.empty(slot.shape, slot.dtype)
    read_into(target, slot, (slice(None),) * target.ndim, transpose=False)
    return target


def _random_rows(vocab_size: int, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Ids [B, T] and the segments [B, T] they belong to, by kind of row."""
    ids_BT = np.random.default_rng(seed).integers(0, vocab_size, (2, LENGTH)).astype(np.int32)
    lengths: dict[str, Sequence[Sequence[int]]] = {
        "plain": [(0, 48), (0, 48)],
        "padded": [(17, 31), (40, 8)],
        "packed": [(0, 20, 28), (0, 5, 17, 26)],
    }
    return {
        name: (ids_BT, np.stack([np.repeat(np.arange(len(row), dtype=np.int32), row) for row in rows]))
        for name, rows in lengths.items()
    }


def _difference(name: str, one: Planned | None, other: Planned | None) -> Difference | None:
    if one is None or other is None:
        return Difference(name, f"only in the {'second' if one is None else 'first'}", None, None)
    if one.shape != other.shape:
        return Difference(name, f"{one.shape} and {other.shape}", None, None)
    a, b = one.make().reshape(-1), other.make().reshape(-1)
    if a.dtype == b.dtype and np.array_equal(a.view(np.uint8), b.view(np.uint8)):
        return None
    largest, differing = 0.0, 0
    for start in range(0, a.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        apart = np.abs(_float32(a[part]) - _float32(b[part]))
        # What is no number is as far away as can be.
        np.nan_to_num(apart, copy=False, nan=np.inf)
        largest, differing = max(largest, float(np.max(apart))), differing + int(np.count_nonzero(apart))
    what = "values" if one.dtype == other.dtype else f"{one.dtype} and {other.dtype}"
    return Difference(name, what, largest, differing / a.size)


def _float32(array: np.ndarray) -> np.ndarray:
    return converted(array, np.dtype(np.float32))


def _settings(one: _Side, other: _Side) -> list[str]:
    values = [(name, getattr(one.config, name), getattr(other.config, name)) for name in _SETTINGS]
    found = [f"{name} is {a} and {b}" for name, a, b in values if a != b]
    return found + ["the tokenizers differ"] * (one.tokenizer != other.tokenizer)

"""Safetensors files: written, read by the library; damaged ones named in one line."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jmed_jax.convert import tensor_writer
from jmed_jax.convert.tensor_files import INDEX, WEIGHTS, file_slots, model_slots
from jmed_jax.convert.tensor_writer import Planned, write_file, write_shards
from jmed_jax.errors import InputError

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.arange(5).astype(ml_dtypes.bfloat16),
    "c": np.ones((2, 2), np.float32),
}


def planned(arrays: dict[str, np.ndarray]) -> list[Planned]:
    return [Planned(name, array.dtype, array.shape, lambda array=array: array) for name, array in arrays.items()]


def test_the_library_reads_what_is_written_and_the_hash_is_the_file_s(tmp_path: Path) -> None:
    even = {"a": ARRAYS["a"], "c": ARRAYS["c"], "b": ARRAYS["b"]}
    sha256 = write_file(tmp_path / "a.safetensors", planned(even))
    assert sha256 == hashlib.sha256((tmp_path / "a.safetensors").read_bytes()).hexdigest()
    loaded = load_file(tmp_path / "a.safetensors")
    assert loaded.keys() == even.keys()
    for name, array in even.items():
        np.testing.assert_array_equal(loaded[name], array)


def test_shards_are_no_larger_than_they_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_writer, "MAX_SHARD_BYTES", 35)
    hashes = write_shards(tmp_path, planned(ARRAYS))
    index = json.loads((tmp_path / INDEX).read_text())
    names = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    assert index == {
        "metadata": {"total_size": 50},
        "weight_map": {"a": names[0], "b": names[0], "c": names[1]},
    }
    assert sorted(file.name for file in hashes) == names
    assert {name: slot.shape for name, slot in model_slots(tmp_path).items()} == {"a": (2, 3), "b": (5,), "c": (2, 2)}


def rewritten(file: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """The file with another header before the same numbers."""
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    text = json.dumps(change(header) or header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    return file


def without(name: str, key: str) -> Callable[[dict[str, Any]], Any]:
    def change(header: dict[str, Any]) -> None:
        del header[name][key]

    return change


def with_entry(name: str, **values: Any) -> Callable[[dict[str, Any]], Any]:
    def change(header: dict[str, Any]) -> None:
        header[name] |= values

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("a", "dtype"), "makes no sense at a"),
        (without("a", "shape"), "makes no sense at a"),
        (without("a", "data_offsets"), "makes no sense at a"),
        (lambda header: header | {"a": 3}, "makes no sense at a"),
        (lambda header: header | {"a": None}, "makes no sense at a"),
        (with_entry("a", dtype=["F32"]), "makes no sense at a"),
        (with_entry("a", dtype="F8_E4M3"), "dtype F8_E4M3.*quantised"),
        (with_entry("a", shape=[2, -3]), "makes no sense at a"),
        (with_entry("a", shape="23"), "makes no sense at a"),
        (with_entry("a", shape=[2, 4]), "a has 24 bytes and a shape of 32"),
        (with_entry("a", data_offsets=[0]), "makes no sense at a"),
        (with_entry("a", data_offsets=[24, 0]), "a has -24 bytes"),
        (with_entry("a", data_offsets=[-24, 0]), "makes no sense at a"),
        (with_entry("c", data_offsets=[16, 32]), "a and c overlap"),
        (with_entry("a", data_offsets=[10**12, 10**12 + 24]), "gap is before"),
        (lambda header: {"c": header["c"]}, "gap is before c"),
        (lambda header: {"a": header["a"]}, "16 bytes belong to no tensor"),
        (lambda header: [header], "no safetensors file"),
    ],
)
def test_a_damaged_header_is_named_in_one_line(
    change: Callable[[dict[str, Any]], Any], message: str, tmp_path: Path
) -> None:
    file = tmp_path / WEIGHTS
    save_file({"a": ARRAYS["a"], "c": ARRAYS["c"]}, file)
    assert file_slots(file).keys() == {"a", "c"}
    with pytest.raises(InputError, match=message) as caught:
        file_slots(rewritten(file, change))
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)


@pytest.mark.parametrize("length", [2**63, 10**9, 200])
def test_a_header_longer_than_the_file_is_no_header(length: int, tmp_path: Path) -> None:
    file = tmp_path / WEIGHTS
    file.write_bytes(length.to_bytes(8, "little") + b"{}" * 50)
    with pytest.raises(InputError, match="truncated or no safetensors file"):
        file_slots(file)


@pytest.mark.parametrize("content", ["{}", '{"weight_map": ["a"]}', '{"weight_map": {"a": 3}}'])
def test_a_damaged_index_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text(content)
    with pytest.raises(InputError, match=r"index\.json: no weight_map"):
        model_slots(tmp_path)


def test_a_directory_where_a_shard_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / INDEX).write_text('{"weight_map": {"a": "model-1.safetensors"}}')
    (tmp_path / "model-1.safetensors").mkdir()
    with pytest.raises(InputError, match=r"model-1\.safetensors: Is a directory"):
        model_slots(tmp_path)


def test_a_tensor_in_two_shards_is_named(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_file({"a": ARRAYS["a"]}, tmp_path / name)
    (tmp_path / INDEX).write_text('{"weight_map": {"a": "one", "b": "two"}}')
    with pytest.raises(InputError, match="two: a is in another file, too"):
        model_slots(tmp_path)

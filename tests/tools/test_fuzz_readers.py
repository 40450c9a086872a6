"""The fuzzing of readers finds what is wrong, and nothing in ours."""

import gzip
import itertools
import json
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.tools.test_conversion import TOOLS, tool


@pytest.fixture(scope="module", autouse=True)
def fuzz_readers() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield tool("fuzz_readers")


@pytest.fixture(scope="module")
def readers(fuzz_readers: ModuleType) -> list:
    return fuzz_readers.readers()


def test_undamaged_files_are_read(fuzz_readers: ModuleType, readers: list) -> None:
    fuzz_readers.read_valid(readers)


def test_damaged_files_are_one_line_each(fuzz_readers: ModuleType, readers: list) -> None:
    rounds = iter(range(30))
    assert fuzz_readers.fuzz(readers, itertools.count(), lambda: next(rounds, None) is None) == {}


@pytest.mark.parametrize("data", [b"", b"{}", b"3", b'"\\ud800"', b'{"a": ["\\ud800"]}\n[]\n', "熱\n".encode()])
def test_whatever_there_is_can_be_damaged(data: bytes) -> None:
    from fuzz_damage import damage

    damaged = [damage(data, random.Random(seed)) for seed in range(500)]
    assert all(isinstance(one, bytes) for one in damaged) and sum(one != data for one in damaged) > 350


def test_values_are_swapped_that_python_would_not_write() -> None:
    from fuzz_damage import damage

    damaged = {damage(b'{"a": 1}', random.Random(seed)) for seed in range(2000)}
    assert rb'{"a": "\ud800"}' in damaged
    with pytest.raises(ValueError, match="4300 digits"):
        json.loads(next(one for one in damaged if one == b'{"a": 1' + b"0" * 5000 + b"}"))


def test_damage_comes_before_compression_and_behind() -> None:
    from fuzz_files import Reader, gz

    reader = Reader("r", {"a.gz": gz(b"plain " * 20)}, list)
    whole = []
    for seed in range(100):
        _, files = reader.damaged(random.Random(seed))
        try:
            whole.append(gzip.decompress(files["a.gz"]) != b"plain " * 20)
        except (OSError, EOFError, zlib.error):
            whole.append(False)
    assert 30 < sum(whole) < 80


def test_a_manifest_is_written_of_damaged_files_too(tmp_path: Path) -> None:
    from fuzz_files import Manifest, Reader, write

    from jmed_jax.artifact import open_artifact
    from jmed_jax.errors import InputError

    reader = Reader("r", {"a.txt": b"abc" * 9}, list, Manifest("corpus", {}, {}, {}))
    outcomes = set()
    for seed in range(60):
        damaged, files = reader.damaged(random.Random(seed))
        folder = tmp_path / str(seed)
        folder.mkdir()
        write(files, folder)
        try:
            open_artifact(folder, "corpus")
            outcomes.add((damaged, "opened"))
        except InputError:
            outcomes.add((damaged, "refused"))
    assert {("a.txt", "opened"), ("a.txt", "refused"), ("manifest.json", "refused")} <= outcomes


def test_a_reader_that_fails_is_named_once(fuzz_readers: ModuleType) -> None:
    def read(folder: Path) -> object:
        raise KeyError(folder)

    def leave(folder: Path) -> object:
        return (folder / "left").touch()

    def half(folder: Path) -> object:
        return {folder.name: ("\ud83d",)}

    functions = {"bad": read, "dirty": leave, "half": half}
    bad = [fuzz_readers.Reader(name, {"a": b"a"}, function) for name, function in functions.items()]
    rounds: Iterator[int] = iter(range(3))
    faults = fuzz_readers.fuzz(bad, itertools.count(), lambda: next(rounds, None) is None)
    assert len(faults) == 3
    assert any("KeyError at test_fuzz_readers.py" in place for place in faults)
    assert any("left behind" in fault for fault in faults.values())
    assert any("text that has no UTF-8" in fault for fault in faults.values())

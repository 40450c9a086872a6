"""The fuzzing of readers finds what is wrong, and nothing in ours."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.tools.test_conversion import TOOLS, tool


@pytest.fixture
def fuzz_readers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return tool("fuzz_readers")


def test_undamaged_files_are_read(fuzz_readers: ModuleType, tmp_path: Path) -> None:
    for number, reader in enumerate(fuzz_readers.readers()):
        for name, data in reader.files.items():
            path = tmp_path / str(number) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        reader.read(tmp_path / str(number))


def test_damaged_files_are_one_line_each(fuzz_readers: ModuleType) -> None:
    rounds = iter(range(40))
    faults = fuzz_readers.fuzz(fuzz_readers.readers(), itertools.count(), lambda: next(rounds, None) is None)
    assert faults == {}


def test_a_reader_that_fails_is_named_once(fuzz_readers: ModuleType) -> None:
    def read(folder: Path) -> object:
        raise KeyError(folder)

    def leave(folder: Path) -> object:
        return (folder / "left").touch()

    bad = [fuzz_readers.Reader(name, {"a": b"a"}, function) for name, function in (("bad", read), ("dirty", leave))]
    rounds: Iterator[int] = iter(range(3))
    faults = fuzz_readers.fuzz(bad, itertools.count(), lambda: next(rounds, None) is None)
    assert len(faults) == 2
    assert any("KeyError at test_fuzz_readers.py" in place for place in faults)
    assert any("left behind" in fault for fault in faults.values())

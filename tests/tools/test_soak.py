"""The soak finds what leaks, and sees a real training from outside."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.tools.test_conversion import TOOLS, tool


@pytest.fixture(scope="module")
def soak() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield tool("soak")


def samples(soak: ModuleType, kib_a_step: float = 0.0, files_a_step: float = 0.0) -> list:
    """10,000 steps; every tenth sample falls into a checkpoint, and memory comes up to 500 MiB in the first tenth."""
    return [
        soak.Sample(
            step,
            min(500, 400 + step / 10) + kib_a_step * step / 1024 + (20 if step % 500 == 0 else 0),
            30 + int(files_a_step * step) + (3 if step % 500 == 0 else 0),
            12 + (4 if step % 500 == 0 else 0),
        )
        for step in range(50, 10_001, 50)
    ]


def test_checkpoints_and_warming_up_are_no_leak(soak: ModuleType) -> None:
    result = soak.summary(samples(soak), 10_000)
    assert result["flat"] and abs(result["RSS growth behind the warm-up"]) < 0.001
    assert result["RSS MiB, highest"] == 520 and result["more file descriptors"] == result["more threads"] == 0


def test_a_kilobyte_a_step_is_a_leak(soak: ModuleType) -> None:
    result = soak.summary(samples(soak, kib_a_step=1), 10_000)
    assert not result["flat"]
    assert result["RSS MiB per 1,000 steps"] == pytest.approx(1000 / 1024, abs=0.1)


def test_a_file_a_checkpoint_is_a_leak(soak: ModuleType) -> None:
    result = soak.summary(samples(soak, files_a_step=1 / 500), 10_000)
    assert not result["flat"] and result["more file descriptors"] > 0


def test_a_process_is_seen_from_outside(soak: ModuleType, tmp_path: Path) -> None:
    before = soak.sample(os.getpid(), 1)
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        with (tmp_path / "open").open("w"):
            during = soak.sample(os.getpid(), 2)
    finally:
        done.set()
        thread.join()
    assert (during.step, during.files, during.threads) == (2, before.files + 1, before.threads + 1)
    assert 10 < during.rss_mib < 100_000


@pytest.mark.slow
def test_a_training_is_watched_at_its_lines(soak: ModuleType, tmp_path: Path) -> None:
    watched = soak.watch(soak.command(tmp_path, 100))
    assert [one.step for one in watched] == [50, 100]
    assert (tmp_path / "run" / "checkpoints" / "100").is_dir() and (tmp_path / "run" / "validation.jsonl").is_file()

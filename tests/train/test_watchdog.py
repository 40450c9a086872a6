"""A run that hangs says where, and ends if it is told to."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from jmed_jax.train.watchdog import FIRST_STEP_FACTOR, Watchdog

HANGING = """
import sys, time
from pathlib import Path
from jmed_jax.train.watchdog import Watchdog

def stuck_in_a_collective():
    time.sleep(30)

with Watchdog(Path(sys.argv[1]), 0.2, abort=sys.argv[2] == "abort") as watchdog:
    watchdog.beat(7)
    if sys.argv[2] == "abort":
        stuck_in_a_collective()
    time.sleep(1)
    watchdog.beat(8)
print("went on")
"""


def run(path: Path, mode: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HANGING, str(path), mode]
    return subprocess.run(command, capture_output=True, text=True, timeout=25, check=False)


def test_a_hang_is_reported_with_stacks_and_ends_the_process(tmp_path: Path) -> None:
    ended = run(tmp_path, "abort")
    assert ended.returncode == 1
    for stacks in (ended.stderr, (tmp_path / "hang-7.txt").read_text()):
        assert "stuck_in_a_collective" in stacks
    assert "no step has ended since step 7" in ended.stderr


def test_without_abort_the_run_goes_on_and_one_hang_is_reported_once(tmp_path: Path) -> None:
    ended = run(tmp_path, "wait")
    assert ended.returncode == 0 and ended.stdout == "went on\n"
    assert ended.stderr.count("no step has ended") == 1
    assert [file.name for file in tmp_path.iterdir()] == ["hang-7.txt"]


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The last finished steps of the hangs that were reported, in place of the report itself."""
    found: list[int] = []
    monkeypatch.setattr(Watchdog, "_report", lambda self: found.append(self.step))
    return found


def test_steps_that_end_in_time_and_pauses_are_no_hang(tmp_path: Path, reports: list[int]) -> None:
    with Watchdog(tmp_path, 0.5) as watchdog:
        for step in range(1, 8):
            watchdog.beat(step)
            time.sleep(0.1)
        with watchdog.paused():
            time.sleep(0.7)
        time.sleep(0.1)
    assert reports == []


def test_the_time_counts_again_after_a_pause(tmp_path: Path, reports: list[int]) -> None:
    with Watchdog(tmp_path, 0.05) as watchdog:
        watchdog.beat(3)
        with watchdog.paused():
            pass
        time.sleep(0.3)
    assert reports == [3]


def test_the_first_step_may_take_longer_because_it_compiles(tmp_path: Path, reports: list[int]) -> None:
    with Watchdog(tmp_path, 0.1) as watchdog:
        with watchdog.paused():
            pass
        time.sleep(0.1 * FIRST_STEP_FACTOR / 2)
        assert reports == []
        time.sleep(0.1 * FIRST_STEP_FACTOR)
    assert reports == [0]


def test_a_timeout_of_zero_watches_nothing(tmp_path: Path, reports: list[int]) -> None:
    with Watchdog(tmp_path, 0.0) as watchdog:
        watchdog.beat(1)
        time.sleep(0.1)
    assert reports == []

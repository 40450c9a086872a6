"""Time is counted once, and all of it."""

import time
from pathlib import Path

import pytest

from jmed_jax.train import goodput
from jmed_jax.train.goodput import Goodput, GoodputFile, read_goodput, shares


class Clock:
    now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(goodput, "time", clock)
    return clock


def test_every_second_is_in_one_place(clock: Clock) -> None:
    spent = Goodput()
    clock.now += 1
    spent.enter("log")
    clock.now += 2
    with spent.spent("checkpoint"):
        clock.now += 4
        with spent.spent("data"):
            clock.now += 8
        clock.now += 16
    clock.now += 32
    seconds = spent.read()
    assert {place: value for place, value in seconds.items() if value} == {
        "start": 1,
        "log": 34,
        "checkpoint": 20,
        "data": 8,
    }
    assert sum(seconds.values()) == clock.now - 100


def test_time_counts_for_a_block_that_fails(clock: Clock) -> None:
    spent = Goodput()
    with pytest.raises(OSError), spent.spent("data"):
        clock.now += 3
        raise OSError
    clock.now += 1
    assert (spent.read()["data"], spent.read()["start"]) == (3, 1)


def test_the_real_clock_adds_up() -> None:
    before = time.perf_counter()
    spent = Goodput()
    for _ in range(100):
        with spent.spent("step"):
            pass
    total = sum(spent.read().values())
    assert 0 < total <= time.perf_counter() - before


def test_shares_name_what_took_a_thousandth_or_more() -> None:
    assert shares({"step": 98.0, "data": 1.95, "log": 0.05}) == "step 98.0%  data 1.9%"


def test_the_file_is_over_all_sessions(tmp_path: Path, clock: Clock) -> None:
    assert read_goodput(tmp_path)["sessions"] == 0
    for lost in (0, 3):
        spent = Goodput()
        clock.now += 1
        spent.enter("step")
        clock.now += 3
        file = GoodputFile(tmp_path)
        file.add_lost_steps(lost)
        # Written at every window: the last time counts.
        file.write(spent.read())
        file.write(spent.read())
    content = read_goodput(tmp_path)
    assert content["seconds"]["start"] == 2 and content["seconds"]["step"] == 6
    assert (content["wall_seconds"], content["goodput"]) == (8, 0.75)
    assert (content["sessions"], content["steps_lost"]) == (2, 3)

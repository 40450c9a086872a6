"""Where the wall time of a run went: one clock that is always in exactly one place, so that the places add up.

Host time. The device works while the host reads data and writes lines; the host waits for it inside `step`. So the
share of `step` is the goodput, and a share of `data` that grows at the cost of `step` says that the device waits for
data.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from jmed_jax.artifact import replacing

Place = Literal["start", "compile", "data", "step", "log", "checkpoint", "validation", "evaluation"]
"""start: opening rows, initialising or restoring. compile: the first call of the step. log: everything the loop itself
does, lines, TensorBoard and guards included. The others are what they say."""

GOODPUT = "goodput.json"


class Goodput:
    """Seconds by place since the process began to train."""

    def __init__(self) -> None:
        self.seconds: dict[Place, float] = dict.fromkeys(get_args(Place), 0.0)
        self._place: Place = "start"
        self._since = time.perf_counter()

    def enter(self, place: Place) -> Place:
        """From now on time counts for `place`; returns where it counted before."""
        now = time.perf_counter()
        self.seconds[self._place] += now - self._since
        self._since = now
        before, self._place = self._place, place
        return before

    @contextmanager
    def spent(self, place: Place) -> Iterator[None]:
        """Count the block for `place`, and what follows for where the clock was."""
        before = self.enter(place)
        try:
            yield
        finally:
            self.enter(before)

    def read(self) -> dict[Place, float]:
        """Seconds by place up to now."""
        self.enter(self._place)
        return dict(self.seconds)


def shares(seconds: Mapping[Place, float]) -> str:
    """`step 93.1%  data 4.0%  log 2.9%`: the places that took at least a thousandth, the largest first."""
    total = sum(seconds.values()) or 1.0
    ordered = sorted(seconds.items(), key=lambda item: -item[1])
    return "  ".join(f"{place} {value / total:.1%}" for place, value in ordered if value >= total / 1000)


class GoodputFile:
    """`goodput.json` of a run, over all processes that worked on it one after the other.

    `seconds` by place, `wall_seconds` (their sum), `goodput` (the share of `step`), `sessions` (how often the run was
    started) and `steps_lost` (steps computed again because they were behind the last checkpoint).
    """

    def __init__(self, run: Path) -> None:
        self.path = run / GOODPUT
        self.before = read_goodput(run)
        self.before["sessions"] += 1

    def add_lost_steps(self, count: int) -> None:
        self.before["steps_lost"] += count

    def write(self, seconds: Mapping[Place, float]) -> dict[str, Any]:
        """Write the totals with this process's seconds, and return them."""
        total = {place: self.before["seconds"].get(place, 0.0) + value for place, value in seconds.items()}
        wall = sum(total.values())
        content = {**self.before, "seconds": total, "wall_seconds": wall, "goodput": total["step"] / max(wall, 1e-9)}
        with replacing(self.path) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return content


def read_goodput(run: Path) -> dict[str, Any]:
    """The totals of a run; zeros where it never wrote any."""
    path = run / GOODPUT
    if not path.is_file():
        return {"seconds": {}, "wall_seconds": 0.0, "goodput": 0.0, "sessions": 0, "steps_lost": 0}
    return json.loads(path.read_text(encoding="utf-8"))

"""Training commands in processes of their own that start in no time: what they import is imported once, before a fork.

    python -m tests.train.forked SCENARIO FOLDER

Runs a scenario in FOLDER, which holds `tiny.py` and what it needs, and prints what came out as JSON. Not part of the
test process, whose JAX already runs: that cannot be forked.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from jmed_jax.cli import main
from jmed_jax.train import loop  # noqa: F401  # what children need
from jmed_jax.train.run import METRICS

KILLS = 10


class Child:
    """`jmed ARGUMENTS` in a forked process."""

    def __init__(self, *arguments: str, log: Path) -> None:
        self.log = log
        self.process = os.fork()
        if self.process == 0:
            self._work(arguments)

    def _work(self, arguments: tuple[str, ...]) -> None:
        code = 1
        try:
            output = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            code = main(arguments)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)

    def send(self, number: signal.Signals) -> int:
        """Send a signal and return the exit code, negative for a signal."""
        os.kill(self.process, number)
        return self.wait()

    def wait(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])

    def lives(self) -> bool:
        return os.waitid(os.P_PID, self.process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait for `condition`, or for the end of the process."""
        while self.lives() and not condition():
            time.sleep(0.002)


def train(folder: Path, run: str, *more: str) -> Child:
    return Child("train", str(folder / "tiny.py"), "--run", str(folder / run), *more, log=folder / f"{run}.log")


def killed(folder: Path) -> dict[str, Any]:
    """A run left alone, and one that SIGKILL meets ten times, at start-up or while it trains and saves."""
    assert train(folder, "straight").wait() == 0, (folder / "straight.log").read_text()
    generator = random.Random(0)
    lines_at_kills: list[int] = []
    metrics = folder / "killed" / METRICS
    for number in range(KILLS):
        child = train(folder, "killed")
        if number % 3:
            # Past what it takes from its predecessor; else at start-up.
            before = lines(metrics)
            child.wait_until(lambda: lines(metrics) > before)  # noqa: B023
        time.sleep(generator.uniform(0, 0.3))
        assert child.send(signal.SIGKILL) == -signal.SIGKILL, child.log.read_text()
        lines_at_kills.append(lines(metrics))
    return {"lines_at_kills": lines_at_kills, "finished": train(folder, "killed").wait()}


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def stopped(folder: Path) -> dict[str, Any]:
    """SIGTERM to a run, a second process in its directory meanwhile, and the run going on afterwards."""
    first = train(folder, "run")
    first.wait_until(lambda: lines(folder / "run" / METRICS) > 0)
    second = Child("train", str(folder / "tiny.py"), "--run", str(folder / "run"), log=folder / "second.log")
    codes = {"second": second.wait(), "first": first.send(signal.SIGTERM)}
    codes["again"] = train(folder, "run").wait()
    return {**codes, "holder": first.process, "message": (folder / "second.log").read_text()}


SCENARIOS = {"killed": killed, "stopped": stopped}


def configure() -> None:
    """Before JAX's back end starts, which it does in the children."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", 1)
    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


if __name__ == "__main__":
    configure()
    folder = Path(sys.argv[2])
    jax.config.update("jax_compilation_cache_dir", str(folder / "xla"))
    print(json.dumps(SCENARIOS[sys.argv[1]](folder)))

"""What the benchmarks share: turns taken in one run, ratios of pairs, and a result with date and hardware."""

import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import jax

RESULTS = Path(__file__).parent / "results"


@contextmanager
def in_own_process(make: Callable[..., Callable[[], Any]], *args: Any, **options: Any) -> Iterator[Callable[[], Any]]:
    """The function that `make(…)` returns, made and called in a process of its own.

    JAX and PyTorch in one process share an allocator and would not run as either does alone.

    Args:
        make: a function of a module, so that the other process finds it.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, make, args, options), daemon=True)
    process.start()
    there.close()

    def call() -> Any:
        here.send(True)
        return here.recv()

    here.recv()
    try:
        yield call
    finally:
        here.send(False)
        process.join()


def _serve(pipe: Connection, make: Callable[..., Callable[[], Any]], args: Any, options: Any) -> None:
    function = make(*args, **options)
    pipe.send(None)
    while pipe.recv():
        pipe.send(function())


def take_turns(
    functions: Mapping[str, Callable[[], Any]], rounds: int, *, warm_up: bool = False
) -> dict[str, list[float]]:
    """Seconds of each function, A B C A B C …, after a round that does not count.

    The machine's speed drifts; neighbours in time share it.

    Args:
        warm_up: call each function twice a turn and count the second, as what runs for hours is called: after another
            one's turn, a step of a gigabyte of temporary memory spends seconds in the system to get it back.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
            if warm_up:
                function()
            start = time.perf_counter()
            function()
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def median_ratio(numerators: list[float], denominators: list[float]) -> float:
    """Median of the ratios of neighbours."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def save(name: str, result: Mapping[str, Any], packages: tuple[str, ...]) -> Path:
    """Write `tools/results/NAME-DATE.json`, with the hardware and the versions of the packages."""
    path = RESULTS / f"{name}-{time.strftime('%Y-%m-%d')}.json"
    described = {
        "benchmark": name,
        "date": time.strftime("%Y-%m-%d"),
        "hardware": ", ".join([*accelerators(), _processor(), f"{os.cpu_count()} cores"]),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "commit": _commit(),
        **result,
    }
    path.write_text(json.dumps(described, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path


def accelerators() -> list[str]:
    """Kinds of the GPUs and TPUs that JAX sees here."""
    return sorted({device.device_kind for device in jax.devices() if device.platform != "cpu"})


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.partition(": ")[2]
        for line in (cpuinfo.read_text().splitlines() if cpuinfo.exists() else [])
        if line.startswith("model name")
    ]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str:
    """The commit that was measured, with a plus sign if the tree had changes."""
    here = Path(__file__).parent
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=True
    )
    changes = subprocess.run(["git", "status", "--porcelain"], cwd=here, capture_output=True, text=True, check=True)
    return commit.stdout.strip() + ("+" if changes.stdout else "")

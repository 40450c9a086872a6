"""What the benchmarks share: turns taken in one run, ratios of pairs, and a result with date and hardware."""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def take_turns(functions: Mapping[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each function, A B C A B C …, after a round that does not count.

    The machine's speed drifts; neighbours in time share it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
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
        "hardware": f"{_processor()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
        "commit": _commit(),
        **result,
    }
    path.write_text(json.dumps(described, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path


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

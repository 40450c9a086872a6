"""Real processes of one run on this machine, joined by gloo."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import jax

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


def launch(command: Sequence[str], processes: int, devices: int) -> list["subprocess.Popen[str]"]:
    """Start `python -m …` once for every process; `{coordinator}`, `{processes}` and `{process}` are filled in.

    Args:
        devices: virtual CPU devices of each.
    """
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(devices),
        # As conftest.py has them, so that numbers are comparable; and its cache, to compile once.
        "JAX_DEFAULT_MATMUL_PRECISION": "highest",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "JAX_NUMPY_RANK_PROMOTION": "raise",
        "JAX_COMPILATION_CACHE_DIR": jax.config.jax_compilation_cache_dir or "",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    coordinator = f"localhost:{free_port()}"
    return [
        subprocess.Popen(
            [sys.executable, "-m"]
            + [part.format(coordinator=coordinator, processes=processes, process=process) for part in command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for process in range(processes)
    ]


def outcomes(running: Sequence["subprocess.Popen[str]"], timeout: float = 240) -> list[tuple[int, str]]:
    """Exit code and output of each, without what gloo says about its connections (its threads mix their lines)."""
    try:
        texts = [process.communicate(timeout=timeout)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    quiet = map(_without_gloo, texts)
    return [(process.returncode, text) for process, text in zip(running, quiet, strict=True)]


def _without_gloo(text: str) -> str:
    said = re.compile(r"\[Gloo\] Rank \d+ is connected to| \d+ peer ranks\. Expected .* is : \d+\n")
    # One thread's line can stand in the middle of another's: it has to go first.
    while (rest := said.sub("", text)) != text:
        text = rest
    return text

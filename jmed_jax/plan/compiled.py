"""Ask a process of its own to compile the step for a topology, and wait for it for a limited time."""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from jmed_jax.config import ExperimentConfig, to_dict
from jmed_jax.errors import InputError
from jmed_jax.plan.topology import Topology

_PLUGINS = {
    "tpu": (("libtpu",), "the TPU compiler", "tpu"),
    "gpu": (("jax_plugins.xla_cuda13", "jax_plugins.xla_cuda12"), "JAX's CUDA plugin", "gpu"),
}


@dataclass(frozen=True)
class Unavailable:
    """Why there is no word of the compiler."""

    reason: str
    """One sentence for the user, with what to do."""


def missing_plugin(topology: Topology) -> str:
    """What to install before the step can be compiled for this hardware; "" where nothing is missing."""
    if topology.hardware.platform == "cpu":
        return ""
    modules, what, extra = _PLUGINS[topology.hardware.platform]
    if any(_is_installed(module) for module in modules):
        return ""
    return f"{what} is not installed: pip install 'jmed_jax[{extra}]'"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of the package it would be in
        return False


def compile_elsewhere(config: ExperimentConfig, topology: Topology, *, seconds: float) -> dict[str, Any] | Unavailable:
    """The reply of `plan/compile_step.py`, "compiled" or "out_of_memory".

    The TPU compiler takes minutes for a large step, and at its lowest effort a fifth of that, with temporaries somewhat
    smaller than in earnest (15 % of the total for 1.2 B parameters on v5p:2x2x4). So it is asked quickly first, and
    properly in the time that is left; `quick` says whose word the reply is.

    Args:
        seconds: after so long the compiler is stopped.

    Raises:
        InputError: the trainer refuses the configuration on this topology.
    """
    if missing := missing_plugin(topology):
        return Unavailable(missing)
    if topology.hardware.platform != "tpu":
        return _ask(config, topology, seconds, {})
    end = time.monotonic() + seconds
    quick = _ask(config, topology, seconds, {"JAX_EXEC_TIME_OPTIMIZATION_EFFORT": "-1.0"})
    # What does not fit now will not in earnest.
    if isinstance(quick, Unavailable) or quick["status"] == "out_of_memory":
        return quick
    proper = _ask(config, topology, max(0.0, end - time.monotonic()), {})
    return quick | {"quick": True} if isinstance(proper, Unavailable) else proper


def _ask(
    config: ExperimentConfig, topology: Topology, seconds: float, effort: dict[str, str]
) -> dict[str, Any] | Unavailable:
    request = json.dumps({"config": to_dict(config), "topology": topology.name})
    try:
        process = subprocess.run(
            [sys.executable, "-m", "jmed_jax.plan.compile_step"],
            input=request,
            capture_output=True,
            text=True,
            timeout=seconds,
            env=os.environ | _environment(topology) | effort,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Unavailable(f"the compiler was not done after {seconds:.0f} s: give it more with --time-limit")
    lines = process.stdout.splitlines()
    if process.returncode or not lines:
        last = (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        return Unavailable(f"the compiler failed: {last}")
    reply: dict[str, Any] = json.loads(lines[-1])
    if reply["status"] == "refused":
        raise InputError(reply["message"])
    return reply


def _environment(topology: Topology) -> dict[str, str]:
    """No device of this machine is asked for: the compilers work from descriptions."""
    return {
        "JAX_PLATFORMS": "cpu",
        "JAX_NUM_CPU_DEVICES": str(topology.devices if topology.hardware.platform == "cpu" else 1),
        # The last line of its error is then the error.
        "JAX_TRACEBACK_FILTERING": "off",
        # Of a TPU machine that is not this one.
        "TPU_SKIP_MDS_QUERY": "1",
        "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
        "JAX_SKIP_CUDA_CONSTRAINTS_CHECK": "1",
    }

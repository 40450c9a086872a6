"""What the compilers and this machine say of a device beyond the table of `jmed_jax/hardware.py`."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from jmed_jax.hardware import Hardware


@dataclass(frozen=True)
class GpuDescription:
    """What XLA must know of a card to compile for it where it is not (`GpuTargetConfigProto`)."""

    multiprocessors: int
    shared_memory: int
    """Bytes of a multiprocessor; a block may take 1 KiB less."""
    threads: int
    """Of a multiprocessor."""
    l2_cache: int
    clock_ghz: float
    capability: tuple[int, int]
    """CUDA compute capability."""


# CUDA C Programming Guide, "Technical Specifications per Compute Capability", and the architectures' white papers.
_HOPPER = GpuDescription(132, 228 * 1024, 2048, 50 * 2**20, 1.98, (9, 0))
_AMPERE = GpuDescription(108, 164 * 1024, 2048, 40 * 2**20, 1.41, (8, 0))
GPU_DESCRIPTIONS = {
    "h100": _HOPPER,
    "h200": _HOPPER,
    "a100": _AMPERE,
    "a100-40": _AMPERE,
    "rtx6000ada": GpuDescription(142, 100 * 1024, 1536, 96 * 2**20, 2.505, (8, 9)),
    "rtx4090": GpuDescription(128, 100 * 1024, 1536, 72 * 2**20, 2.52, (8, 9)),
    "l4": GpuDescription(60, 100 * 1024, 1536, 48 * 2**20, 2.04, (8, 9)),
}


def gpu_target_config(hardware: Hardware) -> str:
    """The card as the text that XLA's CUDA compiler takes in place of the card itself."""
    card = GPU_DESCRIPTIONS[hardware.name]
    major, minor = card.capability
    return f"""
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: {card.threads}
  shared_memory_per_block: 49152 shared_memory_per_core: {card.shared_memory}
  shared_memory_per_block_optin: {card.shared_memory - 1024}
  core_count: {card.multiprocessors} fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: {int(hardware.memory_bandwidth)} l2_cache_size: {card.l2_cache} clock_rate_ghz: {card.clock_ghz}
  device_memory_size: {hardware.memory_bytes}
  cuda_compute_capability {{ major: {major} minor: {minor} }}
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 7 }}
runtime_version {{ major: 12 minor: 8 }}
device_description_str: "{hardware.name}"
"""


# --- this machine -----------------------------------------------------------------------------------------------------


@cache
def this_machine(devices: int) -> Hardware:
    """One of so many virtual devices of this machine's CPU: an equal share of its memory and of its measured speeds."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    flops, bandwidth = _measure()
    return Hardware(
        "cpu", "cpu", memory // devices, flops / devices, bandwidth / devices, bandwidth / devices,
        "this machine: its memory, a float32 matrix product and a copy, measured; shared among the devices",
    )  # fmt: skip


def _measure() -> tuple[float, float]:
    """FLOP/s of a float32 matrix product and bytes a second of a copy, over all cores; the best of a few."""
    import numpy as np

    size, count = 1024, 2**24
    x, target = np.ones((size, size), np.float32), np.empty(count, np.float32)
    source = np.ones(count, np.float32)
    product = _best_seconds(lambda: x @ x)
    # A copy reads and writes.
    return 2 * size**3 / product, 2 * source.nbytes / _best_seconds(lambda: np.copyto(target, source))


def _best_seconds(action: Callable[[], object], repeats: int = 5) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return min(seconds)

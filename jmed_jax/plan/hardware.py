"""Devices that a plan can be made for: memory, peak, bandwidths, each with the data sheet it comes from.

Bandwidths between devices count one direction: what a device can send while it receives as much.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

Platform = Literal["tpu", "gpu", "cpu"]

GIB = 2**30
GB = 10**9
TERA = 10**12


@dataclass(frozen=True)
class Hardware:
    """One device."""

    name: str
    platform: Platform
    memory_bytes: int
    peak_flops: float
    """Dense, FLOP/s: bfloat16 on accelerators, float32 on a CPU."""
    memory_bandwidth: float
    """Bytes a second."""
    link_bandwidth: float
    """Bytes a second to the other devices, one direction."""
    source: str


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


TPU_V5E = Hardware(
    "v5e", "tpu", 16 * GIB, 197e12, 819 * GB, 200 * GB,
    "cloud.google.com/tpu/docs/v5e: 197 TFLOPs, 16 GB, 819 GBps, ICI 400 GBps in both directions",
)  # fmt: skip
TPU_V5P = Hardware(
    "v5p", "tpu", 95 * GIB, 459e12, 2765 * GB, 600 * GB,
    "cloud.google.com/tpu/docs/v5p: 459 TFLOPs, 95 GiB, 2765 GBps, ICI 1200 GBps in both directions",
)  # fmt: skip
TPU_V6E = Hardware(
    "v6e", "tpu", 32 * GIB, 918e12, 1638 * GB, 400 * GB,
    "cloud.google.com/tpu/docs/v6e: 918 TFLOPs, 32 GB, 1638 GBps, ICI 800 GBps in both directions",
)  # fmt: skip
H100 = Hardware(
    "h100", "gpu", 80 * GB, 989e12, 3350 * GB, 450 * GB,
    "NVIDIA H100 data sheet, SXM: 989 TFLOPS dense bf16, 80 GB, 3.35 TB/s, NVLink 900 GB/s in both directions",
)  # fmt: skip
H200 = Hardware(
    "h200", "gpu", 141 * GB, 989e12, 4800 * GB, 450 * GB,
    "NVIDIA H200 data sheet, SXM: 989 TFLOPS dense bf16, 141 GB, 4.8 TB/s, NVLink 900 GB/s in both directions",
)  # fmt: skip
A100 = Hardware(
    "a100", "gpu", 80 * GB, 312e12, 2039 * GB, 300 * GB,
    "NVIDIA A100 data sheet, 80 GB SXM: 312 TFLOPS dense bf16, 2039 GB/s, NVLink 600 GB/s in both directions",
)  # fmt: skip
RTX_6000_ADA = Hardware(
    "rtx6000ada", "gpu", 48 * GB, 364e12, 960 * GB, 32 * GB,
    "NVIDIA RTX 6000 Ada data sheet: 364 TFLOPS dense bf16, 48 GB, 960 GB/s, no NVLink: PCIe 4.0 x16",
)  # fmt: skip

TPUS = {hardware.name: hardware for hardware in (TPU_V5E, TPU_V5P, TPU_V6E)}
GPUS = {hardware.name: hardware for hardware in (H100, H200, A100, RTX_6000_ADA)}

# CUDA C Programming Guide, "Technical Specifications per Compute Capability", and the architectures' white papers.
_HOPPER = GpuDescription(132, 228 * 1024, 2048, 50 * 2**20, 1.98, (9, 0))
GPU_DESCRIPTIONS = {
    "h100": _HOPPER,
    "h200": _HOPPER,
    "a100": GpuDescription(108, 164 * 1024, 2048, 40 * 2**20, 1.41, (8, 0)),
    "rtx6000ada": GpuDescription(142, 100 * 1024, 1536, 96 * 2**20, 2.505, (8, 9)),
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

"""Devices by name: memory, peak, bandwidths, each with the data sheet it comes from. The one table of them.

What `jmed train` divides by for its MFU and what `jmed plan` plans with. Bandwidths between devices count one
direction: what a device can send while it receives as much.
"""

import re
from dataclasses import dataclass
from typing import Literal

Platform = Literal["tpu", "gpu", "cpu"]

GIB = 2**30
GB = 10**9


@dataclass(frozen=True)
class Hardware:
    """One device."""

    name: str
    """As a topology spells it."""
    platform: Platform
    memory_bytes: int
    peak_flops: float
    """Dense, FLOP/s: bfloat16 with float32 sums on accelerators, float32 on a CPU."""
    memory_bandwidth: float
    """Bytes a second."""
    link_bandwidth: float
    """Bytes a second to the other devices, one direction."""
    source: str
    kinds: tuple[str, ...] = ()
    """How JAX's `device_kind` of it begins."""


TPU_V4 = Hardware(
    "v4", "tpu", 32 * GIB, 275e12, 1200 * GB, 268 * GB,
    "cloud.google.com/tpu/docs/v4: 275 TFLOPs, 32 GiB, 1200 GBps, all-reduce 1.1 PB/s over 4096 chips",
    ("TPU v4",),
)  # fmt: skip
TPU_V5E = Hardware(
    "v5e", "tpu", 16 * GIB, 197e12, 819 * GB, 200 * GB,
    "cloud.google.com/tpu/docs/v5e: 197 TFLOPs, 16 GB, 819 GBps, ICI 400 GBps in both directions",
    ("TPU v5 lite", "TPU v5e"),
)  # fmt: skip
TPU_V5P = Hardware(
    "v5p", "tpu", 95 * GIB, 459e12, 2765 * GB, 600 * GB,
    "cloud.google.com/tpu/docs/v5p: 459 TFLOPs, 95 GiB, 2765 GBps, ICI 1200 GBps in both directions",
    ("TPU v5", "TPU v5p"),
)  # fmt: skip
TPU_V6E = Hardware(
    "v6e", "tpu", 32 * GIB, 918e12, 1638 * GB, 400 * GB,
    "cloud.google.com/tpu/docs/v6e: 918 TFLOPs, 32 GB, 1638 GBps, ICI 800 GBps in both directions",
    ("TPU v6 lite", "TPU v6e"),
)  # fmt: skip
H100 = Hardware(
    "h100", "gpu", 80 * GB, 989e12, 3350 * GB, 450 * GB,
    "NVIDIA H100 data sheet, SXM: 1,979 TFLOPS sparse bf16, 80 GB, 3.35 TB/s, NVLink 900 GB/s in both directions",
    # That of the PCIe card, which is a quarter slower, is "NVIDIA H100 PCIe".
    ("NVIDIA H100 80GB HBM3",),
)  # fmt: skip
H200 = Hardware(
    "h200", "gpu", 141 * GB, 989e12, 4800 * GB, 450 * GB,
    "NVIDIA H200 data sheet, SXM: 1,979 TFLOPS sparse bf16, 141 GB, 4.8 TB/s, NVLink 900 GB/s in both directions",
    ("NVIDIA H200",),
)  # fmt: skip
A100 = Hardware(
    "a100", "gpu", 80 * GB, 312e12, 2039 * GB, 300 * GB,
    "NVIDIA A100 data sheet, 80 GB SXM: 312 TFLOPS dense bf16, 2039 GB/s, NVLink 600 GB/s in both directions",
    # The other form factor and memories have the same peak.
    ("NVIDIA A100",),
)  # fmt: skip
A100_40 = Hardware(
    "a100-40", "gpu", 40 * GB, 312e12, 1555 * GB, 300 * GB,
    "NVIDIA A100 data sheet, 40 GB SXM: 312 TFLOPS dense bf16, 1555 GB/s, NVLink 600 GB/s in both directions",
    ("NVIDIA A100-SXM4-40GB",),
)  # fmt: skip
RTX_6000_ADA = Hardware(
    "rtx6000ada", "gpu", 48 * GB, 364e12, 960 * GB, 32 * GB,
    "NVIDIA RTX 6000 Ada data sheet: 1,457 TFLOPS sparse fp8, 48 GB, 960 GB/s, no NVLink: PCIe 4.0 x16",
    ("NVIDIA RTX 6000 Ada",),
)  # fmt: skip
RTX_4090 = Hardware(
    "rtx4090", "gpu", 24 * GB, 165e12, 1008 * GB, 32 * GB,
    "NVIDIA Ada architecture white paper, RTX 4090: 165.2 TFLOPS dense bf16 with fp32 sums, 24 GB, 1008 GB/s, "
    "no NVLink: PCIe 4.0 x16",
    ("NVIDIA GeForce RTX 4090",),
)  # fmt: skip
L4 = Hardware(
    "l4", "gpu", 24 * GB, 121e12, 300 * GB, 32 * GB,
    "NVIDIA L4 data sheet: 242 TFLOPS sparse bf16, 24 GB, 300 GB/s, no NVLink: PCIe 4.0 x16",
    ("NVIDIA L4",),
)  # fmt: skip

TPUS = {hardware.name: hardware for hardware in (TPU_V5E, TPU_V5P, TPU_V6E)}
"""That a topology can name. The compiler of v4 wants a mesh made by hand."""
GPUS = {hardware.name: hardware for hardware in (H100, H200, A100, A100_40, RTX_6000_ADA, RTX_4090, L4)}


def find(device_kind: str) -> Hardware | None:
    """The device that JAX calls so; None where the table does not have it."""
    found: tuple[str, Hardware] | None = None
    for hardware in (TPU_V4, *TPUS.values(), *GPUS.values()):
        for kind in hardware.kinds:
            # A word of its own: "NVIDIA L4" is not "NVIDIA L40S". The longest name knows best.
            if re.match(rf"{re.escape(kind)}(?!\w)", device_kind) and (found is None or len(kind) > len(found[0])):
                found = kind, hardware
    return found[1] if found else None

"""Names of hardware on the command line: `v5e:16x16`, `h100x8`, `cpu:8`."""

import math
import re
from dataclasses import dataclass

from jmed_jax.errors import InputError
from jmed_jax.hardware import GPUS, TPUS, Hardware
from jmed_jax.plan.hardware import this_machine

# Chips along each axis of the torus: v5e and v6e are flat, v5p has three axes.
_TPU_AXES = {"v5e": 2, "v6e": 2, "v5p": 3}
_TPU_EXAMPLES = {"v5e": "v5e:4x4, v5e:16x16", "v6e": "v6e:4x4, v6e:16x16", "v5p": "v5p:2x2x4, v5p:4x4x4"}
SPELLINGS = "v5e:16x16, v6e:4x4, v5p:2x2x4, h100x8, h200x8, a100x8, a100-40x8, rtx6000adax4, rtx4090x1, l4x1 or cpu:8"


@dataclass(frozen=True)
class Topology:
    """Devices of one kind, and how many."""

    name: str
    """As the user spells it."""
    hardware: Hardware
    devices: int
    shape: tuple[int, ...]
    """Devices along each axis of the interconnect."""


def parse_topology(name: str) -> Topology:
    """
    Raises:
        InputError: it names no hardware that a plan can be made for.
    """
    text = name.lower()
    if match := re.fullmatch(r"cpu:([1-9]\d*)", text):
        devices = int(match[1])
        return Topology(text, this_machine(devices), devices, (devices,))
    if match := re.fullmatch(rf"({'|'.join(GPUS)})x([1-9]\d*)", text):
        devices = int(match[2])
        return Topology(text, GPUS[match[1]], devices, (devices,))
    if match := re.fullmatch(rf"({'|'.join(TPUS)}):([1-9]\d*(?:x[1-9]\d*)*)", text):
        kind, shape = match[1], tuple(map(int, match[2].split("x")))
        if len(shape) != _TPU_AXES[kind]:
            raise InputError(
                f"--topology {name}: slices of {kind} have {_TPU_AXES[kind]} axes, as {_TPU_EXAMPLES[kind]}."
            )
        return Topology(text, TPUS[kind], math.prod(shape), shape)
    raise InputError(f"--topology {name}: {_nearest(text)}")


def _nearest(text: str) -> str:
    """What the user may have meant."""
    names = sorted([*TPUS, *GPUS, "cpu"], key=len, reverse=True)
    kind = re.match(rf"({'|'.join(names)})(?:\D*(\d+))?", text)
    if kind is None:
        return f"unknown hardware. Spell it as {SPELLINGS}."
    if kind[1] in TPUS:
        return f"a slice is named by its chips along each axis, as {_TPU_EXAMPLES[kind[1]]}."
    count = kind[2] or "8"
    return f"spell it as {f'cpu:{count}' if kind[1] == 'cpu' else f'{kind[1]}x{count}'}."

"""What to change in a configuration that does not fit."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any, Literal, NamedTuple

from jmed_jax.config import ExperimentConfig, MeshConfig
from jmed_jax.hardware import GIB
from jmed_jax.plan.memory import USABLE_SHARE, Base, MeshShape, bytes_per_device, mesh_shape

Remat = Literal["none", "dots", "attention", "full"]
# Lighter ones after heavier ones.
REMATS: tuple[Remat, ...] = ("none", "dots", "attention", "full")
BASES: tuple[Base, ...] = ("float32", "bfloat16", "int8", "nf4")

# Tokens: a matrix product of so many rows still fills the units of every accelerator here.
SMALL_LOSS_CHUNK = 256


def advise(config: ExperimentConfig, shape: MeshShape, memory_bytes: int, needed: int) -> str:
    """One line: what is too large, and the least change of fields that makes it fit.

    Args:
        memory_bytes: of one device.
        needed: what the configuration as it is was found to need of it. Where a compiler found it, the estimates of
            the changed configurations are scaled by how much it differs from the estimate of this one.
    """
    usable = USABLE_SHARE * memory_bytes
    problem = (
        f'{config.model.num_parameters / 1e9:.3g} B parameters in mode "{config.mesh.mode}" need '
        f"{needed / GIB:.1f} GiB a device, and {usable / GIB:.1f} of its {memory_bytes / GIB:.3g} GiB can be used."
    )
    correction = needed / bytes_per_device(config, shape)["total"]
    for chosen in sorted(product(*_changes(config, shape)), key=lambda chosen: sum(map(bool, chosen))):
        changed = config
        for change in filter(None, chosen):
            changed = replace(changed, **change.sections(changed))
        if correction * bytes_per_device(changed, mesh_shape(changed.mesh, shape.devices))["total"] <= usable:
            return f"{problem} Use {' '.join(change.flags for change in reversed(chosen) if change)}."
    return f"{problem} No mode, remat, batch or precision brings it down to that: take more or larger devices."


class _Change(NamedTuple):
    flags: str
    sections: Callable[[ExperimentConfig], dict[str, Any]]
    """The sections of a configuration that they change, as they are then."""


def _changes(config: ExperimentConfig, shape: MeshShape) -> list[list[_Change | None]]:
    """Alternatives of each field, None first, small changes before large ones; the cheapest field is the last."""
    meshes: list[_Change | None] = [None]
    mesh = MeshConfig(mode="fsdp", data=1, fsdp=shape.batch_ways, tensor=shape.tensor)
    if shape.batch_ways > 1 and (config.mesh.mode, shape.fsdp) != ("fsdp", shape.batch_ways):
        meshes.append(_Change(f"--mesh.mode fsdp --mesh.data 1 --mesh.fsdp {mesh.fsdp}", lambda _: {"mesh": mesh}))
    chunks: list[_Change | None] = [None]
    if config.train.loss_chunk > SMALL_LOSS_CHUNK:
        chunks.append(
            _Change(
                f"--train.loss-chunk {SMALL_LOSS_CHUNK}",
                lambda c: {"train": replace(c.train, loss_chunk=SMALL_LOSS_CHUNK)},
            )
        )
    remats: list[_Change | None] = [None]
    remats += [_with_remat(remat) for remat in REMATS[REMATS.index(config.train.remat) + 1 :]]
    batches: list[_Change | None] = [None]
    rows = config.data.batch_size
    while rows % 2 == 0 and (rows // 2) % shape.batch_ways == 0:
        rows //= 2
        batches.append(_with_rows(rows, config.data.rows_per_step // rows))
    bases: list[_Change | None] = [None]
    if config.lora.rank:
        bases += [_with_base(base) for base in BASES[BASES.index(config.lora.base) + 1 :]]
    moments: list[_Change | None] = [None]
    if config.optimizer.moments_dtype == "float32":
        moments.append(
            _Change(
                "--optimizer.moments-dtype bfloat16",
                lambda c: {"optimizer": replace(c.optimizer, moments_dtype="bfloat16")},
            )
        )
    return [bases, moments, batches, remats, meshes, chunks]


def _with_remat(remat: Remat) -> _Change:
    return _Change(f"--train.remat {remat}", lambda c: {"train": replace(c.train, remat=remat)})


def _with_base(base: Base) -> _Change:
    return _Change(f"--lora.base {base}", lambda c: {"lora": replace(c.lora, base=base)})


def _with_rows(rows: int, accumulation: int) -> _Change:
    return _Change(
        f"--data.batch-size {rows} --data.accumulation {accumulation}",
        lambda c: {"data": replace(c.data, batch_size=rows, accumulation=accumulation)},
    )

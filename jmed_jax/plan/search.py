"""Modes, batch sizes and remat policies that fit some hardware, fastest first."""

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from jmed_jax.config import DataConfig, ExperimentConfig, MeshConfig
from jmed_jax.errors import InputError
from jmed_jax.hardware import GIB
from jmed_jax.plan.advice import REMATS
from jmed_jax.plan.memory import USABLE_SHARE, bytes_per_device, mesh_shape
from jmed_jax.plan.roofline import MFU_ASSUMED
from jmed_jax.plan.topology import Topology
from jmed_jax.plan.training_plan import compiled_plan, estimated_plan

# The compiler is asked about so many, the estimate about all.
COMPILED = 3
SHOWN = 10
# More ways of tensor parallelism than one host has devices never pay.
_MOST_TENSOR = 8


def search(
    config: ExperimentConfig,
    topology: Topology,
    *,
    seconds: float,
    memory_bytes: int | None = None,
    mfu: float = MFU_ASSUMED,
    price_per_hour: float | None = None,
) -> list[dict[str, Any]]:
    """Plans that fit, fastest first, with the `flags` of `jmed train` that make them; the same rows a step in all.

    The estimate prunes and ranks; the best are compiled, and leave the list where the compiler says that they do not
    fit. Among equally fast ones (bound by the same arithmetic) come those first that leave memory and links idle.

    Args:
        seconds: for all compilations together.

    Raises:
        InputError: nothing fits.
    """
    options = {"memory_bytes": memory_bytes, "mfu": mfu, "price_per_hour": price_per_hour}
    found = []
    memory = memory_bytes or topology.hardware.memory_bytes
    for candidate in _candidates(config, topology.devices):
        needed = bytes_per_device(candidate, mesh_shape(candidate.mesh, topology.devices))["total"]
        if needed <= USABLE_SHARE * memory:
            found.append((candidate, estimated_plan(candidate, topology, **options)))  # type: ignore[arg-type]
    if not found:
        raise InputError(
            f"no mode, batch size or remat policy fits {topology.devices} devices of {memory / GIB:.3g} GiB: "
            "take more or larger devices."
        )
    found.sort(key=lambda pair: _rank(pair[1]))
    end = time.monotonic() + seconds
    plans: list[dict[str, Any]] = []
    compiled = 0
    for candidate, plan in found:
        left = end - time.monotonic()
        if compiled < COMPILED and left > 0:
            plan = compiled_plan(candidate, topology, seconds=left, **options)  # type: ignore[arg-type]
            compiled += plan["source"] == "compiled" and plan["fits"]
            # Without its plugin, or out of time: no use asking again.
            if plan["source"] == "estimated":
                end = time.monotonic()
        if plan["fits"]:
            plans.append(plan | {"flags": _flags(candidate)})
        if len(plans) == SHOWN:
            break
    return sorted(plans, key=_rank)


def _rank(plan: dict[str, Any]) -> tuple[float, float]:
    return plan["step_seconds"], sum(plan["seconds"].values())


def _candidates(config: ExperimentConfig, devices: int) -> Iterator[ExperimentConfig]:
    """Every mesh, number of rows a device, and remat policy with the step's rows."""
    for mesh in _meshes(config, devices):
        ways = mesh_shape(mesh, devices).batch_ways
        rows = config.data.rows_per_step
        if rows % ways:
            continue
        for data in _batches(config.data, rows, ways):
            for remat in REMATS:
                yield replace(config, mesh=mesh, data=data, train=replace(config.train, remat=remat))


def _meshes(config: ExperimentConfig, devices: int) -> Iterator[MeshConfig]:
    for tensor in _powers(min(devices, _MOST_TENSOR)):
        if devices % tensor or config.model.num_kv_heads % tensor or config.model.mlp_size % tensor:
            continue
        ways = devices // tensor
        yield MeshConfig("ddp", data=ways, fsdp=1, tensor=tensor)
        for fsdp in _powers(ways):
            if fsdp > 1 and ways % fsdp == 0 and config.model.hidden_size % fsdp == 0:
                yield MeshConfig("zero2", data=ways // fsdp, fsdp=fsdp, tensor=tensor)
                yield MeshConfig("fsdp", data=ways // fsdp, fsdp=fsdp, tensor=tensor)


def _batches(data: DataConfig, rows: int, ways: int) -> Iterator[DataConfig]:
    for share in _powers(rows // ways):
        if rows % (ways * share) == 0:
            yield replace(data, batch_size=ways * share, accumulation=rows // (ways * share))


def _powers(most: int) -> Iterator[int]:
    """1, 2, 4, … up to `most`."""
    power = 1
    while power <= most:
        yield power
        power *= 2


def _flags(config: ExperimentConfig) -> str:
    mesh, data = config.mesh, config.data
    return (
        f"--mesh.mode {mesh.mode} --mesh.data {mesh.data} --mesh.fsdp {mesh.fsdp} --mesh.tensor {mesh.tensor} "
        f"--data.batch-size {data.batch_size} --data.accumulation {data.accumulation} "
        f"--train.remat {config.train.remat}"
    )

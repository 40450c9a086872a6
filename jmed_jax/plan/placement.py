"""A configuration on hardware that it was not written for: what its mesh and its batch become there."""

from dataclasses import replace

from jmed_jax.config import ExperimentConfig
from jmed_jax.errors import InputError
from jmed_jax.plan.memory import MeshShape, mesh_shape


def place(
    config: ExperimentConfig, devices: int, *, keep_mesh: bool = False, keep_batch: bool = False
) -> tuple[ExperimentConfig, str]:
    """The same step on so many devices.

    Mode, fsdp and tensor stay where they divide the devices, and data takes the rest. The rows of a step stay; where a
    pass does not divide over the devices, a device takes at most as many rows of a pass as it had.

    Args:
        keep_mesh: the mesh is what the user asked for; so is the batch with `keep_batch`.

    Returns:
        The changed configuration, and the flags of `jmed train` that make these changes ("" where nothing changed).

    Raises:
        InputError: it cannot be done.
    """
    flags: list[str] = []
    if devices % config.mesh.tensor:
        raise InputError(f"mesh.tensor {config.mesh.tensor} does not divide {devices} devices: choose another.")
    before = mesh_shape(config.mesh, devices if keep_mesh else None)
    if before.devices != devices:
        fsdp = config.mesh.fsdp if devices % (config.mesh.fsdp * config.mesh.tensor) == 0 else 0
        fsdp = fsdp or devices // config.mesh.tensor
        data = devices // (fsdp * config.mesh.tensor)
        config = replace(config, mesh=replace(config.mesh, data=data, fsdp=fsdp))
        flags.append(f"--mesh.data {data} --mesh.fsdp {fsdp}")
    after = mesh_shape(config.mesh, devices)
    if config.data.batch_size % after.batch_ways and not keep_batch:
        rows = _rows_a_device(config, before, after)
        batch_size = rows * after.batch_ways
        accumulation = config.data.rows_per_step // batch_size
        config = replace(config, data=replace(config.data, batch_size=batch_size, accumulation=accumulation))
        flags.append(f"--data.batch-size {batch_size} --data.accumulation {accumulation}")
    return config, " ".join(flags)


def _rows_a_device(config: ExperimentConfig, before: MeshShape, after: MeshShape) -> int:
    """The most rows of a pass on one device, at most as many as before, with which a step has the same rows."""
    total = config.data.rows_per_step
    if total % after.batch_ways:
        raise InputError(
            f"a step of {total} rows (data.batch_size × data.accumulation) does not divide over {after.batch_ways} "
            f"data-parallel devices. Set --data.batch-size to a multiple of {after.batch_ways}, or --mesh.tensor."
        )
    most = max(1, config.data.batch_size // before.batch_ways)
    share = total // after.batch_ways
    return max(rows for rows in range(1, min(most, share) + 1) if share % rows == 0)

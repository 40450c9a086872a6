"""The device mesh `data × fsdp × tensor`."""

from collections.abc import Sequence

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh

from jmed_jax.config import MeshConfig
from jmed_jax.errors import InputError

AXES = ("data", "fsdp", "tensor")
# Rows of a batch are split over both: fsdp shards parameters, and each of its devices works on rows of its own.
BATCH_AXES = ("data", "fsdp")


def make_mesh(config: MeshConfig, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """The mesh over the given devices, or over all of all processes.

    The last axes vary fastest: tensor parallelism, which communicates most, stays within a host where it fits. Slices
    of a TPU pod, which only the slow network joins, are split along `data`.

    Raises:
        InputError: the sizes do not divide the devices, or `data` the slices.
    """
    devices = jax.devices() if devices is None else devices
    count = len(devices)
    data = config.data if config.data != -1 else count // (config.fsdp * config.tensor)
    if data * config.fsdp * config.tensor != count:
        raise InputError(
            f"mesh data={config.data} × fsdp={config.fsdp} × tensor={config.tensor} does not cover {count} device(s). "
            f"Their product must be {count}; --mesh.data -1 takes what the others leave."
        )
    shape, types = (data, config.fsdp, config.tensor), (AxisType.Auto,) * len(AXES)
    slices = len({getattr(device, "slice_index", 0) for device in devices})
    if slices == 1:
        return jax.make_mesh(shape, AXES, axis_types=types, devices=devices)
    if data % slices:
        raise InputError(f"mesh.data {data} does not divide over {slices} slices, which are joined along data only.")
    within = (data // slices, config.fsdp, config.tensor)
    array: np.ndarray = mesh_utils.create_hybrid_device_mesh(within, (slices, 1, 1), devices)
    return Mesh(array, AXES, axis_types=types)

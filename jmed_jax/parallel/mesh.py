"""The device mesh `data × fsdp × tensor`."""

import jax
from jax.sharding import AxisType, Mesh

from jmed_jax.config import MeshConfig
from jmed_jax.errors import InputError

AXES = ("data", "fsdp", "tensor")
# Rows of a batch are split over both: fsdp shards parameters, and each of its devices works on rows of its own.
BATCH_AXES = ("data", "fsdp")


def make_mesh(config: MeshConfig) -> Mesh:
    """The mesh over all devices of all processes.

    Raises:
        InputError: the sizes do not divide the devices.
    """
    count = jax.device_count()
    data = config.data if config.data != -1 else count // (config.fsdp * config.tensor)
    if data * config.fsdp * config.tensor != count:
        raise InputError(
            f"mesh data={config.data} × fsdp={config.fsdp} × tensor={config.tensor} does not cover {count} device(s). "
            f"Their product must be {count}; --mesh.data -1 takes what the others leave."
        )
    return jax.make_mesh((data, config.fsdp, config.tensor), AXES, axis_types=(AxisType.Auto,) * len(AXES))

"""Which array axis lives on which mesh axis: one table for parameter names, one for logical axes.

Logical axes: vocab, hidden, heads (query or KV heads × head dim), mlp, layers.
"""

import math
import re
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jmed_jax.config import MeshConfig
from jmed_jax.errors import InputError
from jmed_jax.parallel.mesh import BATCH_AXES

Axes = tuple[str | None, ...]


def _linear(path: str, input_axis: str, output_axis: str) -> tuple[tuple[str, Axes], ...]:
    """A block's linear layer: the kernel (quantised, the arrays it is kept as, whose axes are its own), the bias, and
    the adapter, whose rank is never sharded."""
    return (
        (rf"{path}\.kernel(\.\w+)?", ("layers", input_axis, output_axis)),
        (rf"{path}\.(bias|lora\.magnitude)", ("layers", output_axis)),
        (rf"{path}\.lora\.a", ("layers", input_axis, None)),
        (rf"{path}\.lora\.b", ("layers", None, output_axis)),
    )


# Parameter path (dots between parts) → logical axes. Block parameters have a leading "layers" axis.
PARAMETER_AXES: tuple[tuple[str, Axes], ...] = (
    (r"embedding\.embedding", ("vocab", "hidden")),
    *_linear(r"blocks\.attention\.(query|key|value)", "hidden", "heads"),
    *_linear(r"blocks\.attention\.output", "heads", "hidden"),
    *_linear(r"blocks\.mlp\.(gate|up)", "hidden", "mlp"),
    *_linear(r"blocks\.mlp\.down", "mlp", "hidden"),
    (r"blocks\.(attention|mlp)_norm\.scale", ("layers", None)),
    (r"final_norm\.scale", (None,)),
    (r"head\.kernel", ("hidden", "vocab")),
)

TENSOR_AXES = {"vocab": "tensor", "heads": "tensor", "mlp": "tensor"}
FSDP_AXES = {**TENSOR_AXES, "hidden": "fsdp"}


def path_name(path: tuple[Any, ...]) -> str:
    """A tree path as dotted names: `blocks.mlp.up.kernel`."""
    return ".".join(str(getattr(entry, "key", getattr(entry, "name", getattr(entry, "idx", "")))) for entry in path)


def logical_axes(name: str) -> Axes:
    """Logical axes of a parameter.

    An optimiser moment has the path of its parameter at the end of its own.
    """
    for pattern, axes in PARAMETER_AXES:
        if re.search(rf"(^|\.){pattern}$", name):
            return axes
    raise AssertionError(f"no rule in PARAMETER_AXES matches {name}")


def partition_spec(name: str, shape: tuple[int, ...], rules: dict[str, str], mesh: Mesh) -> PartitionSpec:
    """Place one array; a scalar is replicated, and so is an axis that its mesh axis does not divide.

    Vocabularies of odd size (32,771 after instruction tuning) do not divide, nor do the scales of quantised kernels.
    """
    if not shape:
        return PartitionSpec()
    axes = [rules.get(axis) if axis else None for axis in logical_axes(name)]
    used = [axis for axis in axes if axis]
    assert len(used) == len(set(used)), f"two logical axes of {name} on one mesh axis: {axes}"
    fitting = [
        a if a and mesh.shape[a] > 1 and n % mesh.shape[a] == 0 else None for a, n in zip(axes, shape, strict=True)
    ]
    return PartitionSpec(*fitting)


def tree_shardings(tree: Any, rules: dict[str, str], mesh: Mesh) -> Any:
    """A `NamedSharding` for every leaf of a tree of parameters or optimiser state."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: NamedSharding(mesh, partition_spec(path_name(path), leaf.shape, rules, mesh)), tree
    )


def parameter_rules(config: MeshConfig) -> dict[str, str]:
    return FSDP_AXES if config.mode == "fsdp" else TENSOR_AXES


def optimizer_rules(config: MeshConfig) -> dict[str, str]:
    """ZeRO stage 2 shards the optimiser state (and so the gradients it reads) but not the parameters."""
    return TENSOR_AXES if config.mode == "ddp" else FSDP_AXES


def batch_sharding(mesh: Mesh, leading: int = 0) -> NamedSharding:
    """Rows over the data-parallel axes, after `leading` unsharded axes."""
    return NamedSharding(mesh, PartitionSpec(*(None,) * leading, BATCH_AXES))


def process_rows(mesh: Mesh) -> tuple[int, int]:
    """Which share of every batch's rows this process reads: (index, number of shares).

    Processes that a tensor axis joins work on the same rows and have the same index.

    Raises:
        InputError: two processes have some of their rows in common, but not all.
    """
    ways = math.prod(mesh.shape[axis] for axis in BATCH_AXES)
    rows_of: dict[int, set[int]] = {}
    for (data, fsdp, _), device in np.ndenumerate(mesh.devices):
        rows_of.setdefault(device.process_index, set()).add(data * mesh.shape["fsdp"] + fsdp)
    shares = sorted({tuple(sorted(rows)) for rows in rows_of.values()})
    if sum(map(len, shares)) != ways or len({len(share) for share in shares}) > 1:
        raise InputError(
            f"mesh.tensor {mesh.shape['tensor']} does not fit {mesh.devices.size // len(rows_of)} devices a process: "
            "one must be a multiple of the other."
        )
    return shares.index(tuple(sorted(rows_of[jax.process_index()]))), len(shares)


def check_batch(mesh: Mesh, batch_size: int) -> None:
    """
    Raises:
        InputError: the rows of one pass do not divide over the data-parallel devices.
    """
    ways = math.prod(mesh.shape[axis] for axis in BATCH_AXES)
    if batch_size % ways:
        raise InputError(f"data.batch_size {batch_size} does not divide over {ways} data-parallel devices.")

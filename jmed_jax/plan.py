"""What a configuration needs of its devices, from its numbers alone: an estimate, made without JAX.

It counts what must be there: parameters, gradients and optimiser state exactly as the sharding table places them,
activations and logits by the formulas below. XLA's own temporaries are not in it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

from jmed_jax.config import ExperimentConfig, MeshConfig, ModelConfig
from jmed_jax.errors import InputError

GIB = 2**30
FLOAT32 = 4
# Adam's two moments.
OPTIMIZER_BYTES = 2 * FLOAT32
# What the runtime and XLA's temporaries leave of a device's memory.
USABLE_SHARE = 0.9

Remat = Literal["none", "dots", "full"]
Ways = Mapping[str, int]
"""Over how many devices a logical axis is split; 1 where it is not named."""


@dataclass(frozen=True)
class MeshShape:
    """Devices as `data × fsdp × tensor`, all known."""

    data: int
    fsdp: int
    tensor: int

    @property
    def devices(self) -> int:
        return self.data * self.fsdp * self.tensor

    @property
    def batch_ways(self) -> int:
        """Over how many devices the rows of a batch are split."""
        return self.data * self.fsdp


def estimate(
    config: ExperimentConfig, *, devices: int | None = None, device_memory_gib: float | None = None
) -> dict[str, Any]:
    """Memory a device, FLOPs and tokens of a training run.

    Args:
        devices: how many there are; None takes what the mesh asks for.
        device_memory_gib: of one device; None leaves open whether it fits.

    Returns:
        `source` is "estimated". `fits` compares the total with 90 % of the memory and is None where that is unknown;
        `advice` names the fields to change where it does not fit, and is "" otherwise.

    Raises:
        InputError: the mesh does not cover the devices, or the batch does not divide over them.
    """
    shape = mesh_shape(config.mesh, devices)
    _check_batch(config, shape)
    needed = bytes_per_device(config, shape)
    fits = None if device_memory_gib is None else needed["total"] <= USABLE_SHARE * device_memory_gib * GIB
    advice = _advice(config, shape, device_memory_gib) if device_memory_gib is not None and not fits else ""
    tokens = config.tokens_per_step
    return {
        "name": config.name,
        "source": "estimated",
        "parameters": config.model.num_parameters,
        "devices": shape.devices,
        "mesh": {"mode": config.mesh.mode, "data": shape.data, "fsdp": shape.fsdp, "tensor": shape.tensor},
        "bytes_per_device": needed,
        "device_memory_bytes": None if device_memory_gib is None else int(device_memory_gib * GIB),
        "fits": fits,
        "advice": advice,
        "tokens_per_step": tokens,
        "flops_per_step": tokens * config.model.flops_per_token(config.model.context_length),
        "training_tokens": tokens * config.train.steps,
    }


def mesh_shape(mesh: MeshConfig, devices: int | None) -> MeshShape:
    """The mesh on so many devices.

    Raises:
        InputError: its sizes do not multiply to their number.
    """
    fixed = mesh.fsdp * mesh.tensor
    devices = fixed * max(mesh.data, 1) if devices is None else devices
    shape = MeshShape(devices // fixed if mesh.data == -1 else mesh.data, mesh.fsdp, mesh.tensor)
    if shape.devices != devices:
        raise InputError(
            f"mesh data={mesh.data} × fsdp={mesh.fsdp} × tensor={mesh.tensor} does not cover {devices} device(s). "
            f"Their product must be {devices}; --mesh.data -1 takes what the others leave."
        )
    return shape


def _check_batch(config: ExperimentConfig, shape: MeshShape) -> None:
    if config.data.batch_size % shape.batch_ways:
        raise InputError(
            f"data.batch_size {config.data.batch_size} does not divide over {shape.batch_ways} data-parallel devices."
        )


# --- memory -----------------------------------------------------------------------------------------------------------


def bytes_per_device(config: ExperimentConfig, shape: MeshShape) -> dict[str, int]:
    """Bytes on the fullest device, by what they hold, and their total."""
    tensor_ways = {"vocab": shape.tensor, "heads": shape.tensor, "mlp": shape.tensor}
    fsdp_ways = {**tensor_ways, "hidden": shape.fsdp}
    parameters = _numbers(config.model, fsdp_ways if config.mesh.mode == "fsdp" else tensor_ways)
    state = _numbers(config.model, tensor_ways if config.mesh.mode == "ddp" else fsdp_ways)
    # With accumulation, the sum so far and the gradient of this pass.
    gradients = state * (2 if config.data.accumulation > 1 else 1)
    parts = {
        "parameters": parameters * FLOAT32,
        "gradients": gradients * FLOAT32,
        "optimizer": state * OPTIMIZER_BYTES,
        "activations": activation_bytes(config, shape),
        "logits": logit_bytes(config, shape),
    }
    return {**parts, "total": sum(parts.values())}


def _numbers(model: ModelConfig, ways: Ways) -> int:
    """How many numbers of the model one device holds; an axis that does not divide is not split."""
    return sum(
        math.prod(size if size % ways.get(axis, 1) else size // ways.get(axis, 1) for axis, size in array.items())
        for array in _arrays(model)
    )


def _arrays(model: ModelConfig) -> Iterator[dict[str, int]]:
    """Every parameter array as logical axis → size."""
    L, D, F = model.num_layers, model.hidden_size, model.mlp_size
    query, key = model.num_heads * model.head_dim, model.num_kv_heads * model.head_dim
    yield {"vocab": model.vocab_size, "hidden": D}
    if not model.tie_embeddings:
        yield {"hidden": D, "vocab": model.vocab_size}
    for heads in (query, key, key):
        yield {"layers": L, "hidden": D, "heads": heads}
        if model.qkv_bias:
            yield {"layers": L, "heads": heads}
    yield {"layers": L, "heads": query, "hidden": D}
    for _ in range(3 if model.gated_mlp else 2):
        yield {"layers": L, "hidden": D, "mlp": F}
    yield {"layers": 2 * L + 1, "norm": D}


def activation_bytes(config: ExperimentConfig, shape: MeshShape) -> int:
    """What the forward pass keeps for the backward pass: `rows · T · (L · kept + again)` bytes.

    A block keeps, a token: input and outputs of the matrix products, `3·D + (N + 2K)·H + F` numbers; normed inputs,
    dropped branches, rotated heads and the inside of the MLP, `4·D + 2·N·H + 2·F`; the two norms in float32, `24·D`
    bytes; and causal attention, `N · T/2` pairs of 12 bytes (scores, exponentials, mask, repeated keys and values) and
    one weight, or two with dropout. F counts twice where the MLP is gated; tensor parallelism splits heads and MLP.
    Kept of every block: all of this (remat "none"), the first part ("dots"), or the input ("full"); and with remat,
    all of one block that is computed again. The total is within 20 % of what XLA reports for the 30 M configuration in
    float32 on a CPU.
    """
    model, T = config.model, config.model.context_length
    number = 2 if config.train.compute_dtype == "bfloat16" else FLOAT32
    D = model.hidden_size
    F = model.mlp_size * (2 if model.gated_mlp else 1) / shape.tensor
    query, key = (heads * model.head_dim / shape.tensor for heads in (model.num_heads, model.num_kv_heads))
    weights = 2 if model.attention_dropout else 1

    products = 3 * D + query + 2 * key + F
    attention = model.num_heads / shape.tensor * T / 2 * (12 + weights * number)
    block = number * (products + 4 * D + 2 * query + 2 * F) + 24 * D + attention
    kept = {"none": block, "dots": number * products, "full": number * D}[config.train.remat]
    again = 0 if config.train.remat == "none" else block

    rows = config.data.batch_size // shape.batch_ways
    return int(rows * T * (model.num_layers * kept + again))


def logit_bytes(config: ExperimentConfig, shape: MeshShape) -> int:
    """Logits of one chunk of the loss and their gradient, float32."""
    rows = config.data.batch_size
    columns = max(1, min(config.model.context_length, config.train.loss_chunk // rows))
    vocabulary = -(-config.model.vocab_size // shape.tensor)
    return 2 * FLOAT32 * (rows // shape.batch_ways) * columns * vocabulary


# --- advice -----------------------------------------------------------------------------------------------------------


def _advice(config: ExperimentConfig, shape: MeshShape, memory_gib: float) -> str:
    """One line: what is too large, and the least change of fields that makes it fit."""
    usable = USABLE_SHARE * memory_gib * GIB
    problem = (
        f'{config.model.num_parameters / 1e9:.3g} B parameters in mode "{config.mesh.mode}" need '
        f"{bytes_per_device(config, shape)['total'] / GIB:.1f} GiB a device, and {usable / GIB:.1f} of its "
        f"{memory_gib:g} GiB can be used."
    )
    changes = _changes(config, shape)
    for count in range(1, len(changes) + 1):
        for chosen in combinations(changes, count):
            changed = config
            for _, sections in chosen:
                changed = replace(changed, **sections)
            if bytes_per_device(changed, mesh_shape(changed.mesh, shape.devices))["total"] <= usable:
                return f"{problem} Use {' '.join(flags for flags, _ in chosen)}."
    return f"{problem} No mode, remat or batch size brings it down to that: take more or larger devices."


def _changes(config: ExperimentConfig, shape: MeshShape) -> list[tuple[str, dict[str, Any]]]:
    """Flags and the sections they change, cheapest first."""
    changes: list[tuple[str, dict[str, Any]]] = []
    mesh = MeshConfig(mode="fsdp", data=1, fsdp=shape.batch_ways, tensor=shape.tensor)
    if shape.batch_ways > 1 and (config.mesh.mode, shape.fsdp) != ("fsdp", shape.batch_ways):
        changes.append((f"--mesh.mode fsdp --mesh.data 1 --mesh.fsdp {mesh.fsdp}", {"mesh": mesh}))
    lighter: dict[Remat, tuple[Remat, ...]] = {"none": ("dots", "full"), "dots": ("full",), "full": ()}
    for remat in lighter[config.train.remat]:
        changes.append((f"--train.remat {remat}", {"train": replace(config.train, remat=remat)}))
    rows = config.data.batch_size
    while rows % 2 == 0 and (rows // 2) % shape.batch_ways == 0:
        rows //= 2
        data = replace(config.data, batch_size=rows, accumulation=config.data.rows_per_step // rows)
        changes.append((f"--data.batch-size {rows} --data.accumulation {data.accumulation}", {"data": data}))
    return changes

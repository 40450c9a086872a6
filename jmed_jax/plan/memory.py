"""Memory a device, from a configuration's numbers alone: no JAX.

Parameters, gradients and optimiser state are counted exactly as the sharding table places them, activations and logits
by the formulas below. XLA's own temporaries are not in it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from jmed_jax.config import ExperimentConfig, MeshConfig, ModelConfig
from jmed_jax.errors import InputError

FLOAT32 = 4
BFLOAT16 = 2
INT8 = 1
# Of `models/quantize.py`, which needs JAX.
NF4_BLOCK = 64
# What the runtime and XLA's temporaries leave of a device's memory.
USABLE_SHARE = 0.9

Base = Literal["float32", "bfloat16", "int8", "nf4"]
"""Of `LoraConfig.base`."""

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


def mesh_shape(mesh: MeshConfig, devices: int | None) -> MeshShape:
    """The mesh on so many devices; None takes what it asks for.

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


def check_batch(config: ExperimentConfig, shape: MeshShape) -> None:
    """
    Raises:
        InputError: the rows of one pass do not divide over the data-parallel devices.
    """
    if config.data.batch_size % shape.batch_ways:
        raise InputError(
            f"data.batch_size {config.data.batch_size} does not divide over {shape.batch_ways} data-parallel devices."
        )


def bytes_per_device(config: ExperimentConfig, shape: MeshShape) -> dict[str, int]:
    """Bytes on the fullest device, by what they hold, and their total.

    "parameters" are those that are trained: all, or an adapter; "frozen" the rest, as `lora.base` keeps it.
    """
    state = sharded_numbers(config, shape)
    moment = BFLOAT16 if config.optimizer.moments_dtype == "bfloat16" else FLOAT32
    parts = {
        "frozen": frozen_bytes(config, _parameter_ways(config, shape)),
        "parameters": trained_numbers(config, _parameter_ways(config, shape)) * FLOAT32,
        "gradients": state * FLOAT32 * gradient_copies(config),
        "optimizer": state * 2 * moment,
        "activations": activation_bytes(config, shape),
        "logits": logit_bytes(config, shape),
    }
    return {**parts, "total": sum(parts.values())}


def gradient_copies(config: ExperimentConfig) -> int:
    """With accumulation, the sum so far and the gradient of this pass."""
    return 2 if config.data.accumulation > 1 else 1


def sharded_numbers(config: ExperimentConfig, shape: MeshShape) -> int:
    """How many numbers one device has of anything that is placed like the optimiser's state, gradients among it."""
    return trained_numbers(config, tensor_ways(shape) if config.mesh.mode == "ddp" else _fsdp_ways(shape))


def _parameter_ways(config: ExperimentConfig, shape: MeshShape) -> Ways:
    return _fsdp_ways(shape) if config.mesh.mode == "fsdp" else tensor_ways(shape)


def tensor_ways(shape: MeshShape) -> Ways:
    """What tensor parallelism alone splits: a device multiplies with all that it leaves it."""
    return {"vocab": shape.tensor, "heads": shape.tensor, "mlp": shape.tensor}


def _fsdp_ways(shape: MeshShape) -> Ways:
    return {**tensor_ways(shape), "hidden": shape.fsdp}


# --- arrays -----------------------------------------------------------------------------------------------------------

Axis = tuple[str, int]
"""Logical axis, and its size."""
Array = tuple[Axis, ...]


def trained_numbers(config: ExperimentConfig, ways: Ways) -> int:
    """How many trained numbers one device holds."""
    arrays = _adapter_arrays(config) if config.lora.rank else _arrays(config.model)
    return sum(_size(array, ways) for array in arrays)


def frozen_bytes(config: ExperimentConfig, ways: Ways) -> int:
    """Bytes that one device holds of what is beside an adapter; 0 where all is trained."""
    return kept_bytes(config.model, config.lora.base, ways) if config.lora.rank else 0


def kept_bytes(model: ModelConfig, base: Base, ways: Ways) -> int:
    """Bytes that one device holds of a whole model whose kernels are kept so (`models/quantize.py`)."""
    return sum(width * _size(array, ways) for width, array in _kept_arrays(model, base))


def _size(array: Array, ways: Ways) -> int:
    """How many numbers of an array one device holds; an axis that does not divide is not split."""
    return math.prod(size if size % ways.get(axis, 1) else size // ways.get(axis, 1) for axis, size in array)


def _arrays(model: ModelConfig) -> Iterator[Array]:
    """Every parameter array."""
    layers = ("layers", model.num_layers)
    yield from _other_arrays(model)
    for inputs, outputs in _linears(model).values():
        yield (layers, inputs, outputs)


def _other_arrays(model: ModelConfig) -> Iterator[Array]:
    """All but the kernels of the blocks."""
    layers, vocab, hidden = ("layers", model.num_layers), ("vocab", model.vocab_size), ("hidden", model.hidden_size)
    yield (vocab, hidden)
    if not model.tie_embeddings:
        yield (hidden, vocab)
    if model.qkv_bias:
        for name in ("q_proj", "k_proj", "v_proj"):
            yield (layers, _linears(model)[name][1])
    yield (("layers", 2 * model.num_layers + 1), ("norm", model.hidden_size))


def _linears(model: ModelConfig) -> dict[str, tuple[Axis, Axis]]:
    """Input and output of a block's linear layers, by PEFT's names."""
    hidden, mlp = ("hidden", model.hidden_size), ("mlp", model.mlp_size)
    query, key = ("heads", model.num_heads * model.head_dim), ("heads", model.num_kv_heads * model.head_dim)
    attention = {"q_proj": (hidden, query), "k_proj": (hidden, key), "v_proj": (hidden, key), "o_proj": (query, hidden)}
    gate = {"gate_proj": (hidden, mlp)} if model.gated_mlp else {}
    return {**attention, **gate, "up_proj": (hidden, mlp), "down_proj": (mlp, hidden)}


def _adapter_arrays(config: ExperimentConfig) -> Iterator[Array]:
    layers, rank = ("layers", config.model.num_layers), ("rank", config.lora.rank)
    for name, (inputs, outputs) in _linears(config.model).items():
        if name in config.lora.targets:
            yield (layers, inputs, rank)
            yield (layers, rank, outputs)
            if config.lora.dora:
                yield (layers, outputs)


def _kept_arrays(model: ModelConfig, base: Base) -> Iterator[tuple[int, Array]]:
    """Bytes of a number, and the array."""
    layers = ("layers", model.num_layers)
    width = FLOAT32 if base == "float32" else BFLOAT16
    for array in _other_arrays(model):
        yield width, array
    for (axis, size), outputs in _linears(model).values():
        an_output = (layers, (axis, 1), outputs)
        match base:
            case "int8":
                yield INT8, (layers, (axis, size), outputs)
                yield FLOAT32, an_output
            case "nf4":
                yield INT8, (layers, (axis, size // 2), outputs)
                yield INT8, (layers, (axis, size // NF4_BLOCK), outputs)
                yield 2 * FLOAT32, an_output
            case _:
                yield width, (layers, (axis, size), outputs)


# --- activations ------------------------------------------------------------------------------------------------------


def compute_bytes(config: ExperimentConfig) -> int:
    """Bytes of one number of the activations."""
    return BFLOAT16 if config.train.compute_dtype == "bfloat16" else FLOAT32


def activation_bytes(config: ExperimentConfig, shape: MeshShape) -> int:
    """What the forward pass keeps for the backward pass: `rows · T · (L · kept + again)` bytes.

    A block keeps, a token: input and outputs of the matrix products, `3·D + (N + 2K)·H + F` numbers; normed inputs,
    dropped branches, rotated heads and the inside of the MLP, `4·D + 2·N·H + 2·F`; the two norms in float32, `24·D`
    bytes; and causal attention, `N · T/2` pairs of 12 bytes (scores, exponentials, mask, repeated keys and values) and
    one weight, or two with dropout. F counts twice where the MLP is gated; tensor parallelism splits heads and MLP.
    Kept of every block: all of this (remat "none"), the first part ("dots"), the input and what belongs to attention,
    `2·D + (2N + 2K)·H` ("attention"), or the input ("full"); and with remat, all of one block that is computed again.
    The total is within 20 % of what XLA reports for the 30 M configuration in float32 on a CPU. The formula is that of
    attention written in XLA; fused kernels (`train.attention`) do not keep the pairs.
    """
    model, T, number = config.model, config.model.context_length, compute_bytes(config)
    D = model.hidden_size
    F = model.mlp_size * (2 if model.gated_mlp else 1) / shape.tensor
    query, key = (heads * model.head_dim / shape.tensor for heads in (model.num_heads, model.num_kv_heads))
    weights = 2 if model.attention_dropout else 1

    products = 3 * D + query + 2 * key + F
    attention = model.num_heads / shape.tensor * T / 2 * (12 + weights * number)
    block = number * (products + 4 * D + 2 * query + 2 * F + _dropped_inputs(config, shape)) + 24 * D + attention
    kept = {
        "none": block,
        "dots": number * products,
        "attention": number * (2 * D + 2 * query + 2 * key),
        "full": number * D,
    }[config.train.remat]
    again = 0 if config.train.remat == "none" else block

    rows = config.data.batch_size // shape.batch_ways
    return int(rows * T * (model.num_layers * kept + again))


def _dropped_inputs(config: ExperimentConfig, shape: MeshShape) -> int:
    """Numbers a token and block: with dropout, every adapter has an input of its own."""
    if not (config.lora.rank and config.lora.dropout):
        return 0
    linears = _linears(config.model).items()
    return sum(_size((inputs,), tensor_ways(shape)) for name, (inputs, _) in linears if name in config.lora.targets)


def logit_bytes(config: ExperimentConfig, shape: MeshShape) -> int:
    """Logits of one chunk of the loss and their gradient, float32."""
    rows = config.data.batch_size // shape.batch_ways
    columns = max(1, min(config.model.context_length, config.train.loss_chunk // rows))
    vocabulary = -(-config.model.vocab_size // shape.tensor)
    return 2 * FLOAT32 * rows * columns * vocabulary

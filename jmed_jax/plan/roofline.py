"""How long a step takes at least: the slowest of arithmetic, memory and the links between devices.

arithmetic   FLOPs of the step, those that the backward pass repeats included, at an assumed share of the peak
memory       bytes that must pass between a device's memory and its cores, at the data sheet's bandwidth
links        bytes of the collectives, at the data sheet's bandwidth in one direction

The step is as long as the longest of the three: XLA runs collectives beside the arithmetic. What is not in it: latency
of small messages, bandwidth between hosts where it is below that within one, and the loop around the step.
"""

from dataclasses import dataclass

from jmed_jax.config import ExperimentConfig
from jmed_jax.hardware import Hardware
from jmed_jax.plan.memory import (
    FLOAT32,
    MeshShape,
    activation_bytes,
    bytes_per_device,
    compute_bytes,
    frozen_bytes,
    sharded_numbers,
    tensor_ways,
    trained_numbers,
)

# An assumption, not a measurement: well-kept training of dense decoders reports 0.3 to 0.6 (arXiv 2204.02311 §4.1: 0.46
# for PaLM 540B). The paper's own run had 0.22 (arXiv 2412.16423).
MFU_ASSUMED = 0.4


@dataclass(frozen=True)
class Roofline:
    """Seconds of one step, and their parts."""

    compute: float
    memory: float
    links: float

    @property
    def step(self) -> float:
        return max(self.compute, self.memory, self.links)

    @property
    def bound(self) -> str:
        """Which of the three it is."""
        parts = {"compute": self.compute, "memory": self.memory, "links": self.links}
        return max(parts, key=lambda name: parts[name])


def roofline(
    config: ExperimentConfig, shape: MeshShape, hardware: Hardware, *, collective_bytes: int, mfu: float
) -> Roofline:
    """
    Args:
        collective_bytes: what one device sends in a step.
        mfu: the share of the peak at which the step's arithmetic is assumed to run.
    """
    return Roofline(
        compute=flops_with_recomputation(config) / (shape.devices * hardware.peak_flops * mfu),
        memory=memory_traffic(config, shape) / hardware.memory_bandwidth,
        links=collective_bytes / hardware.link_bandwidth,
    )


def flops_with_recomputation(config: ExperimentConfig) -> float:
    """FLOPs of one step that the devices really do: remat repeats some of the forward pass."""
    model, tokens = config.model, config.tokens_per_step
    total = config.flops_per_token
    forward = model.flops_per_token(model.context_length) // 3
    attention = 2 * model.num_layers * model.context_length * model.num_heads * model.head_dim
    mlp = 2 * model.num_layers * (3 if model.gated_mlp else 2) * model.hidden_size * model.mlp_size
    head = 2 * model.vocab_size * model.hidden_size
    repeated = {"none": 0, "dots": attention, "attention": attention + mlp, "full": forward - head}
    return float(tokens * (total + repeated[config.train.remat]))


def memory_traffic(config: ExperimentConfig, shape: MeshShape) -> int:
    """Bytes a device reads and writes in one step.

    A pass reads the trained parameters in float32, writes them in the compute dtype and reads those three times
    (forward, and both products of the backward pass); reads frozen ones as they are kept, for the forward pass and for
    the gradient of what goes into them; reads and writes the sum of gradients; writes and reads the kept activations;
    and touches the logits of all its tokens four times. The update reads and writes trained parameters and both moments
    and reads the gradients.
    """
    parts = bytes_per_device(config, shape)
    model, width = config.model, compute_bytes(config)
    rows = config.data.batch_size // shape.batch_ways
    logits = 4 * FLOAT32 * rows * model.context_length * model.vocab_size // shape.tensor
    gradients = sharded_numbers(config, shape) * FLOAT32
    a_pass = (
        trained_numbers(config, tensor_ways(shape)) * (FLOAT32 + 4 * width)
        + 2 * frozen_bytes(config, tensor_ways(shape))
        + 3 * gradients
        + 2 * activation_bytes(config, shape)
        + logits
    )
    update = 2 * (parts["parameters"] + parts["optimizer"]) + gradients
    return config.data.accumulation * a_pass + update


def collective_bytes(config: ExperimentConfig, shape: MeshShape) -> int:
    """What a device sends in one step, by the formulas of ring collectives (`plan/collectives.py`); an estimate.

    Gradients are reduced in every pass, because the sum over passes is sharded like the optimiser's state: all-reduced
    in mode "ddp", reduce-scattered otherwise. "zero2" gathers the parameters once a step, "fsdp" in every pass, for the
    forward and for the backward pass, in the compute dtype, and frozen ones as they are kept. Tensor parallelism
    all-reduces four activations a layer.
    """
    passes, width = config.data.accumulation, compute_bytes(config)
    ways, fsdp = shape.batch_ways, shape.fsdp
    whole = trained_numbers(config, tensor_ways(shape))
    reduced = whole * width * (ways - 1) / ways
    if config.mesh.mode == "ddp":
        gathered, gradients = 0.0, 2 * passes * reduced
    else:
        # What one shard of fsdp holds is summed over data too.
        replicas = 2 * sharded_numbers(config, shape) * width * (shape.data - 1) / shape.data
        gradients = passes * (whole * width * (fsdp - 1) / fsdp + replicas)
        turns = FLOAT32 if config.mesh.mode == "zero2" else 2 * passes * width
        gathered = whole * turns * (fsdp - 1) / fsdp
    if config.mesh.mode == "fsdp":
        gathered += 2 * passes * frozen_bytes(config, tensor_ways(shape)) * (fsdp - 1) / fsdp
    rows = config.data.batch_size // ways
    activations = rows * config.model.context_length * config.model.hidden_size * width
    tensor = 4 * config.model.num_layers * passes * 2 * activations * (shape.tensor - 1) / shape.tensor
    return int(gathered + gradients + tensor)

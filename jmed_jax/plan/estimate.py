"""What a configuration needs of its devices, from its numbers alone: an estimate, made without JAX."""

from typing import Any

from jmed_jax.config import ExperimentConfig
from jmed_jax.plan.advice import advise
from jmed_jax.plan.memory import USABLE_SHARE, bytes_per_device, check_batch, mesh_shape, trained_numbers


def estimate(
    config: ExperimentConfig, *, devices: int | None = None, device_memory_bytes: int | None = None
) -> dict[str, Any]:
    """Memory a device, FLOPs and tokens of a training run.

    Args:
        devices: how many there are; None takes what the mesh asks for.
        device_memory_bytes: of one device; None leaves open whether it fits.

    Returns:
        `source` is "estimated". `fits` compares the total with 90 % of the memory and is None where that is unknown;
        `advice` names the fields to change where it does not fit, and is "" otherwise.

    Raises:
        InputError: the mesh does not cover the devices, or the batch does not divide over them.
    """
    shape = mesh_shape(config.mesh, devices)
    check_batch(config, shape)
    needed = bytes_per_device(config, shape)
    fits = None if device_memory_bytes is None else needed["total"] <= USABLE_SHARE * device_memory_bytes
    advice = ""
    if device_memory_bytes is not None and not fits:
        advice = advise(config, shape, device_memory_bytes, needed["total"])
    tokens = config.tokens_per_step
    return {
        "name": config.name,
        "source": "estimated",
        "parameters": config.model.num_parameters,
        "trained_parameters": trained_numbers(config, {}),
        "devices": shape.devices,
        "mesh": {"mode": config.mesh.mode, "data": shape.data, "fsdp": shape.fsdp, "tensor": shape.tensor},
        "bytes_per_device": needed,
        "device_memory_bytes": device_memory_bytes,
        "fits": fits,
        "advice": advice,
        "tokens_per_step": tokens,
        "flops_per_step": tokens * config.flops_per_token,
        "training_tokens": tokens * config.train.steps,
    }

"""Which implementation of attention a configuration runs with (`train.attention`), decided in Python before tracing.

`auto` takes the fastest that does what the configuration says on that kind of device, and `Choice.reason` says why it
was taken; a name that cannot do what the configuration says is refused, never replaced.
"""

import importlib.util
from collections.abc import Sequence
from typing import NamedTuple

from jax.sharding import Mesh, PartitionSpec

from jmed_jax.config import ExperimentConfig
from jmed_jax.errors import InputError
from jmed_jax.models.attention import CausalAttention, causal_attention, reference_attention

# By the platform that JAX's devices name.
KERNEL_OF = {"gpu": "cudnn", "cuda": "cudnn", "tpu": "splash"}
CUDNN_HEAD_DIM = 128
SPLASH_LENGTH = 128
CUDA_PLUGINS = ("jax_cuda12_plugin", "jax_cuda13_plugin")


class Choice(NamedTuple):
    """An implementation and why it was taken."""

    name: str
    """"reference", "chunked", "cudnn" or "splash"."""
    reason: str


def make_attention(
    config: ExperimentConfig, mesh: Mesh, *, batch_axes: Sequence[str], head_axis: str
) -> CausalAttention:
    """The attention of a training step on this mesh, which may be one of devices that are not there.

    Args:
        batch_axes: mesh axes over which rows are split.
        head_axis: mesh axis over which query and KV heads are.

    Raises:
        InputError: as `choose_attention`.
    """
    name = choose_attention(config, mesh.devices.flat[0].platform).name
    heads = PartitionSpec(tuple(batch_axes), None, head_axis, None)
    # Imported where they are used: Pallas alone takes a second to load.
    if name == "cudnn":
        from jmed_jax.models.attention_cudnn import cudnn_attention

        return cudnn_attention(mesh, heads)
    if name == "splash":
        from jmed_jax.models.attention_splash import splash_attention

        return splash_attention(mesh, heads)
    return reference_attention if name == "reference" else causal_attention


def choose_attention(config: ExperimentConfig, platform: str) -> Choice:
    """
    Args:
        platform: of the devices that will run it ("cpu", "gpu", "cuda", "tpu"), not of those at hand.

    Raises:
        InputError: `train.attention` names a kernel that cannot do what the configuration says.
    """
    wanted = config.train.attention
    kernel = KERNEL_OF.get(platform)
    if wanted == "auto":
        if kernel is None:
            return Choice("chunked", f"the fastest on {platform}")
        obstacle = _obstacle(kernel, config)
        return Choice("chunked", f"not {kernel}: {obstacle}") if obstacle else Choice(kernel, f"made for {platform}")
    if wanted in KERNEL_OF.values():
        if wanted != kernel:
            home = "NVIDIA GPUs" if wanted == "cudnn" else "TPUs"
            raise InputError(
                f'train.attention "{wanted}" runs on {home} only, and these devices are of the kind {platform}. '
                "Use --train.attention auto."
            )
        if obstacle := _obstacle(wanted, config):
            raise InputError(f'train.attention "{wanted}": {obstacle}, or use --train.attention chunked.')
    return Choice(wanted, "as configured")


def _obstacle(kernel: str, config: ExperimentConfig) -> str:
    """What of the configuration the kernel cannot do, with the field to change; "" if it can."""
    if rate := config.model.attention_dropout:
        return f"it has no dropout, and the rate is {rate}: set --model.attention-dropout 0"
    return _cudnn_obstacle(config) if kernel == "cudnn" else _splash_obstacle(config)


def _cudnn_obstacle(config: ExperimentConfig) -> str:
    model = config.model
    if config.train.compute_dtype == "float32":
        return "it has no float32: set --train.compute-dtype bfloat16"
    if model.head_dim % 8 or model.head_dim > CUDNN_HEAD_DIM:
        return f"model.head_dim must be a multiple of 8 up to {CUDNN_HEAD_DIM}, not {model.head_dim}"
    if config.data.attention_mask == "document" and model.context_length % 2:
        return f"model.context_length must be even with a document mask, not {model.context_length}"
    if not any(importlib.util.find_spec(plugin) for plugin in CUDA_PLUGINS):
        return "JAX's CUDA plugin is not installed: install jmed_jax[gpu]"
    return ""


def _splash_obstacle(config: ExperimentConfig) -> str:
    length = config.model.context_length
    if length % SPLASH_LENGTH:
        return f"model.context_length must be a multiple of {SPLASH_LENGTH}, not {length}"
    return ""

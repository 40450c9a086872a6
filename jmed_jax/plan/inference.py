"""What it takes to answer with a model on one device: memory, and how fast it can read and write at best.

weights      as they are kept: bfloat16; or the kernels of the blocks in int8 or 4-bit NormalFloat, the rest in bfloat16
cache        keys and values of every sequence, bfloat16
prefill      the arithmetic of a forward pass over the prompts, at an assumed share of the peak
decoding     every new token reads all weights that multiply, and the cache: at the data sheet's bandwidth. Nothing else
             counts, so a real server is slower
"""

import math
from typing import Any

from jmed_jax.config import ModelConfig
from jmed_jax.hardware import GPUS, TPUS, Hardware
from jmed_jax.plan.memory import BFLOAT16, USABLE_SHARE, Base, kept_bytes
from jmed_jax.plan.roofline import MFU_ASSUMED

FORMATS: tuple[Base, ...] = ("bfloat16", "int8", "nf4")


def plan_inference(model: ModelConfig, *, batch: int, length: int, mfu: float = MFU_ASSUMED) -> dict[str, Any]:
    """Memory and speed on one of every device of the table.

    Args:
        batch: sequences that are answered together.
        length: tokens of each, prompt and answer.
        mfu: the share of the peak at which prompts are read.

    Returns:
        `weights_bytes` by format, `kv_cache_bytes`, and `devices`: for each device and format `total_bytes`, whether it
        `fits` in 90 % of the memory, `devices_needed` over which the bytes would have to be split,
        `decode_tokens_per_s` of one sequence of that length, and `prefill_seconds` of the batch, both on one device.
    """
    weights = {base: kept_bytes(model, base, {}) for base in FORMATS}
    cache = model.kv_cache_bytes(batch, length)
    return {
        "parameters": model.num_parameters,
        "batch": batch,
        "length": length,
        "mfu_assumed": mfu,
        "weights_bytes": weights,
        "kv_cache_bytes": cache,
        "devices": [
            _on_device(model, hardware, base, weights[base], batch, length, mfu)
            for hardware in (*GPUS.values(), *TPUS.values())
            for base in FORMATS
        ],
    }


def _on_device(
    model: ModelConfig, hardware: Hardware, base: Base, weights: int, batch: int, length: int, mfu: float
) -> dict[str, Any]:
    total = weights + model.kv_cache_bytes(batch, length)
    needed = math.ceil(total / (USABLE_SHARE * hardware.memory_bytes))
    # A look-up reads one row of the token embedding; a tied one multiplies at the end.
    looked_up = 0 if model.tie_embeddings else model.vocab_size * model.hidden_size * BFLOAT16
    read = weights - looked_up + model.kv_cache_bytes(1, length)
    # A forward pass is a third of a training step.
    flops = batch * length * model.flops_per_token(length) // 3
    return {
        "device": hardware.name,
        "format": base,
        "memory_bytes": hardware.memory_bytes,
        "total_bytes": total,
        "fits": needed == 1,
        "devices_needed": needed,
        "decode_tokens_per_s": hardware.memory_bandwidth / read,
        "prefill_seconds": flops / (hardware.peak_flops * mfu),
        "source": hardware.source,
    }

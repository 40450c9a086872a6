"""The stage of `jmedllm_7b_mpeft.py` on Qwen2-72B-Instruct in 4 bits, as the paper ran its 70B models."""

from dataclasses import replace
from pathlib import Path

from jmed_jax.config import ExperimentConfig, load_config
from jmed_jax.models.qwen2 import qwen2


def config() -> ExperimentConfig:
    small = load_config(Path(__file__).with_name("jmedllm_7b_mpeft.py"), ExperimentConfig)
    return replace(
        small,
        name="jmedllm_72b_mpeft",
        model=qwen2("72B", context_length=small.model.context_length),
        lora=replace(small.lora, base="nf4"),
        # QLoRA halves it for 33B and 65B, and the dropout too (arXiv 2305.14314).
        optimizer=replace(small.optimizer, peak_lr=5e-5),
    )

"""The stage of `jmedllm_7b_mfpt.py` on Qwen2-0.5B-Instruct: a trial on one GPU before the large one is paid."""

from dataclasses import replace
from pathlib import Path

from jmed_jax.config import ExperimentConfig, MeshConfig, load_config
from jmed_jax.models.qwen2 import qwen2


def config() -> ExperimentConfig:
    large = load_config(Path(__file__).with_name("jmedllm_7b_mfpt.py"), ExperimentConfig)
    return replace(
        large,
        name="jmedllm_05b_mfpt",
        model=qwen2("0.5B", context_length=large.model.context_length),
        # The same rows a step, on one card of 24 GB.
        data=replace(large.data, batch_size=8, accumulation=4),
        mesh=MeshConfig(),
    )

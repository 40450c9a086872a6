"""NCVC-slm-1, instruction tuning on JMED-LLM alone (arXiv 2412.16423 §2.4.2): one GPU, 256 rows a step, 890 steps.

Give `--train.initialize-from RUN`, the pre-training run, and `--data.rows DIR`, made by `jmed pack --mode fit`.
With the synthetic exercises the paper takes 1024 rows a step and 4,850 steps:
`--data.accumulation 128 --train.steps 4850`.
"""

from jmed_jax.config import DataConfig, ExperimentConfig, ModelConfig, OptimizerConfig, TrainConfig


def config() -> ExperimentConfig:
    return ExperimentConfig(
        name="ncvc_slm_instruct",
        model=ModelConfig(
            # The pre-training vocabulary and <|system|>, <|user|>, <|assistant|>.
            vocab_size=32_771,
            num_layers=24,
            hidden_size=2048,
            mlp_size=8192,
            num_heads=32,
            num_kv_heads=8,
            head_dim=64,
            context_length=2048,
        ),
        # The examples of a row do not see each other (the paper is silent: our choice).
        data=DataConfig(batch_size=8, accumulation=32, attention_mask="document"),
        optimizer=OptimizerConfig(peak_lr=1e-4, warmup_steps=50, beta1=0.9, beta2=0.95, weight_decay=0.01),
        train=TrainConfig(steps=890, compute_dtype="bfloat16", remat="dots", neftune_alpha=5.0, checkpoint_every=100),
    )

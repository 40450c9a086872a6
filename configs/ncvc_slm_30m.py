"""The NCVC-slm-1 recipe at 30 M parameters, for one GPU or a patient CPU."""

from jmed_jax.config import DataConfig, ExperimentConfig, ModelConfig, OptimizerConfig, TokenizerConfig, TrainConfig


def config() -> ExperimentConfig:
    return ExperimentConfig(
        name="ncvc_slm_30m",
        model=ModelConfig(
            vocab_size=8192,
            num_layers=8,
            hidden_size=512,
            mlp_size=2048,
            num_heads=8,
            num_kv_heads=2,
            head_dim=64,
            context_length=512,
        ),
        data=DataConfig(batch_size=8, accumulation=4),
        optimizer=OptimizerConfig(peak_lr=1e-3, warmup_steps=100),
        train=TrainConfig(steps=2_000, checkpoint_every=200),
        tokenizer=TokenizerConfig(vocab_size=8192),
    )

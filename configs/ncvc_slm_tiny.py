"""The NCVC-slm-1 recipe at a size that trains on two CPU cores in minutes: what `jmed quickstart` pre-trains.

No dropout and float32: the model sees most of its text once, and CPUs have no fast bfloat16.
"""

from jmed_jax.config import DataConfig, ExperimentConfig, ModelConfig, OptimizerConfig, TokenizerConfig, TrainConfig


def config() -> ExperimentConfig:
    return ExperimentConfig(
        name="ncvc_slm_tiny",
        model=ModelConfig(
            vocab_size=4096,
            num_layers=4,
            hidden_size=192,
            mlp_size=768,
            num_heads=6,
            num_kv_heads=2,
            head_dim=32,
            context_length=512,
            attention_dropout=0.0,
            residual_dropout=0.0,
        ),
        data=DataConfig(batch_size=4),
        optimizer=OptimizerConfig(peak_lr=2e-3, warmup_steps=10),
        train=TrainConfig(steps=150, compute_dtype="float32", checkpoint_every=50),
        tokenizer=TokenizerConfig(vocab_size=4096, max_training_words=2_000_000),
    )

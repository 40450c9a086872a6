"""The small clinical model, pre-training: what two CPU cores train in minutes (`tools/reproduce.py`).

NCVC-slm-1's architecture (arXiv 2412.16423 §2.3) with a tied head, float32 and no dropout, as in the tiny one. Three
layers are the fewest in which heads that copy build on heads that look one token back, with one layer to spare; the
recipe of README has six, for half as much time again (EXPERIMENTS.md).
"""

from jmed_jax.config import DataConfig, ExperimentConfig, ModelConfig, OptimizerConfig, TokenizerConfig, TrainConfig


def config() -> ExperimentConfig:
    return ExperimentConfig(
        name="clinical_small",
        model=ModelConfig(
            vocab_size=8192,
            num_layers=3,
            hidden_size=192,
            mlp_size=768,
            num_heads=3,
            num_kv_heads=3,
            head_dim=64,
            context_length=512,
            tie_embeddings=True,
            attention_dropout=0.0,
            residual_dropout=0.0,
        ),
        data=DataConfig(batch_size=4),
        optimizer=OptimizerConfig(peak_lr=2e-3, warmup_steps=50),
        train=TrainConfig(steps=1700, compute_dtype="float32", log_every=50, checkpoint_every=500),
        tokenizer=TokenizerConfig(vocab_size=8192, max_training_words=3_000_000),
    )

"""NCVC-slm-1, pre-training (arXiv 2412.16423 §2.3, §2.4.1): 1,191,282,688 parameters, 2.10 M tokens a step."""

from jmed_jax.config import DataConfig, ExperimentConfig, MeshConfig, ModelConfig, OptimizerConfig, TrainConfig


def config() -> ExperimentConfig:
    return ExperimentConfig(
        name="ncvc_slm_1b",
        model=ModelConfig(
            vocab_size=32_768,
            num_layers=24,
            hidden_size=2048,
            mlp_size=8192,
            num_heads=32,
            num_kv_heads=8,
            head_dim=64,
            context_length=2048,
            gated_mlp=False,
            qkv_bias=False,
            tie_embeddings=False,
            scale_embeddings=True,
            rope_theta=10_000.0,
            attention_dropout=0.1,
            residual_dropout=0.1,
        ),
        # 1024 rows a step: 8 a GPU × 4 GPUs × 32 passes; plain causal attention over the packed window.
        data=DataConfig(batch_size=32, accumulation=32, attention_mask="causal"),
        optimizer=OptimizerConfig(
            peak_lr=1e-3, final_lr=0.0, warmup_steps=750, beta1=0.9, beta2=0.95, weight_decay=0.1
        ),
        train=TrainConfig(
            steps=24_000, compute_dtype="bfloat16", remat="dots", checkpoint_every=3_200, keep_every=3_200
        ),
        mesh=MeshConfig(mode="zero2", data=1, fsdp=4),
    )

"""Tiny experiments and rows that the tests share."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from jmed_jax import artifact
from jmed_jax.config import DataConfig, ExperimentConfig, ModelConfig, OptimizerConfig, TrainConfig
from jmed_jax.data.rows import Row, RowFormat, write_shards

VOCAB, LENGTH = 96, 32

MODEL = ModelConfig(
    vocab_size=VOCAB,
    num_layers=2,
    hidden_size=32,
    mlp_size=64,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    context_length=LENGTH,
    attention_dropout=0.0,
    residual_dropout=0.0,
)


def experiment(rows: Path | str = "", *, steps: int = 6, batch_size: int = 8, **train: object) -> ExperimentConfig:
    """A complete experiment in float32."""
    settings = TrainConfig(steps=steps, compute_dtype="float32", loss_chunk=64, log_every=2, checkpoint_every=2)
    return ExperimentConfig(
        name="tiny",
        model=MODEL,
        data=DataConfig(rows=str(rows), batch_size=batch_size),
        optimizer=OptimizerConfig(peak_lr=1e-2),
        train=replace(settings, **train),
    )


def make_rows(path: Path, *, count: int = 24, seed: int = 0, tokenizer: str = "tiny") -> Path:
    """A rows artefact of two documents a row and some padding, with a tokenizer folder that nothing reads."""
    generator = np.random.default_rng(seed)
    with artifact.create(path, "rows", {"mode": "concat", "row_length": LENGTH, "vocab_size": VOCAB}) as draft:
        rows = [
            Row(
                generator.integers(0, VOCAB, LENGTH).astype(np.int32),
                np.repeat([1, 2, 0], [12, 16, 4]).astype(np.int32),
                generator.random(LENGTH) < 0.5,
            )
            for _ in range(count)
        ]
        write_shards(rows, draft.path, RowFormat(LENGTH, VOCAB))
        (draft.path / "tokenizer").mkdir()
        (draft.path / "tokenizer" / "name.txt").write_text(tokenizer)
        draft.inputs |= {"tokenizer": tokenizer, "source": "test"}
        draft.counts |= {"rows": count, "target_tokens": 100, "target_bytes": 400}
    return path

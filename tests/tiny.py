"""Tiny experiments and rows that the tests share."""

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from jax.sharding import AxisType, Mesh

from jmed_jax import artifact
from jmed_jax.config import DataConfig, ExperimentConfig, ModelConfig, OptimizerConfig, TrainConfig
from jmed_jax.data.loader import Batch
from jmed_jax.data.rows import Row, RowFormat, write_shards
from jmed_jax.parallel.mesh import AXES

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

TEXTS = [
    "70歳男性。脳梗塞後遺症のためリバーロキサバン15mgを内服中である。\n主訴は発熱、咳嗽。体温38.5℃、血圧150/90mmHg。",
    "既往歴に高血圧症と2型糖尿病がある。HbA1c 6.5%で、食事療法を続けている。",
    "胸部CTで右下葉に浸潤影を認めた。市中肺炎と診断し、抗菌薬を開始した。\n\n第3病日に解熱し、退院した。",
    "急性心筋梗塞に対し経皮的冠動脈形成術を行った。心電図でST上昇を認めた。",
    "診察では呼吸音に左右差なし。下腿に浮腫なし。皮疹なし。神経学的所見に異常なし。",
]
"""Synthetic notes: enough for a tokenizer of 400 pieces."""


def one_device_mesh(_config: object = None) -> Mesh:
    """A mesh over one of the virtual devices; takes the place of `make_mesh` where sharding is not the subject."""
    return jax.make_mesh((1, 1, 1), AXES, axis_types=(AxisType.Auto,) * len(AXES), devices=jax.devices()[:1])


def random_batch(*, passes: int = 1, rows: int = 8, seed: int = 0, target_share: float = 0.5) -> Batch:
    """A batch of rows like those of `make_rows`."""
    generator = np.random.default_rng(seed)
    shape = (passes, rows, LENGTH)
    segments = np.repeat([1, 2, 0], [12, 16, 4]).astype(np.int32)
    mask = (generator.random(shape) < target_share) & (segments > 0)
    return Batch(generator.integers(0, VOCAB, shape).astype(np.int32), np.broadcast_to(segments, shape), mask)


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

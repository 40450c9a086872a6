"""Losses that a change must not move by accident.

`ncvc_slm_tiny.json` holds the losses of 20 training steps of `configs/ncvc_slm_tiny.py` on synthetic rows, on one
device. Where a change is meant to move them (another size in that configuration, another initialisation, …), write the
file anew and say so in the commit:

    python -m tests.golden
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from jmed_jax.config import ExperimentConfig, load_config
from jmed_jax.data.loader import Batch
from jmed_jax.train.step import Trainer
from tests.tiny import one_device_mesh

FILE = Path(__file__).with_name("ncvc_slm_tiny.json")
CONFIG = Path(__file__).resolve().parents[2] / "configs" / "ncvc_slm_tiny.py"
STEPS, LENGTH, IDS, BATCHES = 20, 64, 50, 2


def golden_config() -> ExperimentConfig:
    """The tiny experiment as it stands, on short rows and over 20 steps: the whole schedule in a few seconds."""
    config = load_config(CONFIG, ExperimentConfig)
    model = replace(config.model, context_length=LENGTH)
    train = replace(config.train, steps=STEPS, compute_dtype="float32")
    # A rate of its own: 20 steps must get somewhere, whatever rate suits the whole run.
    optimizer = replace(config.optimizer, peak_lr=4e-3, warmup_steps=STEPS // 4)
    return replace(config, model=model, train=train, optimizer=optimizer)


def synthetic_batch(config: ExperimentConfig, index: int) -> Batch:
    """Rows of a few ids with two documents, padding, and a loss mask with holes; from Philox, which never changes."""
    generator = np.random.Generator(np.random.Philox(index))
    shape = (config.data.accumulation, config.data.batch_size, LENGTH)
    segments = np.broadcast_to(np.repeat([1, 2, 0], [24, 32, 8]).astype(np.int32), shape)
    mask = (generator.random(shape) < 0.8) & (segments > 0)
    return Batch((generator.random(shape) * IDS).astype(np.int32), segments, mask)


def golden_losses() -> list[float]:
    """Loss of every step; the same few batches come again and again, so it falls."""
    config = golden_config()
    trainer = Trainer(config, one_device_mesh())
    state = trainer.fresh_state()
    losses = []
    for step in range(STEPS):
        state, metrics = trainer.step(state, {}, trainer.place(synthetic_batch(config, step % BATCHES)))
        losses.append(float(metrics.loss))
    return losses


def write_golden_file() -> None:
    content = {"config": CONFIG.name, "losses": [round(loss, 6) for loss in golden_losses()]}
    FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

"""The small clinical model, exercises in copying and in extraction, between text and instruction tuning.

Give `--train.initialize-from RUN`, `--data.rows DIR` and `--train.steps N`; `tools/reproduce.py` does. While copying is
learned, the learning rate stays at the peak: heads that copy form all at once, after 200 to 300 steps (EXPERIMENTS.md).
"""

from dataclasses import replace
from pathlib import Path

from jmed_jax.config import ExperimentConfig, OptimizerConfig, load_config


def config() -> ExperimentConfig:
    text = load_config(Path(__file__).with_name("clinical_small.py"), ExperimentConfig)
    return replace(
        text,
        name="clinical_small_exercises",
        # The pre-training vocabulary and <|system|>, <|user|>, <|assistant|>.
        model=replace(text.model, vocab_size=text.model.vocab_size + 3),
        data=replace(text.data, attention_mask="document"),
        optimizer=OptimizerConfig(peak_lr=2e-3, warmup_steps=50, schedule="constant"),
        # Half of the positions are no targets: small chunks skip most of the vocabulary product.
        train=replace(text.train, steps=320, loss_chunk=128),
    )

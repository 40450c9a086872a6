"""The small clinical model, instruction tuning on JMED-LLM (arXiv 2412.16423 §2.4.2): NEFTune, loss on the answers.

Give `--train.initialize-from RUN`, `--data.rows DIR` and `--train.steps N`; `tools/reproduce.py` does. A list of thirty
tokens weighs less than fifteen letters of two tokens, but more than one: with equal tokens letters drowned in the
quickstart's model.
"""

from dataclasses import replace
from pathlib import Path

from jmed_jax.config import ExperimentConfig, OptimizerConfig, load_config


def config() -> ExperimentConfig:
    exercises = load_config(Path(__file__).with_name("clinical_small_exercises.py"), ExperimentConfig)
    return replace(
        exercises,
        name="clinical_small_instruct",
        # The longest reports have 900 tokens.
        model=replace(exercises.model, context_length=1024),
        data=replace(exercises.data, batch_size=2),
        optimizer=OptimizerConfig(peak_lr=1e-3, warmup_steps=50),
        train=replace(exercises.train, steps=4000, neftune_alpha=5.0, length_normalization=0.5),
    )

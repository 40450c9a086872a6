"""`jmed train --evaluate-every`: the benchmarks' questions to a model in training.

Here because the trainer stands below the evaluation and the language model, and knows neither.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jmed_jax.config import ExperimentConfig
from jmed_jax.errors import InputError
from jmed_jax.evaluate.evaluations import SCORES
from jmed_jax.evaluate.plan import Options, plan_tasks
from jmed_jax.evaluate.run import run_plans
from jmed_jax.language_model import LanguageModel
from jmed_jax.language_model.backend import OurModel
from jmed_jax.tokenizer.load import load_tokenizer
from jmed_jax.train.batches import open_training_rows
from jmed_jax.train.run import TOKENIZER
from jmed_jax.train.scoring import Score

EVALUATIONS = "evaluations"


class TrainingScores:
    """Scores parameters; the answers stay in `RUN/evaluations/step-N`."""

    def __init__(
        self, config: ExperimentConfig, run: Path, tasks: Sequence[str], data: Path, *, limit: int | None
    ) -> None:
        """
        Raises:
            InputError: gold rows are missing or damaged, or the model knows no chat tokens: now, and not after days.
        """
        self.config = config.model
        self.tokens_per_step = config.tokens_per_step
        self.run = run
        self.data = data
        self.options = Options(limit=limit)
        # Once for all checkpoints: prompts and, when they are first asked for, baselines.
        self.plans = plan_tasks(tasks, data, self.options)
        rows, _, _ = open_training_rows(config)
        tokenizer = load_tokenizer(rows.path / TOKENIZER)
        needed = tokenizer.vocab_size
        if config.model.vocab_size < needed:
            raise InputError(
                "--evaluate-tasks: questions are put with chat tokens, which model.vocab_size "
                f"{config.model.vocab_size} leaves out. Set --model.vocab-size {needed}."
            )
        if not tokenizer.has_chat(config.model.vocab_size):
            raise InputError(f"--evaluate-tasks: {tokenizer.path} has no chat template. Add one and pack again.")

    def __call__(self, parameters: Any, step: int) -> list[Score]:
        name = f"{self.run.name} step {step}"
        model = LanguageModel(self.config, parameters, load_tokenizer(self.run / TOKENIZER), name)
        evaluation = run_plans(
            OurModel(model),
            self.plans,
            self.data,
            self.run / EVALUATIONS / f"step-{step}",
            model_info={
                "name": name,
                "parameters": self.config.num_parameters,
                "step": step,
                "tokens": step * self.tokens_per_step,
            },
            options=self.options,
            overwrite=True,
        )
        scores = json.loads((evaluation.path / SCORES).read_text(encoding="utf-8"))["tasks"]
        return [
            Score(task, metric, value)
            for task, entry in scores.items()
            for metric, value in entry["metrics"].items()
            if isinstance(value, int | float)
        ]

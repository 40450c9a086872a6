"""Downstream scores of the parameters in training (arXiv 2412.16423, appendix: score against tokens seen).

What scores a model stands above this room, so it comes in as a function.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jmed_jax.parallel import distributed
from jmed_jax.train.run import SCORES
from jmed_jax.train.step import Parameters
from jmed_jax.train.step_lines import StepLines, cut_after, has_step


@dataclass(frozen=True)
class Score:
    """One figure of one task."""

    task: str
    metric: str
    value: float


@dataclass(frozen=True)
class Evaluation:
    """What to measure, and how often."""

    every: int
    """Checkpoints between two evaluations; the last step is always one."""
    score: Callable[[Parameters, int], Sequence[Score]]
    """Takes parameters on one device and the number of finished steps."""


class Scores:
    """`scores.jsonl`: {"step", "tokens", "task", "metric", "value"}."""

    def __init__(self, run: Path, evaluation: Evaluation, mesh: Mesh) -> None:
        self.path = run / SCORES
        self.evaluation = evaluation
        self.mesh = mesh

    def begin(self, step: int) -> None:
        """Remove what later steps scored: they are computed again."""
        if distributed.is_first():
            cut_after(self.path, step)

    def missing(self, step: int) -> bool:
        """Whether a process was killed between the checkpoint of `step` and its scores."""
        return not has_step(self.path, step)

    def measure(self, parameters: Parameters, step: int, tokens: int) -> None:
        """Score the parameters and write the lines. A collective call; process 0 asks the questions."""
        copy = self._on_one_device(parameters)
        if distributed.is_first():
            scores = self.evaluation.score(copy, step)
            lines: list[dict[str, Any]] = [{"step": step, "tokens": tokens, **vars(score)} for score in scores]
            stream = StepLines(self.path, step)
            stream.write_all(lines)
            stream.close()
        distributed.barrier(f"scores-{step}")

    def _on_one_device(self, parameters: Parameters) -> Parameters:
        """A copy: the step gives its own parameters' memory away."""
        replicated = NamedSharding(self.mesh, PartitionSpec())
        gathered = jax.jit(lambda tree: jax.tree.map(jax.numpy.copy, tree), out_shardings=replicated)(parameters)
        return jax.tree.map(lambda array: array.addressable_data(0), gathered)

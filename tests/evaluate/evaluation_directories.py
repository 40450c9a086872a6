"""Evaluation directories of invented rows."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jmed_jax import artifact
from jmed_jax.evaluate.row_scores import RowScores, metrics
from jmed_jax.jsonl import write_jsonl


def write_evaluation(path: Path, name: str, tasks: Mapping[str, "TaskAnswers"]) -> Path:
    """An evaluation directory with what comparisons read of it."""
    with artifact.create(path, "evaluation", {}) as draft:
        for task, answers in tasks.items():
            write_jsonl(draft.path / f"predictions-{task}.jsonl", answers.rows())
        scores = {"model": {"name": name}, "tasks": {task: answers.entry() for task, answers in tasks.items()}}
        (draft.path / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    return path


class TaskAnswers:
    """One task of a model, from its row scores; ids are 0, 1, … unless they are given."""

    def __init__(
        self,
        scores: RowScores,
        main_metric: str,
        *,
        protocol: str = "letters",
        language: str = "",
        ids: Sequence[str] = (),
        **other: Any,
    ) -> None:
        self.scores = scores
        self.ids = ids or [str(n) for n in range(len(scores))]
        self.head = {"protocol": protocol, "main_metric": main_metric, "language": language}
        self.other: Mapping[str, Sequence[Any]] = other

    def entry(self) -> dict[str, Any]:
        return {**self.head, "n": len(self.ids), "metrics": metrics(self.scores), **self.scores.to_entry()}

    def rows(self) -> list[dict[str, Any]]:
        kappa = self.scores.kappa
        return [
            {
                "id": identifier,
                "prediction": kappa.predicted[n] if kappa else "",
                "gold": kappa.gold[n] if kappa else "a",
                "scores": self.scores.row(n),
                **{name: values[n] for name, values in self.other.items()},
            }
            for n, identifier in enumerate(self.ids)
        ]

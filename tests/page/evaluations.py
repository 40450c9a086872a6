"""Evaluation directories with a few made-up rows, as `jmed evaluate run` writes them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jmed_jax import artifact
from jmed_jax.evaluate.evaluations import KIND, SCORES
from jmed_jax.jsonl import write_jsonl

SYSTEM = "選択肢から一つ選べ。"


@dataclass
class MadeTask:
    """The entry and the rows of one task; `changed` keys of the entry replace its own."""

    right: Sequence[bool]
    protocol: str = "gestalt_cot"
    language: str = "ja"
    main_metric: str = "gestalt_accuracy"
    output: str = "答えはaである。"
    prompt_sha256: str = "0123456789abcdef" * 4
    groups: Sequence[str] = ("内科", "外科")
    rows: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    changed: Mapping[str, Any] = field(default_factory=dict)

    @property
    def entry(self) -> dict[str, Any]:
        share = sum(self.right) / len(self.right)
        metrics = (
            {"accuracy": share, "kappa": 2 * share - 1} if self.main_metric == "kappa" else {self.main_metric: share}
        )
        values = ["accuracy"] if self.main_metric == "kappa" else [self.main_metric]
        weights = {"kappa_weights": None} if self.main_metric == "kappa" else {}
        return {
            "protocol": self.protocol,
            "language": self.language,
            "main_metric": self.main_metric,
            "n": len(self.right),
            "metrics": metrics,
            "intervals": {name: [value - 0.1, value + 0.1] for name, value in metrics.items()},
            "unparsable": sum("unparsable" in row for row in self.rows.values()),
            "unanswered": sum("error" in row for row in self.rows.values()),
            "truncated_prompts": 0,
            "groups": {name: {"n": len(self.right) // 2, **metrics} for name in self.groups},
            "baselines": {"random": dict.fromkeys(metrics, 0.2)},
            "how": dict.fromkeys(values, "mean"),
            "out_of": {},
            **weights,
            "prompt_sha256": self.prompt_sha256,
            "shots": 0,
            "seconds": 120.0,
            "prompt_tokens": 4000,
            "completion_tokens": 1200,
            "tokens_per_second": 10.0,
            "seconds_a_question": {"median": 1.5, "p95": 12.0},
            "peak_memory_bytes": 15_000_000_000,
            **self.changed,
        }

    def prompt_rows(self) -> list[dict[str, Any]]:
        return [
            {
                "id": f"q{number}",
                "messages": [
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": f"症例{number}の診断はどれか。\na. 肺炎\nb. 胃癌"},
                ],
            }
            for number in range(len(self.right))
        ]

    def prediction_rows(self) -> list[dict[str, Any]]:
        names = self.entry["how"]
        return [
            {
                "id": f"q{number}",
                "prediction": "a" if right else "b",
                "output": self.output,
                "raw_output": self.output,
                "gold": "a",
                "scores": {name: int(right or name == "total") for name in names},
                "groups": [self.groups[number % len(self.groups)]] if self.groups else [],
                "pair": f"pair{number}",
                **self.rows.get(number, {}),
            }
            for number, right in enumerate(self.right)
        ]


def write_evaluation(path: Path, made_tasks: Mapping[str, MadeTask], *, name: str = "Qwen2-7B", **changed: Any) -> Path:
    """Write the directory; `changed` keys replace those of scores.json."""
    scores = {
        "model": {"name": name, "parameters": 7_615_616_512, "step": 1200, "tokens": 50_000_000_000},
        "backend": "jmed_jax",
        "hardware": {"device": "NVIDIA H100", "count": 2},
        "tasks": {task: made.entry for task, made in made_tasks.items()},
        **changed,
    }
    with artifact.create(path, KIND, {}) as draft:
        for task, made in made_tasks.items():
            write_jsonl(draft.path / f"prompts-{task}.jsonl", made.prompt_rows())
            write_jsonl(draft.path / f"predictions-{task}.jsonl", made.prediction_rows())
        (draft.path / SCORES).write_text(json.dumps(scores, ensure_ascii=False), encoding="utf-8")
    return path


def exam(right: Sequence[bool], **changed: Any) -> MadeTask:
    """IgakuQA by points, a point a question, in two years."""
    half = len(right) // 2
    points = {"2018": sum(right[:half]), "2019": sum(right[half:])}
    counts = {"2018": half, "2019": len(right) - half}
    entry = {
        "metrics": {"points": sum(right), "total": len(right), "accuracy": sum(right) / len(right)},
        "intervals": {"points": [sum(right) - 2.4, sum(right) + 2.4]},
        "baselines": {"random": {"points": 1, "total": len(right), "accuracy": 0.2}},
        "groups": {
            year: {
                "n": counts[year],
                "points": got,
                "total": counts[year],
                "accuracy": got / counts[year],
                "unparsable": 1,
            }
            for year, got in points.items()
        },
        "human": {
            "accuracy": 0.871,
            "n": len(right),
            "years": {year: {"accuracy": at, "n": half} for year, at in (("2018", 0.9), ("2019", 0.842))},
        },
        "kinki": {
            "chosen": 2,
            "questions": 9,
            "asked": 9,
            "years": {"2018": {"chosen": 2, "questions": 9, "asked": 9}},
        },
        "how": {"points": "sum", "total": "sum", "accuracy": "mean"},
        "out_of": {"points": "total"},
    }
    return MadeTask(right, "igakuqa_points", "ja", "points", changed=entry, **changed)

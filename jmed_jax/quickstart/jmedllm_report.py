"""What the recipe `jmedllm` says of itself: its summary and its page."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jmed_jax.config import ModelConfig
from jmed_jax.jsonl import read_jsonl
from jmed_jax.page.adaptation_page import AdaptationPage, Compared
from jmed_jax.page.page import Sample, Stage
from jmed_jax.train.metrics import read_metrics

TRAINED = ("mfpt", "mpeft")
"""The runs whose loss is shown."""


@dataclass(frozen=True)
class Outcome:
    """What the stages came to.

    Attributes:
        out: the quickstart's directory, with the runs and `evaluation-mpeft`.
        style: title of the held-in questions.
        own_tokenizer: trained here, not Qwen2's.
        models: run → what it is called.
        scores: task → run → entry of `scores.json`.
        chance: share right of a guess, a task.
        reload: what was exported and loaded again → largest difference of a logit from the run's.
        largest_logit: of the run.
        answer: one question, answered by the export.
    """

    out: Path
    config: ModelConfig
    style: str
    own_tokenizer: bool
    models: Mapping[str, str]
    scores: Mapping[str, Mapping[str, Mapping[str, Any]]]
    chance: Mapping[str, float]
    reload: Mapping[str, float]
    largest_logit: float
    answer: Sample

    @property
    def losses(self) -> dict[str, dict[str, float]]:
        """Stage → as `loss_fall`."""
        return {name: loss_fall(read_metrics(self.out / name)) for name in TRAINED}


def loss_fall(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """First and last loss of a run, and the means of its first and last tenth, from its metrics."""
    losses = np.array([row["loss"] for row in rows], float)
    tenth = max(1, len(losses) // 10)
    return {
        "first": float(losses[0]),
        "last": float(losses[-1]),
        "first_tenth": float(losses[:tenth].mean()),
        "last_tenth": float(losses[-tenth:].mean()),
    }


def summary(outcome: Outcome) -> dict[str, Any]:
    """{"parameters", "losses": stage → as `loss_fall`, "scores": task → run → {metric, value, interval, n, chance},
    "reload": what was reloaded → largest difference of a logit, "largest_logit"}."""
    return {
        "parameters": outcome.config.num_parameters,
        "losses": outcome.losses,
        "scores": {
            task: {run: _score(entry, outcome.chance[task]) for run, entry in entries.items()}
            for task, entries in outcome.scores.items()
        },
        "reload": dict(outcome.reload),
        "largest_logit": outcome.largest_logit,
    }


def _score(entry: Mapping[str, Any], chance: float) -> dict[str, Any]:
    metric = entry["main_metric"]
    return {
        "metric": metric,
        "value": entry["metrics"][metric],
        "interval": entry["intervals"][metric],
        "n": entry["n"],
        "chance": chance,
    }


def adaptation_page(outcome: Outcome, stages: Sequence[Stage], data_note: str, synthetic: bool) -> AdaptationPage:
    """Everything that the page shows."""
    config = outcome.config
    return AdaptationPage(
        title="jmed_jax quickstart: JMedLLM",
        data_note=data_note,
        synthetic=synthetic,
        stages=stages,
        model={
            "Parameters": f"{config.num_parameters:,}",
            "Layers · hidden · MLP": f"{config.num_layers} · {config.hidden_size} · {config.mlp_size}",
            "Vocabulary": f"{config.vocab_size:,} rows",
            "Tokenizer": "a small one of its kind, trained on the text" if outcome.own_tokenizer else "Qwen2’s own",
        },
        mfpt=read_metrics(outcome.out / "mfpt"),
        mpeft=read_metrics(outcome.out / "mpeft"),
        losses=outcome.losses,
        models=list(outcome.models.values()),
        compared=[_compared(outcome, task) for task in outcome.scores],
        reload=outcome.reload,
        largest_logit=outcome.largest_logit,
        samples=_samples(outcome.out / "evaluation-mpeft", outcome.scores),
        answer=outcome.answer,
        commands=_COMMANDS,
    )


def _compared(outcome: Outcome, task: str) -> Compared:
    entries = outcome.scores[task].values()
    scores = [_score(entry, outcome.chance[task]) for entry in entries]
    return Compared(
        title=outcome.style if task == "questions" else "IgakuQA, newest year (examination)",
        n=scores[-1]["n"],
        chance=outcome.chance[task],
        values=[score["value"] for score in scores],
        intervals=[tuple(score["interval"]) for score in scores],
        unparsable=[entry["unparsable"] for entry in entries],
    )


def _samples(evaluation: Path, tasks: Iterable[str]) -> list[Sample]:
    """The first right and the first wrong answer of each task."""
    samples = []
    for task in tasks:
        prompts = {row["id"]: row["messages"] for _, row in read_jsonl(evaluation / f"prompts-{task}.jsonl")}
        chosen: dict[bool, Sample] = {}
        for _, row in read_jsonl(evaluation / f"predictions-{task}.jsonl"):
            right = row["scores"]["gestalt_accuracy"] == 1
            # The instruction that stands before every question is left out.
            question = prompts[row["id"]][-1]["content"].rpartition("\n\n問題: ")[2]
            chosen.setdefault(right, Sample(task, question, row["output"], row["gold"], right))
        samples += [chosen[right] for right in sorted(chosen, reverse=True)]
    return samples


# README, "A model of others, adapted".
_COMMANDS = (
    (
        "Stage one on the real model, 8 GPUs",
        "jmed pack --mode documents --tokenizer Qwen2-7B-Instruct --corpus out/corpus --row-length 2048 "
        "--out out/rows\n"
        "jmed train configs/jmedllm_7b_mfpt.py --run out/mfpt --data.rows out/rows "
        "--train.initialize-from Qwen2-7B-Instruct",
    ),
    (
        "Stage two, one card of 24 GB",
        "jmed data instructions --source medqa=DATA/medqa --source igakuqa=DATA/igakuqa --exclude-test TESTS "
        "--out out/questions.jsonl\n"
        "jmed pack --mode fit --tokenizer Qwen2-7B-Instruct --conversations out/questions.jsonl --row-length 2048 "
        "--out out/rows-qa\n"
        "jmed train configs/jmedllm_7b_mpeft.py --run out/mpeft --data.rows out/rows-qa "
        "--train.initialize-from out/mfpt --lora.base nf4",
    ),
    (
        "Hand it on",
        "jmed export hf --run out/mpeft --out out/model            # merged, bfloat16\n"
        "jmed export adapter --run out/mpeft --out out/adapter     # a PEFT directory",
    ),
)

"""From answers to what an evaluation directory says of a task: rows of predictions, and an entry of `scores.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from jmed_jax.artifact import visible_files
from jmed_jax.backends.protocol import Backend, Completion
from jmed_jax.evaluate.answers import Answer, Answers
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.intervals import bootstrap
from jmed_jax.evaluate.plan import BEYOND_LIMIT, Plan
from jmed_jax.evaluate.protocols.loglikelihood import KINDS, LikelihoodTask
from jmed_jax.evaluate.protocols.multiple_choice import MultipleChoiceTask
from jmed_jax.evaluate.questions import ExamQuestion, ExtractionQuestion, Question
from jmed_jax.evaluate.restore import restore_writing
from jmed_jax.evaluate.row_scores import RowScores, metrics
from jmed_jax.evaluate.score import clean_rows
from jmed_jax.evaluate.scores import parse_string_list
from jmed_jax.evaluate.task import Metrics, Task
from jmed_jax.jsonl import SUFFIXES

_COUNT = "unparsable"


@dataclass(frozen=True)
class Read:
    """One question's answer, as it was read.

    Attributes:
        raw: what the model wrote.
        output: the same in the question's own writing, where the model has another.
        error: why there is no answer; "" where there is one.
    """

    raw: str
    output: str
    prediction: str
    error: str


def read_answers(plan: Plan, answers: Answers, backend: Backend) -> list[Read]:
    """What every question was answered, in their order."""
    if isinstance(plan.task, LikelihoodTask):
        return [_read_likelihoods(plan.task, question, answers) for question in plan.questions]
    found = []
    for question in plan.questions:
        completion = answers[plan.task.name, question.id].completion
        output = raw = _written(completion, question)
        if backend.restores_writing and isinstance(question, ExtractionQuestion):
            output = restore_writing(output, question.question)
        as_it_stands = completion.is_prediction and isinstance(question, ExamQuestion)
        prediction = output if as_it_stands else plan.task.read_output(question, output, plan.wording)
        found.append(Read(raw, output, prediction, completion.error))
    return found


def _written(completion: Completion, question: Question) -> str:
    """The text of an answer; a list is printed in an entity task, and joined by commas in any other."""
    strings = parse_string_list(completion.text) if completion.is_list else None
    return completion.text if strings is None or isinstance(question, ExtractionQuestion) else ",".join(strings)


def _read_likelihoods(task: LikelihoodTask, question: Any, answers: Answers) -> Read:
    likelihoods = {kind: answers[task.name, f"{question.id}/{kind}"].likelihoods for kind in KINDS}
    output = task.output_of(likelihoods)
    return Read(output, output, task.choose(question, likelihoods), "")


def prediction_rows(plan: Plan, read: Sequence[Read], rows: RowScores) -> list[dict[str, Any]]:
    """The lines of `predictions-TASK.jsonl`."""
    clusters = plan.clusters or [""] * len(plan.questions)
    return [
        {
            "id": question.id,
            "prediction": answer.prediction,
            "output": answer.output,
            "raw_output": answer.raw,
            "gold": plan.task.expected_output(question),
            **({"error": answer.error} if answer.error else {}),
            **({"unparsable": True} if rows.values[_COUNT][index] else {}),
            "scores": rows.row(index),
            "groups": list(plan.task.groups(question)),
            **({"cluster": cluster} if cluster else {}),
            **({"pair": question.pair} if isinstance(question, MultipleChoiceQuestion) else {}),
        }
        for index, (question, answer, cluster) in enumerate(zip(plan.questions, read, clusters, strict=True))
    ]


def entry_of(plan: Plan, read: Sequence[Read], rows: RowScores, answers: Answers, backend: Backend) -> dict[str, Any]:
    """The task's entry in `scores.json`."""
    task = plan.task
    predictions = [answer.prediction for answer in read]
    scored = metrics(rows)
    own = [answers[task.name, asked.id] for asked in plan.asked]
    return {
        "protocol": task.protocol,
        "language": task.language,
        "main_metric": _main_metric(task, scored),
        "n": len(rows),
        "metrics": _without_count(scored),
        "intervals": {name: list(pair) for name, pair in bootstrap(rows, clusters=plan.clusters).items()},
        "unparsable": scored[_COUNT],
        "unanswered": sum(bool(answer.error) for answer in read),
        "truncated_prompts": sum(answer.overlong for answer in own),
        "left_out": plan.left_out,
        "groups": task.score_groups(plan.questions, rows),
        "baselines": {name: _without_count(baseline) for name, baseline in plan.baselines.items()},
        **({"clean": _clean(plan, rows)} if plan.train_path else {}),
        **({"rotations": _rotations(plan, predictions, rows)} if plan.clusters else {}),
        **rows.to_entry(),
        "prompt_sha256": plan.prompt_sha256,
        "shots": plan.shots,
        **cost(own, backend),
    }


def _main_metric(task: Task[Any], scored: Mapping[str, Any]) -> str:
    """The task's own; the judge's grade where rubrics without references leave no other."""
    return task.main_metric if task.main_metric in scored else "judge"


def _clean(plan: Plan, rows: RowScores) -> Metrics | None:
    """The score of the rows whose source is in no training row; None when no row is left."""
    indices = clean_rows(plan.questions, plan.trained_on)
    if not indices:
        return None
    intervals = bootstrap(rows, clusters=plan.clusters, indices=indices)
    return {
        "n": len(indices),
        **metrics(rows, indices),
        "intervals": {name: list(pair) for name, pair in intervals.items()},
    }


def _rotations(plan: Plan, predictions: Sequence[str], rows: RowScores) -> dict[str, Any]:
    """How many questions there are behind the rows, the share of them answered, and the same, however they are turned,
    and in "places" what those score whose choices are turned by 0, 1, … places."""
    assert isinstance(plan.task, MultipleChoiceTask) and plan.clusters is not None
    answers: dict[str, set[tuple[str, ...]]] = {}
    for name, question, prediction in zip(plan.clusters, plan.questions, predictions, strict=True):
        answers.setdefault(name, set()).add(tuple(sorted(plan.task.choice(question, prediction))))  # type: ignore[arg-type]
    turned: dict[int, list[int]] = {}
    for index, question in enumerate(plan.questions):
        turned.setdefault(int(question.id.rpartition("#")[2]), []).append(index)
    return {
        "questions": len(answers),
        "same_answer": sum(len(found) == 1 and () not in found for found in answers.values()) / len(answers),
        "places": [{"n": len(turned[n]), **_without_count(metrics(rows, turned[n]))} for n in sorted(turned)],
    }


def _without_count(scored: Mapping[str, Any]) -> Metrics:
    return {name: value for name, value in scored.items() if name not in ("n", "groups", _COUNT)}


def cost(answers: Sequence[Answer], backend: Backend) -> dict[str, Any]:
    """What the answers took: time, tokens, memory; null where that cannot be known."""
    seconds = sum(answer.waited for answer in answers)
    written = _sum([answer.completion.completion_tokens for answer in answers])
    machine = backend.machine()
    return {
        "seconds": round(seconds, 3),
        "prompt_tokens": _sum([answer.prompt_tokens for answer in answers]),
        "completion_tokens": written,
        "tokens_per_second": round(written / seconds, 2) if written and seconds else None,
        "seconds_a_question": _latency([answer.completion.seconds for answer in answers]),
        "peak_memory_bytes": machine.peak_memory_bytes if machine else None,
    }


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _latency(values: Sequence[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"median": round(median(known), 4), "p95": round(float(np.quantile(known, 0.95)), 4)}


def left_out_in_words(plan: Plan) -> str:
    """Which gold rows are not asked though nobody set a limit, or ""."""
    left_out = {reason: count for reason, count in plan.left_out.items() if reason != BEYOND_LIMIT}
    if not left_out:
        return ""
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items())
    return f"{plan.task.name}: {sum(left_out.values()):,} of {len(plan.gold_ids):,} questions are not asked ({reasons})"


def gold_files(path: Path) -> list[Path]:
    """The files that gold rows were read from."""
    return visible_files(path, SUFFIXES) if path.is_dir() else [path]

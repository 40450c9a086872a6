"""Asking a model the benchmarks' questions: what it was asked, what it wrote and what that scores, all on disk."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from jmed_jax import artifact
from jmed_jax.errors import InputError
from jmed_jax.evaluate.baselines import baseline_scores
from jmed_jax.evaluate.gold import read_exam_examples, read_sources
from jmed_jax.evaluate.prompts import DEFAULT_PROMPTS, Conversation, Prompts, load_prompts
from jmed_jax.evaluate.questions import ExamQuestion, ExtractionQuestion, Question
from jmed_jax.evaluate.restore import restore_writing
from jmed_jax.evaluate.score import score_clean
from jmed_jax.evaluate.task_kinds import ExamTask, Metrics, Task
from jmed_jax.evaluate.tasks import get_task
from jmed_jax.jsonl import write_jsonl
from jmed_jax.progress import say

KIND = "evaluation"
SCORES = "scores.json"

# What scores.json says in fields of its own; the rest of a task's score are its metrics.
_NOT_METRICS = ("n", "unparsable", "groups")


class Backend(Protocol):
    """Whatever answers chat messages.

    Attributes:
        name: for progress lines and the report.
        restores_writing: the model reads and writes cleaned text, so its entity lists go through `restore_writing`.
    """

    @property
    def name(self) -> str: ...

    @property
    def restores_writing(self) -> bool: ...

    def generate_chat(self, conversations: Sequence[Conversation], *, max_new_tokens: int, label: str) -> list[str]:
        """One output a conversation, in their order, decoded deterministically; `label` names the progress bar."""
        ...


@dataclass(frozen=True)
class _Plan:
    """All that a task needs, read and rendered before the model is asked anything.

    Attributes:
        trained_on: the sources of all training rows, of every task: the case reports of one are those of another.
    """

    task: Task[Any]
    gold_path: Path
    questions: Sequence[Question]
    train_path: Path | None
    train: Sequence[Question]
    trained_on: frozenset[str]
    conversations: Sequence[Conversation]

    @property
    def prompt_sha256(self) -> str:
        """Over ids and messages as `prompts-TASK.jsonl` has them."""
        return hashlib.sha256("".join(json.dumps(row) for row in self.prompt_rows()).encode()).hexdigest()

    def prompt_rows(self) -> list[dict[str, Any]]:
        pairs = zip(self.questions, self.conversations, strict=True)
        return [{"id": question.id, "messages": messages} for question, messages in pairs]


def run_tasks(
    backend: Backend,
    tasks: Sequence[str],
    data: Path,
    out: Path,
    *,
    model_info: Mapping[str, Any],
    limit: int | None = None,
    max_new_tokens: int = 512,
    prompts: Path | None = None,
    fewshot: Path | None = None,
    overwrite: bool = False,
) -> artifact.Artifact:
    """Ask `backend` the test questions of `tasks` and write an evaluation directory.

    It holds `prompts-TASK.jsonl` ({"id", "messages"}, what the model was asked), `predictions-TASK.jsonl` ({"id",
    "prediction", "output", "raw_output", "gold"}: what it wrote, its writing restored where the backend asks for that,
    and what was read out of it) and `scores.json`.

    Args:
        tasks: names of `tasks.TASKS`.
        data: a folder with `jmed_llm/test/TASK.jsonl`, `jmed_llm/train/TASK.jsonl.gz` and `igakuqa/ja/YEAR.jsonl`.
            Training rows are not needed; with them come the majority baseline and the score on clean rows.
        model_info: what the model is; it is saved as it stands.
        limit: ask only the first so many questions of each task.
        prompts: a prompt file instead of the package's own wording.
        fewshot: solved examples for IgakuQA; without it IgakuQA is asked zero-shot.

    Raises:
        InputError: an unknown task, gold rows missing or damaged, a prompt file with another shape, `out` exists and
            `overwrite` is false. All of this comes before the first question is asked.
    """
    artifact.check_free(out, overwrite)
    if limit is not None and limit < 1:
        raise InputError(f"limit is {limit}, expected at least 1 question a task.")
    if fewshot is not None and "igakuqa" not in tasks:
        raise InputError(f"{fewshot}: few-shot examples are for igakuqa, which is not among the tasks.")
    plans = _plan_all([get_task(name) for name in tasks], data, limit, prompts, fewshot)
    config = {
        "model": dict(model_info),
        "tasks": list(tasks),
        "limit": limit,
        "max_new_tokens": max_new_tokens,
        "prompts": str(prompts) if prompts else "default",
        "fewshot": str(fewshot) if fewshot else None,
        "restores_writing": backend.restores_writing,
    }
    with artifact.create(out, KIND, config, overwrite=overwrite) as draft:
        _note_inputs(draft, plans, prompts, fewshot)
        scored = {plan.task.name: _run(plan, backend, max_new_tokens, draft.path) for plan in plans}
        _write_json(draft.path / SCORES, {"model": dict(model_info), "backend": backend.name, "tasks": scored})
    return artifact.open_artifact(out, KIND)


def _plan_all(
    tasks: Sequence[Task[Any]], data: Path, limit: int | None, prompts: Path | None, fewshot: Path | None
) -> list[_Plan]:
    train_directory = data / "jmed_llm" / "train"
    trained_on = read_sources([train_directory]) if train_directory.is_dir() else frozenset()
    wording = load_prompts(prompts)
    return [_plan(task, data, limit, wording, fewshot, trained_on) for task in tasks]


def _plan(
    task: Task[Any], data: Path, limit: int | None, wording: Prompts, fewshot: Path | None, trained_on: frozenset[str]
) -> _Plan:
    gold_path, train_path = task.gold_path(data), task.train_path(data)
    questions = task.read_gold([gold_path])[:limit]
    examples: list[ExamQuestion] = []
    if fewshot is not None and isinstance(task, ExamTask):
        examples = read_exam_examples(fewshot, questions[0].language)
    return _Plan(
        task=task,
        gold_path=gold_path,
        questions=questions,
        train_path=train_path,
        train=task.read_gold([train_path]) if train_path else [],
        trained_on=trained_on,
        conversations=[task.messages(question, wording, examples) for question in questions],
    )


def _note_inputs(draft: artifact.Draft, plans: Sequence[_Plan], prompts: Path | None, fewshot: Path | None) -> None:
    for plan in plans:
        files = sorted(plan.gold_path.rglob("*.jsonl*")) if plan.gold_path.is_dir() else [plan.gold_path]
        draft.inputs |= {f"gold {plan.task.name} {file.name}": artifact.file_sha256(file) for file in files}
        if plan.train_path:
            draft.inputs[f"train {plan.task.name}"] = artifact.file_sha256(plan.train_path)
        draft.counts[plan.task.name] = len(plan.questions)
    draft.inputs["prompts"] = artifact.file_sha256(prompts or DEFAULT_PROMPTS)
    if fewshot is not None:
        draft.inputs["fewshot"] = artifact.file_sha256(fewshot)


def _run(plan: _Plan, backend: Backend, max_new_tokens: int, directory: Path) -> dict[str, Any]:
    """Ask one task and write its files; return its entry in scores.json."""
    name = plan.task.name
    write_jsonl(directory / f"prompts-{name}.jsonl", plan.prompt_rows())
    started = time.monotonic()
    raw = backend.generate_chat(plan.conversations, max_new_tokens=max_new_tokens, label=name)
    seconds = time.monotonic() - started
    assert len(raw) == len(plan.questions), f"{backend.name} gave {len(raw)} outputs for {len(plan.questions)} prompts"
    outputs = [_restored(output, question, backend) for output, question in zip(raw, plan.questions, strict=True)]
    predictions = [plan.task.read_output(*pair) for pair in zip(plan.questions, outputs, strict=True)]
    write_jsonl(directory / f"predictions-{name}.jsonl", _prediction_rows(plan, predictions, outputs, raw))
    entry = {**_scores(plan, predictions), "seconds": round(seconds, 3)}
    main = plan.task.main_metric
    say(f"{name}: {main} {entry['metrics'][main]:.4g}, n {entry['n']}, {seconds:.1f} s")
    return entry


def _restored(output: str, question: Question, backend: Backend) -> str:
    if backend.restores_writing and isinstance(question, ExtractionQuestion):
        return restore_writing(output, question.question)
    return output


def _prediction_rows(
    plan: _Plan, predictions: Sequence[str], outputs: Sequence[str], raw: Sequence[str]
) -> list[dict[str, Any]]:
    return [
        {
            "id": question.id,
            "prediction": prediction,
            "output": output,
            "raw_output": raw_output,
            "gold": plan.task.expected_output(question),
        }
        for question, prediction, output, raw_output in zip(plan.questions, predictions, outputs, raw, strict=True)
    ]


def _scores(plan: _Plan, predictions: Sequence[str]) -> dict[str, Any]:
    score = plan.task.score(plan.questions, predictions)
    baselines = baseline_scores(plan.task, plan.questions, plan.train)
    entry = {
        "protocol": plan.task.protocol,
        "main_metric": plan.task.main_metric,
        "n": score["n"],
        "metrics": _metrics(score),
        "unparsable": score["unparsable"],
        "groups": score["groups"],
        "baselines": {name: _metrics(baseline) for name, baseline in baselines.items()},
        "prompt_sha256": plan.prompt_sha256,
    }
    if plan.train_path:
        entry["clean"] = score_clean(plan.task, plan.questions, predictions, plan.trained_on)
    return entry


def _metrics(score: Metrics) -> Metrics:
    return {name: value for name, value in score.items() if name not in _NOT_METRICS}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")

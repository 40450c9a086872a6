"""A model that grades answers in free words: its prompts are frozen and its grades kept as the answers are."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from jmed_jax import artifact
from jmed_jax.backends.protocol import Backend
from jmed_jax.evaluate.answers import Answer, collect
from jmed_jax.evaluate.plan import Asked, Plan
from jmed_jax.evaluate.prompts import Prompt, load_prompts
from jmed_jax.evaluate.protocols.open_ended import OpenTask
from jmed_jax.evaluate.questions import OpenQuestion
from jmed_jax.evaluate.row_scores import How, RowScores
from jmed_jax.journal import Journal
from jmed_jax.jsonl import write_jsonl

HIGHEST = 10
"""Of the grades 0, 1, …"""
MAX_NEW_TOKENS = 64
_GRADE = re.compile(r"(?<![0-9.])(10|[0-9])(?![0-9])")


@dataclass(frozen=True)
class Judge:
    """Who grades, and how.

    Attributes:
        prompts: the wording, by open task.
        leave_unanswered: go without the grades that the model does not give.
    """

    model: Backend
    prompts: Mapping[str, Prompt]
    leave_unanswered: bool


def judge_prompts(plans: Sequence[Plan], path: Path | None) -> dict[str, Prompt]:
    """How a judge is asked, by open task: from a prompt file, or in the package's own wording.

    Raises:
        InputError: as `load_prompts`.
    """
    names = {plan.task.name: f"judge.{plan.task.language}" for plan in plans if isinstance(plan.task, OpenTask)}
    return {task: load_prompts(path, [name])[name] for task, name in names.items()}


def judge_rows(
    plan: Plan, answers: Sequence[str], rows: RowScores, judge: Judge, journal: Journal
) -> tuple[RowScores, list[Answer]]:
    """The rows of an open task with the metric "judge", grades in [0, 1], and what the judge said.

    No answer, and one that the judge gave no readable grade, count 0; the latter are counted as "ungraded". What is
    asked stands in `prompts-TASK.judge.jsonl` before it is, and grades in the journal as they come.

    Raises:
        InputError: as `collect`.
    """
    assert isinstance(plan.task, OpenTask)
    pairs = [(q, answer) for q, answer in zip(plan.questions, answers, strict=True) if answer]
    prompt = judge.prompts[plan.task.name]
    asked = [Asked(q.id, _messages(prompt, q, answer)) for q, answer in pairs]  # type: ignore[arg-type]
    judged = replace(plan, task=replace(plan.task, name=judge_name(plan)), asked=asked, plain=False)
    with artifact.replacing(journal.directory / f"prompts-{judge_name(plan)}.jsonl") as temporary:
        write_jsonl(temporary, (one.row() for one in asked))
    found = collect(
        [judged], judge.model, journal, max_new_tokens=MAX_NEW_TOKENS, leave_unanswered=judge.leave_unanswered
    )
    said = {one.id: found[judge_name(plan), one.id] for one in asked}
    grades = {name: read_grade(answer.completion.text) for name, answer in said.items()}
    values = {
        "judge": np.array([grades.get(question.id) or 0.0 for question in plan.questions], float),
        "ungraded": np.array([grades.get(question.id, 0.0) is None for question in plan.questions], float),
    }
    how: dict[str, How] = {"judge": "mean", "ungraded": "sum"}
    return replace(rows, values={**rows.values, **values}, how={**rows.how, **how}), list(said.values())


def judge_name(plan: Plan) -> str:
    """What the journal calls the judge's questions about a task."""
    return f"{plan.task.name}.judge"


def read_grade(output: str) -> float | None:
    """The first whole number from 0 to 10 on the last line ("8/10"), as a share of 10; None where there is none."""
    lines = output.strip().splitlines()
    found = _GRADE.search(lines[-1]) if lines else None
    return int(found[0]) / HIGHEST if found else None


def _messages(prompt: Prompt, question: OpenQuestion, answer: str) -> list[dict[str, str]]:
    labels = [("Question", question.question), ("Reference", question.reference), ("Rubric", question.rubric)]
    shown = "\n\n".join(f"[{label}]\n{text}" for label, text in [*labels, ("Answer", answer)] if text)
    return prompt.messages(question=shown)

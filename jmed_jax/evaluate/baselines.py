"""What answers without reading reach: the most frequent answer, and chance."""

import random
import string
from collections import Counter
from collections.abc import Sequence
from statistics import mean
from typing import Any

from jmed_jax.evaluate.questions import ChoiceQuestion, ExtractionQuestion, Question
from jmed_jax.evaluate.task_kinds import Metrics, Task

# Medians of the open training rows of the three entity tasks: 2 to 9 strings a row, 4 to 5 characters a string.
TYPICAL_STRINGS = 3
TYPICAL_CHARACTERS = 5


def baseline_scores(
    task: Task[Any], questions: Sequence[Question], train: Sequence[Question], *, seed: int = 0
) -> dict[str, Metrics]:
    """{"majority": …, "random": …} by the task's own scorer; no "majority" without training rows."""
    scored = {"random": task.score(questions, random_predictions(questions, seed=seed))}
    if train:
        scored = {"majority": task.score(questions, majority_predictions(questions, train)), **scored}
    return scored


def majority_predictions(questions: Sequence[Question], train: Sequence[Question]) -> list[str]:
    """The most frequent answer among the training rows of the question's tag, in the task's canonical form.

    Choice tasks: the most frequent letter. Entity tasks: as many of the most frequent strings as a row has on average.
    The tag can be read off the fixed wording of a question, so this is still an answer that has not read the report.
    A tag without training rows gets the answer of all tags. Ties go to the first in code point order.
    """
    assert train
    answers: dict[str | None, str] = {}
    for tag in {_tag(question) for question in questions}:
        answers[tag] = _most_frequent([row for row in train if _tag(row) == tag] or train)
    return [answers[_tag(question)] for question in questions]


def _tag(question: Question) -> str | None:
    assert isinstance(question, ChoiceQuestion | ExtractionQuestion), "examinations have no training rows"
    return question.tag


def _most_frequent(rows: Sequence[Question]) -> str:
    letters = Counter(row.answer for row in rows if isinstance(row, ChoiceQuestion))
    if letters:
        return _ranked(letters)[0]
    answers = [row.answers for row in rows if isinstance(row, ExtractionQuestion)]
    strings = Counter(answer for row_answers in answers for answer in set(row_answers))
    return str(_ranked(strings)[: max(1, round(mean(map(len, answers))))])


def _ranked(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda answer: (-counts[answer], answer))


def random_predictions(questions: Sequence[Question], *, seed: int) -> list[str]:
    """Chance, reproducible question by question, in whatever order and number they come.

    Choice tasks: one of the options. Entity tasks: three spans of five characters from the report. IgakuQA: as many
    letters as the question asks for; numbers are left blank.
    """
    return [_chance(question, random.Random(f"{seed} {question.id}")) for question in questions]


def _chance(question: Question, generator: random.Random) -> str:
    if isinstance(question, ChoiceQuestion):
        return generator.choice(list(question.options))
    if isinstance(question, ExtractionQuestion):
        return str(_random_spans(question.question, generator))
    letters = string.ascii_lowercase[: len(question.choices)]
    return ",".join(sorted(generator.sample(letters, min(len(question.answer), len(letters)))))


def _random_spans(question: str, generator: random.Random) -> list[str]:
    # The first line asks; the report follows.
    report = question.partition("\n")[2] or question
    last_start = max(0, len(report) - TYPICAL_CHARACTERS)
    starts = [generator.randint(0, last_start) for _ in range(TYPICAL_STRINGS)]
    return [report[start : start + TYPICAL_CHARACTERS] for start in starts]

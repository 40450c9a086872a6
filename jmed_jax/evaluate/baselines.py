"""What stands beside every score: chance, the most frequent answer, and a linear model on characters."""

import random
import string
from collections import Counter
from collections.abc import Sequence
from statistics import mean
from typing import Any

from jmed_jax.evaluate.linear_baseline import linear_predictions
from jmed_jax.evaluate.questions import ChoiceQuestion, ExtractionQuestion, OpenQuestion, Question
from jmed_jax.evaluate.task import Metrics, Task

# Medians of the open training rows of the three entity tasks: 2 to 9 strings a row, 4 to 5 characters a string.
TYPICAL_STRINGS = 3
TYPICAL_CHARACTERS = 5


def baseline_scores(
    task: Task[Any], questions: Sequence[Question], train: Sequence[Question], *, seed: int = 0
) -> dict[str, Metrics]:
    """{"random": …, "majority": …, "linear": …} by the task's own scorer; only "random" without training rows.

    Questions that are answered in free words have none: {}. The same arguments give the same scores.
    """
    if any(isinstance(question, OpenQuestion) for question in questions):
        return {}
    predictions = {"random": random_predictions(task, questions, seed=seed)}
    if train:
        predictions |= {
            "majority": majority_predictions(questions, train),
            "linear": linear_predictions(questions, train),
        }
    return {name: task.score(questions, values) for name, values in predictions.items()}


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


def random_predictions(task: Task[Any], questions: Sequence[Question], *, seed: int) -> list[str]:
    """Chance, reproducible question by question, in whatever order and number they come.

    Choices: as many as the question asks for. Entity tasks: three spans of five characters from the report. Numerals
    are left blank.
    """
    return [_chance(task, question, random.Random(f"{seed} {question.id}")) for question in questions]


def _chance(task: Task[Any], question: Question, generator: random.Random) -> str:
    assert not isinstance(question, OpenQuestion), "what is answered in free words has no choices"
    if isinstance(question, ExtractionQuestion):
        return str(_random_spans(question.question, generator))
    letters = string.ascii_lowercase[: len(question.choices)]
    if not letters:
        return ""
    drawn = generator.sample(letters, min(len(question.answer), len(letters)))
    return task.prediction_of(question, tuple(sorted(drawn)))


def _random_spans(question: str, generator: random.Random) -> list[str]:
    # The first line asks; the report follows.
    report = question.partition("\n")[2] or question
    last_start = max(0, len(report) - TYPICAL_CHARACTERS)
    starts = [generator.randint(0, last_start) for _ in range(TYPICAL_STRINGS)]
    return [report[start : start + TYPICAL_CHARACTERS] for start in starts]

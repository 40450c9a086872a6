"""What the two protocols for multiple-choice questions of any set share: reading, groups, and rotated choices."""

import string
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jmed_jax.errors import InputError
from jmed_jax.evaluate.exam_answers import Answer
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.exams.registry import read_questions
from jmed_jax.evaluate.task import Task


@dataclass(frozen=True)
class MultipleChoiceTask(Task[MultipleChoiceQuestion]):
    """Questions with choices whose text says all: those that need a picture, or a numeral, are not asked.

    Attributes:
        source: the question set that reads the rows (`exams/sets`).
        choices: ask only questions with so many; 0 asks all that have some.
    """

    source: str = ""
    choices: int = 0

    def read_gold(self, paths: Sequence[Path]) -> list[MultipleChoiceQuestion]:
        questions = [question for path in paths for question in read_questions(self.source, path, self.language)]
        if not questions:
            named = ", ".join(map(str, paths))
            raise InputError(f"{named}: no questions of {self.source} in language {self.language}.")
        return questions

    def asked(self, questions: Sequence[MultipleChoiceQuestion]) -> list[MultipleChoiceQuestion]:
        return [
            question
            for question in questions
            if question.text_only and question.text and len(question.choices) > 1 and self._has_right_number(question)
        ]

    def _has_right_number(self, question: MultipleChoiceQuestion) -> bool:
        return not self.choices or len(question.choices) == self.choices

    def read_shots(self, path: Path) -> list[MultipleChoiceQuestion]:
        return self.asked(self.read_gold([path]))

    @abstractmethod
    def choice(self, question: MultipleChoiceQuestion, prediction: str) -> list[str]:
        """The texts of the choices that a prediction stands for."""

    def groups(self, question: MultipleChoiceQuestion) -> tuple[str, ...]:
        return (question.subject,) if question.subject else ()


def rotations(question: MultipleChoiceQuestion) -> list[MultipleChoiceQuestion]:
    """The question once for every place that its choices can be turned to, with ids "ID#0", "ID#1" …; #0 as it is."""
    return [_rotated(question, places) for places in range(len(question.choices))]


def _rotated(question: MultipleChoiceQuestion, places: int) -> MultipleChoiceQuestion:
    letters = string.ascii_lowercase[: len(question.choices)]

    def moved(answer: Answer) -> Answer:
        return tuple(sorted(letters[(letters.index(letter) - places) % len(letters)] for letter in answer))

    return replace(
        question,
        id=f"{question.id}#{places}",
        choices=(*question.choices[places:], *question.choices[:places]),
        accepted=tuple(map(moved, question.accepted)),
    )

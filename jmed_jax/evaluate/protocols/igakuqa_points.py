"""IgakuQA by exam points: every question is asked, also those that need a picture.

A prediction is letters joined by commas ("a,c"), or a numeral.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from jmed_jax.evaluate import exam_answers
from jmed_jax.evaluate.exams.question import Language
from jmed_jax.evaluate.gold import read_exam_examples, read_exam_questions
from jmed_jax.evaluate.prompts import Conversation, Prompts, load_prompts
from jmed_jax.evaluate.questions import ExamQuestion
from jmed_jax.evaluate.row_scores import RowScores
from jmed_jax.evaluate.task import Task

_PROMPTS: dict[Language, str] = {"ja": "igakuqa", "en": "igakuqa_en"}


@dataclass(frozen=True)
class PointsTask(Task[ExamQuestion]):
    """An examination with points."""

    protocol: ClassVar[str] = "igakuqa_points"

    @property
    def main_metric(self) -> str:
        return "points"

    def read_gold(self, paths: Sequence[Path]) -> list[ExamQuestion]:
        return read_exam_questions(paths)

    def read_shots(self, path: Path) -> list[ExamQuestion]:
        return read_exam_examples(path, self.language)

    def choose_shots(self, question: ExamQuestion, examples: Sequence[ExamQuestion], count: int) -> list[ExamQuestion]:  # noqa: ARG002
        # The authors' examples are of another examination, and the same for every question.
        return list(examples[:count])

    def groups(self, question: ExamQuestion) -> tuple[str, ...]:
        return str(question.year), f"{question.year}/{question.section}"

    def load_wording(self, path: Path | None) -> Prompts:
        prefix = _PROMPTS[self.language]
        return load_prompts(path, [f"{prefix}.choice", f"{prefix}.number"])

    def messages(self, question: ExamQuestion, wording: Prompts, examples: Sequence[ExamQuestion] = ()) -> Conversation:
        solved = [
            message
            for example in examples
            for message in (
                self._ask(example, wording)[1],
                {"role": "assistant", "content": self.expected_output(example)},
            )
        ]
        system, user = self._ask(question, wording)
        return [system, *solved, user]

    def _ask(self, question: ExamQuestion, wording: Prompts) -> Conversation:
        kind = "number" if question.asks_for_number else "choice"
        lettered = zip(_letters(question), question.choices, strict=False)
        options = "".join(f"{letter}. {text}\n" for letter, text in lettered)
        prompt = wording[f"{_PROMPTS[self.language]}.{kind}"]
        return prompt.messages(question=question.text, options=options, count=len(question.answer))

    def expected_output(self, question: ExamQuestion) -> str:
        return ",".join(question.answer)

    def read_output(self, question: ExamQuestion, output: str, wording: Prompts | None = None) -> str:  # noqa: ARG002
        if question.asks_for_number:
            return exam_answers.parse_number(output)
        return exam_answers.parse_letters(output, _letters(question))

    def row_scores(self, questions: Sequence[ExamQuestion], predictions: Sequence[str]) -> RowScores:
        """Points, and beside them `relaxed_points`: without the benchmark's insistence on "a,c" against "a, c"."""
        relaxed = [exam_answers.relax(prediction) for prediction in predictions]
        points_N = np.array([question.points for question in questions], float)
        right_N = np.array([_is_right(q, p) for q, p in zip(questions, predictions, strict=True)], float)
        relaxed_N = np.array([_is_right(q, p) for q, p in zip(questions, relaxed, strict=True)], float)
        unread_N = np.array([not _is_answer(q, p) for q, p in zip(questions, relaxed, strict=True)], float)
        return RowScores(
            {
                "points": points_N * right_N,
                "total": points_N,
                "accuracy": right_N,
                "relaxed_points": points_N * relaxed_N,
                "unparsable": unread_N,
            },
            {"points": "sum", "total": "sum", "accuracy": "mean", "relaxed_points": "sum", "unparsable": "sum"},
            out_of={"points": "total", "relaxed_points": "total"},
        )


def _is_right(question: ExamQuestion, prediction: str) -> bool:
    return question.any_answer_accepted or exam_answers.is_right(prediction, question.accepted)


def _is_answer(question: ExamQuestion, relaxed: str) -> bool:
    if question.asks_for_number:
        return exam_answers.is_number(relaxed)
    return all(part and part in _letters(question) for part in relaxed.split(","))


def _letters(question: ExamQuestion) -> str:
    # A few rows elsewhere have their five choices inside the text.
    return string.ascii_lowercase[: len(question.choices) or 5]

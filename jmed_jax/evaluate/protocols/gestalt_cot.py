"""arXiv 2409.11783: a zero-shot chain-of-thought prompt, and Gestalt accuracy of the text that follows its marker.

A prediction is that text, the response; "" where there is none.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import ClassVar

import numpy as np

from jmed_jax.evaluate.exam_answers import Answer
from jmed_jax.evaluate.exam_prompts import ExamPrompts, exam_messages, load_exam_prompts, read_response
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.prompts import Conversation
from jmed_jax.evaluate.protocols.multiple_choice import MultipleChoiceTask
from jmed_jax.evaluate.row_scores import RowScores

LONGEST_RESPONSE = 4_000
"""Characters: far more than 256 tokens write. Comparing takes time by the square of it."""


@dataclass(frozen=True)
class GestaltTask(MultipleChoiceTask):
    """A question set under the protocol of arXiv 2409.11783."""

    protocol: ClassVar[str] = "gestalt_cot"
    max_new_tokens: ClassVar[int] = 256
    # A chain of thought has paragraphs, and names its answer itself.
    cue: ClassVar = {}
    plain_stop: ClassVar[tuple[str, ...]] = ()

    @property
    def main_metric(self) -> str:
        return "gestalt_accuracy"

    def load_wording(self, path: Path | None) -> ExamPrompts:
        return load_exam_prompts(path, [f"gestalt_cot.{self.language}"])

    def messages(
        self,
        question: MultipleChoiceQuestion,
        wording: ExamPrompts,
        examples: Sequence[MultipleChoiceQuestion] = (),
    ) -> Conversation:
        return exam_messages(question, wording, "gestalt_cot", examples=examples, with_explanation=True)

    def expected_output(self, question: MultipleChoiceQuestion) -> str:
        return ",".join(question.answer_texts)

    def read_output(
        self,
        question: MultipleChoiceQuestion,  # noqa: ARG002 (whatever was offered)
        output: str,
        wording: ExamPrompts | None = None,
    ) -> str:
        prompt = (wording or self.load_wording(None))[f"gestalt_cot.{self.language}"]
        response = read_response(output, prompt.response_marker)
        return response if len(response) <= LONGEST_RESPONSE else ""

    def prediction_of(self, question: MultipleChoiceQuestion, letters: Answer) -> str:
        return ",".join(_texts(question, letters))

    def choice(self, question: MultipleChoiceQuestion, prediction: str) -> list[str]:
        return chosen(question.choices, prediction, len(question.answer))

    def row_scores(self, questions: Sequence[MultipleChoiceQuestion], predictions: Sequence[str]) -> RowScores:
        pairs = list(zip(questions, predictions, strict=True))
        return RowScores(
            {
                "gestalt_accuracy": np.array([is_right(*pair) for pair in pairs], float),
                "exact_match": np.array([is_exact(*pair) for pair in pairs], float),
                "unparsable": np.array([not response for response in predictions], float),
            },
            {"gestalt_accuracy": "mean", "exact_match": "mean", "unparsable": "sum"},
        )


def chosen(choices: Sequence[str], response: str, count: int) -> list[str]:
    """The `count` choices most like a response, most alike first; of equally alike ones the earlier."""
    if not response:
        return []
    alike = sorted(range(len(choices)), key=lambda i: -similarity(response, choices[i]))
    return [choices[i] for i in alike[:count]]


def similarity(response: str, choice: str) -> float:
    """In [0, 1]: Ratcliff and Obershelp's, which depends on the order of its arguments, averaged over both orders."""
    r, c = response.strip("."), choice.strip(".")
    return (SequenceMatcher(None, c, r).ratio() + SequenceMatcher(None, r, c).ratio()) / 2


def is_right(question: MultipleChoiceQuestion, response: str) -> bool:
    """Whether the most similar choices, as many as a right answer has, are that answer. No response is wrong."""
    return any(
        sorted(chosen(question.choices, response, len(answer))) == sorted(_texts(question, answer))
        for answer in question.accepted
        if response
    )


def is_exact(question: MultipleChoiceQuestion, response: str) -> bool:
    """Whether a response is the text of the right choices, joined by commas in their order."""
    return any(response.strip(".") == ",".join(_texts(question, a)).strip(".") for a in question.accepted if response)


def _texts(question: MultipleChoiceQuestion, answer: Answer) -> list[str]:
    return [question.choices[string.ascii_lowercase.index(letter)] for letter in answer]

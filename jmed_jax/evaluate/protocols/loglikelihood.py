"""Nothing is written: the model says how likely the choices are, as letters and as texts, and the likeliest are taken.

Every question is put twice. "letter" shows the lettered choices, and the letters are weighed. "text" shows none, and
the choices' texts are weighed: by their whole log-probability, and by that divided by their tokens or characters, which
otherwise favours short ones. A question with several right choices gets as many.

A prediction is four answers separated by blanks, in the order of `READINGS`, each letters joined by commas ("a,c a b");
a single one stands for all four.
"""

import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from jmed_jax.backends.protocol import Likelihood
from jmed_jax.evaluate.exam_prompts import ExamPrompts, exam_messages, load_exam_prompts
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.prompts import Conversation, Prompts, load_prompts
from jmed_jax.evaluate.protocols.multiple_choice import MultipleChoiceTask
from jmed_jax.evaluate.row_scores import RowScores

KINDS = ("letter", "text")
READINGS = ("accuracy", "accuracy_text", "accuracy_text_per_token", "accuracy_text_per_character")


class Wording(NamedTuple):
    """How both kinds of prompt are worded."""

    letters: ExamPrompts
    continuation: Prompts


@dataclass(frozen=True)
class Weighed:
    """A prompt, and what may follow it."""

    kind: str
    conversation: Conversation
    continuations: tuple[str, ...]


@dataclass(frozen=True)
class LikelihoodTask(MultipleChoiceTask):
    """A question set whose choices are weighed."""

    protocol: ClassVar[str] = "loglikelihood"

    @property
    def main_metric(self) -> str:
        return "accuracy"

    def load_wording(self, path: Path | None) -> Wording:
        return Wording(
            load_exam_prompts(path, [f"letters.{self.language}"]), load_prompts(path, [f"continuation.{self.language}"])
        )

    def messages(
        self, question: MultipleChoiceQuestion, wording: Wording, examples: Sequence[MultipleChoiceQuestion] = ()
    ) -> Conversation:
        return exam_messages(question, wording.letters, "letters", examples=examples)

    def weighed(
        self, question: MultipleChoiceQuestion, wording: Wording, examples: Sequence[MultipleChoiceQuestion] = ()
    ) -> list[Weighed]:
        """Both prompts of a question with their continuations, in the order of `KINDS`."""
        letters = tuple(string.ascii_uppercase[: len(question.choices)])
        prompt = wording.continuation[f"continuation.{self.language}"]
        solved = [
            message
            for example in examples
            for message in (
                prompt.messages(question=example.text)[1],
                {"role": "assistant", "content": ",".join(example.answer_texts)},
            )
        ]
        system, user = prompt.messages(question=question.text)
        texts = [*([system] if system["content"] else []), *solved, user]
        return [
            Weighed("letter", self.messages(question, wording, examples), letters),
            Weighed("text", texts, question.choices),
        ]

    def choose(self, question: MultipleChoiceQuestion, likelihoods: Mapping[str, Sequence[Likelihood]]) -> str:
        """The prediction, by the likelihoods of each kind."""
        texts = likelihoods["text"]
        characters = [max(1, len(choice)) for choice in question.choices]
        scores = (
            [found.log_probability for found in likelihoods["letter"]],
            [found.log_probability for found in texts],
            [found.log_probability / max(1, found.tokens) for found in texts],
            [found.log_probability / length for found, length in zip(texts, characters, strict=True)],
        )
        return " ".join(_best(values, len(question.answer)) for values in scores)

    def output_of(self, likelihoods: Mapping[str, Sequence[Likelihood]]) -> str:
        """What a predictions file shows in an output's place: every log-probability."""
        return json.dumps({kind: [round(found.log_probability, 4) for found in likelihoods[kind]] for kind in KINDS})

    def expected_output(self, question: MultipleChoiceQuestion) -> str:
        return ",".join(question.answer)

    def read_output(
        self,
        question: MultipleChoiceQuestion,  # noqa: ARG002
        output: str,
        wording: Wording | None = None,  # noqa: ARG002
    ) -> str:
        """Of somebody else's file: the prediction as it stands."""
        return output.strip().lower()

    def choice(self, question: MultipleChoiceQuestion, prediction: str) -> list[str]:
        lettered = dict(zip(string.ascii_lowercase, question.choices, strict=False))
        return [lettered[letter] for letter in _readings(prediction)[0].split(",") if letter in lettered]

    def row_scores(self, questions: Sequence[MultipleChoiceQuestion], predictions: Sequence[str]) -> RowScores:
        readings = [_readings(prediction) for prediction in predictions]
        values = {
            name: np.array([_is_right(q, parts[place]) for q, parts in zip(questions, readings, strict=True)], float)
            for place, name in enumerate(READINGS)
        }
        unparsable = np.array([not prediction for prediction in predictions], float)
        return RowScores({**values, "unparsable": unparsable}, {**dict.fromkeys(READINGS, "mean"), "unparsable": "sum"})


def _readings(prediction: str) -> list[str]:
    parts = prediction.split(" ")
    return parts if len(parts) == len(READINGS) else [parts[0]] * len(READINGS)


def _is_right(question: MultipleChoiceQuestion, letters: str) -> bool:
    return tuple(sorted(letters.split(","))) in question.accepted


def _best(values: Sequence[float], count: int) -> str:
    """Letters of the `count` highest values; of equal ones the earlier."""
    order = sorted(range(len(values)), key=lambda i: -values[i])
    return ",".join(sorted(string.ascii_lowercase[i] for i in order[:count]))

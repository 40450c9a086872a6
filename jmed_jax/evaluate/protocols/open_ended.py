"""Questions answered in free words, against a reference: ROUGE-L and chrF, both by their libraries.

A prediction is the answer itself; "" where there is none.
"""

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from jmed_jax.errors import InputError
from jmed_jax.evaluate.prompts import Conversation, Prompts, load_prompts
from jmed_jax.evaluate.questions import OpenQuestion
from jmed_jax.evaluate.row_scores import RowScores
from jmed_jax.evaluate.task import Task
from jmed_jax.jsonl import field, read_jsonl

LONGEST_ANSWER = 20_000
"""Characters; more is a runaway, and comparing takes time by the product of both lengths."""


@dataclass(frozen=True)
class OpenTask(Task[OpenQuestion]):
    """A file of {"id", "question"} and "reference", "rubric" or both; a rubric is for a judge.

    Either all questions have a reference or none has.
    """

    protocol: ClassVar[str] = "open_ended"

    @property
    def main_metric(self) -> str:
        return "rouge_l"

    def read_gold(self, paths: Sequence[Path]) -> list[OpenQuestion]:
        # Now, and not after the model has answered everything.
        _require("rouge_score.rouge_scorer")
        _require("sacrebleu.metrics")
        questions: dict[str, OpenQuestion] = {}
        for path in paths:
            for line, row in read_jsonl(path):
                question = OpenQuestion(
                    id=field(row, "id", str, path, line),
                    question=field(row, "question", str, path, line),
                    reference=field(row, "reference", str, path, line)
                    if "rubric" not in row
                    else _text(row, "reference"),
                    rubric=_text(row, "rubric"),
                )
                if question.id in questions:
                    raise InputError(f'{path}:{line}: id "{question.id}" stands twice.')
                if bool(question.reference) != bool(next(iter(questions.values()), question).reference):
                    raise InputError(f"{path}:{line}: some questions have a reference and some have none.")
                questions[question.id] = question
        return list(questions.values())

    def load_wording(self, path: Path | None) -> Prompts:
        return load_prompts(path, [f"open_ended.{self.language}"])

    def messages(self, question: OpenQuestion, wording: Prompts, examples: Sequence[OpenQuestion] = ()) -> Conversation:
        prompt = wording[f"open_ended.{self.language}"]
        system, user = prompt.messages(question=question.question)
        solved = [
            message
            for example in examples
            for message in (
                prompt.messages(question=example.question)[1],
                {"role": "assistant", "content": example.reference},
            )
        ]
        return [system, *solved, user]

    def expected_output(self, question: OpenQuestion) -> str:
        return question.reference or question.rubric

    def read_output(self, question: OpenQuestion, output: str, wording: Prompts | None = None) -> str:  # noqa: ARG002
        answer = output.strip()
        return answer if len(answer) <= LONGEST_ANSWER else ""

    def row_scores(self, questions: Sequence[OpenQuestion], predictions: Sequence[str]) -> RowScores:
        pairs = [(question.reference, answer) for question, answer in zip(questions, predictions, strict=True)]
        if not any(question.reference for question in questions):
            return RowScores(
                {"unparsable": np.array([not answer for answer in predictions], float)}, {"unparsable": "sum"}
            )
        return RowScores(
            {
                "rouge_l": np.array([self._rouge.score(*pair)["rougeL"].fmeasure for pair in pairs], float),
                "chrf": np.array([self._chrf.sentence_score(answer, [right]).score / 100 for right, answer in pairs]),
                "unparsable": np.array([not answer for answer in predictions], float),
            },
            {"rouge_l": "mean", "chrf": "mean", "unparsable": "sum"},
        )

    @cached_property
    def _rouge(self) -> Any:
        # The library's own tokenizer keeps only a–z and digits: Japanese is compared by characters.
        tokenizer = _Characters() if self.language == "ja" else None
        return _require("rouge_score.rouge_scorer").RougeScorer(["rougeL"], tokenizer=tokenizer)

    @cached_property
    def _chrf(self) -> Any:
        return _require("sacrebleu.metrics").CHRF()


class _Characters:
    """The library's interface of a tokenizer."""

    def tokenize(self, text: str) -> list[str]:
        return [character for character in text if not character.isspace()]


def _text(row: Mapping[str, Any], name: str) -> str:
    return str(row.get(name) or "")


def _require(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise InputError(
            "protocol open_ended needs sacrebleu and rouge-score, which are not installed: "
            "pip install 'jmed_jax[scores]'."
        ) from error

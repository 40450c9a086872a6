"""JMED-LLM's protocol: a letter, or a printed list of strings, read and scored as its own evaluator does.

A prediction is a letter ("B", or "None"), or a printed Python list ("['胃癌']", or "" where the output was none).
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from jmed_jax.errors import InputError
from jmed_jax.evaluate import scores
from jmed_jax.evaluate.exam_answers import Answer
from jmed_jax.evaluate.gold import find_task_file, read_choice_questions, read_extraction_questions
from jmed_jax.evaluate.kappa import Kappa, KappaWeights
from jmed_jax.evaluate.prompts import Conversation, Message, Prompts, load_prompts
from jmed_jax.evaluate.questions import ChoiceQuestion, ExtractionQuestion, Question
from jmed_jax.evaluate.row_scores import RowScores
from jmed_jax.evaluate.task import AnyQuestion, Task

TEST = "jmed_llm/test"
TRAIN = "jmed_llm/train"


@dataclass(frozen=True)
class JmedTask(Task[AnyQuestion]):
    """One of the eight; its shots are training rows that share nothing with a test row, nor with what is asked."""

    protocol: ClassVar[str] = "jmed_llm"
    prompt: ClassVar[str]
    """Its name in a prompt file."""

    @property
    def short_name(self) -> str:
        """The name within its group, which is also that of its files: "crade"."""
        return self.name.rpartition(".")[2]

    def gold_path(self, data: Path) -> Path:
        directory = data / TEST
        path = find_task_file(directory, self.short_name) if directory.is_dir() else None
        if path is None:
            raise InputError(
                f"{directory / self.short_name}.jsonl: no such file. The gold rows of {self.name} are expected there."
            )
        return path

    def train_path(self, data: Path) -> Path | None:
        directory = data / TRAIN
        return find_task_file(directory, self.short_name) if directory.is_dir() else None

    def shots_path(self, data: Path) -> Path:
        path = self.train_path(data)
        if path is None:
            raise InputError(f"{data / TRAIN}: no training rows of {self.name}, which --shots needs.")
        return path

    def read_shots(self, path: Path) -> list[AnyQuestion]:
        return [row for row in self.read_gold([path]) if not getattr(row, "overlaps_test", False)]

    def choose_shots(self, question: AnyQuestion, examples: Sequence[AnyQuestion], count: int) -> list[AnyQuestion]:
        # Rows say themselves what they share with the benchmark's test rows, but not with held-out ones.
        apart = [example for example in examples if _sources(example).isdisjoint(_sources(question))]
        return super().choose_shots(question, apart, count)

    def groups(self, question: AnyQuestion) -> tuple[str, ...]:
        tag = getattr(question, "tag", None)
        return (tag,) if tag else ()

    def load_wording(self, path: Path | None) -> Prompts:
        return load_prompts(path, [self.prompt], self.name)

    def messages(self, question: AnyQuestion, wording: Prompts, examples: Sequence[AnyQuestion] = ()) -> Conversation:
        system, user = self._ask(question, wording)
        solved = [
            message
            for example in examples
            for message in (
                self._ask(example, wording)[1],
                {"role": "assistant", "content": self.expected_output(example)},
            )
        ]
        return [system, *solved, user]

    @abstractmethod
    def _ask(self, question: AnyQuestion, wording: Prompts) -> list[Message]:
        """The system and the user message of one question."""


def _sources(question: Question) -> frozenset[str]:
    return getattr(question, "sources", frozenset())


@dataclass(frozen=True)
class ChoiceTask(JmedTask[ChoiceQuestion]):
    """Options A–F; `kappa_weights` is "linear" where they are a scale."""

    kappa_weights: KappaWeights = None

    prompt: ClassVar[str] = "jmed_llm.choice"

    @property
    def main_metric(self) -> str:
        return "kappa"

    def read_gold(self, paths: Sequence[Path]) -> list[ChoiceQuestion]:
        return read_choice_questions(paths, self.short_name)

    def _ask(self, question: ChoiceQuestion, wording: Prompts) -> list[Message]:
        options = "".join(f"{letter}. {text}\n" for letter, text in question.options.items())
        return wording[self.prompt].messages(question=question.question, options=options)

    def expected_output(self, question: ChoiceQuestion) -> str:
        return question.answer

    def read_output(self, question: ChoiceQuestion, output: str, wording: Prompts | None = None) -> str:  # noqa: ARG002
        # The benchmark reads A–F, whatever was offered.
        return scores.parse_choice(output)

    def prediction_of(self, question: ChoiceQuestion, letters: Answer) -> str:  # noqa: ARG002
        return letters[0].upper()

    def row_scores(self, questions: Sequence[ChoiceQuestion], predictions: Sequence[str]) -> RowScores:
        gold = [question.answer for question in questions]
        right = np.array([g == p for g, p in zip(gold, predictions, strict=True)], float)
        unparsable = np.array([prediction == scores.NO_CHOICE for prediction in predictions], float)
        return RowScores(
            {"accuracy": right, "unparsable": unparsable},
            {"accuracy": "mean", "unparsable": "sum"},
            kappa=Kappa(gold, predictions, self.kappa_weights),
        )


@dataclass(frozen=True)
class ExtractionTask(JmedTask[ExtractionQuestion]):
    """Strings of a report: F1 over sets of strings per example, averaged over the examples."""

    prompt: ClassVar[str] = "jmed_llm.extraction"

    @property
    def main_metric(self) -> str:
        return "partial_f1"

    def read_gold(self, paths: Sequence[Path]) -> list[ExtractionQuestion]:
        return read_extraction_questions(paths, self.short_name)

    def _ask(self, question: ExtractionQuestion, wording: Prompts) -> list[Message]:
        return wording[self.prompt].messages(question=question.question)

    def expected_output(self, question: ExtractionQuestion) -> str:
        # The benchmark prints its sets in no order; the text's own order is one that a model can learn.
        return scores.print_list(sorted(question.answers, key=question.question.find))

    def read_output(self, question: ExtractionQuestion, output: str, wording: Prompts | None = None) -> str:  # noqa: ARG002
        found = scores.parse_string_list(output)
        return "" if found is None else str(list(found))

    def row_scores(self, questions: Sequence[ExtractionQuestion], predictions: Sequence[str]) -> RowScores:
        parsed = [scores.parse_string_list(prediction) for prediction in predictions]
        pairs = [(question.answers, found or ()) for question, found in zip(questions, parsed, strict=True)]
        return RowScores(
            {
                "exact_f1": np.array([scores.exact_f1(*pair) for pair in pairs]),
                "partial_f1": np.array([scores.partial_f1(*pair) for pair in pairs]),
                "overlap_f1": np.array([scores.overlap_f1(*pair) for pair in pairs]),
                "unparsable": np.array([found is None for found in parsed], float),
            },
            {"exact_f1": "mean", "partial_f1": "mean", "overlap_f1": "mean", "unparsable": "sum"},
        )

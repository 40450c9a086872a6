"""The three kinds of task: how each reads its gold, asks its question, reads the answer and scores it.

A prediction is a string in the task's canonical form: a letter ("B", or "None"), a printed Python list ("['胃癌']",
or "" where the output was none), or letters joined by commas ("a,c", or a numeral).
"""

import string
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from jmed_jax.errors import InputError
from jmed_jax.evaluate import exam_answers, scores
from jmed_jax.evaluate.gold import (
    find_task_file,
    read_choice_questions,
    read_exam_questions,
    read_extraction_questions,
)
from jmed_jax.evaluate.prompts import Conversation, Prompts
from jmed_jax.evaluate.questions import ChoiceQuestion, ExamQuestion, ExtractionQuestion, Question

AnyQuestion = TypeVar("AnyQuestion", bound=Question)
Metrics = dict[str, Any]


@dataclass(frozen=True)
class Task(ABC, Generic[AnyQuestion]):
    """One task of a benchmark.

    Attributes:
        name: as on the command line, e.g. "jmed_llm.crade".
        protocol: how it is scored; figures of different protocols never stand in one table.
        main_metric: the one that the papers' tables show first.
    """

    name: str
    protocol: str
    main_metric: str

    @property
    def short_name(self) -> str:
        """The name within its group, which is also that of its files: "crade"."""
        return self.name.rpartition(".")[2]

    @abstractmethod
    def read_gold(self, paths: Sequence[Path]) -> list[AnyQuestion]:
        """Read gold rows from files or directories; raises InputError as the readers of `gold` do."""

    @abstractmethod
    def gold_path(self, data: Path) -> Path:
        """Where the gold rows are in a data folder.

        Raises:
            InputError: they are not there; names the path expected.
        """

    def train_path(self, data: Path) -> Path | None:
        """Where the training rows are in a data folder; None where there are none."""
        directory = data / "jmed_llm" / "train"
        return find_task_file(directory, self.short_name) if directory.is_dir() else None

    @abstractmethod
    def ask(self, question: AnyQuestion, prompts: Prompts) -> Conversation:
        """The system and the user message of one question."""

    @abstractmethod
    def expected_output(self, question: AnyQuestion) -> str:
        """What a perfect model writes: the target of instruction tuning, and the answers of few-shot examples."""

    @abstractmethod
    def read_output(self, question: AnyQuestion, output: str) -> str:
        """The prediction in a model's raw output."""

    @abstractmethod
    def score(self, questions: Sequence[AnyQuestion], predictions: Sequence[str]) -> Metrics:
        """Score predictions, in the order of the questions: "n", metrics, "unparsable" and "groups"."""

    def messages(self, question: AnyQuestion, prompts: Prompts, examples: Sequence[AnyQuestion] = ()) -> Conversation:
        """The whole prompt: system message, solved examples in turn, and the question."""
        system, user = self.ask(question, prompts)
        solved = [
            message
            for example in examples
            for message in (
                self.ask(example, prompts)[1],
                {"role": "assistant", "content": self.expected_output(example)},
            )
        ]
        return [system, *solved, user]


@dataclass(frozen=True)
class ChoiceTask(Task[ChoiceQuestion]):
    """A JMED-LLM task with options A–F; `kappa_weights` is "linear" where the options are a scale."""

    kappa_weights: Literal["linear"] | None = None

    def read_gold(self, paths: Sequence[Path]) -> list[ChoiceQuestion]:
        return read_choice_questions(paths, self.short_name)

    def gold_path(self, data: Path) -> Path:
        return _jmed_gold_path(data, self.short_name)

    def ask(self, question: ChoiceQuestion, prompts: Prompts) -> Conversation:
        options = "".join(f"{letter}. {text}\n" for letter, text in question.options.items())
        return prompts["jmed_llm.choice"].messages(question=question.question, options=options)

    def expected_output(self, question: ChoiceQuestion) -> str:
        return question.answer

    def read_output(self, question: ChoiceQuestion, output: str) -> str:  # noqa: ARG002 (the benchmark reads A–F, whatever was offered)
        return scores.parse_choice(output)

    def score(self, questions: Sequence[ChoiceQuestion], predictions: Sequence[str]) -> Metrics:
        return _score_by_tag(questions, predictions, self._score_rows)

    def _score_rows(self, questions: Sequence[ChoiceQuestion], predictions: Sequence[str]) -> Metrics:
        gold = [question.answer for question in questions]
        return {
            "n": len(gold),
            "accuracy": scores.accuracy(gold, predictions),
            "kappa": scores.cohen_kappa(gold, predictions, weights=self.kappa_weights),
            "unparsable": sum(prediction == scores.NO_CHOICE for prediction in predictions),
        }


@dataclass(frozen=True)
class ExtractionTask(Task[ExtractionQuestion]):
    """A JMED-LLM entity task: F1 over sets of strings per example, averaged over the examples."""

    def read_gold(self, paths: Sequence[Path]) -> list[ExtractionQuestion]:
        return read_extraction_questions(paths, self.short_name)

    def gold_path(self, data: Path) -> Path:
        return _jmed_gold_path(data, self.short_name)

    def ask(self, question: ExtractionQuestion, prompts: Prompts) -> Conversation:
        return prompts["jmed_llm.extraction"].messages(question=question.question)

    def expected_output(self, question: ExtractionQuestion) -> str:
        # The benchmark prints its sets in no order; the text's own order is one that a model can learn.
        return str(sorted(question.answers, key=question.question.find))

    def read_output(self, question: ExtractionQuestion, output: str) -> str:  # noqa: ARG002
        found = scores.parse_string_list(output)
        return "" if found is None else str(list(found))

    def score(self, questions: Sequence[ExtractionQuestion], predictions: Sequence[str]) -> Metrics:
        return _score_by_tag(questions, predictions, self._score_rows)

    def _score_rows(self, questions: Sequence[ExtractionQuestion], predictions: Sequence[str]) -> Metrics:
        parsed = [scores.parse_string_list(prediction) for prediction in predictions]
        pairs = [(question.answers, found or ()) for question, found in zip(questions, parsed, strict=True)]
        return {
            "n": len(pairs),
            "exact_f1": sum(scores.exact_f1(*pair) for pair in pairs) / len(pairs),
            "partial_f1": sum(scores.partial_f1(*pair) for pair in pairs) / len(pairs),
            "overlap_f1": sum(scores.overlap_f1(*pair) for pair in pairs) / len(pairs),
            "unparsable": sum(found is None for found in parsed),
        }


@dataclass(frozen=True)
class ExamTask(Task[ExamQuestion]):
    """IgakuQA by exam points: every question is asked, also those that need a picture."""

    def read_gold(self, paths: Sequence[Path]) -> list[ExamQuestion]:
        return read_exam_questions(paths)

    def gold_path(self, data: Path) -> Path:
        path = data / "igakuqa" / "ja"
        if not path.is_dir():
            raise InputError(
                f"{path}: no such directory. The gold rows of {self.name} are expected there (YEAR.jsonl)."
            )
        return path

    def train_path(self, data: Path) -> Path | None:  # noqa: ARG002 (past papers are test rows, all of them)
        return None

    def ask(self, question: ExamQuestion, prompts: Prompts) -> Conversation:
        prompt = prompts["igakuqa.number" if question.asks_for_number else "igakuqa.choice"]
        options = "".join(
            f"{letter}. {text}\n" for letter, text in zip(_letters(question), question.choices, strict=False)
        )
        return prompt.messages(question=question.text, options=options, count=len(question.answer))

    def expected_output(self, question: ExamQuestion) -> str:
        return ",".join(question.answer)

    def read_output(self, question: ExamQuestion, output: str) -> str:
        if question.asks_for_number:
            return exam_answers.parse_number(output)
        return exam_answers.parse_letters(output, _letters(question))

    def score(self, questions: Sequence[ExamQuestion], predictions: Sequence[str]) -> Metrics:
        groups: dict[str, list[int]] = defaultdict(list)
        for index, question in enumerate(questions):
            groups[str(question.year)].append(index)
            groups[f"{question.year}/{question.section}"].append(index)
        return {
            **self._score_rows(questions, predictions),
            "groups": {
                name: self._score_rows([questions[i] for i in rows], [predictions[i] for i in rows])
                for name, rows in sorted(groups.items())
            },
        }

    def _score_rows(self, questions: Sequence[ExamQuestion], predictions: Sequence[str]) -> Metrics:
        """Points, and beside them `relaxed_points`: without the benchmark's insistence on "a,c" against "a, c"."""
        relaxed = [exam_answers.relax(prediction) for prediction in predictions]
        right = [_is_right(q, p) for q, p in zip(questions, predictions, strict=True)]
        relaxed_right = [_is_right(q, p) for q, p in zip(questions, relaxed, strict=True)]
        return {
            "n": len(questions),
            "points": sum(q.points for q, is_right in zip(questions, right, strict=True) if is_right),
            "total": sum(q.points for q in questions),
            "accuracy": sum(right) / len(right),
            "relaxed_points": sum(q.points for q, is_right in zip(questions, relaxed_right, strict=True) if is_right),
            "unparsable": sum(not _is_answer(q, p) for q, p in zip(questions, relaxed, strict=True)),
        }


def _is_right(question: ExamQuestion, prediction: str) -> bool:
    return question.any_answer_accepted or exam_answers.is_right(prediction, question.accepted)


def _is_answer(question: ExamQuestion, relaxed: str) -> bool:
    if question.asks_for_number:
        return exam_answers.is_number(relaxed)
    return all(part and part in _letters(question) for part in relaxed.split(","))


def _letters(question: ExamQuestion) -> str:
    # A few rows elsewhere have their five choices inside the text.
    return string.ascii_lowercase[: len(question.choices) or 5]


def _jmed_gold_path(data: Path, task: str) -> Path:
    directory = data / "jmed_llm" / "test"
    path = find_task_file(directory, task) if directory.is_dir() else None
    if path is None:
        raise InputError(
            f"{directory / task}.jsonl: no such file. The gold rows of jmed_llm.{task} are expected there."
        )
    return path


_Tagged = TypeVar("_Tagged", ChoiceQuestion, ExtractionQuestion)


def _score_by_tag(
    questions: Sequence[_Tagged],
    predictions: Sequence[str],
    score_rows: Callable[[Sequence[_Tagged], Sequence[str]], Metrics],
) -> Metrics:
    tags = sorted({question.tag for question in questions if question.tag is not None})
    groups = {}
    for tag in tags:
        rows = [i for i, question in enumerate(questions) if question.tag == tag]
        groups[tag] = score_rows([questions[i] for i in rows], [predictions[i] for i in rows])
    return {**score_rows(questions, predictions), "groups": groups}

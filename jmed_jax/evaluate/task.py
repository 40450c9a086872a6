"""What a task is: how its gold rows are read, a question is asked, an answer is read, and answers are scored.

A prediction is a string in the task's canonical form, which its protocol describes.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from jmed_jax.errors import InputError
from jmed_jax.evaluate.exam_answers import Answer
from jmed_jax.evaluate.exams.question import Language
from jmed_jax.evaluate.prompts import Conversation
from jmed_jax.evaluate.questions import Question
from jmed_jax.evaluate.row_scores import RowScores, metrics

AnyQuestion = TypeVar("AnyQuestion", bound=Question)
Metrics = dict[str, Any]


@dataclass(frozen=True)
class Task(ABC, Generic[AnyQuestion]):
    """A set of questions under one protocol. Figures of different protocols never stand in one table.

    Attributes:
        name: as on the command line, e.g. "jmed_llm.crade".
        language: of the questions.
        gold: where the gold rows are in a data folder: a file or a directory.
        shots: where solved examples are; "" where there are none.
        protocol: how it is asked and scored.
        main_metric: the one that the papers' tables show first.
        max_new_tokens: of an answer, as the protocol's authors had it.
        cue: ends the prompt of a base model, by language; empty where nothing does.
        plain_stop: texts before which the answer of a base model ends; it would go on with another question.
    """

    name: str
    language: Language
    gold: str
    shots: str = ""

    protocol: ClassVar[str]
    max_new_tokens: ClassVar[int] = 512
    cue: ClassVar[Mapping[Language, str]] = {"ja": "答え:", "en": "Answer:"}
    plain_stop: ClassVar[tuple[str, ...]] = ("\n\n",)

    @property
    @abstractmethod
    def main_metric(self) -> str: ...

    # --- questions ----------------------------------------------------------------------------------------------------

    def gold_path(self, data: Path) -> Path:
        """Where the gold rows are in a data folder.

        Raises:
            InputError: they are not there; names the path expected.
        """
        path = data / self.gold
        if not path.exists():
            raise InputError(f"{path}: no such file or directory. The gold rows of {self.name} are expected there.")
        return path

    def train_path(self, data: Path) -> Path | None:  # noqa: ARG002 (most have none)
        """Where the rows that models are tuned on are in a data folder; None where there are none."""
        return None

    @abstractmethod
    def read_gold(self, paths: Sequence[Path]) -> list[AnyQuestion]:
        """Read gold rows from files or directories; raises InputError for damaged rows, with file and line."""

    def asked(self, questions: Sequence[AnyQuestion]) -> list[AnyQuestion]:
        """The questions that the protocol asks; all, unless it says otherwise."""
        return list(questions)

    def read_shots(self, path: Path) -> list[AnyQuestion]:
        """Solved examples of a file or directory."""
        return self.read_gold([path])

    def shots_path(self, data: Path) -> Path:
        """Where solved examples are in a data folder.

        Raises:
            InputError: there are none.
        """
        if not self.shots or not (data / self.shots).exists():
            place = f" ({data / self.shots} is missing)" if self.shots else ""
            raise InputError(f"{self.name} has no solved examples{place}. Leave out --shots.")
        return data / self.shots

    def choose_shots(self, question: AnyQuestion, examples: Sequence[AnyQuestion], count: int) -> list[AnyQuestion]:
        """The first examples of the question's most general group, else the first ones; never the question itself."""
        others = [example for example in examples if example.id != question.id]
        groups = self.groups(question)[:1]
        related = [example for example in others if groups and self.groups(example)[:1] == groups]
        return (related if len(related) >= count else others)[:count]

    def groups(self, question: AnyQuestion) -> tuple[str, ...]:  # noqa: ARG002 (most say otherwise)
        """The names of the groups that a question is in; each is scored by itself too."""
        return ()

    def characters(self, question: AnyQuestion) -> int:
        """Length of a question with its choices, for the limits of arXiv 2409.11783."""
        return len(question.text) + sum(map(len, question.choices))

    # --- asking and reading -------------------------------------------------------------------------------------------

    @abstractmethod
    def load_wording(self, path: Path | None) -> Any:
        """The wording of this protocol's prompts, from a prompt file or the package's own."""

    @abstractmethod
    def messages(self, question: AnyQuestion, wording: Any, examples: Sequence[AnyQuestion] = ()) -> Conversation:
        """The whole prompt: system message, solved examples in turn, and the question."""

    @abstractmethod
    def expected_output(self, question: AnyQuestion) -> str:
        """What a perfect model writes: the target of instruction tuning, and the gold of a predictions file."""

    @abstractmethod
    def read_output(self, question: AnyQuestion, output: str, wording: Any = None) -> str:
        """The prediction in a model's output.

        Args:
            wording: that the question was asked with; the package's own if None.
        """

    def prediction_of(self, question: AnyQuestion, letters: Answer) -> str:  # noqa: ARG002 (the choices, for some)
        """The prediction of somebody who chooses these small letters, for baselines."""
        return ",".join(letters)

    # --- scoring ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def row_scores(self, questions: Sequence[AnyQuestion], predictions: Sequence[str]) -> RowScores:
        """What every row scores, with 0 or 1 "unparsable" for predictions that could not be read."""

    def score(self, questions: Sequence[AnyQuestion], predictions: Sequence[str]) -> Metrics:
        """Score predictions, in the order of the questions: "n", metrics, "unparsable", and "groups" by name."""
        rows = self.row_scores(questions, predictions)
        return {"n": len(rows), **metrics(rows), "groups": self.score_groups(questions, rows)}

    def score_groups(self, questions: Sequence[AnyQuestion], rows: RowScores) -> dict[str, Metrics]:
        """ "n" and metrics of every group."""
        members: dict[str, list[int]] = defaultdict(list)
        for index, question in enumerate(questions):
            for name in self.groups(question):
                members[name].append(index)
        return {name: {"n": len(rows_of), **metrics(rows, rows_of)} for name, rows_of in sorted(members.items())}

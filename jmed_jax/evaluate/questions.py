"""The kinds of question that are asked."""

from collections.abc import Mapping
from dataclasses import dataclass

from jmed_jax.evaluate.exam_answers import Answer, is_number
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion


@dataclass(frozen=True)
class ChoiceQuestion:
    """One row of a JMED-LLM choice task.

    Attributes:
        task: "crade", "rrtnm", …
        tag: the row's kind within its task; None where the task has none.
        options: letter → text, in order.
        answer: the right letter.
        sources: names of what the question was made from (report, tweet, sentences): rows that share one are about
            the same text, in whatever task.
        overlaps_test: a training row's own word that its source also stands in a test row, of any task and of the
            whole test sets.
    """

    id: str
    task: str
    tag: str | None
    question: str
    options: Mapping[str, str]
    answer: str
    sources: frozenset[str] = frozenset()
    overlaps_test: bool = False

    @property
    def text(self) -> str:
        """The same as `question`: every kind of question has a `text` and `choices`."""
        return self.question

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts of the options."""
        return tuple(self.options.values())


@dataclass(frozen=True)
class ExtractionQuestion:
    """One row of a JMED-LLM entity task: `answers` are strings that stand in the question, in no particular order.

    The other attributes are those of `ChoiceQuestion`.
    """

    id: str
    task: str
    tag: str | None
    question: str
    answers: tuple[str, ...]
    sources: frozenset[str] = frozenset()
    overlaps_test: bool = False
    choices: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The same as `question`."""
        return self.question


@dataclass(frozen=True)
class ExamQuestion:
    """One question of the medical licensing examination (IgakuQA).

    Attributes:
        problem_id: "112A1" = 112th examination, section A, question 1.
        choices: their texts; letters a, b, c … by position. Empty where a number is asked for.
        answer: the key as printed: letters, or one numeral.
        accepted: every answer that counts as right, the key among them.
        any_answer_accepted: right whatever is answered (116A71).
        points: 0 for questions withdrawn from scoring, else 1 or 3.
        text_only: false where the question needs a picture.
        language: "ja" or "en".
    """

    problem_id: str
    year: int
    section: str
    text: str
    choices: tuple[str, ...]
    answer: Answer
    accepted: tuple[Answer, ...]
    any_answer_accepted: bool
    points: int
    text_only: bool
    language: str

    @property
    def id(self) -> str:
        """The same as `problem_id`: every kind of question has an `id`."""
        return self.problem_id

    @property
    def asks_for_number(self) -> bool:
        """Whether the answer is a numeral that fills the boxes of the text."""
        return not self.choices and all(is_number(part) for part in self.answer)


@dataclass(frozen=True)
class OpenQuestion:
    """A question that is answered in free words.

    Attributes:
        reference: an answer that is right; "" where only a rubric says what one is.
        rubric: what a judge looks for; "" where the reference says it.
    """

    id: str
    question: str
    reference: str
    rubric: str = ""
    choices: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The same as `question`."""
        return self.question


Question = ChoiceQuestion | ExtractionQuestion | ExamQuestion | MultipleChoiceQuestion | OpenQuestion

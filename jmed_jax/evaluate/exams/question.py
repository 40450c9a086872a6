"""A multiple-choice question of any set, and what a set is."""

import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from jmed_jax.evaluate.exam_answers import Answer

Language = Literal["ja", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


@dataclass(frozen=True)
class MultipleChoiceQuestion:
    """One question with its choices and its key.

    Attributes:
        id: unique within a set and language.
        source: name of the set, e.g. "medqa".
        choices: their texts; letters a, b, c … by position. Empty where a numeral is asked for.
        accepted: every answer that counts as right, the printed key first: sorted small letters, or one numeral.
        explanation: why, where the source says so; else "".
        subject: what the set is divided by (subject, category, exam section); "" where it is not.
        pair: what a question and its translation have in common.
        text_only: false where the question needs a picture.
        license: the row's own where it has one; else the set's.
    """

    id: str
    source: str
    language: Language
    text: str
    choices: tuple[str, ...]
    accepted: tuple[Answer, ...]
    license: str
    explanation: str = ""
    subject: str = ""
    pair: str = ""
    text_only: bool = True

    @property
    def answer(self) -> Answer:
        """The printed key."""
        return self.accepted[0]

    @property
    def answer_texts(self) -> tuple[str, ...]:
        """The texts of the right choices, in the order of the choices; the numeral itself where there are none."""
        if not self.choices:
            return self.answer
        return tuple(self.choices[string.ascii_lowercase.index(letter)] for letter in self.answer)


@dataclass(frozen=True)
class QuestionSet:
    """A set of questions, and how a file of it is read.

    Attributes:
        name: as on the command line.
        languages: those that it exists in.
        license: of its rows.
        read: yields the questions of one file that are in a language; raises InputError with file and line.
    """

    name: str
    languages: tuple[Language, ...]
    license: str
    read: Callable[[Path, Language], Iterator[MultipleChoiceQuestion]]

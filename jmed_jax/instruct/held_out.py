"""Keeping evaluation questions out of training data: by equal question and choices, and by a long span in common."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jmed_jax.corpus.decontaminate import EvaluationSpans
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.exams.registry import iter_files
from jmed_jax.evaluate.gold import YEAR_BEFORE_FIRST_EXAMINATION
from jmed_jax.jsonl import read_jsonl

SPAN = 30
"""Kana and kanji in common that give a question away; 90 Latin letters or digits."""

_QUESTION_FIELDS = ("question", "problem_text", "problem_text_en")
_CHOICES_FIELDS = ("choices", "choices_en", "options", "options_4")
_MEDMCQA_FIELDS = ("opa", "opb", "opc", "opd")
_PHYSICIANS = ("igakuqa", "igakuqa119")


class HeldOut:
    """The questions of evaluation sets, in any layout of ours or of their publishers."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Read the sets.

        Raises:
            InputError: a path is missing or broken, or holds no questions.
        """
        self._spans = EvaluationSpans.read(paths, SPAN)
        self._questions: set[str] = set()
        self._originals: set[str] = set()
        for file in [file for path in paths for file in iter_files(path)]:
            for _, row in read_jsonl(file):
                self._questions.update(_row_keys(row))
                self._originals.update(_originals(row))

    def holds(self, question: MultipleChoiceQuestion) -> bool:
        """Whether it is an evaluation question, or nearly, or in the other language what is one.

        A short question must be equal in its choices too: many ask only which one is correct.
        """
        return (
            _key(question.text, question.choices) in self._questions
            or question.pair in self._originals
            or self.holds_text("\n".join([question.text, *question.choices]))
        )

    def holds_text(self, text: str) -> bool:
        """Whether a text has a long span in common with an evaluation question."""
        return self._spans.find(text) is not None


def _row_keys(row: dict[str, Any]) -> Iterable[str]:
    texts = [row[name] for name in _QUESTION_FIELDS if isinstance(row.get(name), str)]
    listed = [row[name] for name in _CHOICES_FIELDS if isinstance(row.get(name), list | dict)]
    if row.keys() >= set(_MEDMCQA_FIELDS):
        listed.append([row[name] for name in _MEDMCQA_FIELDS])
    for choices in listed or [[]]:
        values = choices.values() if isinstance(choices, dict) else choices
        yield from (_key(text, [str(value) for value in values]) for text in texts)


def _originals(row: dict[str, Any]) -> Iterable[str]:
    """The questions that a row names as those it was translated from: JMMLU's, and ours by `jmed data translate`.

    Of the physicians' examination it is the question itself, which has one number in both languages.
    """
    named = (str(row[name]) for name in ("mmlu_id", "pair") if name in row)
    # "1" alone may be any set's; "medmcqa/1" is one question.
    yield from (name for name in named if "/" in name)
    if _is_physicians(row):
        yield from (f"{name}/{row['problem_id']}" for name in _PHYSICIANS)


def _is_physicians(row: dict[str, Any]) -> bool:
    """Whether a row, which names no set, is of the physicians' examination: its number and its year belong together.

    The dentists' has the same numbers ("116A1"), a year later than the physicians' where a row names one.
    """
    number = re.fullmatch("([0-9]{1,3})[A-F][0-9]+", str(row.get("problem_id")))
    return number is not None and str(row.get("year")) == str(YEAR_BEFORE_FIRST_EXAMINATION + int(number[1]))


def _key(text: str, choices: Sequence[str]) -> str:
    """Letters and digits alone, whatever their width and case; choices in any order."""
    return "\n".join([_fold(text), *sorted(map(_fold, choices))])


def _fold(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).lower()))

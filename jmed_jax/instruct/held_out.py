"""Keeping evaluation questions out of training data: by equal question and choices, and by a long span in common."""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from jmed_jax.corpus.decontaminate import EvaluationSpans
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.exams.registry import iter_files
from jmed_jax.jsonl import read_jsonl

SPAN = 30
"""Kana and kanji in common that give a question away; 90 Latin letters or digits."""

_QUESTION_FIELDS = ("question", "problem_text", "problem_text_en")
_CHOICES_FIELDS = ("choices", "choices_en", "options", "options_4")
_MEDMCQA_FIELDS = ("opa", "opb", "opc", "opd")


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
        """Whether it is an evaluation question, or nearly, or the original of one that was translated.

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
    """The questions that a row names as those it was translated from: JMMLU's, and ours by `jmed data translate`."""
    named = (str(row[name]) for name in ("mmlu_id", "pair") if name in row)
    # "1" alone may be any set's; "medmcqa/1" is one question.
    return (name for name in named if "/" in name)


def _key(text: str, choices: Sequence[str]) -> str:
    """Letters and digits alone, whatever their width and case; choices in any order."""
    return "\n".join([_fold(text), *sorted(map(_fold, choices))])


def _fold(text: str) -> str:
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).lower()))

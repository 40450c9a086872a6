"""MedMCQA, as its authors publish it and as in our data folder.

The authors' rows are {"id", "question", "opa" … "opd", "cop", "exp", "subject_name"} (github.com/medmcqa/medmcqa).
Their `cop` counts the right option from 1, and the copy on the Hugging Face hub counts from 0: a file tells which by
the rows whose answer is the first or the last. Ours are {"id", "question", "choices", "answer"}.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from jmed_jax.errors import InputError
from jmed_jax.evaluate.exams.question import Language, MultipleChoiceQuestion, QuestionSet
from jmed_jax.evaluate.exams.rows import Row, check_answer, choices_of
from jmed_jax.jsonl import field, read_jsonl

_LICENSE = "MIT"
_OPTIONS = ("opa", "opb", "opc", "opd")


def _read(path: Path, language: Language) -> Iterator[MultipleChoiceQuestion]:
    if language != "en":
        return
    rows = list(read_jsonl(path))
    first = _first_option(rows, path)
    for line, row in rows:
        if "cop" in row:
            choices = tuple(str(field(row, name, str, path, line)) for name in _OPTIONS)
            letters = ["abcd"[row["cop"] - first]]
        else:
            choices = choices_of(row, "choices", path, line)
            letters = [field(row, "answer", str, path, line)]
        identifier = field(row, "id", str, path, line)
        yield MultipleChoiceQuestion(
            id=identifier,
            source="medmcqa",
            language="en",
            text=field(row, "question", str, path, line),
            choices=choices,
            accepted=(check_answer(letters, choices, path, line),),
            license=_LICENSE,
            explanation=str(row.get("exp") or "").strip(),
            subject=str(row.get("subject_name") or ""),
            pair=f"medmcqa/{identifier}",
        )


def _first_option(rows: Sequence[tuple[int, Row]], path: Path) -> int:
    """What `cop` calls the first option in this file: 0 or 1."""
    keys: set[int] = set()
    for line, row in rows:
        if "cop" in row:
            key = row["cop"]
            if not isinstance(key, int) or not 0 <= key <= 4:
                raise InputError(
                    f'{path}:{line}: "cop" is {key!r}, no option (a test file has none: take dev or train).'
                )
            keys.add(key)
    if {0, 4} <= keys:
        raise InputError(
            f'{path}: "cop" is both 0 and 4, so it counts neither from 0 nor from 1. Are two files joined?'
        )
    if keys and not {0, 4} & keys:
        raise InputError(
            f'{path}: "cop" is never 0 nor 4, so nothing says whether it counts from 0 or 1. Give more rows.'
        )
    return 0 if 0 in keys else 1


SETS = (QuestionSet("medmcqa", ("en",), _LICENSE, _read),)

"""Japanese examinations in the layout of IgakuQA: physicians (with translation), dentists, internal medicine.

Rows are {"problem_id", "problem_text", "choices", "answer": [letters]}, with "_en" behind the first two for English.
Solved examples carry both languages and an "explanation". Rows without a usable key (`scorable` false) are passed over.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from jmed_jax.evaluate.exam_answers import Answer
from jmed_jax.evaluate.exams.question import LANGUAGES, Language, MultipleChoiceQuestion, QuestionSet
from jmed_jax.evaluate.exams.rows import Row, accepted_answers, check_answer, choices_of
from jmed_jax.jsonl import field, read_jsonl


def _read(path: Path, language: Language, *, name: str, license_name: str) -> Iterator[MultipleChoiceQuestion]:
    suffix = "_en" if language == "en" else ""
    for line, row in read_jsonl(path):
        if f"problem_text{suffix}" not in row:
            # The other language's file, unless it is no row of an examination at all.
            if "problem_text" not in row and "problem_text_en" not in row:
                field(row, "problem_text", str, path, line)
            continue
        if row.get("scorable") is False:
            continue
        choices = choices_of(row, f"choices{suffix}", path, line)
        identifier = field(row, "problem_id", str, path, line)
        yield MultipleChoiceQuestion(
            id=identifier,
            source=name,
            language=language,
            text=field(row, f"problem_text{suffix}", str, path, line),
            choices=choices,
            accepted=_accepted(row, choices, path, line),
            license=license_name,
            explanation=str(row.get(f"explanation{suffix}") or "").strip(),
            subject=str(row.get("section") or ""),
            pair=f"{name}/{identifier}",
            text_only=row.get("text_only") is not False,
        )


def _accepted(row: Row, choices: tuple[str, ...], path: Path, line: int) -> tuple[Answer, ...]:
    """The printed key first; 112B30 is printed as "a or d"."""
    printed = row.get("answer")
    alternatives = [
        part.split(" or ") if isinstance(part, str) else [part]
        for part in ([printed] if isinstance(printed, str) else field(row, "answer", list, path, line))
    ]
    if len(alternatives) == 1 and len(alternatives[0]) > 1:
        answers = [[part] for part in alternatives[0]]
    else:
        answers = [[part for parts in alternatives for part in parts]]
    keys = [check_answer(answer, choices, path, line) for answer in answers]
    return tuple(dict.fromkeys([*keys, *accepted_answers(row, choices, path, line)]))


def _set(name: str, license_name: str, languages: tuple[Language, ...] = ("ja",)) -> QuestionSet:
    return QuestionSet(name, languages, license_name, partial(_read, name=name, license_name=license_name))


SETS = (
    _set(
        "igakuqa",
        "examination of the Ministry of Health, Labour and Welfare; translation: no licence stated",
        LANGUAGES,
    ),
    _set("igakuqa119", "Apache-2.0"),
    _set("denqa", "MIT"),
    _set("jjsimqa", "CC-BY-NC-SA-4.0"),
)

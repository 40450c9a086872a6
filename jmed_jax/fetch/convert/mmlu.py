"""MMLU, ten subjects of health, with the wording of the benchmark's final release."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from jmed_jax.errors import InputError
from jmed_jax.fetch.convert.downloads import NOT_AS_KNOWN, Downloads, by_letter
from jmed_jax.jsonl import write_jsonl

HOME = "hendrycks/test"
FINAL = ("aistairc/medLLM_QA_benchmark", "data/en/MMLU/mmlu_en_medical.jsonl")
SUBJECTS = (
    "anatomy",
    "clinical_knowledge",
    "college_biology",
    "college_medicine",
    "human_aging",
    "human_sexuality",
    "medical_genetics",
    "nutrition",
    "professional_medicine",
    "virology",
)
# Those of which the final release is at hand.
REVISED = frozenset(SUBJECTS) - {"human_aging", "human_sexuality", "nutrition", "virology"}
NOTE = "text as in the final release of the benchmark"
# Ten questions of professional medicine are absent from the final release: some refer to a missing exhibit.
MOST_DROPPED = 10


class Question(NamedTuple):
    """One question of a subject's file."""

    id: str
    text: str
    choices: tuple[str, ...]
    answer: str
    note: str = ""


def convert(downloads: Downloads, out: Path) -> None:
    """Write `mmlu/`."""
    for split in ("test", "dev", "val"):
        (out / "mmlu" / split).mkdir(parents=True)
    for subject, questions in test_questions(downloads).items():
        write_jsonl(out / "mmlu" / "test" / f"{subject}.jsonl", _rows(subject, questions))
    for split in ("dev", "val"):
        for subject in SUBJECTS:
            rows = _rows(subject, _questions(downloads, subject, split))
            write_jsonl(out / "mmlu" / split / f"{subject}.jsonl", rows)


def test_questions(downloads: Downloads) -> dict[str, list[Question]]:
    """The test questions by subject, in the order of the original files; what the final release lacks is left out.

    Raises:
        InputError: the two releases differ in more than is known.
    """
    original = {subject: list(_questions(downloads, subject, "test")) for subject in SUBJECTS}
    final = [
        Question("", row["problem_text"], tuple(row["choices"]), row["answer"][0].upper())
        for row in downloads.rows(*FINAL)
    ]
    known = {_exact(question) for subject in REVISED for question in original[subject]}
    reworded = [question for question in final if _exact(question) not in known]
    in_final = {_exact(question) for question in final}
    revised = {
        subject: list(_revise(questions, in_final, reworded)) if subject in REVISED else questions
        for subject, questions in original.items()
    }
    dropped = sum(len(original[subject]) - len(revised[subject]) for subject in SUBJECTS)
    if dropped > MOST_DROPPED:
        raise InputError(f"{downloads.path(*FINAL)}: lacks {dropped} questions of {HOME}. {NOT_AS_KNOWN}")
    return revised


def _questions(downloads: Downloads, subject: str, split: str) -> Iterator[Question]:
    prefix = "mmlu" if split == "test" else f"mmlu-{split}"
    for number, row in enumerate(downloads.table(HOME, f"data/{split}/{subject}_{split}.csv", columns=6)):
        text, *choices, answer = row
        yield Question(f"{prefix}/{subject}/{number:04d}", text, tuple(choices), answer)


def _revise(
    questions: Iterable[Question], in_final: set[tuple[Any, ...]], reworded: list[Question]
) -> Iterator[Question]:
    for question in questions:
        if _exact(question) in in_final:
            yield question
            continue
        for other in reworded:
            # Either the question was dated or the choices were restored, never both.
            same = _plain(other.text) == _plain(question.text) or _plain_all(other.choices) == _plain_all(
                question.choices
            )
            if same and other.answer == question.answer:
                yield question._replace(text=other.text, choices=other.choices, note=NOTE)
                break


def _exact(question: Question) -> tuple[Any, ...]:
    return _plain(question.text), _plain_all(question.choices), question.answer


def _plain_all(choices: Iterable[str]) -> tuple[str, ...]:
    return tuple(map(_plain, choices))


def _plain(text: str) -> str:
    """The two releases break and end lines in different ways."""
    return re.sub(r"\s+", " ", text).strip()


def _rows(subject: str, questions: Iterable[Question]) -> Iterator[dict[str, Any]]:
    for question in questions:
        assert set(question.answer) <= set(by_letter(question.choices))
        row = {
            "id": question.id,
            "subject": subject,
            "question": question.text,
            "choices": list(question.choices),
            "answer": question.answer,
        }
        yield row | ({"note": question.note} if question.note else {})

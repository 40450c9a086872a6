"""MedQA (USMLE), as its authors publish it and as in our data folder; with five options, and with four.

The authors' rows are {"question", "options": {"A": …}, "answer_idx", "answer", "meta_info"} (github.com/jind11/MedQA).
Ours add "id", and the test rows carry both numbers of options: "options_4" and "answer_idx_4".
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from jmed_jax.errors import InputError
from jmed_jax.evaluate.exams.question import Language, MultipleChoiceQuestion, QuestionSet
from jmed_jax.evaluate.exams.rows import Row, check_answer, options_of
from jmed_jax.jsonl import field, read_jsonl

_LICENSE = "MIT"


def _read(path: Path, language: Language, *, name: str) -> Iterator[MultipleChoiceQuestion]:
    if language != "en":
        return
    for line, row in read_jsonl(path):
        suffix = _suffix(row, name, path, line)
        choices = options_of(row, f"options{suffix}", path, line)
        answer = check_answer([field(row, f"answer_idx{suffix}", str, path, line)], choices, path, line)
        identifier = str(row.get("id") or f"medqa-{path.name.partition('.')[0]}-{line - 1:05d}")
        yield MultipleChoiceQuestion(
            id=identifier,
            source=name,
            language="en",
            text=field(row, "question", str, path, line),
            choices=choices,
            accepted=(answer,),
            license=_LICENSE,
            subject=str(row.get("category") or row.get("meta_info") or ""),
            pair=f"medqa/{identifier}",
        )


def _suffix(row: Row, name: str, path: Path, line: int) -> str:
    if name == "medqa":
        return ""
    if "options_4" in row:
        return "_4"
    if len(field(row, "options", dict, path, line)) != 4:
        raise InputError(f"{path}:{line}: {len(row['options'])} options; medqa_4 is for four. Read it as medqa.")
    return ""


SETS = tuple(QuestionSet(name, ("en",), _LICENSE, partial(_read, name=name)) for name in ("medqa", "medqa_4"))

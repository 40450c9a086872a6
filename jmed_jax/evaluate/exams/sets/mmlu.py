"""MMLU and its Japanese translation JMMLU, whose rows name the English ones ("mmlu_id")."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from jmed_jax.evaluate.exams.question import Language, MultipleChoiceQuestion, QuestionSet
from jmed_jax.evaluate.exams.rows import check_answer, choices_of
from jmed_jax.jsonl import field, read_jsonl


def _read(
    path: Path, language: Language, *, name: str, own_language: Language, license_name: str
) -> Iterator[MultipleChoiceQuestion]:
    if language != own_language:
        return
    for line, row in read_jsonl(path):
        choices = choices_of(row, "choices", path, line)
        identifier = field(row, "id", str, path, line)
        yield MultipleChoiceQuestion(
            id=identifier,
            source=name,
            language=own_language,
            text=field(row, "question", str, path, line),
            choices=choices,
            accepted=(check_answer([field(row, "answer", str, path, line)], choices, path, line),),
            license=license_name,
            subject=str(row.get("subject") or path.name.partition(".")[0]),
            pair=str(row.get("mmlu_id") or identifier),
        )


def _set(name: str, language: Language, license_name: str) -> QuestionSet:
    read = partial(_read, name=name, own_language=language, license_name=license_name)
    return QuestionSet(name, (language,), license_name, read)


SETS = (_set("mmlu", "en", "MIT"), _set("jmmlu", "ja", "CC-BY-SA-4.0"))

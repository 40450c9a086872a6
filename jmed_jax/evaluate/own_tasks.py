"""Tasks out of a user's file: multiple-choice questions in our own layout, or open ones with a reference or rubric."""

from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.evaluate.exams.question import LANGUAGES
from jmed_jax.evaluate.protocols.exams import exam_tasks
from jmed_jax.evaluate.protocols.open_ended import OpenTask
from jmed_jax.evaluate.task import Task
from jmed_jax.jsonl import SUFFIXES, read_jsonl


def is_file_of_questions(name: str) -> bool:
    """Whether a task's name is that of a file."""
    return name.endswith(SUFFIXES)


def tasks_of_file(path: Path) -> list[Task[Any]]:
    """The task of a file, under every protocol that it can be put under; it is called as the file.

    Raises:
        InputError: the file is missing, empty, or its first row is of neither kind; or rows are in both languages.
    """
    for line, row in read_jsonl(path):
        name, gold = path.name.partition(".jsonl")[0], str(path.resolve())
        language = row.get("language")
        if "choices" in row and language in LANGUAGES:
            _check_language(path, language)
            return [*exam_tasks(name, language, gold, source="questions")]
        language = row.get("language", "ja")
        if row.keys() & {"reference", "rubric"} and language in LANGUAGES:
            _check_language(path, language)
            return [OpenTask(name, language, gold)]
        raise InputError(
            f"{path}:{line}: neither a multiple-choice question (id, language, question, choices, answer, …; "
            "`jmed data translate` writes such files) nor an open one (id, question, reference or "
            f"rubric; language, unless ja). Found: {', '.join(row)}."
        )
    raise InputError(f"{path}: no questions in this file.")


def _check_language(path: Path, language: str) -> None:
    # Prompts are in one language, and rows in another one would be passed over.
    for line, row in read_jsonl(path):
        if row.get("language", language) != language:
            raise InputError(
                f'{path}:{line}: language "{row["language"]}", and "{language}" before. Make a file of each language.'
            )

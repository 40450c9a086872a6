"""The question sets by name, and reading them from files and directories."""

import importlib
import pkgutil
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from jmed_jax.artifact import visible_files
from jmed_jax.errors import InputError
from jmed_jax.evaluate.exams import sets
from jmed_jax.evaluate.exams.question import Language, MultipleChoiceQuestion, QuestionSet
from jmed_jax.jsonl import SUFFIXES


@cache
def question_sets() -> dict[str, QuestionSet]:
    """All sets, by name: the `SETS` of every module in `exams/sets`."""
    modules = [importlib.import_module(f"{sets.__name__}.{info.name}") for info in pkgutil.iter_modules(sets.__path__)]
    every = [entry for module in modules for entry in module.SETS]
    by_name = {entry.name: entry for entry in every}
    assert len(by_name) == len(every), "two sets of one name"
    return by_name


def get_question_set(name: str) -> QuestionSet:
    """The set of that name.

    Raises:
        InputError: there is none; lists those that exist.
    """
    if name not in question_sets():
        raise InputError(f'no question set "{name}". There are: {", ".join(question_sets())}.')
    return question_sets()[name]


def read_questions(name: str, path: Path, language: Language) -> list[MultipleChoiceQuestion]:
    """Read all questions of a set that are in a language, from a file or the files of a directory at any depth.

    Raises:
        InputError: the path is missing, a row is damaged, or an id repeats. Names file and line.
    """
    return list(_unique(iter_files(path), get_question_set(name), language))


def iter_files(path: Path) -> list[Path]:
    """A file itself, or the files of rows in a directory, sorted.

    A folder `ja` or `en` is a copy of the same questions; `metadata`, predictions and few-shot examples are none.

    Raises:
        InputError: it is missing, or the directory holds none.
    """
    if not path.is_dir():
        if not path.exists():
            raise InputError(f"{path}: no such file or directory of questions.")
        return [path]
    files = [file for file in visible_files(path, SUFFIXES) if not _is_beside_questions(file.relative_to(path))]
    if not files:
        raise InputError(f"{path}: no files of questions ({', '.join(SUFFIXES)}) in this directory.")
    return files


def _is_beside_questions(file: Path) -> bool:
    return "metadata" in file.parts or file.name.startswith(("reference_predictions", "fewshot", "manifest"))


def _unique(files: Sequence[Path], chosen: QuestionSet, language: Language) -> Iterator[MultipleChoiceQuestion]:
    seen: dict[str, Path] = {}
    for path in files:
        for question in chosen.read(path, language):
            if question.id in seen:
                raise InputError(f'{path}: id "{question.id}" stands twice (before in {seen[question.id]}).')
            seen[question.id] = path
            yield question

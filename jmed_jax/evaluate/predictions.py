"""Reading a predictions file of any system and lining it up with the gold questions.

One row a question: {"problem_id" or "id", "prediction": "a,c"} for an answer already read out of the output, or
{"id", "output"} for raw text. Optional: "system" (several systems in one file) and "year".
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.evaluate.questions import ExamQuestion, ExtractionQuestion, Question
from jmed_jax.evaluate.task import Task
from jmed_jax.jsonl import read_jsonl

SHOWN_IDS = 5


@dataclass(frozen=True)
class Predictions:
    """One prediction a question, in the order of the questions, in the task's canonical form.

    Attributes:
        other_years: rows passed over because their "year" is none of the gold's.
    """

    values: list[str]
    other_years: int


_Row = tuple[int, dict[str, Any]]


def read_predictions(
    path: Path,
    task: Task[Any],
    questions: Sequence[Question],
    *,
    system: str | None = None,
    passed_over: Collection[str] = (),
) -> Predictions:
    """Read the predictions of one system for exactly these questions.

    Args:
        system: which one, where the file holds several.
        passed_over: further ids that the file may have: of gold rows that the protocol does not ask.

    Raises:
        InputError: an id is unknown, repeated or missing; a row has neither "prediction" nor "output"; the file holds
            several systems and none was chosen, or not the one that was.
    """
    rows = _of_system(list(read_jsonl(path)), system, path)
    current = _of_years(rows, {question.year for question in questions if isinstance(question, ExamQuestion)})
    by_id = _by_id(current, {question.id for question in questions}.union(passed_over), path)
    missing = [question.id for question in questions if question.id not in by_id]
    if missing:
        raise InputError(f"{path}: no prediction for {len(missing)} of {len(questions)} questions: {_some(missing)}.")
    values = [_value(by_id[question.id], task, question, path) for question in questions]
    return Predictions(values, other_years=len(rows) - len(current))


def _of_system(rows: list[_Row], system: str | None, path: Path) -> list[_Row]:
    systems = sorted({str(row["system"]) for _, row in rows if "system" in row})
    if system is None:
        if len(systems) > 1:
            raise InputError(
                f"{path}: predictions of {len(systems)} systems ({', '.join(systems)}). Choose one with --system NAME."
            )
        return rows
    if system not in systems:
        raise InputError(f'{path}: no predictions of system "{system}" (found: {", ".join(systems) or "none named"}).')
    return [(line, row) for line, row in rows if row.get("system") == system]


def _of_years(rows: list[_Row], years: set[int]) -> list[_Row]:
    """Rows of the gold's years, and those that name no year; all rows where the gold has none."""
    names = {str(year) for year in years}
    return [(line, row) for line, row in rows if not names or "year" not in row or str(row["year"]) in names]


def _by_id(rows: list[_Row], known: set[str], path: Path) -> dict[str, _Row]:
    by_id: dict[str, _Row] = {}
    unknown: list[_Row] = []
    repeated: list[_Row] = []
    for line, row in rows:
        identifier = _identifier(row, path, line)
        if identifier not in known:
            unknown.append((line, row))
        elif identifier in by_id:
            repeated.append((line, row))
        else:
            by_id[identifier] = line, row
    _refuse(unknown, "unknown: no gold question has this id", path)
    _refuse(repeated, "repeated: one prediction a question is expected", path)
    return by_id


def _refuse(rows: list[_Row], what: str, path: Path) -> None:
    if rows:
        identifiers = [_identifier(row, path, line) for line, row in rows]
        raise InputError(f'{path}:{rows[0][0]}: "{identifiers[0]}" is {what} ({len(rows)} such: {_some(identifiers)}).')


def _identifier(row: dict[str, Any], path: Path, line: int) -> str:
    identifier = row.get("problem_id", row.get("id"))
    if not isinstance(identifier, str):
        raise InputError(f'{path}:{line}: no "problem_id" or "id" (found: {", ".join(row)}).')
    return identifier


def _value(numbered: _Row, task: Task[Any], question: Question, path: Path) -> str:
    """A "prediction" stands as it is, for IgakuQA to the last blank; an "output" goes through the task's parser."""
    line, row = numbered
    name = "prediction" if "prediction" in row else "output"
    if name not in row:
        raise InputError(f'{path}:{line}: neither "prediction" nor "output" (found: {", ".join(row)}).')
    value = row[name]
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        value = str(value) if isinstance(question, ExtractionQuestion) else ",".join(value)
    if not isinstance(value, str):
        raise InputError(f'{path}:{line}: "{name}" is {type(value).__name__}, expected a string or a list of strings.')
    if name == "prediction" and isinstance(question, ExamQuestion):
        return value
    return task.read_output(question, value)


def _some(identifiers: Sequence[str]) -> str:
    more = ", …" if len(identifiers) > SHOWN_IDS else ""
    return ", ".join(identifiers[:SHOWN_IDS]) + more

"""Reading gold rows, in this project's data layout and in the layouts of the benchmarks' own repositories.

JMED-LLM: `TASK.jsonl[.gz]` here, `datasets/TASK.csv[.gz]` there (columns question, optionA … optionF, answer; for the
entity tasks the answer column holds a printed Python list). IgakuQA: `YEAR.jsonl[.gz]` here, `data/YEAR/NNN-X.jsonl`
there, with metadata and translation files beside, which are passed over.
"""

import csv
import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from jmed_jax.artifact import visible_files
from jmed_jax.errors import InputError
from jmed_jax.evaluate.exam_answers import Answer, fill_boxes
from jmed_jax.evaluate.questions import ChoiceQuestion, ExamQuestion, ExtractionQuestion, Question
from jmed_jax.evaluate.scores import CHOICE_LETTERS, parse_string_list
from jmed_jax.jsonl import SUFFIXES, field, read_json, read_jsonl, read_lines

# What the training rows say of themselves: the report, question or sentence is also in the test sets.
_OVERLAP_FIELDS = ("doc_in_test", "same_question_in_test", "sentence_in_test", "sentence_near_test")

# Official exceptions that the benchmark's evaluator has in its code (github.com/jungokasai/IgakuQA).
_ANY_ANSWER_ACCEPTED = frozenset({"116A71"})
_ALSO_ACCEPTED: dict[str, tuple[Answer, ...]] = {"112B30": (("a",), ("d",))}

# The 112th examination was held in 2018, and there is one a year.
YEAR_BEFORE_FIRST_EXAMINATION = 1906

_AnyQuestion = TypeVar("_AnyQuestion", bound=Question)


def read_choice_questions(paths: Sequence[Path], task: str) -> list[ChoiceQuestion]:
    """Read a JMED-LLM choice task from files, or from directories that hold `TASK.jsonl` or `TASK.csv`.

    CSV rows have no id; theirs is TASK-test-00012, by index of row from 0, as in the full original set.

    Raises:
        InputError: a path is missing or holds nothing for `task`; a row lacks a field, names an answer that is no
            option, or repeats an id. The message names file and line.
    """
    rows = (_choice_question(row, task, path, line) for path, line, row in _task_rows(paths, task))
    return _unique(rows)


def read_extraction_questions(paths: Sequence[Path], task: str) -> list[ExtractionQuestion]:
    """Read a JMED-LLM entity task; paths, ids and errors as in `read_choice_questions`."""
    rows = (_extraction_question(row, task, path, line) for path, line, row in _task_rows(paths, task))
    return _unique(rows)


def read_exam_questions(paths: Sequence[Path]) -> list[ExamQuestion]:
    """Read IgakuQA from files, or from directories at any depth. In a directory that has one, `ja/` is taken.

    Raises:
        InputError: as `read_choice_questions`.
    """
    files = [file for path in paths for file in _exam_files(path)]
    rows = ((path, line, _exam_question(row, path, line)) for path in files for line, row in read_jsonl(path))
    return _unique((path, line, question) for path, line, question in rows)


def read_exam_examples(path: Path, language: str) -> list[ExamQuestion]:
    """Read solved examples for a few-shot prompt (`fewshot.jsonl`): exam rows without points, in both languages.

    Raises:
        InputError: a row lacks a field; names file and line.
    """
    return [_exam_question({**row, "points": 0}, path, line, language) for line, row in read_jsonl(path)]


def read_sources(paths: Sequence[Path]) -> frozenset[str]:
    """Everything that rows of any JMED-LLM task are made from, in files or whole directories (e.g. the train folder).

    Raises:
        InputError: a path is missing or a row has no question.
    """
    files = [file for path in paths for file in ([path] if not path.is_dir() else _files(path, ""))]
    rows = ((path, line, row) for path in files for line, row in _rows(path))
    return frozenset(source for path, line, row in rows for source in _sources(row, path, line))


# Files


def find_task_file(directory: Path, task: str) -> Path | None:
    """The file of `task` in `directory`: TASK.jsonl or TASK.csv, .gz or not, in any case, with "-" for "_"."""
    return next(iter(_files(directory, task)), None)


def _files(directory: Path, task: str) -> list[Path]:
    """Row files directly in `directory` and no hidden ones, only those of `task` unless it is ""."""
    pattern = r"[^.].*\.(jsonl|csv)(\.gz)?"
    candidates = [path for path in sorted(directory.iterdir()) if re.fullmatch(pattern, path.name)]
    return [path for path in candidates if not task or path.name.split(".")[0].lower().replace("-", "_") == task]


def _task_rows(paths: Sequence[Path], task: str) -> Iterator[tuple[Path, int, dict[str, Any]]]:
    for path in paths:
        file = find_task_file(path, task) if path.is_dir() else path
        if file is None:
            raise InputError(f"{path}: no {task}.jsonl or {task}.csv in this directory.")
        for line, row in _rows(file, task):
            yield file, line, row


def _exam_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    root = path / "ja" if (path / "ja").is_dir() else path
    files = [
        file
        for file in visible_files(root, SUFFIXES)
        if not re.search("metadata|translate", str(file.relative_to(root)))
    ]
    if not files:
        raise InputError(f"{path}: no examination files (YEAR.jsonl or NNN-X.jsonl) in this directory.")
    return files


def _rows(path: Path, task: str = "row") -> Iterator[tuple[int, dict[str, Any]]]:
    if path.name.removesuffix(".gz").lower().endswith(".csv"):
        return _csv_rows(path, task)
    return read_jsonl(path)


def _csv_rows(path: Path, task: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of a JMED-LLM CSV file as the fields of a JSON row; the line is the one on which the row begins."""
    # A field in quotes may hold line breaks, so the reader needs the line ends back.
    reader = csv.DictReader(line + "\n" for _, line in read_lines(path))
    try:
        reader.fieldnames = [name.removeprefix("\ufeff") for name in reader.fieldnames or ()]
        _require_columns(reader.fieldnames, path)
        line = reader.line_num + 1
        for index, row in enumerate(reader):
            if None in row:
                raise InputError(f"{path}:{line}: more fields than the header has columns. Is a comma not quoted?")
            options = {letter: row[f"option{letter}"] for letter in CHOICE_LETTERS if row.get(f"option{letter}")}
            fields = {name: value for name, value in row.items() if value and not name.startswith("option")}
            yield line, {"id": f"{task}-test-{index:05d}", **fields, **({"options": options} if options else {})}
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: not CSV ({error}).") from error


def _require_columns(columns: Sequence[str], path: Path) -> None:
    for name in ("question", "answer"):
        if name not in columns:
            found = ", ".join(" ".join(column.split()) for column in columns)
            raise InputError(f'{path}:1: no "{name}" column (found: {found}).')


def _unique(rows: Iterable[tuple[Path, int, _AnyQuestion]]) -> list[_AnyQuestion]:
    seen: dict[str, tuple[Path, int]] = {}
    questions = []
    for path, line, question in rows:
        if question.id in seen:
            first_path, first_line = seen[question.id]
            raise InputError(f'{path}:{line}: id "{question.id}" already stands at {first_path}:{first_line}.')
        seen[question.id] = path, line
        questions.append(question)
    if not questions:
        raise InputError("The gold files hold no questions.")
    return questions


# JMED-LLM rows


def _choice_question(row: dict[str, Any], task: str, path: Path, line: int) -> tuple[Path, int, ChoiceQuestion]:
    options = _options(row, task, path, line)
    answer = field(row, "answer", str, path, line)
    if answer not in options:
        raise InputError(f'{path}:{line}: answer "{answer}" is none of the options ({", ".join(options)}).')
    question = ChoiceQuestion(**_common(row, task, path, line), options=options, answer=answer)
    return path, line, question


def _extraction_question(row: dict[str, Any], task: str, path: Path, line: int) -> tuple[Path, int, ExtractionQuestion]:
    answers = _answer_strings(row, path, line)
    return path, line, ExtractionQuestion(**_common(row, task, path, line), answers=answers)


def _common(row: dict[str, Any], task: str, path: Path, line: int) -> dict[str, Any]:
    if row.get("task", task) != task:
        raise InputError(f'{path}:{line}: a row of task "{row["task"]}", expected "{task}".')
    return {
        "id": field(row, "id", str, path, line),
        "task": task,
        "tag": row.get("tag"),
        "question": field(row, "question", str, path, line),
        "sources": _sources(row, path, line),
        "overlaps_test": any(row.get(name) is True for name in _OVERLAP_FIELDS),
    }


def shared_options_file(path: Path, task: str) -> Path:
    """Where the options stand that are the same in every row of a task (JCSTS's): one level above the rows' file."""
    return path.parent.parent / f"{task}_options.json"


def _options(row: dict[str, Any], task: str, path: Path, line: int) -> dict[str, str]:
    if "options" in row:
        return dict(field(row, "options", dict, path, line))
    shared = shared_options_file(path, task)
    if not shared.is_file():
        raise InputError(f'{path}:{line}: no "options" field (found: {", ".join(row)}), nor a file {shared}.')
    return dict(_read_shared_options(shared))


@functools.cache
def _read_shared_options(path: Path) -> dict[str, str]:
    options = read_json(path)
    if not isinstance(options, dict):
        raise InputError(f"{path}: expected an object letter → text, found {type(options).__name__}.")
    return options


def _answer_strings(row: dict[str, Any], path: Path, line: int) -> tuple[str, ...]:
    if "answers" in row:
        answers = tuple(field(row, "answers", list, path, line))
        if not all(isinstance(answer, str) for answer in answers):
            raise InputError(f'{path}:{line}: "answers" must be a list of strings.')
        return answers
    if "answer" not in row:
        raise InputError(f'{path}:{line}: no "answers" field (found: {", ".join(row)}).')
    parsed = parse_string_list(field(row, "answer", str, path, line))
    if parsed is None:
        raise InputError(f'{path}:{line}: "answer" is not a printed Python list of strings.')
    return parsed


def _sources(row: dict[str, Any], path: Path, line: int) -> frozenset[str]:
    """The document where the row names one, the two sentences of a JCSTS pair, else the question itself."""
    question = field(row, "question", str, path, line)
    named = row.get("doc_id") or row.get("jmmlu_id")
    if named:
        return frozenset({str(named)})
    sentences = re.findall(r"^S[12]: (.+)$", question, flags=re.MULTILINE)
    return frozenset(sentences or {question})


# IgakuQA rows


def _exam_question(row: dict[str, Any], path: Path, line: int, language: str = "") -> ExamQuestion:
    problem_id = field(row, "problem_id", str, path, line)
    parts = re.fullmatch(r"([0-9]+)([A-Z])[0-9]+", problem_id)
    if parts is None:
        raise InputError(f'{path}:{line}: problem_id "{problem_id}" is not of the form 112A1.')
    language = language or ("en" if "problem_text_en" in row else "ja")
    suffix = "_en" if language == "en" else ""
    text = field(row, f"problem_text{suffix}", str, path, line)
    answer = _key(row, path, line)
    return ExamQuestion(
        problem_id=problem_id,
        year=_integer({"year": YEAR_BEFORE_FIRST_EXAMINATION + int(parts[1]), **row}, "year", path, line),
        section=str(row.get("section", parts[2])),
        text=text,
        choices=tuple(str(choice) for choice in field(row, f"choices{suffix}", list, path, line)),
        answer=answer,
        accepted=_accepted(row, problem_id, text, answer),
        any_answer_accepted=problem_id in _ANY_ANSWER_ACCEPTED or row.get("any_answer_accepted") is True,
        points=_integer(row, "points", path, line),
        text_only=row.get("text_only") is not False,
        language=language,
    )


def _key(row: dict[str, Any], path: Path, line: int) -> Answer:
    """The key as printed; the benchmark's own files hold a list, and for 112B30 the bare string "a or d"."""
    if isinstance(row.get("answer"), str):
        return (row["answer"],)
    return tuple(str(part) for part in field(row, "answer", list, path, line))


def _accepted(row: dict[str, Any], problem_id: str, text: str, answer: Answer) -> tuple[Answer, ...]:
    listed = [tuple(other) for other in row.get("accepted_answers") or ()]
    boxes = fill_boxes(text, answer[0]) if len(answer) == 1 and not row.get("choices") else None
    either = [(part,) for part in answer[0].split(" or ")] if len(answer) == 1 and " or " in answer[0] else []
    filled = [(boxes,)] if boxes else []
    return tuple(dict.fromkeys([answer, *listed, *either, *filled, *_ALSO_ACCEPTED.get(problem_id, ())]))


def _integer(row: dict[str, Any], name: str, path: Path, line: int) -> int:
    """A whole number; points are numbers here and strings ("1") in the benchmark's own files."""
    if name not in row:
        raise InputError(f'{path}:{line}: no "{name}" field (found: {", ".join(row)}).')
    try:
        return int(row[name])
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f'{path}:{line}: "{name}" is {row[name]!r}, expected a whole number.') from error

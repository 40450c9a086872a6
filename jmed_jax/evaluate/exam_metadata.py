"""What is known of IgakuQA's questions beside their answers: specialty, how many students were right, and which choices
would harm a patient.

`igakuqa/metadata/YEAR.jsonl`: "category", "kinki" (letters of contraindicated choices; a candidate who takes too many
of them fails, whatever the points), "human_accuracy" (percent of students who were right).
"""

import string
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from jmed_jax.artifact import visible_files
from jmed_jax.errors import InputError
from jmed_jax.evaluate.exam_answers import relax
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.protocols.multiple_choice import MultipleChoiceTask
from jmed_jax.evaluate.questions import Question
from jmed_jax.evaluate.row_scores import RowScores, metrics
from jmed_jax.evaluate.task import Metrics, Task
from jmed_jax.jsonl import SUFFIXES, field, read_jsonl

TASKS = ("igakuqa", "igakuqa_en")
DIRECTORY = "igakuqa/metadata"


@dataclass(frozen=True)
class ExamMetadata:
    """Of one question.

    Attributes:
        year: of the examination: the file's name.
        category: the specialty.
        kinki: letters of contraindicated choices; mostly none.
        human_accuracy: share of students who were right, in [0, 1]; None where it was not counted, as for questions
            withdrawn from scoring.
    """

    year: str
    category: str
    kinki: frozenset[str]
    human_accuracy: float | None


def read_metadata(task: str, data: Path) -> dict[str, ExamMetadata]:
    """Metadata by id of question; empty for tasks that have none, and where `data` has none.

    Raises:
        InputError: a row is damaged; names file and line.
    """
    if task not in TASKS or not (data / DIRECTORY).is_dir():
        return {}
    files = visible_files(data / DIRECTORY, SUFFIXES)
    return {
        field(row, "problem_id", str, path, line): _metadata(row, path, line)
        for path in files
        for line, row in read_jsonl(path)
    }


def human_and_kinki(
    task: Task[Any], metadata: Mapping[str, ExamMetadata], questions: Sequence[Question], predictions: Sequence[str]
) -> dict[str, Metrics]:
    """How students did on the same questions, and the contraindicated choices that the model took.

    Returns:
        {"human": {"accuracy", "n"}, "kinki": {"chosen", "questions", "asked"}}, each with the same by year in "years";
        {} without metadata. "n" questions have a human accuracy; "chosen" counts the contraindicated choices taken in
        the "questions" that have one, which were "asked" so many times: more often than they are where their choices
        are turned.
    """
    known = [
        _Known(name, metadata[name], question, prediction)
        for question, prediction in zip(questions, predictions, strict=True)
        if (name := _unturned(question)[0]) in metadata
    ]
    if not known:
        return {}
    years = {
        year: _human_and_kinki(task, [one for one in known if one.metadata.year == year])
        for year in sorted({one.metadata.year for one in known})
    }
    return {
        name: {**found, "years": {year: part[name] for year, part in years.items() if name in part}}
        for name, found in _human_and_kinki(task, known).items()
    }


class _Known(NamedTuple):
    """A question of which there are metadata, as it was answered."""

    name: str
    metadata: ExamMetadata
    question: Question
    prediction: str


def _human_and_kinki(task: Task[Any], known: Sequence[_Known]) -> dict[str, Metrics]:
    humans = {one.name: share for one in known if (share := one.metadata.human_accuracy) is not None}
    dangerous = [one for one in known if one.metadata.kinki]
    taken = [one.metadata.kinki & chosen_letters(task, one.question, one.prediction) for one in dangerous]
    kinki = {
        "chosen": sum(map(len, taken)),
        "questions": len({one.name for one in dangerous}),
        "asked": len(dangerous),
    }
    human = {"human": {"accuracy": sum(humans.values()) / len(humans), "n": len(humans)}} if humans else {}
    return {**human, "kinki": kinki}


def metadata_groups(
    metadata: Mapping[str, ExamMetadata], questions: Sequence[Question], rows: RowScores
) -> dict[str, Metrics]:
    """ "n" and metrics of every year and every specialty, by name. `rows` are those of the questions."""
    years: dict[str, list[int]] = defaultdict(list)
    categories: dict[str, list[int]] = defaultdict(list)
    for index, question in enumerate(questions):
        row = metadata.get(_unturned(question)[0])
        if row is not None:
            years[row.year].append(index)
            categories[row.category].append(index)
    groups = [*sorted(years.items()), *sorted(categories.items())]
    return {name: {"n": len(indices), **metrics(rows, indices)} for name, indices in groups}


def chosen_letters(task: Task[Any], question: Question, prediction: str) -> frozenset[str]:
    """The letters that a prediction stands for, as printed; none where it is a numeral or no answer."""
    if isinstance(task, MultipleChoiceTask):
        assert isinstance(question, MultipleChoiceQuestion)
        _, places = _unturned(question)
        found = [question.choices.index(text) for text in task.choice(question, prediction)]
        return frozenset(string.ascii_lowercase[(place + places) % len(question.choices)] for place in found)
    return frozenset(relax(prediction).split(",")) & frozenset(string.ascii_lowercase)


def _unturned(question: Question) -> tuple[str, int]:
    """The id of a question as it is printed, and by how many places its choices are turned."""
    name, _, places = question.id.rpartition("#")
    return (name, int(places)) if name and places.isdecimal() else (question.id, 0)


def _metadata(row: dict[str, Any], path: Path, line: int) -> ExamMetadata:
    # Full-width letters, blanks, and several letters in one entry ("de") occur.
    listed = "".join(map(str, field(row, "kinki", list, path, line)))
    letters = unicodedata.normalize("NFKC", listed).lower().replace(" ", "")
    accuracy = str(row.get("human_accuracy") or "")
    try:
        share = float(accuracy) / 100 if accuracy else None
    except ValueError as error:
        raise InputError(f'{path}:{line}: "human_accuracy" is {accuracy!r}, expected a percentage.') from error
    year = path.name.partition(".")[0]
    return ExamMetadata(year, str(row.get("category") or ""), frozenset(letters), share)

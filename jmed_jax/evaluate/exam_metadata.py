"""What is known of IgakuQA's questions beside their answers: specialty, how many students were right, and which choices
would harm a patient.

`igakuqa/metadata/YEAR.jsonl`: "category", "kinki" (letters of contraindicated choices; a candidate who takes too many
of them fails, whatever the points), "human_accuracy" (percent of students who were right).
"""

import string
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jmed_jax.artifact import visible_files
from jmed_jax.errors import InputError
from jmed_jax.evaluate.exam_answers import relax
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.protocols.multiple_choice import MultipleChoiceTask
from jmed_jax.evaluate.questions import Question
from jmed_jax.evaluate.row_scores import RowScores, metrics
from jmed_jax.evaluate.task import Metrics, Task
from jmed_jax.jsonl import field, read_jsonl

TASKS = ("igakuqa", "igakuqa_en")
DIRECTORY = "igakuqa/metadata"


@dataclass(frozen=True)
class ExamMetadata:
    """Of one question.

    Attributes:
        category: the specialty.
        kinki: letters of contraindicated choices; mostly none.
        human_accuracy: share of students who were right, in [0, 1]; None where it was not counted, as for questions
            withdrawn from scoring.
    """

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
    files = visible_files(data / DIRECTORY, "*.jsonl*")
    return {
        field(row, "problem_id", str, path, line): _metadata(row, path, line)
        for path in files
        for line, row in read_jsonl(path)
    }


def human_and_kinki(
    task: Task[Any], data: Path, questions: Sequence[Question], predictions: Sequence[str]
) -> dict[str, Metrics]:
    """How students did on the same questions, and the contraindicated choices that the model took.

    Returns:
        {"human": {"accuracy", "n"}, "kinki": {"chosen", "questions"}}, or {} without metadata. "n" questions have a
        human accuracy; "chosen" counts the contraindicated choices taken in the "questions" that have one. A question
        that is asked in rotations counts once, as it stands.
    """
    metadata = read_metadata(task.name, data)
    known = [
        (metadata[identifier], question, prediction)
        for question, prediction in zip(questions, predictions, strict=True)
        if (identifier := question.id.removesuffix("#0")) in metadata
    ]
    if not known:
        return {}
    humans = [row.human_accuracy for row, _, _ in known if row.human_accuracy is not None]
    dangerous = [(row, question, prediction) for row, question, prediction in known if row.kinki]
    chosen = sum(len(row.kinki & chosen_letters(task, question, prediction)) for row, question, prediction in dangerous)
    human = {"human": {"accuracy": sum(humans) / len(humans), "n": len(humans)}} if humans else {}
    return {**human, "kinki": {"chosen": chosen, "questions": len(dangerous)}}


def category_groups(task: Task[Any], data: Path, questions: Sequence[Question], rows: RowScores) -> dict[str, Metrics]:
    """ "n" and metrics of every specialty, by name; {} without metadata. `rows` are those of the questions."""
    metadata = read_metadata(task.name, data)
    members: dict[str, list[int]] = defaultdict(list)
    for index, question in enumerate(questions):
        row = metadata.get(question.id.partition("#")[0])
        if row is not None:
            members[row.category].append(index)
    return {name: {"n": len(indices), **metrics(rows, indices)} for name, indices in sorted(members.items())}


def chosen_letters(task: Task[Any], question: Question, prediction: str) -> frozenset[str]:
    """The letters that a prediction stands for; none where it is a numeral or no answer."""
    if isinstance(task, MultipleChoiceTask):
        assert isinstance(question, MultipleChoiceQuestion)
        texts = task.choice(question, prediction)
        return frozenset(string.ascii_lowercase[question.choices.index(text)] for text in texts)
    return frozenset(relax(prediction).split(",")) & frozenset(string.ascii_lowercase)


def _metadata(row: dict[str, Any], path: Path, line: int) -> ExamMetadata:
    # Full-width letters, blanks, and several letters in one entry ("de") occur.
    listed = "".join(map(str, field(row, "kinki", list, path, line)))
    letters = unicodedata.normalize("NFKC", listed).lower().replace(" ", "")
    accuracy = str(row.get("human_accuracy") or "")
    try:
        share = float(accuracy) / 100 if accuracy else None
    except ValueError as error:
        raise InputError(f'{path}:{line}: "human_accuracy" is {accuracy!r}, expected a percentage.') from error
    return ExamMetadata(str(row.get("category") or ""), frozenset(letters), share)

"""Contamination: which benchmark questions share a long span of text with what a model was trained on.

Compared as decontamination compares (`corpus.decontaminate`): letters, digits, kana and kanji only, and spans that
stand in many questions of a benchmark are its wording and no question. Memory is bounded by the benchmarks; texts are
read once, one at a time.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jmed_jax.artifact import visible_files
from jmed_jax.corpus.decontaminate import TEMPLATE_ROWS, Hashes, spans, strings_in
from jmed_jax.corpus.documents import iter_documents
from jmed_jax.corpus.sources import iter_texts
from jmed_jax.data.rows import Records, open_rows
from jmed_jax.errors import InputError
from jmed_jax.evaluate.questions import ChoiceQuestion, ExtractionQuestion, Question
from jmed_jax.evaluate.task import Task
from jmed_jax.evaluate.tasks import TASKS, get_task
from jmed_jax.jsonl import SUFFIXES, read_jsonl
from jmed_jax.tokenizer.clean import clean
from jmed_jax.tokenizer.load import load_tokenizer

N_GRAM = 30
"""Kana and kanji that must be in common; three Latin letters count as one. As `jmed corpus build` takes by default."""
EXAMPLES = 5
_EMPTY = np.zeros(0, np.uint64)

Text = tuple[str, str]
"""Where a text stands, and the text."""


@dataclass
class TaskOverlap:
    """One benchmark.

    Attributes:
        n: its questions.
        comparable: those that are long enough to have a span of their own.
        overlapping: ids of those that share one with the texts.
        examples: the first few: {"id", "where", "span"}.
    """

    n: int
    comparable: int
    overlapping: set[str] = field(default_factory=set)
    examples: list[dict[str, str]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """With the share of all questions, and without the ids."""
        overlapping = len(self.overlapping)
        share = overlapping / self.n
        counts = {"n": self.n, "comparable": self.comparable, "overlapping": overlapping, "share": share}
        return {**counts, "examples": self.examples}


class QuestionSpans:
    """The spans of all questions of some benchmarks, and the questions of each.

    Hashes [S] are sorted; the questions of span s are `_questions[_start[s] : _start[s + 1]]`.
    """

    def __init__(self, questions: Mapping[str, Sequence[Question]], n_gram: int = N_GRAM) -> None:
        """
        Args:
            questions: by task.
        """
        self.n_gram = n_gram
        self.tasks: dict[str, TaskOverlap] = {}
        self._ids: list[tuple[str, str]] = []
        hashes, owners = [_EMPTY], [np.zeros(0, np.int64)]
        for task, asked in questions.items():
            of_question = _without_templates([_question_hashes(question, n_gram) for question in asked])
            self.tasks[task] = TaskOverlap(len(asked), sum(len(found) > 0 for found in of_question))
            for question, found in zip(asked, of_question, strict=True):
                hashes.append(found)
                owners.append(np.full(len(found), len(self._ids)))
                self._ids.append((task, question.id))
        every, owner = np.concatenate(hashes), np.concatenate(owners)
        order = np.argsort(every, kind="stable")
        self._hashes, self._start = np.unique(every[order], return_index=True)
        self._start = np.append(self._start, len(every))
        self._questions = owner[order]

    def add(self, where: str, text: str) -> None:
        """Look for all questions in a text."""
        text = _normalized(text)
        for hashes, starts, ends in spans(text, self.n_gram):
            places, ranks = self._look_up(hashes)
            for place, rank in zip(places, ranks, strict=True):
                for owner in self._questions[self._start[rank] : self._start[rank + 1]]:
                    self._note(owner, where, text[starts[place] : ends[place]])

    def _look_up(self, hashes: Hashes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places of the hashes that stand in a question, and their ranks; one place for each rank."""
        if not len(self._hashes):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        rank = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        places = np.flatnonzero(self._hashes[rank] == hashes)
        ranks, first = np.unique(rank[places], return_index=True)
        return places[first], ranks

    def _note(self, owner: int, where: str, span: str) -> None:
        task, identifier = self._ids[owner]
        overlap = self.tasks[task]
        if identifier not in overlap.overlapping:
            overlap.overlapping.add(identifier)
            if len(overlap.examples) < EXAMPLES:
                overlap.examples.append({"id": identifier, "where": where, "span": span})


def measure(
    source: str, texts: Iterable[Text], questions: Mapping[str, Sequence[Question]], *, n_gram: int = N_GRAM
) -> dict[str, Any]:
    """{"source", "n_gram", "texts", "tasks": {TASK: {"n", "comparable", "overlapping", "share", "examples"}}}.

    Args:
        source: what the texts are, for the record.
        questions: by task, as `read_benchmarks` gives them.
    """
    found = QuestionSpans(questions, n_gram)
    count = 0
    for where, text in texts:
        found.add(where, text)
        count += 1
    tasks = {task: overlap.to_dict() for task, overlap in found.tasks.items()}
    return {"source": source, "n_gram": n_gram, "texts": count, "tasks": tasks}


def read_benchmarks(data: Path, tasks: Sequence[str] = ()) -> dict[str, list[Question]]:
    """The questions of the named tasks; without names, of every task whose questions are in `data`.

    Raises:
        InputError: a named task or its questions are missing, no task's are there, or rows are damaged.
    """
    every = [get_task(name) for name in tasks] or [task for task in TASKS.values() if _is_there(task, data)]
    if not every:
        raise InputError(f"{data}: no questions of any task in this directory.")
    return {task.name: task.read_gold([task.gold_path(data)]) for task in every}


def _is_there(task: Task[Any], data: Path) -> bool:
    # A task knows more names of its file than one: it may be compressed.
    try:
        task.gold_path(data)
    except InputError:
        return False
    return True


# --- texts ------------------------------------------------------------------------------------------------------------


def corpus_texts(path: Path) -> Iterator[Text]:
    """The documents of a corpus artefact.

    Raises:
        InputError: it is none, or a shard is damaged.
    """
    for row in iter_documents(path):
        yield str(row["id"]), row["text"]


def rows_texts(path: Path) -> Iterator[Text]:
    """The documents of packed rows, decoded; a document that goes on in the next row is two.

    Raises:
        InputError: no rows artefact, or a shard is damaged.
    """
    from jmed_jax.train.run import TOKENIZER

    rows, row_format, shards = open_rows(path)
    tokenizer = load_tokenizer(rows.path / TOKENIZER)
    records = Records(shards)
    for number in range(len(records)):
        row = row_format.decode(records[number])
        for segment in range(1, int(row.segment_ids.max(initial=0)) + 1):
            tokens = row.tokens[row.segment_ids == segment]
            yield f"row {number}, document {segment}", tokenizer.decode(tokens.tolist())


def file_texts(paths: Sequence[Path]) -> Iterator[Text]:
    """Every text of some files: conversations, training rows and any other JSON Lines string by string; else documents.

    Raises:
        InputError: a path is missing, or a file is damaged or of an unknown kind.
    """
    for path in paths:
        inside = visible_files(path, SUFFIXES)
        files = inside if path.is_dir() and inside else [path]
        for file in files:
            if file.name.endswith(SUFFIXES):
                for line, row in read_jsonl(file):
                    yield from ((f"{file.name}:{line}", clean(text)) for text in strings_in(row))
            else:
                yield from ((file.name, clean(text)) for text in iter_texts(file))


# --- questions --------------------------------------------------------------------------------------------------------


def _question_hashes(question: Question, n_gram: int) -> Hashes:
    """All different hashes of a question's spans."""
    found = [hashes for text in _own_texts(question) for hashes, _, _ in spans(_normalized(clean(text)), n_gram)]
    return np.unique(np.concatenate([_EMPTY, *found]))


def _normalized(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _own_texts(question: Question) -> list[str]:
    """What is a question's own: JMED-LLM's rows begin with a line of fixed wording, and their options are fixed too."""
    if not isinstance(question, ChoiceQuestion | ExtractionQuestion):
        return [question.text, *question.choices]
    _, _, report = question.text.partition("\n")
    return [report if report.startswith(("「", "S1: ")) else question.text]


def _without_templates(of_question: Sequence[Hashes]) -> list[Hashes]:
    hashes, counts = np.unique(np.concatenate([_EMPTY, *of_question]), return_counts=True)
    templates = hashes[counts >= TEMPLATE_ROWS]
    return [found[~np.isin(found, templates)] for found in of_question]

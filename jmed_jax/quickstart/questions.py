"""What the recipe `jmedllm` asks: one style of question that a tiny model can learn, and real examinations.

The style: where published term lists are in the data folder, "which ICD-10 category holds this disease?", as
`jmed corpus synthesize` words it, with a fixed share of the diseases held out; else the four-choice questions of
JMMLU-Med, as the folder divides them. The examinations are IgakuQA: the newest year is held out, the others trained on.
"""

import hashlib
import shutil
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Literal

from jmed_jax.artifact import visible_files
from jmed_jax.corpus.synthetic.disease_questions import DiseaseQuestions
from jmed_jax.corpus.synthetic.exercises import Exercise
from jmed_jax.corpus.synthetic.facts import read_facts
from jmed_jax.corpus.synthetic.questions import Question
from jmed_jax.errors import InputError
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.exams.sets.plain import plain_row
from jmed_jax.evaluate.gold import read_choice_questions
from jmed_jax.instruct.instructions import InstructionConfig, Source, write_instructions
from jmed_jax.jsonl import write_jsonl
from jmed_jax.tokenizer.term_lists import find_lists

Side = Literal["training", "validation", "test"]

QUESTIONS = "questions.jsonl"
"""The held-out questions of the style, in a data folder for `evaluate`."""
EXAMS = "igakuqa/ja"

_FOUR_CHOICES = ("jmed_llm/train/jmmlu_med.jsonl.gz", "jmed_llm/test/jmmlu_med.jsonl")

# Of the diseases: a twentieth is asked in the end, another one the recipe was chosen by, the rest trained.
_SHARES = 20

# Sets whose English questions are trained on beside the Japanese examinations, where they are there.
_MORE_EXAMS = {"medqa_4": "medqa/train_subset.jsonl", "mmlu": "mmlu/val"}
_LONGEST = {"ja": 300, "en": 600}
"""Characters of an examination question with its choices: what a row holds with the prompt around it."""


@dataclass(frozen=True)
class Style:
    """The questions that are learned.

    Attributes:
        title: for the page.
        sides: training, test, and validation, by which data and steps of the recipe were chosen (EXPERIMENTS.md says
            how cleanly); no two ask about the same.
    """

    title: str
    sides: Mapping[Side, Sequence[MultipleChoiceQuestion]]

    @property
    def training(self) -> Sequence[MultipleChoiceQuestion]:
        """What may be learned from."""
        return self.sides["training"]


class _Categories(DiseaseQuestions):
    """Only the question for the category of a name."""

    def kinds(self) -> list[Question]:
        return [self._category_of_name]


def read_style(data: Path, *, limit: int) -> Style:
    """The questions of the style that the data folder gives.

    Args:
        limit: of diseases.

    Raises:
        InputError: there are neither term lists nor questions of JMMLU-Med.
    """
    lists = data / "dictionary"
    if lists.is_dir() and any(not path.name.endswith((".txt", ".txt.gz")) for path in find_lists([lists])):
        sides: dict[Side, list[MultipleChoiceQuestion]] = {"training": [], "validation": [], "test": []}
        for question in islice(_category_questions(lists), limit):
            sides[side_of(question.pair)].append(question)
        return Style("ICD-10 category of a disease", sides)
    train, test = (data / place for place in _FOUR_CHOICES)
    if not (train.is_file() and test.is_file()):
        raise InputError(f"{data}: neither term lists in dictionary/ nor {' with '.join(_FOUR_CHOICES)}.")
    asked = _four_choice_questions(test)
    texts = {question.text for question in asked}
    training = [question for question in _four_choice_questions(train) if question.text not in texts]
    return Style("Four-choice questions (JMMLU-Med)", {"training": training, "test": asked})


def _category_questions(lists: Path) -> Iterator[MultipleChoiceQuestion]:
    facts = read_facts([lists])
    names = list(facts.coded_diseases)
    Random(0).shuffle(names)
    for name in names:
        disease = facts.disease(name)
        if disease is None:
            continue
        for exercise in _Categories(Random(f"quickstart/{name}"), facts, disease).take(1):
            yield _question(f"icd10/{name}", exercise)


def _question(identifier: str, exercise: Exercise) -> MultipleChoiceQuestion:
    return MultipleChoiceQuestion(
        id=identifier,
        source="questions",
        language="ja",
        text=exercise.question,
        choices=exercise.options,
        accepted=((exercise.answer,),),
        license="as the term lists",
        pair=identifier,
    )


def _four_choice_questions(path: Path) -> list[MultipleChoiceQuestion]:
    return [
        MultipleChoiceQuestion(
            id=row.id,
            source="questions",
            language="ja",
            text=row.question,
            choices=tuple(row.options.values()),
            accepted=((string.ascii_lowercase[list(row.options).index(row.answer)],),),
            license="as the data folder",
            pair=row.id,
        )
        for row in read_choice_questions([path], "jmmlu_med")
    ]


def side_of(subject: str) -> Side:
    """On which side the questions about a subject stand, by its name alone."""
    digest = hashlib.blake2b(subject.encode(), digest_size=8, person=b"quickstart").digest()
    number = int.from_bytes(digest) % _SHARES
    return "test" if number == 0 else "validation" if number == 1 else "training"


def write_held_out(style: Style, data: Path, out: Path, *, side: Side = "test") -> list[str]:
    """Write a data folder with what the model is asked in the end; return its tasks, as `evaluate` takes them.

    Args:
        out: a new directory.
    """
    out.mkdir(parents=True)
    write_jsonl(out / QUESTIONS, map(plain_row, style.sides[side]))
    years = _years(data)
    if not years:
        return [str(out / QUESTIONS)]
    (out / EXAMS).mkdir(parents=True)
    shutil.copyfile(years[-1], out / EXAMS / years[-1].name)
    return [str(out / QUESTIONS), "igakuqa"]


def _years(data: Path) -> list[Path]:
    folder = data / EXAMS
    return visible_files(folder, ".jsonl") if folder.is_dir() else []


def write_training(style: Style, data: Path, out: Path, held_out: Path, *, exams: int) -> list[Path]:
    """Write the training conversations in the evaluation's own prompts, a file of the style and one of examinations.

    Args:
        out: a new directory.
        held_out: as `write_held_out` made it; nothing of it is trained on.
        exams: questions of an examination at most.
    """
    out.mkdir(parents=True)
    questions = out / "style-questions.jsonl"
    write_jsonl(questions, map(plain_row, style.training))
    files = [out / "style.jsonl"]
    # Its held-out questions differ by what they ask about, not by their wording: they were parted above.
    write_instructions([Source("questions", questions)], files[0], InstructionConfig(languages=("ja",)))
    sources = [Source("igakuqa", path) for path in _years(data)[:-1]]
    sources += [Source(name, data / path) for name, path in _MORE_EXAMS.items() if (data / path).exists()]
    if sources:
        files.append(out / "exams.jsonl")
        config = InstructionConfig(limit=exams, longest=_LONGEST)
        write_instructions(sources, files[1], config, exclude_test=[held_out])
    return files

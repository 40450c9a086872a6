"""What will be asked: every task's questions read and its prompts rendered, before a model is asked anything."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from jmed_jax.backends.protocol import Prompt
from jmed_jax.errors import InputError
from jmed_jax.evaluate.baselines import baseline_scores
from jmed_jax.evaluate.exams.question import Language
from jmed_jax.evaluate.gold import read_sources
from jmed_jax.evaluate.prompts import Conversation, plain_answer, plain_text
from jmed_jax.evaluate.protocols.jmed_llm import TRAIN
from jmed_jax.evaluate.protocols.loglikelihood import LikelihoodTask
from jmed_jax.evaluate.protocols.multiple_choice import MultipleChoiceTask, rotations
from jmed_jax.evaluate.questions import Question
from jmed_jax.evaluate.task import Metrics, Task
from jmed_jax.evaluate.tasks import get_task

MAX_CHARACTERS: dict[Language, int] = {"ja": 1024, "en": 2048}
"""Of a question with its choices, in arXiv 2409.11783; what is longer was left out there."""

BEYOND_LIMIT = "beyond --limit"


@dataclass(frozen=True)
class Options:
    """How questions are put."""

    protocol: str | None = None
    """Of all tasks; each its default if None."""
    limit: int | None = None
    """Only the first so many questions of each task."""
    shots: int = 0
    """Solved examples before each question."""
    fewshot: Path | None = None
    """A file of them, instead of the data folder's."""
    prompts: Path | None = None
    """A prompt file, instead of the package's own wording."""
    plain: bool = False
    """Prompts are texts, for base models without a chat template."""
    rotate_choices: bool = False
    """Every question is asked once for every place that its choices can be turned to."""
    max_characters: bool = False
    """Leave out questions over `MAX_CHARACTERS`."""
    max_new_tokens: int | None = None
    """Of an answer; the protocol's own if None."""
    beams: int = 1

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InputError(f"limit is {self.limit}, expected at least 1 question a task.")


@dataclass(frozen=True)
class Asked:
    """One prompt.

    Attributes:
        id: within its task: that of the question, and what kind of prompt it is where there are several.
        continuations: to weigh; none where the model writes an answer.
    """

    id: str
    prompt: Prompt
    continuations: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """As `prompts-TASK.jsonl` has it."""
        content = {"text": self.prompt} if isinstance(self.prompt, str) else {"messages": self.prompt}
        weighed = {"continuations": list(self.continuations)} if self.continuations else {}
        return {"id": self.id, **content, **weighed}


@dataclass(frozen=True)
class Plan:
    """All that a task needs.

    Attributes:
        gold_ids: of all gold rows, asked or not.
        questions: those that are asked.
        clusters: of every question, the one that it is a rotation of; None without rotations.
        asked: their prompts; as many as questions, or as many times more as a question has prompts.
        left_out: gold rows that are not asked, by reason.
        train: rows that models are tuned on.
        trained_on: the sources of all training rows, of every task: the case reports of one are those of another.
        plain: prompts are texts.
    """

    task: Task[Any]
    wording: Any
    gold_path: Path
    gold_ids: tuple[str, ...]
    questions: Sequence[Question]
    clusters: Sequence[str] | None
    asked: Sequence[Asked]
    left_out: dict[str, int]
    shots: int
    train_path: Path | None
    train: Sequence[Question]
    trained_on: frozenset[str]
    plain: bool

    @cached_property
    def baselines(self) -> dict[str, Metrics]:
        """What answers that have not read the question, and a linear model, reach; fitted once a plan."""
        return baseline_scores(self.task, self.questions, self.train)

    @property
    def prompt_sha256(self) -> str:
        """Over the lines of `prompts-TASK.jsonl`."""
        return hashlib.sha256("".join(json.dumps(asked.row()) for asked in self.asked).encode()).hexdigest()


def plan_tasks(names: Sequence[str], data: Path, options: Options) -> list[Plan]:
    """Read and render all tasks.

    Raises:
        InputError: an unknown task or protocol, two tasks of one name, gold rows missing or damaged, a prompt file with
            another shape, an option that a task does not know.
    """
    tasks = [get_task(name, options.protocol) for name in names]
    _check_names(tasks)
    if options.fewshot is not None and not any(task.shots for task in tasks):
        raise InputError(f"{options.fewshot}: few-shot examples are for examinations, and none is among the tasks.")
    train = data / TRAIN
    trained_on = read_sources([train]) if train.is_dir() else frozenset()
    return [_plan(task, data, options, trained_on) for task in tasks]


def _check_names(tasks: Sequence[Task[Any]]) -> None:
    # Answers and files go by the name: those of one task would stand for the other's.
    for name, count in Counter(task.name for task in tasks).items():
        if count > 1:
            raise InputError(f'{count} tasks are called "{name}", as their files are. Rename one of the files.')


def _plan(task: Task[Any], data: Path, options: Options, trained_on: frozenset[str]) -> Plan:
    gold_path, train_path = task.gold_path(data), task.train_path(data)
    gold = task.read_gold([gold_path])
    questions, left_out = _chosen(task, gold, options)
    examples, shots = _examples(task, data, options)
    wording = task.load_wording(options.prompts)
    clusters = None
    shown = {question.id: task.choose_shots(question, examples, shots) for question in questions}
    if options.rotate_choices:
        if not isinstance(task, MultipleChoiceTask):
            raise InputError(f"{task.name}: --rotate-choices is for multiple-choice questions, not {task.protocol}.")
        turned = [(question.id, rotation) for question in questions for rotation in rotations(question)]  # type: ignore[arg-type]
        clusters = [name for name, _ in turned]
        shown = {rotation.id: shown[name] for name, rotation in turned}
        questions = [rotation for _, rotation in turned]
    return Plan(
        task=task,
        wording=wording,
        gold_path=gold_path,
        gold_ids=tuple(question.id for question in gold),
        questions=questions,
        clusters=clusters,
        asked=[one for q in questions for one in _asked(task, q, wording, shown[q.id], plain=options.plain)],
        left_out=left_out,
        shots=shots,
        train_path=train_path,
        train=task.read_gold([train_path]) if train_path else [],
        trained_on=trained_on,
        plain=options.plain,
    )


def _chosen(task: Task[Any], gold: Sequence[Question], options: Options) -> tuple[list[Question], dict[str, int]]:
    """The questions to ask, and how many are not, by reason."""
    asked = task.asked(gold)
    left_out = {"with a picture, a numeral or other choices": len(gold) - len(asked)}
    if options.max_characters:
        limit = MAX_CHARACTERS[task.language]
        short = [question for question in asked if task.characters(question) <= limit]
        left_out[f"over {limit:,} characters"] = len(asked) - len(short)
        asked = short
    left_out[BEYOND_LIMIT] = len(asked) - len(asked[: options.limit])
    asked = asked[: options.limit]
    if not asked:
        raise InputError(f"{task.name}: protocol {task.protocol} asks none of the {len(gold)} questions.")
    return asked, {reason: count for reason, count in left_out.items() if count}


def _examples(task: Task[Any], data: Path, options: Options) -> tuple[list[Any], int]:
    """Solved examples to choose from, and how many stand before a question."""
    if options.fewshot is not None and task.shots:
        path = options.fewshot
    elif options.shots:
        path = task.shots_path(data)
    else:
        return [], 0
    examples = task.read_shots(path)
    if len(examples) < options.shots:
        raise InputError(f"{path}: {len(examples)} solved examples for {task.name}, and --shots {options.shots}.")
    return examples, options.shots or len(examples)


def _asked(
    task: Task[Any], question: Question, wording: Any, examples: Sequence[Question], *, plain: bool
) -> list[Asked]:
    cue = task.cue.get(task.language, "")
    if isinstance(task, LikelihoodTask):
        prompts = [
            Asked(f"{question.id}/{weighed.kind}", weighed.conversation, weighed.continuations)
            for weighed in task.weighed(question, wording, examples)  # type: ignore[arg-type]  # the task's own kind
        ]
    else:
        prompts = [Asked(question.id, task.messages(question, wording, examples))]
    return [_plain(asked, cue) for asked in prompts] if plain else prompts


def _plain(asked: Asked, cue: str) -> Asked:
    conversation: Conversation = asked.prompt  # type: ignore[assignment]  # rendered as one just now
    continuations = tuple(plain_answer(text, cue) for text in asked.continuations)
    return replace(asked, prompt=plain_text(conversation, cue), continuations=continuations)

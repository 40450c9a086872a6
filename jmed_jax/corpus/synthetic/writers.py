"""Who writes: templates filled with facts, or a model that answers prompts. Both take topics and give answers."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from jmed_jax.backends.protocol import Backend, Decoding
from jmed_jax.corpus.synthetic.disease_questions import DiseaseQuestions
from jmed_jax.corpus.synthetic.drug_questions import DrugQuestions
from jmed_jax.corpus.synthetic.exercises import format_exercises
from jmed_jax.corpus.synthetic.facts import Disease, Drug, Facts
from jmed_jax.corpus.synthetic.failures import Failure, find_failure
from jmed_jax.corpus.synthetic.names import fold, fold_spelling
from jmed_jax.corpus.synthetic.prompts import Prompts
from jmed_jax.corpus.synthetic.questions import Questions
from jmed_jax.corpus.synthetic.textbook import disease_section, drug_section
from jmed_jax.corpus.synthetic.wording import templates_text

NOTHING_KNOWN = "nothing known"
TEMPLATE_BATCH = 256


@dataclass(frozen=True)
class Request:
    """A topic, and why the last answer for it was of no use."""

    topic: str
    failed: str = ""


@dataclass(frozen=True)
class Answer:
    """What a writer made of a topic.

    Attributes:
        prompt: sha256 of the rendered conversation, or of the templates.
        failure: why the text is of no use.
        error: why there is no text; the topic is asked for again in another run.
        over_budget: as an error that is not worth recording.
    """

    text: str
    prompt: str
    failure: Failure | None = None
    error: str = ""
    over_budget: bool = False


class Writer(Protocol):
    """Writes on topics."""

    name: str
    batch_size: int
    tries: int
    """How often a topic is asked for whose answers are of no use."""

    def write(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer a request, in their order, independent of the others."""
        ...


class TemplateWriter:
    """States what the lists say, in varied sentences; the choice depends on the seed, the task and the topic alone."""

    name = "template"
    batch_size = TEMPLATE_BATCH
    tries = 1

    def __init__(self, facts: Facts, *, kind: str, task: str, exercises: int, seed: int) -> None:
        self._facts = facts
        self._kind = kind
        self._task = task
        self._exercises = exercises
        self._seed = seed
        self._prompt = _sha256(templates_text())

    def write(self, requests: Sequence[Request]) -> list[Answer]:
        """Text for the topics of which something is known."""
        return [self._write(request.topic) for request in requests]

    def _write(self, topic: str) -> Answer:
        random = Random(f"{self._seed}/{self._kind}/{self._task}/{fold(topic)}")
        known = self._facts.disease(topic) if self._kind == "disease" else self._facts.drug(topic)
        text = self._text(random, known) if known else ""
        return Answer(text, self._prompt, None if text else Failure(NOTHING_KNOWN))

    def _text(self, random: Random, known: Disease | Drug) -> str:
        if isinstance(known, Drug):
            if self._task == "textbook":
                return drug_section(random, known)
            questions: Questions = DrugQuestions(random, self._facts, known)
        else:
            if self._task == "textbook":
                return disease_section(random, self._facts, known)
            questions = DiseaseQuestions(random, self._facts, known)
        return format_exercises(questions.take(self._exercises))


class ModelWriter:
    """Asks a model, and looks at what it answers."""

    def __init__(
        self,
        backend: Backend,
        prompts: Prompts,
        *,
        facts: Facts | None,
        kind: str,
        exercises: int,
        tries: int,
        max_new_tokens: int,
        least_characters: int,
    ) -> None:
        """
        Args:
            facts: give the other names under which a text may treat its topic; without them it must name the topic.
            exercises: how many are asked for; 0 for a textbook section.
            least_characters: of an answer.
        """
        self.name = backend.name
        self.batch_size = backend.batch_size
        self.tries = tries
        self._backend = backend
        self._prompts = prompts
        self._facts = facts
        self._kind = kind
        self._exercises = exercises
        self._max_new_tokens = max_new_tokens
        self._least_characters = least_characters

    def write(self, requests: Sequence[Request]) -> list[Answer]:
        """The model's answers, each with what is wrong with it."""
        conversations = [
            self._prompts.messages(request.topic, count=self._exercises, failed=request.failed) for request in requests
        ]
        completions = self._backend.complete(conversations, Decoding(self._max_new_tokens))
        answers = []
        for request, messages, completion in zip(requests, conversations, completions, strict=True):
            prompt = _sha256(json.dumps(messages, ensure_ascii=False))
            if completion.error:
                answers.append(Answer("", prompt, error=completion.error, over_budget=completion.over_budget))
            else:
                text = completion.text.strip()
                answers.append(Answer(text, prompt, self._failure(request.topic, text)))
        return answers

    def _failure(self, topic: str, text: str) -> Failure | None:
        names = self._facts.names(topic, self._kind) if self._facts else [fold_spelling(topic)]
        wanted = self._exercises > 0
        return find_failure(text, names, least_characters=self._least_characters, exercises=wanted)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

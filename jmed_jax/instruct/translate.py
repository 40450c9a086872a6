"""Questions of one language into the other by a model: every answer looked at, killed and resumed at will.

What is translated goes to `OUT.jsonl` in our own layout (the set "questions"), what failed its checks twice to
`OUT.rejected.jsonl` with the reason, and `OUT.manifest.json` says how they were made.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jmed_jax import __version__
from jmed_jax.artifact import check_free, file_sha256
from jmed_jax.backends.protocol import Backend, Completion, Decoding
from jmed_jax.errors import InputError
from jmed_jax.evaluate.exams.question import Language, MultipleChoiceQuestion
from jmed_jax.evaluate.exams.registry import get_question_set, iter_files, read_questions
from jmed_jax.evaluate.exams.sets.plain import plain_row
from jmed_jax.instruct.manifest import replacing_described, write_manifest
from jmed_jax.instruct.translation_checks import CHECKS, Problem, Translation, check_translation
from jmed_jax.instruct.translation_prompts import TranslationPrompt, translatable
from jmed_jax.journal import Journal, unfinished_directory
from jmed_jax.jsonl import sidecar, write_jsonl
from jmed_jax.progress import track

TRIES = 2
"""A translation that fails a check is asked for once more, with the check named."""


@dataclass
class _Standing:
    """How far a question is: answers so far, the last of them, and what came of it."""

    tries: int = 0
    answer: Mapping[str, str] | None = None
    outcome: Translation | Problem | None = None
    error: str = ""
    """Why the last request had no answer."""

    @property
    def is_open(self) -> bool:
        return not isinstance(self.outcome, Translation) and self.tries < TRIES


def read_untranslated(name: str, path: Path, to: Language) -> list[MultipleChoiceQuestion]:
    """The questions of a set in the other language than `to`, but none without text or choices, or with a picture.

    Raises:
        InputError: the file is missing or damaged, or has no questions in that language.
    """
    source: Language = "en" if to == "ja" else "ja"
    if source not in get_question_set(name).languages:
        raise InputError(f"--set {name} is not in {source}, so there is nothing to translate to {to}.")
    every = read_questions(name, path, source)
    questions = [question for question in every if question.choices and question.text and question.text_only]
    if not questions:
        raise InputError(f"{path}: no questions in {source} with choices, and without a picture.")
    return questions


def translate(
    questions: Sequence[MultipleChoiceQuestion],
    backend: Backend,
    out: Path,
    *,
    to: Language,
    prompts: Mapping[Language, TranslationPrompt],
    max_new_tokens: int,
    source_file: Path,
    leave_unanswered: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Translate questions into `to`. Answers are on disk beside `out` before the next ones are asked for.

    Args:
        source_file: the file or folder that the questions were read from, for provenance.
        leave_unanswered: reject the questions that the model gave no answer for, instead of waiting for another run.

    Returns:
        "translated", "rejected", "asked_twice" and "reasons" (rejected ones by the check that failed).

    Raises:
        InputError: `out` exists, there is an unfinished run with other settings, or questions have no answer yet.
    """
    check_free(out, overwrite)
    prompt = prompts[to]
    config = {"to": to, "model": backend.name, "prompts": prompt.sha256, "max_new_tokens": max_new_tokens}
    settings = {
        **config,
        "questions": _sha256("\n".join(map(_source_sha256, questions))),
        "package": f"jmed_jax {__version__}",
    }
    # Now, because asking takes hours, in which files change.
    inputs = _hashes(source_file)
    with Journal(unfinished_directory(out), settings) as journal:
        run = _Run({question.id: question for question in questions}, backend, prompt, to, max_new_tokens, journal)
        problem, is_spent = run.ask(stop_when_nothing_answers=not leave_unanswered)
        standings = run.standings()
        unanswered = sum(standing.is_open for standing in standings.values())
        if unanswered and (is_spent or not leave_unanswered):
            way_out = "with a larger budget" if is_spent else "and --leave-unanswered finishes without them"
            raise InputError(
                f"{unanswered:,} of {len(questions):,} questions have no translation yet ({problem}). The others are "
                f"kept in {journal.directory}: the same command goes on there, {way_out}."
            )
        counts = _write(questions, standings, out, config, inputs)
        journal.remove()
    return counts


# --- asking -----------------------------------------------------------------------------------------------------------


@dataclass
class _Run:
    """A translation under way."""

    questions: Mapping[str, MultipleChoiceQuestion]
    backend: Backend
    prompt: TranslationPrompt
    to: Language
    max_new_tokens: int
    journal: Journal

    def standings(self) -> dict[str, _Standing]:
        """Where every question stands, by what the journal has."""
        standings = {identifier: _Standing() for identifier in self.questions}
        for _, record in self.journal.records():
            standing = standings[record["id"]]
            standing.error = record.get("error", "")
            if not standing.error:
                standing.tries += 1
                standing.answer = record
                standing.outcome = check_translation(self.questions[record["id"]], record["text"], self.to)
        return standings

    def ask(self, *, stop_when_nothing_answers: bool) -> tuple[str, bool]:
        """Ask for every question that is open, first the new ones; stop when the budget is spent.

        Args:
            stop_when_nothing_answers: stop too when a whole batch has no answer.

        Returns:
            What went wrong last; whether it is that the budget is spent.
        """
        trouble = ""
        standings = self.standings()
        without: set[str] = set()
        for number in range(TRIES):
            due = [
                identifier
                for identifier, standing in standings.items()
                if standing.is_open and standing.tries == number and identifier not in without
            ]
            size = self.backend.batch_size
            batches = [due[start : start + size] for start in range(0, len(due), size)]
            for batch in track(batches, f"Translating, try {number + 1}", unit="batches"):
                completions = self._ask_batch(batch, standings)
                failed = {i: c.error for i, c in zip(batch, completions, strict=True) if c.error}
                without |= failed.keys()
                trouble = next(iter(failed.values()), trouble)
                if any(completion.over_budget for completion in completions):
                    return trouble, True
                if stop_when_nothing_answers and len(failed) == len(batch):
                    return trouble, False
            standings = self.standings()
        return trouble, False

    def _ask_batch(self, batch: Sequence[str], standings: Mapping[str, _Standing]) -> list[Completion]:
        conversations = [self._conversation(identifier, standings[identifier]) for identifier in batch]
        completions = self.backend.complete(conversations, Decoding(self.max_new_tokens))
        today = time.strftime("%Y-%m-%d", time.gmtime())
        self.journal.append(
            [
                {"id": identifier, "date": today}
                | ({"error": completion.error} if completion.error else {"text": completion.text})
                for identifier, completion in zip(batch, completions, strict=True)
                if not completion.over_budget
            ]
        )
        return completions

    def _conversation(self, identifier: str, standing: _Standing) -> list[Mapping[str, str]]:
        question = self.questions[identifier]
        if standing.answer is None:
            return self.prompt.ask(question)
        return self.prompt.ask_again(question, standing.answer["text"], str(standing.outcome))


# --- writing ----------------------------------------------------------------------------------------------------------


def _write(
    questions: Sequence[MultipleChoiceQuestion],
    standings: Mapping[str, _Standing],
    out: Path,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
) -> dict[str, Any]:
    rejected = sidecar(out, "rejected.jsonl")
    finished = [(question, standings[question.id]) for question in questions]
    with replacing_described(out, rejected) as (new, new_rejected):
        translated = write_jsonl(new, _translated_rows(finished, config))
        write_jsonl(new_rejected, _rejected_rows(finished))
    problems = [problem for _, standing in finished if (problem := _problem(standing))]
    counts = {
        "translated": translated,
        "rejected": len(problems),
        "asked_twice": sum(standing.tries > 1 for _, standing in finished),
        "reasons": dict(Counter(problem.check for problem in problems).most_common()),
    }
    described = {**config, "checks": list(CHECKS)}
    write_manifest(out, "translation", config=described, inputs=inputs, counts=counts, files=[out, rejected])
    return counts


def _translated_rows(
    finished: Sequence[tuple[MultipleChoiceQuestion, _Standing]], config: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    for question, standing in finished:
        if isinstance(standing.outcome, Translation):
            assert standing.answer is not None
            translated = replace(
                question,
                language=config["to"],
                text=standing.outcome.text,
                choices=standing.outcome.choices,
                explanation=standing.outcome.explanation,
            )
            provenance = {
                "source_id": question.id,
                "source_sha256": _source_sha256(question),
                "translated_from": question.language,
                "model": config["model"],
                "prompts": config["prompts"],
                "date": standing.answer["date"],
                "tries": standing.tries,
                "checks": list(CHECKS),
            }
            yield plain_row(translated) | {"provenance": provenance}


def _rejected_rows(finished: Sequence[tuple[MultipleChoiceQuestion, _Standing]]) -> Iterator[dict[str, Any]]:
    for question, standing in finished:
        if problem := _problem(standing):
            yield {
                "id": question.id,
                "source": question.source,
                "check": problem.check,
                "reason": str(problem),
                "answer": standing.answer["text"] if standing.answer else "",
                "original": translatable(question),
            }


def _problem(standing: _Standing) -> Problem | None:
    """Why there is no translation; None where there is one."""
    if isinstance(standing.outcome, Translation):
        return None
    if standing.is_open:
        return Problem("answer", standing.error or "none")
    return standing.outcome


def _hashes(source: Path) -> dict[str, str]:
    """sha256 of a file of questions, or of every one in a folder, by the name within it."""
    if not source.is_dir():
        return {source.name: file_sha256(source)}
    return {file.relative_to(source).as_posix(): file_sha256(file) for file in iter_files(source)}


def _source_sha256(question: MultipleChoiceQuestion) -> str:
    return _sha256(json.dumps([question.id, translatable(question)], ensure_ascii=False))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

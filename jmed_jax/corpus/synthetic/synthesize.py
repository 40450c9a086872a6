"""From topics to a "synthetic" artefact: every topic asked for until its answer is of use, killed and resumed at will.

Several generators are several runs, each with a directory and a source of its own: on the same topics as in arXiv
2412.16423 §2.1, or on a share each (`topics.share_topics`).
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from jmed_jax import __version__, artifact
from jmed_jax.artifact import Artifact
from jmed_jax.corpus.documents import REPORT_FILE
from jmed_jax.corpus.record import Examples, Problems, Tally
from jmed_jax.corpus.synthetic.exercises import Exercise, format_exercises, parse_exercises
from jmed_jax.corpus.synthetic.names import fold
from jmed_jax.corpus.synthetic.writers import NOTHING_KNOWN, Answer, Request, Writer
from jmed_jax.errors import InputError
from jmed_jax.journal import Journal, unfinished_directory
from jmed_jax.jsonl import write_jsonl
from jmed_jax.progress import track

DOCUMENTS_FILE = "documents.jsonl.zst"


@dataclass(frozen=True)
class SynthesisConfig:
    """What is written, and how it is labelled."""

    kind: str
    """Of the topics: "disease" or "drug"."""
    task: str
    """"textbook", "physician_exam" or "pharmacist_exam"."""
    title: str
    """Of the documents; its field is {topic}."""
    license: str
    exercises: int = 0
    """Of a topic; 0 for textbook sections."""
    seed: int = 0


@dataclass
class _Standing:
    """How far a topic is: answers so far, why the last was of no use, and the place of the one that stays."""

    tries: int = 0
    failed: str = ""
    place: int | None = None

    def is_open(self, tries: int) -> bool:
        return self.place is None and self.failed != NOTHING_KNOWN and self.tries < tries


def synthesize(
    topics: Sequence[str],
    writer: Writer,
    config: SynthesisConfig,
    out: Path,
    *,
    settings: Mapping[str, Any],
    inputs: Mapping[str, str] | None = None,
    leave_unanswered: bool = False,
    overwrite: bool = False,
) -> Artifact:
    """Write documents on topics into a "synthetic" artefact: `documents.jsonl.zst` and `report.json`.

    Answers are on disk beside `out` before the next ones are asked for; the same call goes on with them.

    Args:
        settings: whatever else the answers depend on; a run with others does not go on with them.
        inputs: fingerprints of the files that it depends on.
        leave_unanswered: leave out the topics for which the model gave no answer, instead of waiting for another run.

    Raises:
        InputError: `out` exists, there is an unfinished run with other settings, topics have no answer yet, or no
            document came out.
    """
    artifact.check_free(out, overwrite)
    configured = {
        **asdict(config),
        "generator": writer.name,
        "tries": writer.tries,
        **settings,
        "topics": hashlib.sha256("\n".join(topics).encode()).hexdigest(),
        "package": f"jmed_jax {__version__}",
    }
    directory = unfinished_directory(out)
    with Journal(directory, {**configured, "inputs": dict(inputs or {})}) as journal:
        asked = _ask(topics, writer, journal, stop_when_nothing_answers=not leave_unanswered)
        standings, problem, stopped = asked
        unanswered = sum(standing.is_open(writer.tries) for standing in standings.values())
        if unanswered and (stopped or not leave_unanswered):
            raise InputError(
                f"{unanswered:,} of {len(topics):,} topics have no answer yet ({problem}). The others are kept in "
                f"{directory}: the same command goes on there, and --leave-unanswered finishes without them."
            )
        with artifact.create(out, "synthetic", configured, overwrite=overwrite) as draft:
            report = _Report(config, writer.name, journal, standings)
            write_jsonl(draft.path / DOCUMENTS_FILE, report.documents(topics))
            if not report.written.documents:
                raise InputError(f"no document came out of {len(topics):,} topics ({report.summary()}).")
            text = json.dumps(report.to_json(), ensure_ascii=False, indent=1) + "\n"
            (draft.path / REPORT_FILE).write_text(text, encoding="utf-8")
            draft.inputs.update(inputs or {})
            draft.counts.update(report.counts())
        journal.remove()
    return artifact.open_artifact(out, "synthetic")


# --- asking -----------------------------------------------------------------------------------------------------------


def _ask(
    topics: Sequence[str], writer: Writer, journal: Journal, *, stop_when_nothing_answers: bool
) -> tuple[dict[str, _Standing], str, bool]:
    """Ask for every topic that is open, round by round.

    Returns:
        Where every topic stands; what went wrong last; whether topics were not even asked for.
    """
    standings = _replay(topics, journal)
    problem = ""
    without: set[str] = set()
    for number in range(writer.tries):
        due = [
            topic
            for topic, standing in standings.items()
            if standing.is_open(writer.tries) and standing.tries <= number and topic not in without
        ]
        batches = [due[start : start + writer.batch_size] for start in range(0, len(due), writer.batch_size)]
        for batch in track(batches, f"Writing, answer {number + 1} of a topic", unit="batches"):
            answers = writer.write([Request(topic, standings[topic].failed) for topic in batch])
            told = [(topic, answer) for topic, answer in zip(batch, answers, strict=True) if not answer.over_budget]
            journal.append([_record(topic, answer) for topic, answer in told])
            errors = {topic: answer.error for topic, answer in zip(batch, answers, strict=True) if answer.error}
            without |= errors.keys()
            problem = next(iter(errors.values()), problem)
            # When nothing is answered any more, the other topics need not wait for it too.
            if len(told) < len(batch) or (stop_when_nothing_answers and len(errors) == len(batch)):
                return _replay(topics, journal), problem, True
        standings = _replay(topics, journal)
    return standings, problem, False


def _record(topic: str, answer: Answer) -> dict[str, str]:
    if answer.error:
        return {"topic": topic, "error": answer.error}
    record = {"topic": topic, "prompt": answer.prompt, "text": answer.text}
    return record | ({"failure": answer.failure.reason, "detail": answer.failure.detail} if answer.failure else {})


def _replay(topics: Sequence[str], journal: Journal) -> dict[str, _Standing]:
    standings = {topic: _Standing() for topic in topics}
    for place, record in journal.records():
        if "error" in record:
            continue
        standing = standings[record["topic"]]
        standing.tries += 1
        standing.failed = record.get("failure", "")
        if not standing.failed:
            standing.place = place
    return standings


# --- writing ----------------------------------------------------------------------------------------------------------


@dataclass
class _Report:
    """The documents, and what became of every answer."""

    config: SynthesisConfig
    generator: str
    journal: Journal
    standings: Mapping[str, _Standing]
    written: Tally = field(default_factory=Tally)
    samples: Examples = field(default_factory=Examples)
    exercises: int = 0
    malformed: Counter[str] = field(default_factory=Counter)

    def documents(self, topics: Sequence[str]) -> Iterator[dict[str, Any]]:
        """The documents in the order of the topics."""
        for topic in topics:
            place = self.standings[topic].place
            if place is not None:
                row = self._row(topic, self.journal.read(place))
                self.written.add(row["text"])
                self.samples.add(row["id"], row["text"])
                yield row

    def _row(self, topic: str, record: Mapping[str, str]) -> dict[str, Any]:
        config = self.config
        text, exercises = record["text"], list[Exercise]()
        if config.exercises:
            exercises, malformed = parse_exercises(text)
            exercises = exercises[: config.exercises]
            self.exercises += len(exercises)
            self.malformed.update(malformed)
            text = format_exercises(exercises)
        row: dict[str, Any] = {
            "id": self._id(topic),
            "title": config.title.format(topic=topic),
            "text": text,
            "source": f"synthetic {config.kind} {config.task} ({self.generator})",
            "license": config.license,
            "provenance": {
                "topic": topic,
                "kind": config.kind,
                "task": config.task,
                "generator": self.generator,
                "prompt": record["prompt"],
                "package": f"jmed_jax {__version__}",
                "seed": config.seed,
            },
        }
        return row | ({"exercises": [exercise.to_json() for exercise in exercises]} if exercises else {})

    def _id(self, topic: str) -> str:
        key = f"{self.generator}\n{self.config.kind}\n{fold(topic)}"
        return f"{self.config.task}-{hashlib.blake2b(key.encode(), digest_size=10).hexdigest()}"

    def counts(self) -> dict[str, Any]:
        """Numbers for the manifest."""
        standings = self.standings.values()
        skipped = sum(standing.failed == NOTHING_KNOWN for standing in standings)
        failed = sum(bool(standing.failed) for standing in standings) - skipped
        return {
            "documents": self.written.documents,
            "characters": self.written.characters,
            **({"exercises": self.exercises} if self.config.exercises else {}),
            "topics": len(self.standings),
            "topics_skipped": skipped,
            "topics_failed": failed,
            "topics_unanswered": sum(not standing.tries for standing in standings),
        }

    def summary(self) -> str:
        """What became of the topics, in words."""
        return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in self.counts().items() if count)

    def to_json(self) -> dict[str, Any]:
        """Counts and examples of everything."""
        failures: dict[str, Tally] = {}
        examples: dict[str, Examples] = {}
        errors = Problems()
        answers: Counter[str] = Counter()
        for _, record in self.journal.records():
            if "error" in record:
                errors.add(record["error"], record["topic"])
                continue
            answers[record["topic"]] += 1
            if reason := record.get("failure", ""):
                failures.setdefault(reason, Tally()).add(record["text"])
                identifier = f"{record['topic']} (answer {answers[record['topic']]})"
                examples.setdefault(reason, Examples()).add(identifier, record["text"], record["detail"])
        return {
            **self.counts(),
            "answers_of_no_use": {
                reason: failures[reason].to_json() | {"examples": examples[reason].to_json()}
                for reason in sorted(failures)
            },
            "malformed_exercises": dict(sorted(self.malformed.items())),
            "errors": errors.to_json(),
            "samples": self.samples.to_json(),
        }

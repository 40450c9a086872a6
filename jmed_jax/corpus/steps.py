"""The datatrove pipeline steps of a corpus build: read, clean, filter, decontaminate, keep.

Each counts what it does in a record of its own, written when a task has gone through; `corpus.finish` merges them.
"""

import json
import sys
import time
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.writers.jsonl import JsonlWriter

from jmed_jax.artifact import file_sha256, replacing
from jmed_jax.corpus.config import CorpusConfig
from jmed_jax.corpus.decontaminate import EvaluationSpans
from jmed_jax.corpus.documents import SHARD_PREFIX
from jmed_jax.corpus.filters import Filter
from jmed_jax.corpus.personal_data import clean_document
from jmed_jax.corpus.record import Records
from jmed_jax.corpus.sources import read_documents
from jmed_jax.corpus.sources.listing import label
from jmed_jax.corpus.tasks import Task
from jmed_jax.jsonl import read_jsonl, write_jsonl
from jmed_jax.tokenizer.clean import clean

SECONDS_BETWEEN_LINES = 30.0
RECORD_SUFFIX = ".record.json"
INPUTS_SUFFIX = ".inputs.json"
CONTAMINATED_SUFFIX = ".contaminated.jsonl"


def write_json(path: Path, value: Any) -> None:
    """Write JSON under its final name only when it is complete."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


class RecordingStep(PipelineStep):
    """A step that counts by source what it does.

    Args:
        records: folder of the records; one file a task and step.
    """

    type = "corpus"

    def __init__(self, records: Path) -> None:
        super().__init__()
        self.folder = records

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        records = Records()
        yield from self.process(data, records, rank)
        write_json(self.folder / f"{rank:05d}-{self.name}{RECORD_SUFFIX}", records.to_json())

    @abstractmethod
    def process(self, data: Iterable[Document], records: Records, rank: int) -> Iterator[Document]:
        """Yield what goes on to the next step, and count."""


class Read(RecordingStep):
    """The documents of a task's files, as they are."""

    name = "read"

    def __init__(self, tasks: Sequence[Task], records: Path) -> None:
        super().__init__(records)
        self.tasks = tasks

    def process(self, data: Iterable[Document], records: Records, rank: int) -> Iterator[Document]:
        hashes: dict[str, str] = {}
        pulse = _Pulse(f"Corpus, clean, task {rank + 1} of {len(self.tasks)}")
        for source, inputs in groupby(self.tasks[rank], key=lambda entry: entry.source):
            record = records[source.name]
            files = [path for _, path in inputs]
            for document in read_documents(source, files, record.problems):
                record.read.add(document.text)
                pulse.beat(record.read.documents, record.read.characters)
                record.licenses[document.metadata["license"]] += 1
                yield document
            hashes |= {f"{source.name}/{label(source, path)}": file_sha256(path) for path in files}
        write_json(self.folder / f"{rank:05d}{INPUTS_SUFFIX}", hashes)


class _Pulse:
    """Says now and then how far a long task is; past the log that datatrove's output goes to."""

    def __init__(self, label: str) -> None:
        self.label = label
        self._last = time.monotonic()

    def beat(self, documents: int, characters: int) -> None:
        now = time.monotonic()
        if now - self._last > SECONDS_BETWEEN_LINES:
            self._last = now
            text = f"{self.label}: {documents:,} documents, {characters / 1e6:,.0f} M characters"
            print(text, file=sys.__stderr__, flush=True)


class Clean(RecordingStep):
    """Cleaning and removal of personal data (arXiv 2412.16423 §2.2); drops documents of which nothing is left."""

    name = "clean"

    def __init__(self, personal_data: Sequence[str], records: Path) -> None:
        super().__init__(records)
        self.personal_data = personal_data

    def process(self, data: Iterable[Document], records: Records, rank: int) -> Iterator[Document]:
        for document in data:
            record = records[document.metadata["source"]]
            text, removed = clean_document(document.text, self.personal_data)
            document.text = text.strip()
            if "title" in document.metadata:
                document.metadata["title"] = clean(document.metadata["title"]).strip()
            record.personal_data.update(removed)
            record.cleaned.add(document.text)
            if document.text:
                yield document
            else:
                record.drop("empty", document.id, "")


class Judge(RecordingStep):
    """The filters, in their order; the first that drops a document is the one that counts."""

    name = "filter"

    def __init__(self, filters: Sequence[Filter], config: CorpusConfig, records: Path) -> None:
        super().__init__(records)
        self.filters = {
            source.name: [filter_ for filter_ in filters if filter_.name not in source.skip_filters]
            for source in config.sources
        }

    def process(self, data: Iterable[Document], records: Records, rank: int) -> Iterator[Document]:
        for document in data:
            record = records[document.metadata["source"]]
            for filter_ in self.filters[document.metadata["source"]]:
                value = filter_.measure(document)
                record.measure(filter_.name, filter_.bin(value))
                if filter_.drops(value):
                    record.drop(filter_.name, document.id, document.text, f"{value:.3g}")
                    break
            else:
                yield document


class Decontaminate(RecordingStep):
    """Drops and lists documents that share a long span with a test question."""

    name = "decontaminate"

    def __init__(self, evaluation_sets: Sequence[Path], span: int, records: Path) -> None:
        super().__init__(records)
        self.evaluation_sets = tuple(evaluation_sets)
        self.span = span

    def process(self, data: Iterable[Document], records: Records, rank: int) -> Iterator[Document]:
        spans = _read_spans(self.evaluation_sets, self.span)
        rows = []
        for document in data:
            found = spans.find(document.text)
            if found is None:
                yield document
                continue
            source = document.metadata["source"]
            records[source].drop("contaminated", document.id, document.text, found[1])
            rows.append({"id": document.id, "source": source, "evaluation_set": found[0], "span": found[1]})
        with replacing(self.folder / f"{rank:05d}{CONTAMINATED_SUFFIX}") as temporary:
            write_jsonl(temporary, rows)


# Once a process, not once a task.
@lru_cache(maxsize=1)
def _read_spans(evaluation_sets: tuple[Path, ...], span: int) -> EvaluationSpans:
    return EvaluationSpans.read(evaluation_sets, span)


class Keep(RecordingStep):
    """Counts what stands in the corpus."""

    name = "keep"

    def process(self, data: Iterable[Document], records: Records, rank: int) -> Iterator[Document]:
        for document in data:
            records[document.metadata["source"]].keep(document.id, document.text)
            yield document


class DropRecorder:
    """In the place of a datatrove filter's exclusion writer: counts what the filter drops."""

    def __init__(self, reason: str, records: Path) -> None:
        self.reason = reason
        self.folder = records

    def __enter__(self) -> "DropRecorder":
        self._records: dict[int, Records] = {}
        return self

    def write(self, document: Document, rank: int = 0) -> None:
        """Count one."""
        record = self._records.setdefault(rank, Records())[document.metadata["source"]]
        record.drop(self.reason, document.id, document.text)

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is None:
            for rank, records in self._records.items():
                write_json(self.folder / f"{rank:05d}-{self.reason}{RECORD_SUFFIX}", records.to_json())


# --- shards -----------------------------------------------------------------------------------------------------------


class ReadShard(PipelineStep):
    """The documents that `ShardWriter` wrote for the same task; unlike datatrove's reader it skips no broken line."""

    type = "corpus"
    name = "read shard"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for _, row in read_jsonl(self.folder / f"{rank:05d}.jsonl.zst"):
            yield Document(text=row["text"], id=row["id"], metadata=row["metadata"])


class ShardWriter(JsonlWriter):
    """Documents with all their metadata, for the next stage."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), output_filename="${rank}.jsonl.zst", compression="zstd")

    def run(self, data: Any, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        # A file for a task that keeps nothing too, so that one that is missing is an error.
        self.output_mg.get_file(f"{rank:05d}.jsonl.zst")
        yield from super().run(data, rank, world_size)


class CorpusWriter(JsonlWriter):
    """The finished documents: id, text, source, license, origin, and title and provenance where there are any."""

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), output_filename=SHARD_PREFIX + "${rank}.jsonl.zst", compression="zstd")

    def _default_adapter(self, document: Document) -> dict[str, Any]:
        metadata = document.metadata
        row = {"id": document.id, "text": document.text}
        row |= {name: metadata[name] for name in ("source", "license", "origin")}
        return row | {name: metadata[name] for name in ("title", "provenance") if metadata.get(name)}

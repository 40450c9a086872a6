"""Raw sources to a "corpus" artefact: cleaned, filtered documents and a record of what was dropped."""

import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from jmed_jax import artifact
from jmed_jax.artifact import Artifact
from jmed_jax.corpus.filters import Filter, default_filters
from jmed_jax.corpus.sources import Document, list_source_files, read_documents
from jmed_jax.errors import InputError
from jmed_jax.jsonl import open_text
from jmed_jax.progress import track
from jmed_jax.tokenizer.clean import RULES_VERSION, clean

DROPPED_FILE = "dropped.json"
# About 150 MB of text, 40 MB compressed: small enough to copy, and to share out among workers.
SHARD_CHARACTERS = 50_000_000
SAMPLES = 5
SAMPLE_CHARACTERS = 200


def build_corpus(
    sources: Sequence[Path],
    out: Path,
    *,
    text_field: str = "text",
    filters: Sequence[Filter] | None = None,
    overwrite: bool = False,
) -> Artifact:
    """Clean and filter documents, one at a time, into a "corpus" artefact (arXiv 2412.16423 §2.1).

    It holds `documents-*.jsonl.zst` with id, text, source and license, and `dropped.json` with a few examples of what
    each filter dropped. The manifest counts by file what was kept and what was dropped, and why.

    Args:
        sources: files or directories, see `read_documents`.
        filters: the default ones if None.

    Raises:
        InputError: a source is missing or malformed, no document is left, or `out` exists.
    """
    artifact.check_free(out, overwrite)
    filters = default_filters() if filters is None else filters
    files = list_source_files(sources)
    config = {
        "text_field": text_field,
        "cleaning_rules": RULES_VERSION,
        "filters": {filter_.name: filter_.threshold for filter_ in filters},
    }
    with artifact.create(out, "corpus", config, overwrite=overwrite) as draft:
        tally = _Tally()
        documents = track(read_documents(files, text_field=text_field), "Building the corpus", unit="documents")
        _write_shards(_keep(documents, filters, tally), draft.path)
        if tally.documents == 0:
            raise InputError(f"{', '.join(map(str, sources))}: no document is left. {tally.summary()}")
        (draft.path / DROPPED_FILE).write_text(tally.dropped_json(filters), encoding="utf-8")
        draft.inputs.update({path.name: artifact.file_sha256(path) for path in files})
        draft.counts.update(tally.counts())
    return artifact.open_artifact(out, "corpus")


# --- keeping and dropping ---------------------------------------------------------------------------------------------


@dataclass
class _Tally:
    """What was kept and dropped, by the file it came from, with a random sample of each filter's."""

    kept: Counter[str] = field(default_factory=Counter)
    characters: Counter[str] = field(default_factory=Counter)
    dropped: dict[str, Counter[str]] = field(default_factory=dict)
    samples: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    @property
    def documents(self) -> int:
        return self.kept.total()

    def keep(self, document: Document) -> None:
        self.kept[document.file] += 1
        self.characters[document.file] += len(document.text)

    def drop(self, document: Document, reason: str) -> None:
        by_file = self.dropped.setdefault(reason, Counter())
        by_file[document.file] += 1
        example = {"id": document.id, "file": document.file, "text": document.text[:SAMPLE_CHARACTERS]}
        samples = self.samples.setdefault(reason, [])
        # Reservoir sampling: every dropped document is as likely to be shown.
        if len(samples) < SAMPLES:
            samples.append(example)
        elif (place := self._random.randrange(by_file.total())) < SAMPLES:
            samples[place] = example

    def summary(self) -> str:
        reasons = ", ".join(f"{reason} {counts.total():,}" for reason, counts in self.dropped.items())
        return f"Dropped: {reasons}." if reasons else "The sources are empty."

    def counts(self) -> dict[str, Any]:
        files = sorted(self.kept | Counter({name: 1 for counts in self.dropped.values() for name in counts}))
        return {
            "documents": self.documents,
            "characters": self.characters.total(),
            "dropped": {reason: counts.total() for reason, counts in self.dropped.items()},
            "sources": {
                name: {
                    "documents": self.kept[name],
                    "characters": self.characters[name],
                    "dropped": {reason: counts[name] for reason, counts in self.dropped.items() if counts[name]},
                }
                for name in files
            },
        }

    def dropped_json(self, filters: Sequence[Filter]) -> str:
        record = {
            filter_.name: {
                "threshold": filter_.threshold,
                "dropped": self.dropped.get(filter_.name, Counter()).total(),
                "examples": self.samples.get(filter_.name, []),
            }
            for filter_ in filters
        }
        return json.dumps(record, ensure_ascii=False, indent=1) + "\n"


def _keep(documents: Iterable[Document], filters: Sequence[Filter], tally: _Tally) -> Iterator[Document]:
    for raw in documents:
        document = Document(raw.id, clean(raw.text).strip(), raw.source, raw.license, clean(raw.title), raw.file)
        reason = next((filter_.name for filter_ in filters if filter_.drops(document.text)), None)
        if reason is None:
            tally.keep(document)
            yield document
        else:
            tally.drop(document, reason)


# --- writing ----------------------------------------------------------------------------------------------------------


def _write_shards(documents: Iterable[Document], directory: Path) -> None:
    shard, room = 0, 0
    stream: IO[str] | None = None
    try:
        for document in documents:
            if stream is None or room <= 0:
                if stream is not None:
                    stream.close()
                stream = open_text(directory / f"documents-{shard:05d}.jsonl.zst", "w")
                shard, room = shard + 1, SHARD_CHARACTERS
            stream.write(json.dumps(_row(document), ensure_ascii=False) + "\n")
            room -= len(document.text)
    finally:
        if stream is not None:
            stream.close()


def _row(document: Document) -> dict[str, str]:
    row = {"id": document.id, "text": document.text, "source": document.source, "license": document.license}
    return row | {"title": document.title} if document.title else row

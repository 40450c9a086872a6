"""The documents of a corpus artefact: `documents-*.jsonl.zst`, an object a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jmed_jax import artifact
from jmed_jax.artifact import Artifact
from jmed_jax.jsonl import read_jsonl

SHARD_PREFIX = "documents-"
REPORT_FILE = "report.json"


def iter_documents(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the documents of a corpus artefact: id, text, source, license, origin, and title where there is one.

    Raises:
        InputError: `path` is no corpus, or a shard is damaged.
    """
    for name in document_shards(artifact.open_artifact(path, "corpus")):
        for _, row in read_jsonl(path / name):
            yield row


def document_shards(corpus: Artifact) -> list[str]:
    """Names of the files that hold the documents, in order."""
    return [name for name in sorted(corpus.files) if name.startswith(SHARD_PREFIX)]


def iter_corpus(path: Path) -> Iterator[str]:
    """Yield the texts of a corpus artefact, in order.

    Raises:
        InputError: as `iter_documents`.
    """
    for row in iter_documents(path):
        yield row["text"]

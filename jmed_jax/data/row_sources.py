"""What rows were packed from, by name, with licences: for the model card of what is trained on them."""

import json
from collections.abc import Sequence
from pathlib import Path

from jmed_jax.corpus.documents import REPORT_FILE
from jmed_jax.jsonl import sidecar

Sources = dict[str, list[str]]
"""Name of a source → licences of its documents; none where nothing says."""


def corpus_sources(corpus: Path) -> Sources:
    """The sources of a corpus artefact that have documents in it."""
    records = json.loads((corpus / REPORT_FILE).read_text(encoding="utf-8"))["sources"]
    return {name: sorted(record["licenses"]) for name, record in records.items() if record["kept"]["documents"]}


def conversation_sources(files: Sequence[Path]) -> Sources:
    """The sources of conversation files, as the manifests beside them say (`jmed data instructions` writes one); of a
    file without one, its name.
    """
    sources: Sources = {}
    for file in files:
        stem = file.name.partition(".json")[0]
        manifest = sidecar(file, "manifest.json")
        content = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
        sources |= content.get("config", {}).get("licenses") or {stem: []}
    return sources

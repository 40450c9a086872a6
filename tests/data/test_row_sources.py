"""Sources and licences of rows, out of what stands beside a corpus or conversations."""

import json
from pathlib import Path

from jmed_jax.corpus.documents import REPORT_FILE
from jmed_jax.data.row_sources import conversation_sources, corpus_sources


def test_a_corpus_names_the_sources_that_have_documents_with_their_licences(tmp_path: Path) -> None:
    def record(kept: int, *licenses: str) -> dict:
        return {"kept": {"documents": kept}, "licenses": dict.fromkeys(licenses, 1)}

    sources = {"wiki": record(5, "CC-BY-SA-4.0"), "mixed": record(2, "MIT", "Apache-2.0"), "none": record(0, "MIT")}
    (tmp_path / REPORT_FILE).write_text(json.dumps({"sources": sources}))
    assert corpus_sources(tmp_path) == {"wiki": ["CC-BY-SA-4.0"], "mixed": ["Apache-2.0", "MIT"]}


def test_conversations_are_named_by_the_manifest_beside_them_or_by_their_file(tmp_path: Path) -> None:
    manifest = {"config": {"licenses": {"medqa": ["MIT"], "denqa": ["CC-BY-4.0"]}}}
    (tmp_path / "exam.manifest.json").write_text(json.dumps(manifest))
    files = [tmp_path / "exam.jsonl.gz", tmp_path / "own.jsonl"]
    assert conversation_sources(files) == {"medqa": ["MIT"], "denqa": ["CC-BY-4.0"], "own": []}
    # The manifest of exam.jsonl.gz says nothing of another file whose name begins so.
    assert conversation_sources([tmp_path / "exam.ja.jsonl"]) == {"exam.ja": []}

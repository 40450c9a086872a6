"""MedMCQA: the development set, the one with public answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jmed_jax.fetch.convert.downloads import Downloads
from jmed_jax.jsonl import write_jsonl

HOME = "aistairc/medLLM_QA_benchmark"


def convert(downloads: Downloads, out: Path) -> None:
    """Write `medmcqa/`."""
    (out / "medmcqa").mkdir()
    write_jsonl(out / "medmcqa" / "dev.jsonl", _questions(downloads))


def _questions(downloads: Downloads) -> Iterator[dict[str, Any]]:
    for row in downloads.rows(HOME, "data/en/MedMCQA/medmcqa.jsonl"):
        yield {
            "id": row["problem_id"],
            "question": row["problem_text"],
            "choices": row["choices"],
            "answer": row["answer"][0].upper(),
        }

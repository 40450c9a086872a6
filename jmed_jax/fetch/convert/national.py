"""DenQA and JJSIMQA, in the one layout of the collection that carries them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jmed_jax.fetch.convert.downloads import Downloads
from jmed_jax.jsonl import write_jsonl

HOME = "aistairc/medLLM_QA_benchmark"


def convert_denqa(downloads: Downloads, out: Path) -> None:
    """Write `denqa/`: the dental examination."""
    (out / "denqa").mkdir()
    write_jsonl(out / "denqa" / "questions.jsonl", _denqa(downloads))


def convert_jjsimqa(downloads: Downloads, out: Path) -> None:
    """Write `jjsimqa/`: self-assessment questions of a journal of internal medicine."""
    (out / "jjsimqa").mkdir()
    write_jsonl(out / "jjsimqa" / "questions.jsonl", _jjsimqa(downloads))


def _denqa(downloads: Downloads) -> Iterator[dict[str, Any]]:
    for row in downloads.rows(HOME, "data/ja/DenQA/denqa.jsonl"):
        # "NA": the question has no usable key.
        answer = [] if row["answer"] == "NA" else row["answer"]
        yield {
            "problem_id": row["problem_id"],
            "problem_text": row["problem_text"],
            "choices": row["choices"],
            "answer": answer,
            "points": int(row["points"]),
            "text_only": row["text_only"],
            "scorable": bool(answer),
        }


def _jjsimqa(downloads: Downloads) -> Iterator[dict[str, Any]]:
    for row in downloads.rows(HOME, "data/ja/JJSIMQA/jjsimqa.jsonl"):
        yield {
            "problem_id": row["problem_id"],
            "problem_text": row["problem_text"],
            "choices": row["choices"],
            "text_only": row["text_only"],
            # A few keys hold the comma between their letters as if it were one.
            "answer": [letter for letter in row["answer"] if letter.isalpha()],
            "points": int(row["points"]),
        }

"""IgakuQA119: the Japanese medical licensing examination of 2025, as its makers read it from the printed booklet."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jmed_jax.fetch.convert.downloads import Downloads
from jmed_jax.jsonl import write_jsonl

HOME = "docto-rin/IgakuQA119"
YEAR = 2025
KEYS = "results/correct_answers.csv"
_LETTER = re.compile(r"^\s*[a-j][.．]\s*")


def convert(downloads: Downloads, out: Path) -> None:
    """Write `igakuqa119/`."""
    (out / "igakuqa119").mkdir()
    write_jsonl(out / "igakuqa119" / "questions.jsonl", _questions(downloads))


def _questions(downloads: Downloads) -> Iterator[dict[str, Any]]:
    keys = {row["問題番号"]: row["解答"] for row in downloads.records(HOME, KEYS, ("問題番号", "解答"))}
    for section in "ABCDEF":
        for row in downloads.json(HOME, f"questions/119{section}_json.json"):
            yield {
                "problem_id": row["number"],
                "year": YEAR,
                "section": section,
                "problem_text": row["question"].strip(),
                "choices": [_LETTER.sub("", choice).strip() for choice in row["choices"]],
                "answer": _answer(keys[row["number"]]),
                "text_only": not row["has_image"],
            }


def _answer(key: str) -> list[str]:
    """ "ac", "a,c" → ["a", "c"]; a numeral stays whole."""
    return re.findall("[a-j]", key.lower()) or [key.strip().removesuffix(".0")]

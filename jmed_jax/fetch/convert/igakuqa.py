"""IgakuQA: the Japanese medical licensing examination of five years, with translation, metadata and predictions."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from jmed_jax.fetch.convert.downloads import Downloads
from jmed_jax.jsonl import write_jsonl

HOME = "jungokasai/IgakuQA"
EXAMS = {2018: 112, 2019: 113, 2020: 114, 2021: 115, 2022: 116}
SECTIONS = "ABCDEF"
SYSTEMS = ("gpt4", "chatgpt", "gpt3", "student-majority", "translate_chatgpt-en")


def convert(downloads: Downloads, out: Path) -> None:
    """Write `igakuqa/`."""
    folder = out / "igakuqa"
    for name in ("ja", "en", "metadata"):
        (folder / name).mkdir(parents=True)
    for year in EXAMS:
        japanese = list(_questions(downloads, year))
        write_jsonl(folder / "ja" / f"{year}.jsonl", japanese)
        write_jsonl(folder / "en" / f"{year}.jsonl", _translations(downloads, year, japanese))
        metadata = (downloads.rows(HOME, _file("data", year, section, "metadata")) for section in SECTIONS)
        write_jsonl(folder / "metadata" / f"{year}.jsonl", chain.from_iterable(metadata))
    write_jsonl(folder / "reference_predictions.jsonl", _predictions(downloads))
    write_jsonl(folder / "fewshot.jsonl", downloads.rows(HOME, "scripts/prompts/prompt_translate.jsonl"))


def _file(folder: str, year: int, section: str, kind: str = "") -> str:
    return f"{folder}/{year}/{EXAMS[year]}-{section}{'_' if kind else ''}{kind}.jsonl"


def _questions(downloads: Downloads, year: int) -> Iterator[dict[str, Any]]:
    for section in SECTIONS:
        for row in downloads.rows(HOME, _file("data", year, section)):
            yield {
                "problem_id": row["problem_id"],
                "year": year,
                "section": section,
                "problem_text": row["problem_text"],
                "choices": row["choices"],
                **_key(row),
            }


def _translations(downloads: Downloads, year: int, japanese: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    # The translation has neither points nor whether there is a picture.
    keys = {row["problem_id"]: row for row in japanese}
    for section in SECTIONS:
        for row in downloads.rows(HOME, _file("data", year, section, "translate")):
            key = keys[row["problem_id"]]
            yield {
                "problem_id": row["problem_id"],
                "year": year,
                "section": section,
                "problem_text_en": row["problem_text_en"],
                "choices_en": row["choices_en"],
                **{name: key[name] for name in ("answer", "points", "text_only", "accepted_answers") if name in key},
            }


def _key(row: dict[str, Any]) -> dict[str, Any]:
    key = {"answer": row["answer"], "points": int(row["points"]), "text_only": row["text_only"]}
    # Where the ministry accepted either of two answers the key is one string, "a or d".
    alternatives = [part.strip() for part in row["answer"][0].split(" or ")] if len(row["answer"]) == 1 else []
    if len(alternatives) > 1:
        key["accepted_answers"] = [[letter] for letter in alternatives]
    return key


def _predictions(downloads: Downloads) -> Iterator[dict[str, Any]]:
    for year in EXAMS:
        for section in SECTIONS:
            for system in SYSTEMS:
                for row in downloads.rows(HOME, _file("baseline_results", year, section, system)):
                    yield {
                        "problem_id": row["problem_id"],
                        "year": year,
                        "system": system,
                        "prediction": row["prediction"],
                    }

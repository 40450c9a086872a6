"""The figures that the two papers print (`published.json`), to stand beside ours; nothing of them is computed here.

arXiv 2412.16423: IgakuQA by exam points and JMED-LLM. arXiv 2409.11783: zero-shot chain of thought, Gestalt accuracy.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class PublishedScore:
    """One printed cell.

    Attributes:
        model: as the paper names it, with the tokens seen where there are several.
        task: a name of `tasks.TASKS`; a translated set has the language behind it ("medqa_ja").
        protocol: how it was asked and scored; it stands beside figures of this protocol only.
        language: of the questions, "ja" or "en".
        group: the year of an examination ("2018"), which is the scorer's group of that name; None for a whole task.
        metrics: by the scorer's names: "points" and "total"; "kappa" and "accuracy"; "partial_f1" and "exact_f1";
            "gestalt_accuracy". Shares are from 0 to 1, also where the paper prints per cent.
        source: where it is printed.
        footnote: what the print contradicts itself about or a reader must know of the model, or "".
    """

    model: str
    task: str
    protocol: str
    language: str
    group: str | None
    metrics: Mapping[str, float]
    source: str
    footnote: str


@functools.cache
def published_scores() -> tuple[PublishedScore, ...]:
    """All printed cells, in the order of the papers' rows."""
    tables = _tables()
    return (*_exam_scores(tables), *_jmed_scores(tables), *_gestalt_scores(tables))


def protocol_note(protocol: str) -> str:
    """What a protocol's source says of all its figures, or ""."""
    return _tables().get(protocol, {}).get("note", "")


@functools.cache
def _tables() -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
    return tables


def _exam_scores(tables: dict[str, Any]) -> Iterator[PublishedScore]:
    table = tables["igakuqa_points"]
    for row in table["rows"]:
        for year, total, points in zip(table["years"], table["total"], row["points"], strict=True):
            metrics = {"points": points, "total": total}
            yield _score(
                tables, "igakuqa_points", row["model"], table["task"], table["language"], metrics, group=str(year)
            )


def _jmed_scores(tables: dict[str, Any]) -> Iterator[PublishedScore]:
    table = tables["jmed_llm"]
    for row in table["rows"]:
        for short_name, names, pair in zip(table["tasks"], table["metrics"], row["scores"], strict=True):
            metrics = dict(zip(names, pair, strict=True))
            yield _score(tables, "jmed_llm", row["model"], f"jmed_llm.{short_name}", table["language"], metrics)


def _gestalt_scores(tables: dict[str, Any]) -> Iterator[PublishedScore]:
    table = tables["gestalt_cot"]
    for row in table["rows"]:
        for language, tasks in table["tasks"].items():
            for task, percent in zip(tasks, row[language], strict=True):
                # Rounded, because 46.4 / 100 is 0.46399… in binary.
                metrics = {"gestalt_accuracy": round(percent / 100, 4)}
                yield _score(tables, "gestalt_cot", row["model"], task, language, metrics)


def _score(
    tables: dict[str, Any],
    protocol: str,
    model: str,
    task: str,
    language: str,
    metrics: Mapping[str, float],
    *,
    group: str | None = None,
) -> PublishedScore:
    notes = [note["text"] for note in tables["footnotes"] if (note["model"], note["task"]) == (model, task)]
    source = tables[protocol]["source"]
    return PublishedScore(model, task, protocol, language, group, metrics, source, " ".join(notes))

"""The rows that arXiv 2412.16423 prints for IgakuQA and JMED-LLM (`published.json`), to stand beside ours."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jmed_jax.evaluate.tasks import TASKS


@dataclass(frozen=True)
class PublishedScore:
    """One printed cell.

    Attributes:
        model: as the paper names it, with the tokens seen where there are several.
        task: a name of `tasks.TASKS`.
        group: the year of an examination ("2018"), which is the scorer's group of that name; None for a whole task.
        metrics: by the scorer's names: "points" and "total"; "kappa" and "accuracy"; "partial_f1" and "exact_f1".
        source: where it is printed.
        footnote: what the print contradicts itself about, or "".
    """

    model: str
    task: str
    group: str | None
    metrics: Mapping[str, float]
    source: str
    footnote: str


@functools.cache
def published_scores() -> tuple[PublishedScore, ...]:
    """All printed cells, in the order of the paper's rows."""
    tables = json.loads(Path(__file__).with_name("published.json").read_text(encoding="utf-8"))
    return (*_exam_scores(tables), *_jmed_scores(tables))


def _exam_scores(tables: dict[str, Any]) -> list[PublishedScore]:
    table = tables["igakuqa"]
    scores = []
    for row in table["rows"]:
        for year, total, points in zip(table["years"], table["total"], row["points"], strict=True):
            metrics = {"points": points, "total": total}
            scores.append(_score(tables, row["model"], "igakuqa", str(year), metrics))
    return scores


def _jmed_scores(tables: dict[str, Any]) -> list[PublishedScore]:
    table = tables["jmed_llm"]
    scores = []
    for row in table["rows"]:
        for short_name, pair in zip(table["tasks"], row["scores"], strict=True):
            task = f"jmed_llm.{short_name}"
            names = ("kappa", "accuracy") if TASKS[task].main_metric == "kappa" else ("partial_f1", "exact_f1")
            scores.append(_score(tables, row["model"], task, None, dict(zip(names, pair, strict=True))))
    return scores


def _score(
    tables: dict[str, Any], model: str, task: str, group: str | None, metrics: dict[str, float]
) -> PublishedScore:
    notes = [note["text"] for note in tables["footnotes"] if (note["model"], note["task"]) == (model, task)]
    return PublishedScore(model, task, group, metrics, tables["source"], " ".join(notes))

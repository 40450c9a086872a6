"""The tables of a report as Markdown and as CSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any

from jmed_jax.evaluate.published import published_scores
from jmed_jax.page.evaluation_differences import Difference
from jmed_jax.page.evaluation_languages import Languages
from jmed_jax.page.evaluation_page import Report
from jmed_jax.page.evaluation_runs import EvaluationRun
from jmed_jax.page.score_cells import Cell
from jmed_jax.page.score_names import MISSING
from jmed_jax.page.score_table import Row, ScoreTable

CSV_COLUMNS = (
    "model",
    "protocol",
    "task",
    "language",
    "group",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "source",
    "where",
)
"""`source` is "measured", "baseline" or "published"; `where` is a directory's fingerprint or a paper."""


# --- Markdown ---------------------------------------------------------------------------------------------------------


def markdown(report: Report) -> str:
    """The tables of all protocols, and the paired tests."""
    parts = [
        "# Evaluation report",
        "Rows marked *measured* were computed here, with 95 % intervals in square brackets; all other figures are the "
        "papers' own. Not a medical device: a score on examination questions says nothing about the care of a patient.",
        *(part for table in report.tables for part in _table_parts(table)),
    ]
    if report.languages:
        parts += ["## Japanese and English", _languages(report.languages)]
    if report.differences.rows:
        parts += ["## Differences between the models", _differences(report.differences.rows)]
    return "\n\n".join(parts) + "\n"


def _table_parts(table: ScoreTable) -> list[str]:
    heads = [_head(column.label, column.main, column.second) for column in table.columns]
    rows = [_row(run.row, " (measured)") for run in table.runs]
    rows += [_row(row, f" ({run.row.name})") for run in table.runs for row in run.asides]
    rows += [_row(row) for row in [*table.baselines, *table.published]]
    parts = [f"## {_escaped(table.title)}", _grid(["system", *heads], rows)]
    notes = [f"Published rows: {table.source}. {table.note}".strip()] if table.published else []
    notes += [f"{note.mark}: {_escaped(note.text)}" for note in table.footnotes]
    return parts + notes


def _head(label: str, main: str, second: str) -> str:
    return _escaped(f"{label}, {main} ({second})" if second else f"{label}, {main}")


def _row(row: Row, note: str = "") -> list[str]:
    return [_escaped(row.name + note), *map(_cell, row.cells)]


def _cell(cell: Cell) -> str:
    interval = f" [{cell.interval}]" if cell.interval else ""
    second = f" ({cell.second})" if cell.second else ""
    rows = f", {cell.rows:,} rows" if cell.rows is not None else ""
    mark = f" ^{cell.mark}^" if cell.mark else ""
    return cell.main + interval + second + rows + mark


def _differences(rows: Sequence[Difference]) -> str:
    heads = ("task", "metric", "from", "to", "difference", "95 %", "questions", "test", "p", "p, Holm")
    names = ("task", "metric", "first", "second", "difference", "interval", "n", "test", "p", "p_holm")
    return _grid(heads, [[_escaped(str(getattr(row, name))) for name in names] for row in rows])


def _languages(rows: Sequence[Languages]) -> str:
    heads = ("model", "benchmark", "metric", "questions", "ja", "en", "en − ja", "95 %", "test", "p, Holm")
    names = ("run", "benchmark", "metric", "n", "ja", "en", "difference", "interval", "test", "p_holm")
    return _grid(heads, [[_escaped(str(getattr(row, name))) for name in names] for row in rows])


def _grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escaped(text: str) -> str:
    """A name as it is: in a table cell, and without HTML or emphasis that it may contain."""
    for character in "\\|<>*_`[":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split()) or MISSING


# --- CSV --------------------------------------------------------------------------------------------------------------


def csv_text(report: Report) -> str:
    """One row a model, task or group of it, and metric: measured, baselines, and what is printed of these tasks."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for run in report.inputs.runs:
        writer.writerows(_measured(run))
    for run in report.inputs.runs:
        writer.writerows(_baselines(run))
    writer.writerows(_published(report.tables))
    return stream.getvalue()


def _measured(run: EvaluationRun) -> Iterator[dict[str, Any]]:
    for task, entry in run.tasks.items():
        row = _base(run, task, "measured")
        for metric, value in entry["metrics"].items():
            low, high = entry["intervals"].get(metric) or ("", "")
            yield {**row, "group": "", "metric": metric, "value": value, "low": low, "high": high, "n": entry["n"]}
        clean = {"clean rows": entry["clean"]} if entry.get("clean") else {}
        for group, metrics in {**clean, **entry["groups"]}.items():
            for metric in entry["metrics"]:
                if metric in metrics:
                    yield {**row, "group": group, "metric": metric, "value": metrics[metric], "n": metrics["n"]}


def _baselines(run: EvaluationRun) -> Iterator[dict[str, Any]]:
    for task, entry in run.tasks.items():
        row = _base(run, task, "baseline")
        for name, metrics in entry["baselines"].items():
            for metric in entry["metrics"]:
                if metric in metrics:
                    model = f"{name} ({run.name})"
                    yield {**row, "model": model, "metric": metric, "value": metrics[metric], "n": entry["n"]}


def _base(run: EvaluationRun, task: str, source: str) -> dict[str, Any]:
    entry = run.tasks[task]
    return {
        "model": run.name,
        "protocol": entry["protocol"],
        "task": task,
        "language": entry["language"],
        "source": source,
        "where": run.fingerprint,
    }


def _published(tables: Sequence[ScoreTable]) -> Iterator[dict[str, Any]]:
    for table in tables:
        for score in published_scores():
            if score.protocol == table.protocol and any(column.place.fits(score) for column in table.columns):
                for metric, value in score.metrics.items():
                    yield {
                        "model": score.model,
                        "protocol": score.protocol,
                        "task": score.task,
                        "language": score.language,
                        "group": score.group or "",
                        "metric": metric,
                        "value": value,
                        "source": "published",
                        "where": score.source,
                    }

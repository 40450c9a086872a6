"""The cells of a table of scores: figures as text, and what a chart needs of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jmed_jax.page.numbers import percent
from jmed_jax.page.score_columns import Column, Entry, has_part, part_of
from jmed_jax.page.score_names import MISSING, figure, second_metric, show, span


@dataclass(frozen=True)
class Cell:
    """One figure with smaller ones beneath.

    Attributes:
        second: the task's second metric.
        interval: of the main one, 95 %, or "".
        rows: over how many rows, where that differs from the rest of the column.
        ahead: better than every baseline of the task.
        mark: refers to footnotes, or "".
        value: the main figure as a share from which a chart can be drawn; None where there is none.
        low_high: its interval, as shares.
    """

    main: str
    second: str = ""
    interval: str = ""
    rows: int | None = None
    ahead: bool = False
    mark: str = ""
    value: float | None = None
    low_high: tuple[float, float] | None = None


def own_cell(protocol: str, entry: Entry, column: Column) -> Cell:
    """What a run scored."""
    if not has_part(entry, column.place):
        return Cell(MISSING)
    main, year = column.metric, column.place.year
    metrics = part_of(entry, year)
    baselines = [] if year else [scored[main] for scored in entry.get("baselines", {}).values() if main in scored]
    ahead = bool(baselines) and all(metrics[main] > baseline for baseline in baselines)
    low_high = None if year else entry.get("intervals", {}).get(main)
    rows = metrics["n"] if len(column.rows) > 1 else None
    return score_cell(protocol, metrics, main, ahead=ahead, low_high=low_high, rows=rows)


def score_cell(
    protocol: str,
    metrics: Mapping[str, Any] | None,
    main: str,
    *,
    ahead: bool = False,
    mark: str = "",
    low_high: Sequence[float] | None = None,
    rows: int | None = None,
) -> Cell:
    """The main metric of some metrics, with the second beneath; points with what they are of.

    Args:
        low_high: the interval of the main metric.
    """
    if metrics is None or metrics.get(main) is None:
        return Cell(MISSING)
    total = metrics.get("total") if main == "points" else 1
    second = second_metric(main)
    shown = figure(metrics[second], second, protocol) if second in metrics else ""
    return Cell(
        figure(metrics[main], main, protocol),
        second=f"{percent(metrics[main], total)} of {show(total)}" if main == "points" and total else shown,
        interval=span(low_high, main, protocol),
        ahead=ahead,
        mark=mark,
        rows=rows,
        value=metrics[main] / total if total else None,
        low_high=(low_high[0] / total, low_high[1] / total) if low_high and total else None,
    )


def clean_cell(protocol: str, entry: Entry, column: Column) -> Cell:
    """What a run scored on rows whose document is not in training."""
    clean = None if column.place.year else entry.get("clean")
    if clean is None:
        return Cell(MISSING)
    low_high = clean.get("intervals", {}).get(column.metric)
    return replace(score_cell(protocol, clean, column.metric, low_high=low_high), rows=clean["n"])


def unparsable_cell(entry: Entry, column: Column) -> Cell:
    """How many of a run's answers could not be read."""
    part = part_of(entry, column.place.year)
    unparsable = part.get("unparsable")
    return Cell(MISSING) if unparsable is None else Cell(f"{unparsable:,} of {part['n']:,}")


def corrected_cell(protocol: str, metric: str, entry: Entry, column: Column) -> Cell:
    """Another reading of the same answers, where a task has it."""
    part = part_of(entry, column.place.year)
    return Cell(figure(part[metric], metric, protocol)) if metric in part else Cell(MISSING)


def count_cell(key: str, entry: Entry, column: Column) -> Cell:
    """How many rows are counted under a key of the entry; of a whole task only."""
    return Cell(MISSING) if column.place.year else Cell(f"{entry.get(key, 0):,} of {entry['n']:,}")

"""Loss curves as SVG that stands inside the page and takes its colours from the page's style sheet."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from jmed_jax.page.numbers import short_count
from jmed_jax.page.svg import LINE, POINT, draw

Row = Mapping[str, Any]

# More single steps than this would be a grey band and megabytes of markers.
MOST_POINTS = 400


def smoothing_window(steps: int) -> int:
    """How many steps the line averages over: about a twentieth of them, odd so that it is centred."""
    return 2 * (steps // 40) + 1


def finite_rows(rows: Sequence[Row]) -> list[Row]:
    """The steps that have a loss to draw; it is None where it was not finite."""
    return [row for row in rows if row["loss"] is not None and math.isfinite(row["loss"])]


def smooth(rows: Sequence[Row]) -> np.ndarray:
    """Mean loss of a target over a centred window of steps; shorter windows at the ends."""
    losses = np.array([row["loss"] for row in rows])
    targets = np.array([row.get("targets", 1) for row in rows], dtype=float)
    window = np.ones(smoothing_window(len(rows)))
    return np.convolve(losses * targets, window, "same") / np.convolve(targets, window, "same")


def loss_chart(rows: Sequence[Row], name: str, *, bits_per_byte: bool) -> str:
    """An `<svg>` element of loss against tokens seen; the same rows always give the same characters.

    Args:
        rows: lines of `metrics.jsonl`, at least one of them with a finite loss.
        name: an HTML id, put before the ids inside so that several charts can stand on one page.
        bits_per_byte: a second axis at the right, by the ratio that the rows have.
    """
    drawn = finite_rows(rows)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        _draw(axes, drawn)
        if bits_per_byte:
            _add_bits_per_byte(axes, drawn)

    return draw(paint, name)


def _draw(axes: Axes, rows: Sequence[Row]) -> None:
    tokens = [row["tokens"] for row in rows]
    some = slice(None, None, math.ceil(len(rows) / MOST_POINTS))
    axes.plot(tokens[some], [row["loss"] for row in rows][some], ".", color=POINT, markersize=3.5)
    axes.plot(tokens, smooth(rows), color=LINE, linewidth=1.8, solid_capstyle="round")
    set_axes(axes, "loss (nats a token)")


def set_axes(axes: Axes, label: str) -> None:
    """Axes of a measure named `label` over the tokens seen."""
    axes.set_xlabel("tokens seen")
    axes.set_ylabel(label)
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.tick_params(length=0)


def _add_bits_per_byte(axes: Axes, rows: Sequence[Row]) -> None:
    # Both are the same loss, so one factor leads from the one to the other.
    factor = rows[-1]["bits_per_byte"] / rows[-1]["loss"]
    right = axes.secondary_yaxis("right", functions=(lambda loss: loss * factor, lambda bits: bits / factor))
    right.set_ylabel("bits per byte")
    right.spines["right"].set_visible(False)
    right.tick_params(length=0)

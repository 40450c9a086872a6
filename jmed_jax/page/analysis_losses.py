"""Loss curves of several runs on one picture: as a page, as SVG and as PNG."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jmed_jax.artifact import replacing
from jmed_jax.errors import InputError
from jmed_jax.page.charts import Row, finite_rows, set_axes, smooth, smoothing_window
from jmed_jax.page.fonts import INSTALL, fonts_for
from jmed_jax.page.numbers import short_count
from jmed_jax.page.render import write_html
from jmed_jax.page.svg import SERIES, draw
from jmed_jax.page.tokenizer_chart import COLOURS

TEMPLATE = "analysis_losses.html.j2"
SUFFIXES = (".html", ".svg", ".png")
MEASURES = {"loss": "loss (nats a token)", "bits_per_byte": "bits per byte"}

# More runs than colours are told apart by how their lines are broken.
_DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)))
# More points than a line on paper has are megabytes of SVG.
_MOST_POINTS = 1500
# Of a picture, in inches a chart.
_WIDTH, _HEIGHT, _DPI = 6.4, 4.2, 150


@dataclass(frozen=True)
class RunCurve:
    """One run.

    Attributes:
        rows: lines of its `metrics.jsonl` with a finite loss, at least one.
        validation: lines of its `validation.jsonl`.
    """

    name: str
    rows: Sequence[Row]
    validation: Sequence[Row]

    @classmethod
    def of(cls, name: str, rows: Sequence[Row], validation: Sequence[Row]) -> "RunCurve":
        """
        Raises:
            InputError: there is no loss to draw.
        """
        drawn = finite_rows(rows)
        if not drawn:
            raise InputError(f"{name}: no finished step with a loss in its metrics.jsonl, so there is nothing to draw.")
        return cls(name, drawn, finite_rows(validation))

    @property
    def first_loss(self) -> float:
        """Smoothed, as `last_loss`."""
        return float(smooth(self.rows)[0])

    @property
    def last_loss(self) -> float:
        return float(smooth(self.rows)[-1])

    @property
    def bits_a_nat(self) -> float:
        """From loss to bits per byte: one factor a run, of the tokens that its rows hold."""
        row = self.rows[-1]
        return row["bits_per_byte"] / row["loss"] if row["loss"] else 0.0

    @property
    def window(self) -> int:
        """Steps that the line averages over."""
        return smoothing_window(len(self.rows))


def write_losses(path: Path, runs: Sequence[RunCurve]) -> None:
    """Write the curves as `.html`, `.svg` or `.png`, whichever `path` ends in.

    Raises:
        InputError: it ends in something else, or no font has the characters of the names for a PNG.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: name a file that ends in {', '.join(SUFFIXES)}.")
    if path.suffix == ".html":
        charts = {
            label: Markup(draw(partial(_paint_alone, runs, measure), f"chart-{measure}"))
            for measure, label in MEASURES.items()
        }
        write_html(path, TEMPLATE, {"runs": runs, "charts": charts, "series": len(SERIES)}, {"short": short_count})
        return
    fonts = fonts_for([run.name for run in runs])
    if fonts.missing and path.suffix == ".png":
        raise InputError(f"{path}: no font here has the characters of the runs' names; {INSTALL}; or write .html.")
    settings: dict[str, Any] = {
        "font.family": fonts.families,
        "svg.hashsalt": "jmed_jax",
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.color": "#dddddd",
    }
    with style.context(["default", settings]):
        figure = Figure(figsize=(len(MEASURES) * _WIDTH, _HEIGHT), layout="constrained")
        for place, measure in enumerate(MEASURES, start=1):
            _paint(figure.add_subplot(1, len(MEASURES), place), runs, measure, COLOURS)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False)
        kind = path.suffix.removeprefix(".")
        metadata: dict[str, Any] = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
        with replacing(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=_DPI, metadata=metadata)


def _paint_alone(runs: Sequence[RunCurve], measure: str, figure: Figure) -> None:
    _paint(figure.add_subplot(), runs, measure, SERIES)


def _paint(axes: Axes, runs: Sequence[RunCurve], measure: str, colours: Sequence[str]) -> None:
    for number, run in enumerate(runs):
        factor = run.bits_a_nat if measure == "bits_per_byte" else 1.0
        dashes = _DASHES[number // len(colours) % len(_DASHES)]
        _draw_run(axes, run, measure, factor, {"color": colours[number % len(colours)], "linestyle": dashes})
    set_axes(axes, MEASURES[measure])


def _draw_run(axes: Axes, run: RunCurve, measure: str, factor: float, look: dict[str, Any]) -> None:
    some = slice(None, None, math.ceil(len(run.rows) / _MOST_POINTS))
    tokens = [row["tokens"] for row in run.rows][some]
    axes.plot(tokens, factor * smooth(run.rows)[some], linewidth=1.6, label=run.name, **look)
    measured = [row for row in run.validation if row.get(measure) is not None]
    axes.plot(
        [row["tokens"] for row in measured],
        [row[measure] for row in measured],
        **(look | {"linestyle": ""}),
        marker="o",
        markersize=4,
        markerfacecolor="none",
    )

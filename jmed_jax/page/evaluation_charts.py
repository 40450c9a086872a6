"""Scores with their intervals beside published ones, and scores against tokens seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from jmed_jax.page.evaluation_runs import Measurement, TrainingCurves
from jmed_jax.page.numbers import short_count
from jmed_jax.page.score_cells import Cell
from jmed_jax.page.score_names import METRICS, label, main_metric, place, show
from jmed_jax.page.score_table import Row, ScoreTable
from jmed_jax.page.svg import HEIGHT, INK, LINE, POINT, SERIES, draw

_MARKERS = "osD^vP"

# Characters; the name of a file of one's own questions can be any.
_LONGEST_LABEL = 24

# In points, of one column of the table.
_ROW, _RUN, _FRAME = 15, 9, 44


@dataclass(frozen=True)
class Chart:
    """A drawing with what a reader who does not see it needs.

    Attributes:
        series: names of what is drawn, in the order of the colours.
    """

    title: str
    caption: str
    svg: Markup
    series: Sequence[str]


def series_colour(number: int) -> str:
    """The style sheet's variable of a run."""
    return f"var(--series-{number % len(SERIES)})"


# --- scores beside published ones -------------------------------------------------------------------------------------


def score_chart(table: ScoreTable) -> Chart | None:
    """The main metric of every run in every column; None where there is nothing to draw."""
    columns = [
        place
        for place in range(len(table.columns))
        if any(run.row.cells[place].value is not None for run in table.runs)
    ]
    if not columns:
        return None
    height = _FRAME + len(columns) * (_ROW + _RUN * len(table.runs))
    metrics = dict.fromkeys(METRICS.get(table.columns[at].metric, table.columns[at].metric) for at in columns)
    shown = " or ".join("share of points" if name == "points" else name for name in metrics)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        _paint_scores(axes, table, columns)
        axes.set_xlabel(shown)

    names = [run.row.name for run in table.runs]
    parts = ["Bars are 95 % intervals."]
    if table.published:
        parts.append(f"Pale dots are published figures ({table.source}).")
    if table.baselines:
        parts.append("Upright strokes are the baselines.")
    svg = Markup(draw(paint, f"scores-{table.protocol}", height=height))
    return Chart(shown[0].upper() + shown[1:], " ".join(parts), svg, names)


def _paint_scores(axes: Axes, table: ScoreTable, columns: Sequence[int]) -> None:
    # Below one another, in the order of the table: what is published, then the runs.
    step = 0.8 / (1 + len(table.runs))
    for y, column in enumerate(columns):
        top = y - step * len(table.runs) / 2
        _paint_points(axes, table.published, column, top, ".", POINT, 7)
        _paint_points(axes, table.baselines, column, top, "|", INK, 9)
        for number, run in enumerate(table.runs):
            _paint_run(axes, run.row.cells[column], top + step * (number + 1), number)
    labels = [table.columns[column].label for column in columns]
    axes.set_yticks(
        range(len(columns)),
        [text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…" for text in labels],
    )
    axes.set_ylim(len(columns) - 0.5, -0.5)
    low, high = axes.get_xlim()
    axes.set_xlim(min(0, low), max(high, 0.5))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}".replace("-", "−")))
    axes.tick_params(length=0)


def _paint_points(
    axes: Axes, rows: Sequence[Row], column: int, y: float, marker: str, colour: str, size: float
) -> None:
    values = [row.cells[column].value for row in rows]
    drawn = [value for value in values if value is not None]
    axes.plot(drawn, [y] * len(drawn), marker, color=colour, markersize=size, linestyle="none")


def _paint_run(axes: Axes, cell: Cell, y: float, number: int) -> None:
    if cell.value is None:
        return
    colour = SERIES[number % len(SERIES)]
    if cell.low_high:
        axes.plot(cell.low_high, [y, y], color=colour, linewidth=1.6, solid_capstyle="butt")
    axes.plot([cell.value], [y], _MARKERS[number % len(_MARKERS)], color=colour, markersize=5)


# --- scores against tokens --------------------------------------------------------------------------------------------


def curve_charts(curves: Sequence[TrainingCurves]) -> list[Chart]:
    """One chart a task, of its main metric, with a line a run (arXiv 2412.16423, figure 6)."""
    tasks = sorted({task for run in curves for task, _ in run.scores}, key=lambda task: (place(task), task))
    return [_curve_chart(number, task, curves) for number, task in enumerate(tasks)]


def _curve_chart(number: int, task: str, curves: Sequence[TrainingCurves]) -> Chart:
    metric = main_metric(metric for run in curves for found, metric in run.scores if found == task)
    lines = {run.name: line for run in curves if (line := _line(run, task, metric))}
    shares = metric == "points" and all(value <= 1 for line in lines.values() for *_, value in line)
    name = "share of points" if shares else METRICS.get(metric, metric)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        _paint_curves(axes, list(lines.values()))
        axes.set_ylabel(name)

    ends = [f"{run} {_ends(line)}" for run, line in lines.items()]
    svg = Markup(draw(paint, f"curve-{number}", height=HEIGHT))
    return Chart(f"{label(task)}: {name}", "; ".join(ends) + ".", svg, list(lines))


Line = Sequence[tuple[int, float]]


def _line(run: TrainingCurves, task: str, metric: str) -> Line:
    """(tokens, value); points as a share where the scores say of how many."""
    totals = {measured.step: measured.value for measured in run.scores.get((task, "total"), ())}
    measured = run.scores.get((task, metric), ())
    return [(at.tokens, _share(at, totals) if metric == "points" else at.value) for at in measured]


def _share(at: Measurement, totals: Mapping[int, float]) -> float:
    return at.value / totals[at.step] if totals.get(at.step) else at.value


def _ends(line: Line) -> str:
    first, last = line[0][1], line[-1][1]
    return f"{show(float(first))} → {show(float(last))} at {short_count(line[-1][0])} tokens"


def _paint_curves(axes: Axes, lines: Sequence[Line]) -> None:
    for number, line in enumerate(lines):
        colour = SERIES[number % len(SERIES)] if len(lines) > 1 else LINE
        tokens, values = [at for at, _ in line], [value for _, value in line]
        marker = _MARKERS[number % len(_MARKERS)]
        axes.plot(tokens, values, marker=marker, color=colour, linewidth=1.8, markersize=4)
    axes.set_xlabel("tokens seen")
    axes.set_xlim(left=0)
    axes.grid(visible=False, axis="x")
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}".replace("-", "−")))
    axes.tick_params(length=0)

from pathlib import Path

from jmed_jax.page.evaluation_charts import curve_charts, score_chart, series_colour
from jmed_jax.page.evaluation_runs import Measurement, TrainingCurves
from jmed_jax.page.score_table import run_tables
from tests.page.evaluations import MadeTask, exam

RIGHT = [True, False, True, True]


def curves(name: str, metric: str = "kappa", task: str = "jmed_llm.crade") -> TrainingCurves:
    points = [Measurement(step, step * 10**9, step / 10) for step in (1, 2)]
    return TrainingCurves(name, Path(name), {(task, metric): points, (task, "unparsable"): points})


def test_every_run_has_a_colour_of_the_style_sheet() -> None:
    runs = {name: {"medqa": MadeTask(RIGHT, language="en").entry} for name in ("a", "b")}
    chart = score_chart(run_tables(runs)[0])
    assert chart is not None
    assert chart.series == ["a", "b"]
    assert "var(--series-0)" in chart.svg and "var(--series-1)" in chart.svg and "var(--series-2)" not in chart.svg
    assert "var(--point)" in chart.svg and "arXiv 2409.11783" in chart.caption
    assert series_colour(1) == "var(--series-1)"
    assert "#0505" not in chart.svg


def test_points_are_drawn_as_shares() -> None:
    (table,) = run_tables({"a": {"igakuqa": exam(RIGHT).entry}})
    chart = score_chart(table)
    assert chart is not None and "share of points" in chart.svg
    assert table.runs[0].row.cells[-1].value == 0.75


def test_a_chart_a_task_with_a_line_a_run() -> None:
    crade, other = curve_charts([curves("a"), curves("b"), curves("c", "accuracy", "ward.triage")])
    assert (crade.title, other.title) == ("CRADE: kappa", "ward.triage: accuracy")
    assert crade.caption == "a 0.10 → 0.20 at 2 B tokens; b 0.10 → 0.20 at 2 B tokens."
    assert crade.series == ["a", "b"]


def test_points_of_a_training_run_are_out_of_their_total() -> None:
    points = [Measurement(step, step * 10**9, value) for step, value in ((1, 100), (2, 200))]
    totals = [Measurement(step, step * 10**9, 400) for step in (1, 2)]
    run = TrainingCurves("a", Path("a"), {("igakuqa", "points"): points, ("igakuqa", "total"): totals})
    (chart,) = curve_charts([run])
    assert (chart.title, chart.caption) == ("IgakuQA: share of points", "a 0.25 → 0.50 at 2 B tokens.")

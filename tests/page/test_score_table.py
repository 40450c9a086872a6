from collections.abc import Sequence

from jmed_jax.evaluate.tasks import TASKS
from jmed_jax.page.score_table import LABELS, MISSING, Row, score_tables, show
from tests.page.pages import NRNER, SMDIS

SCORES = {"jmed_llm.smdis": SMDIS, "jmed_llm.nrner": NRNER}


def row(rows: Sequence[Row], name: str) -> Row:
    (found,) = [row for row in rows if row.name == name]
    return found


def test_ahead_means_better_than_every_baseline() -> None:
    (table,) = score_tables(SCORES)
    # NRNER is above chance, and below the majority.
    assert [cell.ahead for cell in table.this_run.cells] == [True, False]
    assert table.ahead == 1


def test_a_tie_with_a_baseline_is_not_ahead() -> None:
    (table,) = score_tables({"jmed_llm.smdis": {**SMDIS, "metrics": {"kappa": 0.0, "accuracy": 0.9}}})
    assert table.ahead == 0


def test_without_baselines_nothing_is_ahead() -> None:
    (table,) = score_tables({"jmed_llm.smdis": {**SMDIS, "baselines": {}}})
    assert (table.ahead, table.baselines) == (0, [])


def test_a_baseline_that_only_one_task_has() -> None:
    scores = {**SCORES, "jmed_llm.nrner": {**NRNER, "baselines": {"random": NRNER["baselines"]["random"]}}}
    (table,) = score_tables(scores)
    assert [cell.main for cell in row(table.baselines, "Majority baseline").cells] == ["0.00", MISSING]


def test_clean_rows_say_how_many_they_are() -> None:
    (table,) = score_tables(SCORES)
    missing, clean = row(table.asides, "on clean rows only").cells
    assert missing.main == MISSING
    assert (clean.main, clean.second, clean.rows) == ("0.09", "0.00", 17)


def test_published_cells_and_their_footnotes() -> None:
    (table,) = score_tables({"jmed_llm.rrtnm": SMDIS, "jmed_llm.mrner_disease": NRNER})
    paper = row(table.in_sight, "NCVC-slm-1-instruct (50B tokens)").cells[1]
    assert (paper.main, paper.second, paper.mark) == ("0.90", "0.34", "a")
    assert row(table.published, "gemma-2-2b-it").cells[0].mark == "b"
    assert [note.mark for note in table.footnotes] == ["a", "b"]
    assert "Table 7" in table.footnotes[0].text


def test_protocols_have_tables_of_their_own() -> None:
    exam = {
        "protocol": "igakuqa_points",
        "main_metric": "points",
        "n": 400,
        "metrics": {"points": 1102, "total": 1991, "accuracy": 0.2},
    }
    jmed, points = score_tables({**SCORES, "igakuqa": exam})
    assert (jmed.title, points.title) == ("JMED-LLM", "IgakuQA")
    assert (points.this_run.cells[0].main, points.this_run.cells[0].second) == ("1,102", "1,991")
    assert points.published == []


def test_row_counts_and_uncertainty() -> None:
    (table,) = score_tables(SCORES)
    assert (table.rows_a_task, table.fewest_rows, table.uncertainty) == ("24–60", 24, "0.20")


def test_figures_as_text() -> None:
    assert [show(value) for value in (0.8249, -0.126, -0.001, 1.0, 382, None)] == [
        "0.82",
        "−0.13",
        "0.00",
        "1.00",
        "382",
        MISSING,
    ]


def test_every_task_has_a_label() -> None:
    assert set(LABELS) == set(TASKS)

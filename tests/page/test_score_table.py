from collections.abc import Sequence
from typing import Any

from jmed_jax.evaluate.tasks import TASKS
from jmed_jax.page.score_names import LABELS, MISSING, show
from jmed_jax.page.score_table import Row, run_tables, score_tables
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
    assert (jmed.title, points.title) == ("JMED-LLM", "IgakuQA, exam points")
    assert (points.this_run.cells[0].main, points.this_run.cells[0].second) == ("1,102", "55 % of 1,991")
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
    assert set(TASKS) <= set(LABELS)


def exam(**changed: Any) -> dict[str, Any]:
    """IgakuQA by points in 2018 alone."""
    return {
        "protocol": "igakuqa_points",
        "language": "ja",
        "main_metric": "points",
        "n": 400,
        "metrics": {"points": 250, "total": 499, "accuracy": 0.5},
        "intervals": {"points": [231.6, 270.2]},
        "groups": {"2018": {"n": 400, "points": 250, "total": 499}, "内科": {"n": 31, "points": 20, "total": 31}},
        **changed,
    }


def gestalt(task: str, share: float, **changed: Any) -> dict[str, Any]:
    return {
        "protocol": "gestalt_cot",
        "language": "ja" if task.endswith("_ja") or task == "igakuqa" else "en",
        "main_metric": "gestalt_accuracy",
        "n": 1000,
        "metrics": {"gestalt_accuracy": share},
        **changed,
    }


def test_an_examination_has_the_papers_years_and_all() -> None:
    (table,) = score_tables({"igakuqa": exam()})
    assert [column.label for column in table.columns] == ["2018", "2019", "2020", "2021", "2022", "All"]
    own = table.this_run.cells
    assert (own[0].main, own[0].second) == ("250", "50 % of 499")
    assert own[1].main == MISSING
    assert (own[-1].main, own[-1].interval) == ("250", "232 to 270")
    gpt4 = row(table.published, "GPT-4").cells
    assert (gpt4[0].main, gpt4[0].second) == ("382", "77 % of 499")
    # The paper prints no sum.
    assert gpt4[-1].main == MISSING


def test_one_task_by_two_protocols_stands_in_two_tables() -> None:
    tables = run_tables({"a": {"igakuqa": exam()}, "b": {"igakuqa": gestalt("igakuqa", 0.4)}})
    assert [(table.protocol, [run.row.name for run in table.runs]) for table in tables] == [
        ("igakuqa_points", ["a"]),
        ("gestalt_cot", ["b"]),
    ]
    assert not {row.name for row in tables[0].published} & {"Llama3-8B"}
    assert {row.name for row in tables[1].published} >= {"Llama3-8B"}


def test_languages_have_columns_of_their_own_with_the_papers_rows() -> None:
    scores = {task: gestalt(task, 0.5) for task in ("medqa", "medqa_ja", "igakuqa", "igakuqa_en")}
    (table,) = score_tables(scores)
    labels = ["IgakuQA (ja)", "IgakuQA (en)", "MedQA (en)", "MedQA (ja)"]
    assert [column.label for column in table.columns] == labels
    llama = row(table.published, "Llama3-70B (4-bit)").cells
    assert [cell.main for cell in llama] == ["43.1", "38.3", "57.7", "40.9"]
    swallow = row(table.published, "MedSwallow-70B").cells
    assert [cell.mark for cell in swallow] == ["", "", "a", "a"]
    assert [note.text for note in table.footnotes] == ["MedSwallow-70B, MedQA: Trained on the MedQA test split."]


def test_runs_stand_beside_one_another_and_say_where_their_rows_differ() -> None:
    runs = {"a": {"jmed_llm.smdis": SMDIS}, "b": {"jmed_llm.smdis": {**SMDIS, "n": 30}, "jmed_llm.nrner": NRNER}}
    (table,) = run_tables(runs)
    assert [run.row.name for run in table.runs] == ["a", "b"]
    assert table.columns[0].n == "30–60"
    assert [run.row.cells[0].rows for run in table.runs] == [60, 30]
    assert table.runs[0].row.cells[1].main == MISSING


def test_baselines_that_agree_are_one_row_and_others_name_their_runs() -> None:
    (table,) = run_tables({"a": {"jmed_llm.smdis": SMDIS}, "b": {"jmed_llm.smdis": SMDIS, "jmed_llm.nrner": NRNER}})
    assert [row.name for row in table.baselines] == ["Majority baseline", "Random baseline"]
    # The second run alone has the second task.
    assert MISSING not in [cell.main for cell in table.baselines[0].cells]
    other = {**SMDIS, "baselines": {"random": {"kappa": 0.3, "accuracy": 0.4}}}
    (table,) = run_tables({"a": {"jmed_llm.smdis": SMDIS}, "b": {"jmed_llm.smdis": other}})
    assert [row.name for row in table.baselines if "Random" in row.name] == [
        "Random baseline, rows of a",
        "Random baseline, rows of b",
    ]


def test_unanswered_questions_are_an_aside_only_where_there_are_some() -> None:
    (table,) = score_tables({"jmed_llm.smdis": {**SMDIS, "unanswered": 2, "truncated_prompts": 0}})
    assert row(table.asides, "no answer").cells[0].main == "2 of 60"
    assert "prompts too long" not in {row.name for row in table.asides}


def test_the_corrected_reading_stands_beneath_the_benchmarks_own() -> None:
    jmed, points = score_tables(
        {**SCORES, "igakuqa": exam(metrics={"points": 250, "total": 499, "relaxed_points": 253})}
    )
    assert [cell.main for cell in row(jmed.asides, "overlap F1, at most 1").cells] == [MISSING, "0.03"]
    assert row(points.asides, "points, relaxed").cells[-1].main == "253"

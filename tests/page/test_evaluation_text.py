import csv
import io

import pytest

from jmed_jax.page.evaluation_differences import compare_runs
from jmed_jax.page.evaluation_languages import compare_run_languages
from jmed_jax.page.evaluation_page import Report
from jmed_jax.page.evaluation_runs import read_inputs
from jmed_jax.page.evaluation_text import csv_text, markdown
from jmed_jax.page.score_table import run_tables
from tests.page.evaluations import MadeTask, exam, write_evaluation

RIGHT = [True, False, True, True]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    directory = tmp_path_factory.mktemp("text")
    path = write_evaluation(
        directory / "a", {"igakuqa": exam(RIGHT), "medqa": MadeTask(RIGHT, language="en")}, name="a|b"
    )
    inputs = read_inputs([path], {})
    return Report(
        inputs,
        run_tables({run.name: run.tasks for run in inputs.runs}),
        compare_runs(inputs.runs),
        compare_run_languages(inputs.runs),
        [],
    )


def lines_of(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text(report))))


def test_markdown_has_a_table_a_protocol(report: Report) -> None:
    text = markdown(report)
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## IgakuQA, exam points",
        "## Chain of thought, Gestalt accuracy",
    ]
    assert "| a\\|b (measured) | 75.0 [65.0 to 85.0] |" in text
    assert "| GPT-4 | 382 (77 % of 499) |" in text
    assert "Published rows: arXiv 2409.11783. Zero-shot" in text
    assert "a: MedSwallow-70B, MedQA: Trained on the MedQA test split." in text


def test_every_row_of_a_markdown_table_has_as_many_cells(report: Report) -> None:
    tables = [part for part in markdown(report).split("\n\n") if part.startswith("|")]
    assert tables
    for table in tables:
        assert len({line.replace("\\|", "").count("|") for line in table.splitlines()}) == 1


def test_csv_has_a_line_a_model_task_and_metric(report: Report) -> None:
    (own,) = [
        line for line in lines_of(report) if line["task"] == "medqa" and line["model"] == "a|b" and not line["group"]
    ]
    assert (own["metric"], float(own["value"]), own["n"], own["source"]) == ("gestalt_accuracy", 0.75, "4", "measured")
    assert (float(own["low"]), float(own["high"])) == pytest.approx((0.65, 0.85))
    assert (own["protocol"], own["language"], len(own["where"])) == ("gestalt_cot", "en", 64)


def test_csv_has_groups_baselines_and_what_is_published(report: Report) -> None:
    lines = lines_of(report)
    years = [line for line in lines if line["group"] == "2018" and line["metric"] == "points"]
    assert ("a|b", "measured") in {(line["model"], line["source"]) for line in years}
    assert ("GPT-4", "382") in {(line["model"], line["value"]) for line in years if line["source"] == "published"}
    assert {line["model"] for line in lines if line["source"] == "baseline"} == {"random (a|b)"}
    # Of tasks that nobody was asked, nothing is printed.
    assert not [line for line in lines if line["task"] in ("medmcqa", "jmed_llm.crade")]

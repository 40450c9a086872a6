"""`jmed evaluate report` through the command line."""

from pathlib import Path

from tests.cli.conftest import Ask, Refuse
from tests.page.evaluations import MadeTask, exam, write_evaluation

RIGHT = [True, False, True, True]


def two_runs(directory: Path) -> list[Path]:
    tasks = {"igakuqa": exam(RIGHT), "medqa": MadeTask(RIGHT, language="en")}
    return [write_evaluation(directory / name, tasks, name=name) for name in ("a", "b")]


def test_a_page_with_its_markdown_and_csv(tmp_path: Path, ask: Ask) -> None:
    runs = two_runs(tmp_path)
    outputs = [tmp_path / name for name in ("report.html", "report.md", "scores.csv")]
    given = [
        part for option, path in zip(("--out", "--markdown", "--csv"), outputs, strict=True) for part in (option, path)
    ]
    answer = ask("evaluate", "report", *runs, *given, "--label", f"tuned={runs[1]}")
    assert answer == {"out": [str(path) for path in outputs], "runs": ["a", "tuned"]}
    assert "a → tuned" in outputs[0].read_text(encoding="utf-8")
    assert "| tuned (measured) |" in outputs[1].read_text(encoding="utf-8")
    assert "tuned,gestalt_cot,medqa,en" in outputs[2].read_text(encoding="utf-8")


def test_what_stands_there_is_not_replaced(tmp_path: Path, refuse: Refuse) -> None:
    (tmp_path / "scores.csv").write_text("mine")
    runs = two_runs(tmp_path)
    line = refuse("evaluate", "report", *runs, "--out", tmp_path / "report.html", "--csv", tmp_path / "scores.csv")
    assert "--overwrite" in line
    assert not (tmp_path / "report.html").exists()


def test_outputs_stay_out_of_what_is_read(tmp_path: Path, refuse: Refuse) -> None:
    runs = two_runs(tmp_path)
    assert "Give a place outside" in refuse("evaluate", "report", *runs, "--out", runs[0] / "report.html")


def test_one_file_for_two_outputs(tmp_path: Path, refuse: Refuse) -> None:
    out = tmp_path / "report"
    assert "same file" in refuse("evaluate", "report", *two_runs(tmp_path), "--out", out, "--csv", out)


def test_a_name_for_a_run_that_was_not_given(tmp_path: Path, refuse: Refuse) -> None:
    line = refuse("evaluate", "report", *two_runs(tmp_path), "--out", tmp_path / "r.html", "--label", "x=elsewhere")
    assert "none of the runs given" in line


def test_a_contamination_file_of_something_else(tmp_path: Path, refuse: Refuse) -> None:
    (tmp_path / "c.json").write_text('{"tasks": {}}')
    report = ("evaluate", "report", *two_runs(tmp_path), "--out", tmp_path / "r.html")
    assert "jmed evaluate contamination" in refuse(*report, "--contamination", tmp_path / "c.json")
    assert "No such file" in refuse(*report, "--contamination", tmp_path / "missing.json")

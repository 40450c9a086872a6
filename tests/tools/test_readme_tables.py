"""The figures of README and docs/ are those on record."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.tools.test_conversion import TOOLS, tool


@pytest.fixture
def readme_tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return tool("readme_tables")


@pytest.fixture
def readme_costs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return tool("readme_costs")


# --- scores -----------------------------------------------------------------------------------------------------------


def test_a_row_has_score_interval_clean_rows_baselines_and_paper(readme_tables: ModuleType) -> None:
    entry = {
        "metric": "kappa",
        "n": 60,
        "score": 0.8149,
        "interval": [-0.004, 1.0],
        "clean_n": 12,
        "clean_score": -0.25,
        "clean_interval": [-1.0, 0.5],
        "majority": 0.0,
        "linear": 0.8,
    }
    result = {"runs": {readme_tables.RECIPE: {"tasks": {"jmed_llm.smdis": entry}}}}
    table = readme_tables.results_table(result, {"jmed_llm.smdis": 0.98})
    assert table.splitlines()[-1] == "| SMDIS | kappa | **.81** | .00 to 1.00 | −.25 (12) | .00 | .80 | .98 |"


def test_the_papers_model_has_all_eight_tasks(readme_tables: ModuleType) -> None:
    paper = readme_tables.paper_scores()
    assert len(paper) == 8 and paper["jmed_llm.nrner"] == 0.88


# --- costs ------------------------------------------------------------------------------------------------------------


def measured(readme_costs: ModuleType, stages: dict[str, float], **peak: float) -> dict[str, list[str]]:
    """The rows by stage, for a quickstart of four stages and the given ones of the small clinical model."""
    quickstart = {
        "parameters": 350_000,
        "peak_gib": None,
        "stages": {"Corpus": 4.0, "Rows for pre-training": 2.0, "Pre-training": 90.0, "JMED-LLM": 7200.0},
    }
    clinical = {"runs": {"clinical_small": {"parameters": 4_000_000, "stages": stages, **peak}}}
    _, rows = readme_costs.measured_costs_table(quickstart, clinical)
    return {stage: cells for stage, *cells in rows}


def test_the_seconds_of_a_stage_are_summed_over_its_parts(readme_costs: ModuleType) -> None:
    parts = ("validation", "corpus", "dictionary", "tokenizer", "rows", "rows-terms")
    stages = {f"{part}-0123abcd": 10.0 for part in parts}
    stages |= {"conversations-0123abcd.jsonl": 1.0, "conversations-abcd0123.jsonl": 1.0, "clinical_small-01234567": 1.0}
    rows = measured(readme_costs, stages, peak_gib=1.25)
    assert rows["text to packed rows"] == ["6 s", "1.0 min"]
    assert rows["pre-training"] == ["1.5 min", "1 s"]
    assert rows["JMED-LLM answered and scored"] == ["2.0 h", "not recorded"]
    assert rows["peak memory"] == ["not recorded", "1.2 GiB"]


def test_a_sum_that_lacks_a_part_is_not_given(readme_costs: ModuleType) -> None:
    rows = measured(readme_costs, {"corpus-0123abcd": 10.0})
    assert rows["text to packed rows"] == ["6 s", "not recorded"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1.0 min"), (3600, "1.0 h"), (33 * 3600, "33 h"), (13.7 * 86400, "13.7 days")],
)
def test_durations_read_well(readme_costs: ModuleType, seconds: float, words: str) -> None:
    assert readme_costs._duration(seconds) == words


def test_the_plan_of_the_papers_run_is_near_what_it_took(readme_costs: ModuleType) -> None:
    run = next(run for run in readme_costs.RUNS if run.topology == "rtx6000adax4")
    cells = readme_costs._planned(run)
    assert cells[4] == "13.7 days" and cells[6] == "14 days on 4 RTX 6000 Ada"


# --- benchmarks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "at_most", "met"), [(0.5, False, "met"), (0.4, False, "**missed**"), (0.6, True, "**missed**")]
)
def test_a_missed_goal_is_called_so(monkeypatch: pytest.MonkeyPatch, value: float, at_most: bool, met: str) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    benchmarks = tool("readme_benchmarks")
    measure = benchmarks.Measure("speed", "bench", lambda found: found["x"], 0.5, benchmarks.PERCENT, at_most)
    row = measure.row({"x": value, "date": "2026-11-25", "hardware": "2 cores"})
    goal = f"at {'most' if at_most else 'least'} 50 %"
    assert row == ["speed", goal, f"{100 * value:.0f} %", met, "2026-11-25", "2 cores"]


# --- pages ------------------------------------------------------------------------------------------------------------


def marked(name: str, text: str) -> str:
    return f"before\n<!-- {name}: made by tools/readme_tables.py -->\n{text}<!-- end of {name} -->\nafter\n"


def test_only_what_stands_between_the_marks_is_replaced(readme_tables: ModuleType) -> None:
    page = marked("a", "old\n") + marked("b c", "old\n")
    tables = {"a": lambda: "first\n", "b c": lambda: "second\n"}
    assert readme_tables.with_tables(page, tables) == marked("a", "first\n") + marked("b c", "second\n")


def test_what_was_not_measured_leaves_its_table_empty(readme_tables: ModuleType) -> None:
    tables = {"a": lambda: readme_tables.newest("nothing")}
    assert readme_tables.with_tables(marked("a", "old\n"), tables) == marked("a", "")


def test_a_mark_that_no_table_has_is_an_error(readme_tables: ModuleType) -> None:
    with pytest.raises(KeyError, match="unknown"):
        readme_tables.with_tables(marked("unknown", ""), {})


def test_the_newest_result_is_of_this_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))
    results = tool("readme_results")
    for name in ("bench-2026-11-25", "bench-2026-11-26", "bench_train-2026-11-27"):
        (tmp_path / f"{name}.json").write_text(f'{{"name": "{name}"}}')
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    assert results.newest("bench") == {"name": "bench-2026-11-26"}
    with pytest.raises(results.NotMeasuredError):
        results.newest("be")


@pytest.fixture
def page(readme_tables: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The only page, with an old table."""
    path = tmp_path / "page.md"
    path.write_text(marked("t", "old\n"))
    monkeypatch.setattr(readme_tables, "pages", lambda: [path])
    monkeypatch.setattr(readme_tables, "TABLES", {"t": lambda: "new\n"})
    yield path


def run(readme_tables: ModuleType, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["readme_tables.py", *arguments])
    code: int = readme_tables.main()
    return code


def test_a_check_changes_nothing(readme_tables: ModuleType, monkeypatch: pytest.MonkeyPatch, page: Path) -> None:
    assert run(readme_tables, monkeypatch, "--check") == 1
    assert page.read_text() == marked("t", "old\n")
    assert run(readme_tables, monkeypatch) == 0
    assert page.read_text() == marked("t", "new\n")
    assert run(readme_tables, monkeypatch, "--check") == 0


def test_the_pages_say_what_is_on_record(readme_tables: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(readme_tables, monkeypatch, "--check") == 0


def test_readme_has_scores_and_costs(readme_tables: ModuleType) -> None:
    text = (readme_tables.ROOT / "README.md").read_text(encoding="utf-8")
    found: list[Any] = readme_tables._MARKED.findall(text)
    assert [name for _, name, _, _ in found] == ["results", "measured costs", "planned costs"]

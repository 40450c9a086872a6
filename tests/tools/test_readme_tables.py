"""README's figures are those on record."""

from types import ModuleType

import pytest

from tests.tools.test_conversion import TOOLS, tool


@pytest.fixture
def readme_tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return tool("readme_tables")


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


def test_only_what_stands_between_the_marks_is_replaced(readme_tables: ModuleType) -> None:
    text = f"before\n{readme_tables.BEGIN}old\n{readme_tables.END}after\n"
    assert readme_tables.with_table(text, "new\n") == text.replace("old", "new")


def test_readme_says_what_is_on_record(readme_tables: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["readme_tables.py", "--check"])
    assert readme_tables.main() == 0

from pathlib import Path

import pytest

from tests.cli.conftest import Ask, Refuse
from tests.evaluate.rows import exam_row, write_rows

RUN = ("evaluate", "run", "--tasks", "igakuqa")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_rows(tmp_path / "data/igakuqa/ja/2018.jsonl", [exam_row("112A1"), exam_row("112A2", ("b",))])
    return tmp_path / "data"


def test_a_file_of_predictions_is_evaluated_like_a_model(ask: Ask, data: Path, tmp_path: Path) -> None:
    rows = [{"id": "112A1", "output": "答え: a"}, {"id": "112A2", "prediction": "b, c"}]
    model = f"file:{write_rows(tmp_path / 'gpt.jsonl', rows)}"
    result = ask(*RUN, "--model", model, "--data", data, "--out", tmp_path / "out")
    assert result["model"] == {"name": "gpt"}
    assert result["tasks"]["igakuqa"]["metrics"]["points"] == 1
    # A prediction is taken to the last blank, as the benchmark takes it.
    assert (tmp_path / "out/predictions-igakuqa.jsonl").read_text(encoding="utf-8").count('"b, c"') >= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "openai:m"), "needs --endpoint URL"),
        (("--model", "missing"), "no such directory of a model"),
        (("--model", "missing", "--endpoint", "http://localhost"), "--endpoint is for --model openai:…, not missing"),
        (("--model", "missing", "--four-bit"), "--four-bit is for --model hf:…"),
        (("--model", "hf:missing", "--step", "3"), "--step is for --model DIR"),
        (
            ("--model", "missing", "--protocol", "jmed_llm"),
            'not under protocol "jmed_llm", only igakuqa_points',
        ),
    ],
)
def test_options_that_do_not_go_together(
    refuse: Refuse, data: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    assert message in refuse(*RUN, *options, "--data", data, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()

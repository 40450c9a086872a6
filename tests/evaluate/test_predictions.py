from pathlib import Path
from typing import Any

import pytest

from jmed_jax.errors import InputError
from jmed_jax.evaluate.predictions import read_predictions
from jmed_jax.evaluate.tasks import get_task

from .rows import choice, exam, extraction, multiple_choice, write_rows

EXAM = get_task("igakuqa")
QUESTIONS = [exam("112A1"), exam("112A2", ("b", "c"))]


def read(tmp_path: Path, rows: list[dict[str, Any]], **options: Any) -> list[str]:
    return read_predictions(write_rows(tmp_path / "p.jsonl", rows), EXAM, QUESTIONS, **options).values


def rows_of(*predictions: str, **other: Any) -> list[dict[str, Any]]:
    return [{"problem_id": f"112A{i}", "prediction": p, **other} for i, p in enumerate(predictions, start=1)]


def test_predictions_come_in_the_order_of_the_questions(tmp_path: Path) -> None:
    assert read(tmp_path, rows_of("a", "b,c")[::-1]) == ["a", "b,c"]


def test_an_exam_prediction_stands_to_the_last_blank_and_an_output_is_parsed(tmp_path: Path) -> None:
    rows = [{"problem_id": "112A1", "prediction": "a, c"}, {"id": "112A2", "output": "答え: Ｂ、Ｃ"}]
    assert read(tmp_path, rows) == ["a, c", "b,c"]


def test_lists_are_accepted_as_predictions(tmp_path: Path) -> None:
    rows = [{"problem_id": "112A1", "prediction": ["a"]}, {"id": "112A2", "prediction": ["b", "c"]}]
    assert read(tmp_path, rows) == ["a", "b,c"]
    path = write_rows(tmp_path / "n.jsonl", [{"id": "nrner-test-00000", "prediction": ["発熱"]}])
    assert read_predictions(path, get_task("jmed_llm.nrner"), [extraction()]).values == ["['発熱']"]


def test_lists_are_accepted_of_every_kind_of_question(tmp_path: Path) -> None:
    question = multiple_choice(answer=("a", "c"))
    for protocol, listed in (("loglikelihood", ["a", "c"]), ("gestalt_cot", ["肺炎", "気胸"])):
        task = get_task("medqa", protocol)
        path = write_rows(tmp_path / f"{protocol}.jsonl", [{"id": question.id, "prediction": listed}])
        assert read_predictions(path, task, [question]).values == [",".join(listed)]
        assert task.score([question], [",".join(listed)])[task.main_metric] == 1.0


def test_choice_outputs_become_letters(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "c.jsonl", [{"id": "smdis-test-00000", "output": "答えはBです"}])
    assert read_predictions(path, get_task("jmed_llm.smdis"), [choice()]).values == ["B"]


def test_one_of_several_systems_must_be_chosen(tmp_path: Path) -> None:
    rows = rows_of("a", "b", system="one") + rows_of("c", "d", system="two")
    with pytest.raises(InputError, match=r"2 systems \(one, two\)"):
        read(tmp_path, rows)
    assert read(tmp_path, rows, system="two") == ["c", "d"]
    with pytest.raises(InputError, match='no predictions of system "three"'):
        read(tmp_path, rows, system="three")


def test_a_single_system_needs_no_choice(tmp_path: Path) -> None:
    assert read(tmp_path, rows_of("a", "b", system="one")) == ["a", "b"]


def test_rows_of_years_without_gold_are_passed_over_and_counted(tmp_path: Path) -> None:
    rows = [*rows_of("a", "b", year=2018), {"problem_id": "113A1", "year": 2019, "prediction": "a"}]
    read_rows = read_predictions(write_rows(tmp_path / "p.jsonl", rows), EXAM, QUESTIONS)
    assert (read_rows.values, read_rows.other_years) == (["a", "b"], 1)


def test_unknown_ids_are_named_with_line_and_count(tmp_path: Path) -> None:
    rows = [*rows_of("a", "b"), {"id": "113A1", "prediction": "a"}, {"id": "113A2", "prediction": "a"}]
    with pytest.raises(InputError, match=r'p.jsonl:3: "113A1" is unknown.*2 such: 113A1, 113A2'):
        read(tmp_path, rows)


def test_repeated_ids_are_named_with_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'p.jsonl:3: "112A1" is repeated'):
        read(tmp_path, [*rows_of("a", "b"), *rows_of("a")])


def test_missing_ids_are_counted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no prediction for 1 of 2 questions: 112A2"):
        read(tmp_path, rows_of("a"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prediction": "a"}, r'p.jsonl:1: no "problem_id" or "id"'),
        ({"id": "112A1"}, r'p.jsonl:1: neither "prediction" nor "output"'),
        ({"id": "112A1", "prediction": None}, r'p.jsonl:1: "prediction" is NoneType'),
    ],
)
def test_damaged_rows_are_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(tmp_path, [row, *rows_of("a", "b")[1:]])

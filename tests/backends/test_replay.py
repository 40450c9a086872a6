from pathlib import Path

import pytest

from jmed_jax.backends.protocol import Decoding
from jmed_jax.backends.replay import Replay
from jmed_jax.errors import InputError
from jmed_jax.jsonl import write_jsonl

HOW = Decoding(1)


def test_texts_are_found_by_task_and_id(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "predictions-medqa.jsonl", [{"id": "q1", "output": "胃炎"}])
    write_jsonl(tmp_path / "predictions-medqa_4.jsonl", [{"id": "q1", "output": "肺炎", "prediction": "b"}])
    backend = Replay(tmp_path)
    found = dict(backend.answers(["a", "b", "c"], HOW, ids=["medqa_4/q1", "medqa/q1", "mmlu/q1"]))
    assert [found[index].text for index in range(3)] == ["肺炎", "胃炎", ""]
    assert "no prediction for q1" in found[2].error
    assert backend.counts == {"requests": 3, "answers": 2, "no prediction": 1}
    assert backend.name == tmp_path.name


def test_one_file_serves_any_task_and_predictions_that_are_lists_are_marked(tmp_path: Path) -> None:
    rows = [{"problem_id": "112A1", "prediction": ["a", "c"]}, {"id": "n/0", "prediction": ["胃癌", "発熱"]}]
    path = tmp_path / "gpt.jsonl"
    write_jsonl(path, rows)
    found = dict(Replay(path).answers(["", ""], HOW, ids=["igakuqa/112A1", "jmed_llm.nrner/n/0"]))
    assert (found[0].text, found[1].text) == ("['a', 'c']", "['胃癌', '発熱']")
    assert found[0].is_list and found[1].is_list


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"output": "a"}], r'1: no "problem_id" or "id"'),
        ([{"id": "q"}], r'1: neither "output" nor "prediction"'),
        ([{"id": "q", "output": 3}], r'"output" is int'),
        ([{"id": "q", "output": "a"}, {"id": "q", "output": "b"}], r'2: "q" is repeated'),
        ([{"id": "q", "output": "a", "system": "x"}, {"id": "q", "output": "b", "system": "y"}], r"2 systems \(x, y\)"),
    ],
)
def test_damaged_rows_are_named(tmp_path: Path, rows: list[dict], message: str) -> None:
    write_jsonl(tmp_path / "p.jsonl", rows)
    with pytest.raises(InputError, match=message):
        Replay(tmp_path / "p.jsonl")


def test_a_directory_without_predictions_and_a_system_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no predictions-TASK\.jsonl"):
        Replay(tmp_path)
    write_jsonl(tmp_path / "p.jsonl", [{"id": "q", "output": "a", "system": "x"}])
    with pytest.raises(InputError, match='no predictions of system "y"'):
        Replay(tmp_path / "p.jsonl", system="y")

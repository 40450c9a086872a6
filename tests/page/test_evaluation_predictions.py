import json
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.errors import InputError
from jmed_jax.page.evaluation_predictions import prediction_data, prompt_text, row_share
from jmed_jax.page.evaluation_runs import read_inputs
from tests.page.evaluations import SYSTEM, MadeTask, write_evaluation


def blocks(paths: list[Path]) -> dict[str, dict[str, Any]]:
    return {task.name: json.loads(task.json) for task in prediction_data(read_inputs(paths, {}).runs)}


def prompt(block: dict[str, Any], answer: int, row: int) -> str:
    prompts = block["prompts"][block["answers"][answer]["prompts"]]
    return prompts["before"] + prompts["texts"][block["answers"][answer]["rows"][row]["i"]] + prompts["after"]


def test_every_answer_of_every_run(tmp_path: Path) -> None:
    paths = [
        write_evaluation(tmp_path / "a", {"medqa": MadeTask([True, False, True])}, name="a"),
        write_evaluation(tmp_path / "b", {"medqa": MadeTask([False, False, True]), "mmlu": MadeTask([True])}, name="b"),
    ]
    found = blocks(paths)
    assert list(found) == ["MedQA", "MMLU, health"]
    assert [[row["s"] for row in answer["rows"]] for answer in found["MedQA"]["answers"]] == [[1, 0, 1], [0, 0, 1]]
    assert [answer["run"] for answer in found["MMLU, health"]["answers"]] == [1]


def test_equal_prompts_stand_once_without_what_they_share(tmp_path: Path) -> None:
    paths = [write_evaluation(tmp_path / name, {"medqa": MadeTask([True] * 3)}, name=name) for name in "ab"]
    block = blocks(paths)["MedQA"]
    assert len(block["prompts"]) == 1
    assert SYSTEM in block["prompts"][0]["before"]
    assert block["prompts"][0]["texts"] == ["0", "1", "2"]
    assert prompt(block, 1, 2) == f"[system]\n{SYSTEM}\n\n[user]\n症例2の診断はどれか。\na. 肺炎\nb. 胃癌"


def test_a_prompt_may_be_no_more_than_what_all_share(tmp_path: Path) -> None:
    class Repeated(MadeTask):
        def prompt_rows(self) -> list[dict[str, Any]]:
            return [{"id": f"q{number}", "text": "あ" * (number + 1)} for number in range(len(self.right))]

    block = blocks([write_evaluation(tmp_path / "a", {"medqa": Repeated([True] * 3)})])["MedQA"]
    assert [prompt(block, 0, row) for row in range(3)] == ["あ", "ああ", "あああ"]


def test_other_prompts_of_a_task_stand_beside(tmp_path: Path) -> None:
    other = MadeTask([True] * 2, prompt_sha256="f" * 64)
    paths = [
        write_evaluation(tmp_path / "a", {"medqa": MadeTask([True] * 2)}, name="a"),
        write_evaluation(tmp_path / "b", {"medqa": other}, name="b"),
    ]
    assert [answer["prompts"] for answer in blocks(paths)["MedQA"]["answers"]] == [0, 1]


def test_one_task_by_two_protocols_is_two_blocks(tmp_path: Path) -> None:
    paths = [
        write_evaluation(tmp_path / "a", {"mmlu": MadeTask([True])}, name="a"),
        write_evaluation(tmp_path / "b", {"mmlu": MadeTask([True], protocol="loglikelihood")}, name="b"),
    ]
    assert list(blocks(paths)) == [
        "MMLU, health: Chain of thought, Gestalt accuracy",
        "MMLU, health: Log-likelihood of the options",
    ]


def test_what_is_unusual_about_a_row(tmp_path: Path) -> None:
    rows = {
        0: {"unparsable": True, "prediction": "None"},
        1: {"error": "the endpoint answered 503", "output": "", "raw_output": ""},
        2: {"output": "肺炎", "raw_output": "肺 炎"},
    }
    block = blocks([write_evaluation(tmp_path / "a", {"medqa": MadeTask([False] * 4, rows=rows)})])["MedQA"]
    unreadable, unanswered, restored, plain = block["answers"][0]["rows"]
    assert (unreadable["u"], unreadable["p"]) == (1, "None")
    assert unanswered["e"] == "the endpoint answered 503"
    assert (restored["o"], restored["r"]) == ("肺 炎", "肺炎")
    assert not {"u", "e", "r"} & plain.keys()
    assert plain["c"] == ["外科"]


def test_a_question_with_several_prompts_shows_them_all(tmp_path: Path) -> None:
    class Weighed(MadeTask):
        def prompt_rows(self) -> list[dict[str, Any]]:
            return [
                {"id": f"q0/{kind}", "text": f"by {kind}", "continuations": ["a", "b"]} for kind in ("letter", "text")
            ]

    block = blocks([write_evaluation(tmp_path / "a", {"mmlu": Weighed([True])})])["MMLU, health"]
    shown = prompt(block, 0, 0)
    assert "by letter" in shown and "by text" in shown and shown.count("[continuations]\na\nb") == 2


def test_prompts_as_text() -> None:
    messages = [{"role": "user", "content": "どれか。"}, {"role": "assistant", "content": "a"}]
    assert prompt_text({"messages": messages}) == "[user]\nどれか。\n\n[assistant]\na"
    assert prompt_text({"text": "問題: どれか。\n答え:"}) == "問題: どれか。\n答え:"


@pytest.mark.parametrize(
    ("scores", "share"),
    [
        ({"points": 3, "total": 3, "accuracy": 1}, 1.0),
        ({"gestalt_accuracy": 0, "exact_match": 0}, 0.0),
        # The benchmark's partial F1 may exceed 1 for a list that is not all right.
        ({"partial_f1": 1.5, "exact_f1": 0.5, "overlap_f1": 0.5}, 0.5),
        ({"rouge_l": 0.4}, None),
        ({}, None),
    ],
)
def test_how_right_a_row_is(scores: dict[str, float], share: float | None) -> None:
    assert row_share({"scores": scores}) == share


def test_rows_of_an_earlier_version(tmp_path: Path) -> None:
    class Old(MadeTask):
        def prediction_rows(self) -> list[dict[str, Any]]:
            return [{"id": "q0", "prediction": "a", "output": "a"}]

    with pytest.raises(InputError, match=r'predictions-medqa.jsonl:1: no "raw_output" field'):
        blocks([write_evaluation(tmp_path / "a", {"medqa": Old([True])})])

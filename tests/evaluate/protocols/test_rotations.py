import json
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.errors import InputError
from jmed_jax.evaluate.plan import Options
from jmed_jax.evaluate.protocols.multiple_choice import rotations
from jmed_jax.evaluate.run import run_tasks
from jmed_jax.jsonl import read_jsonl

from ..models import Scripted
from ..rows import exam_row, multiple_choice, write_rows


def test_every_rotation_keeps_the_right_texts() -> None:
    question = multiple_choice(answer=("a", "d"))
    turned = rotations(question)
    assert [one.id for one in turned] == ["q1#0", "q1#1", "q1#2", "q1#3"]
    assert {one.choices[0] for one in turned} == set(question.choices)
    assert turned[0].choices == question.choices
    assert all(set(one.answer_texts) == {"肺炎", "肺血栓塞栓症"} for one in turned)
    assert turned[1].answer == ("c", "d")


def evaluate(script: Any, tmp_path: Path, tasks: list[str], **options: Any) -> dict[str, Any]:
    chosen = Options(rotate_choices=True, **options)
    run_tasks(Scripted(script), tasks, tmp_path, tmp_path / "out", model_info={}, options=chosen)
    return json.loads((tmp_path / "out/scores.json").read_text(encoding="utf-8"))["tasks"]["medqa"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    options = {"A": "asthma", "B": "gout", "C": "malaria"}
    row = {"id": "q1", "question": "Which?", "options": options, "answer_idx": "B", "answer": "gout"}
    write_rows(tmp_path / "medqa/test.jsonl", [row, {**row, "id": "q2", "question": "What?"}])
    return tmp_path


def test_accuracy_is_over_rotations_and_the_same_answer_is_counted(data: Path) -> None:
    def first_choice_of_what(question: str) -> str:
        shown = question.rpartition("Choices: ")[2].split(",")
        return f"Answer: {shown[0] if 'What?' in question else 'gout'}"

    entry = evaluate(first_choice_of_what, data, ["medqa"])
    assert (entry["n"], entry["metrics"]["gestalt_accuracy"]) == (6, pytest.approx(4 / 6))
    assert (entry["rotations"]["questions"], entry["rotations"]["same_answer"]) == (2, 0.5)
    # gout is the second choice, so the first once it is turned by one place.
    assert [(at["n"], at["gestalt_accuracy"]) for at in entry["rotations"]["places"]] == [(2, 0.5), (2, 1.0), (2, 0.5)]
    rows = [row for _, row in read_jsonl(data / "out/predictions-medqa.jsonl")]
    assert [row["cluster"] for row in rows] == ["q1"] * 3 + ["q2"] * 3


def test_no_answer_however_turned_is_not_the_same_answer(data: Path) -> None:
    entry = evaluate(lambda question: "Answer: gout" if "Which?" in question else "\n", data, ["medqa"])
    assert (entry["unparsable"], entry["rotations"]["same_answer"]) == (3, 0.5)


def test_points_are_not_rotated(data: Path) -> None:
    write_rows(data / "igakuqa/ja/2018.jsonl", [exam_row()])
    with pytest.raises(InputError, match="--rotate-choices is for multiple-choice questions, not igakuqa_points"):
        evaluate("a", data, ["igakuqa"])

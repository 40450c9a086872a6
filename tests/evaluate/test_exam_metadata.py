from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jmed_jax.errors import InputError
from jmed_jax.evaluate.exam_metadata import category_groups, chosen_letters, human_and_kinki, read_metadata
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.row_scores import RowScores
from jmed_jax.evaluate.tasks import get_task

from .rows import exam, write_rows

POINTS = get_task("igakuqa", "igakuqa_points")


def write_metadata(data: Path, *rows: dict[str, Any]) -> Path:
    write_rows(data / "igakuqa" / "metadata" / "2018.jsonl", list(rows))
    return data


def row(problem_id: str, kinki: list[str], accuracy: str = "80.5", category: str = "内科") -> dict[str, Any]:
    return {"problem_id": problem_id, "category": category, "kinki": kinki, "human_accuracy": accuracy}


def test_contraindicated_choices_are_counted_where_there_are_some(tmp_path: Path) -> None:
    data = write_metadata(tmp_path, row("112A1", ["ｂ", " de"]), row("112A2", ["a"]), row("112A3", []))
    questions = [exam("112A1"), exam("112A2"), exam("112A3"), exam("112A4")]
    found = human_and_kinki(POINTS, data, questions, ["b,d", "c", "a", "e"])
    assert found["kinki"] == {"chosen": 2, "questions": 2}


def test_humans_are_right_in_the_mean_over_the_questions_asked(tmp_path: Path) -> None:
    data = write_metadata(tmp_path, row("112A1", [], "50"), row("112A2", [], "90.0"), row("112A3", [], ""))
    questions = [exam("112A1"), exam("112A2"), exam("112A3")]
    assert human_and_kinki(POINTS, data, questions, ["a"] * 3)["human"] == {"accuracy": pytest.approx(0.7), "n": 2}
    assert human_and_kinki(POINTS, data, questions[:1], ["a"])["human"] == {"accuracy": 0.5, "n": 1}


def test_without_metadata_nothing_is_said(tmp_path: Path) -> None:
    assert human_and_kinki(POINTS, tmp_path, [exam()], ["a"]) == {}
    assert read_metadata("denqa", write_metadata(tmp_path, row("112A1", []))) == {}


def test_a_prediction_in_words_is_traced_to_its_letters() -> None:
    question = MultipleChoiceQuestion(
        "112A1", "igakuqa", "ja", "どれか。", ("安静", "手術", "輸血"), (("a",),), license=""
    )
    assert chosen_letters(get_task("igakuqa", "gestalt_cot"), question, "手術") == {"b"}
    assert chosen_letters(get_task("igakuqa", "loglikelihood"), question, "c") == {"c"}
    assert chosen_letters(POINTS, exam(), "a,c") == {"a", "c"}
    assert chosen_letters(POINTS, exam(), "26") == frozenset()


def test_a_question_in_rotations_counts_once(tmp_path: Path) -> None:
    data = write_metadata(tmp_path, row("112A1", ["b"], "40"))
    turned = [
        MultipleChoiceQuestion(f"112A1#{n}", "igakuqa", "ja", "どれか。", choices, (("a",),), license="")
        for n, choices in enumerate((("安静", "手術"), ("手術", "安静")))
    ]
    found = human_and_kinki(get_task("igakuqa", "loglikelihood"), data, turned, ["b", "b"])
    assert found == {"human": {"accuracy": 0.4, "n": 1}, "kinki": {"chosen": 1, "questions": 1}}


def test_specialties_are_scored_by_themselves(tmp_path: Path) -> None:
    data = write_metadata(tmp_path, row("112A1", []), row("112A2", [], category="外科"), row("112A3", []))
    questions = [exam("112A1"), exam("112A2"), exam("112A3")]
    rows = RowScores({"accuracy": np.array([1.0, 1, 0])}, {"accuracy": "mean"})
    assert category_groups(POINTS, data, questions, rows) == {
        "内科": {"n": 2, "accuracy": 0.5},
        "外科": {"n": 1, "accuracy": 1.0},
    }


def test_a_percentage_that_is_none_is_refused_with_its_line(tmp_path: Path) -> None:
    data = write_metadata(tmp_path, row("112A1", []), row("112A2", [], "many"))
    with pytest.raises(InputError, match=r"2018.jsonl:2.*percentage"):
        read_metadata("igakuqa", data)

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jmed_jax.errors import InputError
from jmed_jax.evaluate.exam_metadata import (
    ExamMetadata,
    chosen_letters,
    human_and_kinki,
    metadata_groups,
    read_metadata,
)
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.protocols.multiple_choice import rotations
from jmed_jax.evaluate.row_scores import RowScores
from jmed_jax.evaluate.tasks import get_task

from .rows import exam, write_rows

POINTS = get_task("igakuqa", "igakuqa_points")


def write_metadata(data: Path, *rows: dict[str, Any], year: str = "2018") -> Path:
    write_rows(data / "igakuqa" / "metadata" / f"{year}.jsonl", list(rows))
    return data


def metadata_of(data: Path, *rows: dict[str, Any]) -> dict[str, ExamMetadata]:
    return read_metadata("igakuqa", write_metadata(data, *rows))


def row(problem_id: str, kinki: list[str], accuracy: str = "80.5", category: str = "内科") -> dict[str, Any]:
    return {"problem_id": problem_id, "category": category, "kinki": kinki, "human_accuracy": accuracy}


def test_contraindicated_choices_are_counted_where_there_are_some(tmp_path: Path) -> None:
    metadata = metadata_of(tmp_path, row("112A1", ["ｂ", " de"]), row("112A2", ["a"]), row("112A3", []))
    questions = [exam("112A1"), exam("112A2"), exam("112A3"), exam("112A4")]
    kinki = human_and_kinki(POINTS, metadata, questions, ["b,d", "c", "a", "e"])["kinki"]
    assert (kinki["chosen"], kinki["questions"], kinki["asked"]) == (2, 2, 2)


def test_humans_are_right_in_the_mean_over_the_questions_asked(tmp_path: Path) -> None:
    metadata = metadata_of(tmp_path, row("112A1", [], "50"), row("112A2", [], "90.0"), row("112A3", [], ""))
    questions = [exam("112A1"), exam("112A2"), exam("112A3")]
    human = human_and_kinki(POINTS, metadata, questions, ["a"] * 3)["human"]
    assert (human["accuracy"], human["n"]) == (pytest.approx(0.7), 2)
    human = human_and_kinki(POINTS, metadata, questions[:1], ["a"])["human"]
    assert (human["accuracy"], human["n"]) == (0.5, 1)


def test_every_year_stands_by_itself(tmp_path: Path) -> None:
    write_metadata(tmp_path, row("113A1", ["a"], "90"), year="2019")
    metadata = metadata_of(tmp_path, row("112A1", ["b"], "50"))
    found = human_and_kinki(POINTS, metadata, [exam("112A1"), exam("113A1")], ["c", "a"])
    assert found["human"]["years"] == {"2018": {"accuracy": 0.5, "n": 1}, "2019": {"accuracy": 0.9, "n": 1}}
    assert {year: part["chosen"] for year, part in found["kinki"]["years"].items()} == {"2018": 0, "2019": 1}


def test_without_metadata_nothing_is_said(tmp_path: Path) -> None:
    assert human_and_kinki(POINTS, read_metadata("igakuqa", tmp_path), [exam()], ["a"]) == {}
    assert read_metadata("denqa", write_metadata(tmp_path, row("112A1", []))) == {}


def test_a_prediction_in_words_is_traced_to_its_letters() -> None:
    question = MultipleChoiceQuestion(
        "112A1", "igakuqa", "ja", "どれか。", ("安静", "手術", "輸血"), (("a",),), license=""
    )
    assert chosen_letters(get_task("igakuqa", "gestalt_cot"), question, "手術") == {"b"}
    assert chosen_letters(get_task("igakuqa", "loglikelihood"), question, "c") == {"c"}
    assert chosen_letters(POINTS, exam(), "a,c") == {"a", "c"}
    assert chosen_letters(POINTS, exam(), "26") == frozenset()


def test_a_contraindicated_choice_is_one_wherever_it_is_turned_to(tmp_path: Path) -> None:
    metadata = metadata_of(tmp_path, row("112A1", ["b"], "40"))
    printed = MultipleChoiceQuestion(
        "112A1", "igakuqa", "ja", "どれか。", ("安静", "手術", "輸血"), (("a",),), license=""
    )
    # 手術 is b as printed, a turned by one place, and c turned by two, where a is taken.
    found = human_and_kinki(get_task("igakuqa", "loglikelihood"), metadata, rotations(printed), ["b", "a", "a"])
    assert (found["human"]["accuracy"], found["human"]["n"]) == (0.4, 1)
    assert (found["kinki"]["chosen"], found["kinki"]["questions"], found["kinki"]["asked"]) == (2, 1, 3)


def test_years_and_specialties_are_scored_by_themselves(tmp_path: Path) -> None:
    metadata = metadata_of(tmp_path, row("112A1", []), row("112A2", [], category="外科"), row("112A3", []))
    questions = [exam("112A1"), exam("112A2"), exam("112A3")]
    rows = RowScores({"accuracy": np.array([1.0, 1, 0])}, {"accuracy": "mean"})
    assert metadata_groups(metadata, questions, rows) == {
        "2018": {"n": 3, "accuracy": pytest.approx(2 / 3)},
        "内科": {"n": 2, "accuracy": 0.5},
        "外科": {"n": 1, "accuracy": 1.0},
    }


def test_a_percentage_that_is_none_is_refused_with_its_line(tmp_path: Path) -> None:
    data = write_metadata(tmp_path, row("112A1", []), row("112A2", [], "many"))
    with pytest.raises(InputError, match=r"2018.jsonl:2.*percentage"):
        read_metadata("igakuqa", data)

import json
from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.jsonl import read_jsonl
from jmed_jax.quickstart.questions import Style, read_style, side_of, write_held_out, write_training
from jmed_jax.sample.generate import write_sample

_LETTERS = "アイウエオカキクケコサシスセソタチツテト"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A list of 400 invented diseases in 20 categories, and two years of an examination."""
    path = tmp_path_factory.mktemp("data")
    (path / "dictionary").mkdir()
    names = [
        (f"{a}{b}{a}病", f"{chr(65 + i)}{10 + i}{j % 10}")
        for i, a in enumerate(_LETTERS)
        for j, b in enumerate(_LETTERS)
    ]
    lines = [f"{name},{code},{name}" for name, code in names]
    (path / "dictionary/manbyo_disease_names.csv").write_text("\n".join(["surface,icd10,standard", *lines]) + "\n")
    (path / "igakuqa/ja").mkdir(parents=True)
    for year, first in ((2018, 112), (2019, 113)):
        rows = [_exam_row(f"{first}A{number}") for number in range(1, 6)]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (path / f"igakuqa/ja/{year}.jsonl").write_text(text, encoding="utf-8")
    return path


def _exam_row(identifier: str) -> dict[str, object]:
    choices = [f"{identifier}の{letter}" for letter in "甲乙丙丁戊"]
    text = f"四十歳の男性が外来を受診した。{identifier}という架空の所見について正しいのはどれか。"
    return {"problem_id": identifier, "year": 2018, "section": "A", "problem_text": text, "choices": choices} | {
        "answer": ["a"],
        "points": 1,
        "text_only": True,
    }


@pytest.fixture(scope="module")
def style(data: Path) -> Style:
    return read_style(data, limit=300)


def test_the_right_choice_is_the_category_of_the_disease(style: Style) -> None:
    questions = [question for side in style.sides.values() for question in side]
    assert len(questions) == 300
    for question in questions:
        name = question.id.removeprefix("icd10/")
        assert name in question.text
        assert question.answer_texts == (f"{chr(65 + _LETTERS.index(name[0]))}{10 + _LETTERS.index(name[0])}",)
        assert len(set(question.choices)) == 5


def test_no_disease_stands_on_both_sides(style: Style, data: Path, tmp_path: Path) -> None:
    tasks = write_held_out(style, data, tmp_path / "held-out")
    assert tasks == [str(tmp_path / "held-out/questions.jsonl"), "igakuqa"]
    held_out = {row["pair"] for _, row in read_jsonl(tmp_path / "held-out/questions.jsonl")}
    write_held_out(style, data, tmp_path / "validation", side="validation")
    validation = {row["pair"] for _, row in read_jsonl(tmp_path / "validation/questions.jsonl")}
    files = write_training(style, data, tmp_path / "training", tmp_path / "held-out", exams=10)
    trained = {row["id"].removeprefix("questions/").removesuffix("/ja") for _, row in read_jsonl(files[0])}
    assert held_out and validation and trained
    assert not held_out & validation and not (held_out | validation) & trained
    assert len(held_out | validation | trained) == 300


def test_the_newest_examination_is_held_out_and_the_others_are_trained_on(
    style: Style, data: Path, tmp_path: Path
) -> None:
    write_held_out(style, data, tmp_path / "held-out")
    assert [path.name for path in (tmp_path / "held-out/igakuqa/ja").iterdir()] == ["2019.jsonl"]
    _, exams = write_training(style, data, tmp_path / "training", tmp_path / "held-out", exams=10)
    assert {row["id"] for _, row in read_jsonl(exams)} == {f"igakuqa/112A{number}/ja" for number in range(1, 6)}


def test_a_side_does_not_depend_on_how_many_questions_there_are(style: Style, data: Path) -> None:
    few = read_style(data, limit=50)
    for side, questions in few.sides.items():
        assert {question.id for question in questions} <= {question.id for question in style.sides[side]}
        assert all(side_of(question.pair) == side for question in questions)


def test_without_lists_the_questions_of_the_folder_are_asked_as_it_divides_them(tmp_path: Path) -> None:
    write_sample(tmp_path)
    style = read_style(tmp_path, limit=10)
    assert len(style.sides["test"]) == 60 and len(style.training) > 200
    assert not {question.text for question in style.training} & {question.text for question in style.sides["test"]}
    (question,) = (question for question in style.sides["test"] if question.id == "jmmlu_med-test-00000")
    assert question.answer_texts[0] in question.choices and len(question.choices) == 4


def test_a_folder_without_anything_to_ask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither term lists in dictionary/ nor"):
        read_style(tmp_path, limit=10)

"""A faithful translation passes, and every way of being unfaithful is named."""

import json
from dataclasses import replace
from typing import Any

import pytest

from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.instruct.translation_checks import Problem, Translation, check_translation

QUESTION = MultipleChoiceQuestion(
    id="q1",
    source="made",
    language="en",
    text="A 45-year-old man has had a fever of 38.5°C for two weeks. Blood pressure is 130/86 mm Hg, sodium 1,300 mg "
    "and HbA1c 7.20 %. Which drug is right?",
    choices=("Aspirin 100 mg", "Heparin 5 mEq/L", "None of these"),
    accepted=(("b",),),
    license="CC0",
)
TEXT = "45歳の男性。2週間前から38.5℃の発熱がある。血圧130/86mmHg、ナトリウム１３００㎎、HbA1c 7.2％。正しい薬はどれか。"
CHOICES = {"A": "アスピリン100mg", "B": "ヘパリン 5mEq/L", "C": "いずれでもない"}


def check(**changed: Any) -> Translation | Problem:
    answer = json.dumps({"question": TEXT, "choices": CHOICES} | changed, ensure_ascii=False)
    return check_translation(QUESTION, f"はい。\n```json\n{answer}\n```", "ja")


def test_a_faithful_translation_passes_whatever_the_width_of_its_digits() -> None:
    assert check() == Translation(TEXT, tuple(CHOICES.values()))


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"question": TEXT.replace("130/86", "130/68")}, "numbers: the number 86 is missing in the question"),
        (
            {"question": TEXT.replace("2週間前", "2020年")},
            "numbers: the number 2020 was not there before in the question",
        ),
        ({"question": TEXT.replace("38.5℃", "38.5度")}, None),
        ({"question": TEXT.replace("mmHg", "cmH2O")}, "units: 86 mmHg has lost or changed its unit in the question"),
        ({"question": TEXT.replace("㎎", "g")}, "units: 1300 mg has lost"),
        ({"question": TEXT.replace("％", "")}, "units: 7.2 % has lost"),
        ({"question": TEXT.replace("HbA1c", "ヘモグロビン")}, "codes: HbA1c is missing in the question"),
        ({"question": QUESTION.text}, "language: the question is not in Japanese"),
        ({"question": " "}, "form: a text is missing or empty"),
        ({"choices": dict(list(CHOICES.items())[:2])}, "choices: the letters must be A, B, C, found A, B"),
        ({"choices": CHOICES | {"D": "他"}}, "choices: the letters must be A, B, C, found A, B, C, D"),
        ({"choices": list(CHOICES.values())}, "choices: the letters must be A, B, C, found none"),
        ({"choices": CHOICES | {"B": CHOICES["C"]}}, "choices: two choices that differ have become the same"),
        (
            {"choices": CHOICES | {"B": CHOICES["A"], "A": CHOICES["B"]}},
            "numbers: the number 100 is missing in choice A",
        ),
        ({"choices": CHOICES | {"A": "アスピリン100μg"}}, "units: 100 mg has lost or changed its unit in choice A"),
    ],
)
def test_what_does_not_survive_is_named(changed: dict[str, Any], problem: str | None) -> None:
    result = check(**changed)
    if problem is None:
        assert isinstance(result, Translation)
    else:
        assert isinstance(result, Problem) and str(result).startswith(problem)


@pytest.mark.parametrize("answer", ["", "申し訳ありません。", '{"question": "途中で切れ', "[1]", "{" * 5000 + "}"])
def test_an_answer_without_the_object_is_of_no_use(answer: str) -> None:
    result = check_translation(QUESTION, answer, "ja")
    assert isinstance(result, Problem) and result.check == "form"


def test_ranges_and_written_out_units_of_the_other_language() -> None:
    question = MultipleChoiceQuestion(
        id="q",
        source="made",
        language="ja",
        text="体温37度、体重50キロ、30～40mgを投与。1日3回。",
        choices=("甲", "乙"),
        accepted=(("a",),),
        license="CC0",
    )
    right = "Temperature 37 °C, weight 50 kg; 30 to 40 mg are given 3 times in 1 day."
    answer = {"question": right, "choices": {"A": "one", "B": "two"}}
    assert isinstance(check_translation(question, json.dumps(answer), "en"), Translation)
    answer["question"] = right.replace("50 kg", "50 lb")
    result = check_translation(question, json.dumps(answer), "en")
    assert isinstance(result, Problem) and result.check == "units"


@pytest.mark.parametrize(
    ("before", "after", "passes"),
    [
        ("Select 2 of the 3.", "3つのうち二つ選べ。", True),
        ("Select 13.", "十三選べ。", False),
        ("For two decades.", "20年間。", True),
        ("For two years.", "20年間。", False),
        ("Turn it by 30 degrees.", "30度回す。", True),
        ("It takes 2 milliseconds.", "2ミリ秒かかる。", True),
        ("Red cells 3.56 million, platelets 180,000.", "赤血球356万、血小板18万。", True),
        ("Red cells 3.56 million.", "赤血球35.6万。", False),
    ],
)
def test_numbers_that_are_words_and_degrees_that_are_angles(before: str, after: str, passes: bool) -> None:
    question = replace(QUESTION, text=before, choices=("x", "y"))
    answer = json.dumps({"question": after, "choices": {"A": "甲", "B": "乙"}})
    assert isinstance(check_translation(question, answer, "ja"), Translation) == passes


def test_angles_and_milliseconds_in_japanese_are_no_temperatures_and_lengths() -> None:
    question = replace(QUESTION, language="ja", text="15度で刺す。2ミリ秒。2つ選べ。", choices=("甲", "乙"))
    answer = {"question": "Pierce at 15 degrees. 2 milliseconds. Select two.", "choices": {"A": "x", "B": "y"}}
    assert isinstance(check_translation(question, json.dumps(answer), "en"), Translation)

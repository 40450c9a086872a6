import ast
import random
from pathlib import Path

import pytest

from jmed_jax.evaluate.linear_baseline import linear_predictions
from jmed_jax.evaluate.linear_tagger import LinearTagger
from jmed_jax.evaluate.questions import ChoiceQuestion, ExtractionQuestion
from jmed_jax.evaluate.tasks import get_task

from .rows import choice, extraction

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def tweets(count: int, seed: int, tag: str, sign: str) -> list[ChoiceQuestion]:
    """Tweets whose answer is A where they hold the sign; one in ten does."""
    generator = random.Random(seed)
    rows = []
    for n in range(count):
        words = "".join(generator.choices("今日は学校へ行きました本を読む", k=12))
        positive = n % 10 == 0
        text = f"風邪ですか？\n「{words}{sign if positive else ''}」"
        rows.append(choice(f"{tag}-{seed}-{n}", "A" if positive else "B", tag, question=text))
    return rows


def notes(count: int, seed: int, tag: str = "d") -> list[ExtractionQuestion]:
    """Notes that name a complaint between two words that always stand around one."""
    generator = random.Random(seed)
    complaints = ["発熱", "咳嗽", "腹痛", "頭痛", "嘔気"]
    rows = []
    for n in range(count):
        wanted, other = generator.sample(complaints, 2)
        text = f"症状は？\n昨日から{wanted}あり。{other}なし。朝食{generator.randint(1, 9)}割摂取。"
        rows.append(extraction(f"{tag}-{seed}-{n}", (wanted,), tag, question=text))
    return rows


def test_letters_are_told_by_their_characters() -> None:
    test = tweets(40, 1, "cold", "鼻水")
    assert linear_predictions(test, tweets(200, 0, "cold", "鼻水")) == [question.answer for question in test]


def test_every_tag_has_a_model_of_its_own() -> None:
    # The sign of one tag says nothing in another.
    train = [*tweets(200, 0, "cold", "鼻水"), *tweets(200, 0, "flu", "高熱")]
    other = tweets(40, 1, "flu", "鼻水")
    assert set(linear_predictions(other, train)) == {"B"}
    assert linear_predictions([*tweets(20, 2, "flu", "高熱")], train)[::10] == ["A", "A"]


def test_a_tag_without_training_rows_gets_the_model_of_all_tags() -> None:
    test = tweets(20, 1, "new", "鼻水")
    assert linear_predictions(test, tweets(200, 0, "cold", "鼻水")) == [question.answer for question in test]


def test_training_rows_of_one_answer_give_that_answer() -> None:
    assert linear_predictions([choice("q")], [choice("t-0", "B"), choice("t-1", "B")]) == ["B"]


def test_strings_are_told_by_the_characters_around_them() -> None:
    test = notes(20, 1)
    found = [ast.literal_eval(prediction) for prediction in linear_predictions(test, notes(100, 0))]
    assert found == [list(question.answers) for question in test]


def test_the_same_rows_give_the_same_answers() -> None:
    train, test = [*notes(60, 0), *notes(60, 1, "m")], [*notes(10, 2), *notes(10, 3, "m")]
    assert linear_predictions(test, train) == linear_predictions(test, train)
    assert linear_predictions(test[::-1], train) == linear_predictions(test, train)[::-1]


def test_a_tagger_of_reports_without_strings_finds_none() -> None:
    assert LinearTagger(["平熱。"], [[]]).find(["発熱。", ""]) == [[], []]


def test_overlapping_strings_are_tagged_by_the_longer_one() -> None:
    reports = ["左の肺炎あり。"] * 30
    assert LinearTagger(reports, [["肺炎", "左の肺炎"]] * 30).find(["左の肺炎あり。"]) == [["左の肺炎"]]


def test_an_empty_report_has_no_strings() -> None:
    tagger = LinearTagger(["熱あり。"] * 10, [["熱"]] * 10)
    assert tagger.find(["", "熱あり。"]) == [[], ["熱"]]


@pytest.mark.slow
def test_training_rows_give_much_of_smdis_away() -> None:
    if not DATA.is_dir():
        pytest.skip(f"no {DATA}")
    task = get_task("jmed_llm.smdis")
    test, train = task.read_gold([task.gold_path(DATA)]), task.read_gold([task.train_path(DATA)])
    # Measured on all 100 rows: .94; on the 60 that are here .80.
    assert task.score(test, linear_predictions(test, train))["kappa"] > 0.7

import ast

from jmed_jax.evaluate.baselines import baseline_scores, majority_predictions, random_predictions
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.questions import OpenQuestion
from jmed_jax.evaluate.tasks import get_task

from .rows import choice, exam, extraction

SMDIS = get_task("jmed_llm.smdis")


def test_the_majority_letter_is_that_of_the_tag() -> None:
    train = [
        choice(f"t-{i}", answer, tag) for i, (answer, tag) in enumerate([("B", "cold"), ("A", "flu"), ("A", "flu")])
    ]
    assert majority_predictions([choice(tag="cold"), choice(tag="flu")], train) == ["B", "A"]


def test_a_tag_without_training_rows_gets_the_majority_of_all() -> None:
    train = [choice("t-0", "B", "cold"), choice("t-1", "B", "flu"), choice("t-2", "A", "flu")]
    assert majority_predictions([choice(tag="fever")], train) == ["B"]


def test_the_majority_strings_are_as_many_as_a_row_has_on_average() -> None:
    train = [extraction("t-0", ("発熱", "咳")), extraction("t-1", ("発熱", "痰")), extraction("t-2", ("咳", "発熱"))]
    assert majority_predictions([extraction()], train) == ["['発熱', '咳']"]


def test_chance_is_the_same_for_a_question_in_any_company() -> None:
    questions = [choice(f"q-{i}") for i in range(50)]
    alone = [random_predictions(SMDIS, [question], seed=1)[0] for question in questions]
    assert random_predictions(SMDIS, questions, seed=1) == alone
    assert random_predictions(SMDIS, questions, seed=2) != alone
    assert set(alone) == {"A", "B"}


def test_chance_takes_spans_of_the_report() -> None:
    (prediction,) = random_predictions(get_task("jmed_llm.nrner"), [extraction()], seed=0)
    spans = ast.literal_eval(prediction)
    assert len(spans) == 3
    assert all(len(span) == 5 and span in extraction().question.split("\n")[1] for span in spans)


def test_chance_chooses_as_many_letters_as_are_asked_for() -> None:
    questions = [exam("112A1"), exam("112A2", ("a", "b")), exam("112A3", ("26",), choices=())]
    one, two, number = random_predictions(get_task("igakuqa"), questions, seed=0)
    assert len(one) == 1 and len(two) == 3 and number == ""
    assert set(two) <= set("abcde,")


def test_chance_answers_in_the_words_of_the_protocol() -> None:
    question = MultipleChoiceQuestion("1", "medqa", "en", "Which?", ("rest", "surgery"), (("b",),), license="")
    (prediction,) = random_predictions(get_task("medqa", "gestalt_cot"), [question], seed=0)
    assert prediction in question.choices


def test_baselines_go_through_the_tasks_own_scorer() -> None:
    questions = [choice("q-0", "A"), choice("q-1", "B")]
    scored = baseline_scores(SMDIS, questions, [choice("t-0", "A")])
    assert list(scored) == ["random", "majority", "linear"]
    assert scored["majority"]["accuracy"] == 0.5
    assert set(scored["random"]) == set(SMDIS.score(questions, ["A", "A"]))
    assert list(baseline_scores(SMDIS, questions, [])) == ["random"]


def test_free_words_have_no_baselines() -> None:
    assert baseline_scores(SMDIS, [OpenQuestion("1", "なぜ？", "だから")], []) == {}

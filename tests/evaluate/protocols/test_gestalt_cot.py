from difflib import SequenceMatcher

import pytest

from jmed_jax.evaluate.exam_prompts import ExamPrompt
from jmed_jax.evaluate.protocols.gestalt_cot import LONGEST_RESPONSE, GestaltTask, chosen, similarity

from ..rows import multiple_choice

TASK = GestaltTask("medqa", "ja", "medqa/test.jsonl", source="medqa")


def score(output: str, **question: object) -> dict[str, float]:
    asked = multiple_choice(**question)  # type: ignore[arg-type]
    return TASK.score([asked], [TASK.read_output(asked, output)])


def test_similarity_is_the_mean_of_both_orders_without_points_at_the_ends() -> None:
    # difflib's ratio depends on the order of its arguments.
    response, choice = "tide", "diet."
    forwards = SequenceMatcher(None, "diet", "tide").ratio()
    backwards = SequenceMatcher(None, "tide", "diet").ratio()
    assert forwards != backwards
    assert similarity(response, choice) == (forwards + backwards) / 2
    assert similarity("肺炎.", "肺炎") == 1.0


def test_the_most_similar_choice_is_taken_though_it_is_not_written_exactly() -> None:
    result = score("胸水がある。\n答え: 胸膜炎の疑い")
    assert (result["gestalt_accuracy"], result["exact_match"], result["unparsable"]) == (1.0, 0.0, 0)
    assert score("答え: 胸膜炎")["exact_match"] == 1.0
    assert score("答え: 気胸")["gestalt_accuracy"] == 0.0


def test_as_many_choices_are_taken_as_the_answer_has() -> None:
    assert chosen(["一つ目", "二つ目", "三"], "二つ目,一つ目", 2) == ["一つ目", "二つ目"]
    assert score("答え: 気胸,肺炎", answer=("a", "c"))["gestalt_accuracy"] == 1.0
    assert score("答え: 肺炎,気胸", answer=("a", "c"))["exact_match"] == 1.0


def test_any_accepted_answer_is_right() -> None:
    assert score("答え: 気胸", accepted=(("b",), ("c",)))["gestalt_accuracy"] == 1.0


@pytest.mark.parametrize("output", ["", "\n \n", "肺" * (LONGEST_RESPONSE + 1), "答え:" + "胸膜炎" * 50_000])
def test_no_response_and_a_runaway_are_wrong_and_counted(output: str) -> None:
    # By similarity alone, the first of equally unlike choices would be taken.
    result = score(output, answer=("a",))
    assert (result["gestalt_accuracy"], result["unparsable"]) == (0.0, 1)


def test_the_marker_is_that_of_the_wording_that_was_used() -> None:
    wording = {"gestalt_cot.ja": ExamPrompt("", "{question}{choices}", "結論：")}
    assert TASK.read_output(multiple_choice(), "答え: 肺炎\n結論：気胸\nほか", wording) == "気胸"


def test_a_full_width_colon_marks_the_answer_as_well() -> None:
    assert TASK.read_output(multiple_choice(), "発熱がある。\n答え：気胸") == "気胸"
    wording = {"gestalt_cot.ja": ExamPrompt("", "{question}{choices}", "結論：")}
    assert TASK.read_output(multiple_choice(), "発熱がある。\n結論: 気胸", wording) == "気胸"


def test_pictures_numerals_and_other_numbers_of_choices_are_not_asked() -> None:
    task = GestaltTask("igakuqa", "ja", "igakuqa/ja", source="igakuqa", choices=4)
    picture = multiple_choice("q2", text_only=False)
    numeral = multiple_choice("q3", ("26",), choices=())
    three = multiple_choice("q4", choices=("一", "二", "三"))
    assert [question.id for question in task.asked([multiple_choice(), picture, numeral, three])] == ["q1"]


def test_a_baseline_that_chooses_letters_writes_their_texts() -> None:
    assert TASK.prediction_of(multiple_choice(), ("a", "c")) == "肺炎,気胸"

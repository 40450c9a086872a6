import json
from dataclasses import replace
from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.evaluate.exam_prompts import (
    DEFAULT_EXAM_PROMPTS,
    exam_answer,
    exam_messages,
    load_exam_prompts,
    prompts_sha256,
    read_response,
)
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion

QUESTION = MultipleChoiceQuestion(
    id="q1",
    source="made",
    language="ja",
    text="熱{39.5}が出る。正しいのはどれか。",
    choices=("甲", "乙", "丙"),
    accepted=(("a", "c"),),
    license="CC0",
    explanation="甲と丙は熱を出す。",
)
PROMPTS = load_exam_prompts()


def test_choices_are_joined_by_commas_and_the_answer_is_their_text() -> None:
    system, user = exam_messages(QUESTION, PROMPTS, "gestalt_cot")
    assert (system["role"], user["role"]) == ("system", "user")
    assert QUESTION.text in user["content"] and "甲,乙,丙" in user["content"]
    assert exam_answer(QUESTION, PROMPTS, "gestalt_cot") == "答え: 甲,丙"


def test_letters_ask_for_letters() -> None:
    assert "A. 甲\nB. 乙\nC. 丙" in exam_messages(QUESTION, PROMPTS, "letters")[1]["content"]
    assert exam_answer(QUESTION, PROMPTS, "letters") == "A,C"


def test_an_explanation_comes_before_the_answer_and_the_reader_finds_the_answer() -> None:
    answer = exam_answer(QUESTION, PROMPTS, "gestalt_cot", with_explanation=True)
    assert answer == "甲と丙は熱を出す。\n答え: 甲,丙"
    assert read_response(answer, "答え:") == "甲,丙"
    assert read_response("答え: 乙\n考え直すと\n答え:\n\n 丙 \n以上", "答え:") == "丙"
    assert read_response("\n甲\n乙", "答え:") == "甲"
    assert read_response("甲\n乙", "") == "甲"
    assert read_response("考え中。答え:", "答え:") == ""


def test_english_questions_are_asked_in_english() -> None:
    english = replace(QUESTION, language="en", text="Which is right?", choices=("x", "y", "z"))
    messages = exam_messages(english, PROMPTS, "gestalt_cot")
    assert all(message["content"].isascii() for message in messages)
    assert exam_answer(english, PROMPTS, "gestalt_cot") == "Answer: x,z"


def test_examples_are_turns_before_the_question() -> None:
    example = replace(QUESTION, id="q0", text="例題", accepted=(("b",),))
    messages = exam_messages(QUESTION, PROMPTS, "gestalt_cot", examples=[example], with_explanation=True)
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert messages[2]["content"].endswith("答え: 乙") and messages[2]["content"].startswith("甲と丙")


def test_a_prompt_file_takes_the_place_of_the_wording(tmp_path: Path) -> None:
    entries = json.loads(DEFAULT_EXAM_PROMPTS.read_text(encoding="utf-8"))
    entries["gestalt_cot.ja"] = {"system": "", "user": "{question}|{choices}", "response_marker": "→"}
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    prompts = load_exam_prompts(path)
    assert exam_messages(QUESTION, prompts, "gestalt_cot") == [{"role": "user", "content": f"{QUESTION.text}|甲,乙,丙"}]
    assert exam_answer(QUESTION, prompts, "gestalt_cot") == "→ 甲,丙"
    assert prompts_sha256(prompts) != prompts_sha256(PROMPTS)

    for wrong in ({"user": "{question}"}, {"user": "{question} {choices} {other}"}, {"user": "{question} {choices"}):
        path.write_text(json.dumps(entries | {"letters.en": entries["letters.en"] | wrong}), encoding="utf-8")
        with pytest.raises(InputError, match=r'prompts\.json: prompt "letters.en" needs'):
            load_exam_prompts(path)
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="expected an object"):
        load_exam_prompts(path)

import random
from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.evaluate.contamination import file_texts, measure, read_benchmarks
from jmed_jax.evaluate.exams.question import MultipleChoiceQuestion
from jmed_jax.evaluate.questions import ChoiceQuestion, Question

from .rows import choice, choice_row, write_rows

KANA = [chr(code) for code in range(ord("ぁ"), ord("ん"))]


def prose(count: int, seed: int) -> str:
    return "".join(random.Random(seed).choices(KANA, k=count))


def exam(identifier: str, text: str, *choices: str) -> MultipleChoiceQuestion:
    return MultipleChoiceQuestion(identifier, "mmlu", "ja", text, choices or ("は", "い"), (("a",),), license="")


def overlapping(texts: list[str], questions: list[Question], n_gram: int = 30) -> list[str]:
    found = measure("texts", [("here", text) for text in texts], {"task": questions}, n_gram=n_gram)["tasks"]["task"]
    assert found["overlapping"] == len(found["examples"]) and found["n"] == len(questions)
    return sorted(example["id"] for example in found["examples"])


def test_a_question_overlaps_when_a_span_is_shared_whatever_its_width_and_punctuation() -> None:
    text = prose(40, 1)
    dotted = "、".join(text[:32])
    assert overlapping([prose(100, 2) + dotted + prose(100, 3)], [exam("1", text), exam("2", prose(40, 4))]) == ["1"]
    assert overlapping([text[:29]], [exam("1", text)]) == []


def test_a_long_choice_is_a_part_of_the_question() -> None:
    assert overlapping([prose(40, 1)], [exam("1", "どれか。", "短い", prose(40, 1))]) == ["1"]


def test_all_questions_on_one_text_overlap_with_it() -> None:
    case = prose(60, 1)
    assert overlapping([case], [exam("1", case + "どれか。"), exam("2", "次の症例。" + case)]) == ["1", "2"]


def test_what_stands_in_many_questions_is_no_question() -> None:
    wording = prose(50, 1)
    questions: list[Question] = [exam(str(n), f"{wording}{prose(40, 10 + n)}") for n in range(12)]
    assert overlapping([wording], questions) == []


def test_the_line_that_asks_and_the_options_are_no_part_of_a_jmed_llm_row() -> None:
    asks, option = prose(40, 1), prose(40, 2)
    row = choice(question=f"{asks}？\n「{prose(40, 3)}」", options={"A": option, "B": "いいえ"})
    assert overlapping([asks, option], [row]) == []
    assert overlapping([f"{prose(40, 4)}？\n「{prose(40, 3)}」"], [row]) == [row.id]


def test_questions_without_a_span_of_their_own_are_told() -> None:
    found = measure("texts", [("here", "短い質問。")], {"task": [exam("1", "短い質問。")]})
    assert found["tasks"]["task"] == {"n": 1, "comparable": 0, "overlapping": 0, "share": 0.0, "examples": []}
    assert measure("texts", [("here", "短い質問。")], {"task": [exam("1", "短い質問。")]}, n_gram=4)["tasks"]["task"][
        "overlapping"
    ]


def test_an_example_says_where_and_what() -> None:
    text = prose(40, 1)
    found = measure("corpus", [("a", prose(50, 2)), ("b", f"前置き{text}")], {"task": [exam("1", text)]})
    (example,) = found["tasks"]["task"]["examples"]
    assert (example["id"], example["where"], found["source"], found["texts"]) == ("1", "b", "corpus", 2)
    assert example["span"] in text and len(example["span"]) >= 30


def test_strings_of_conversations_are_read_however_nested(tmp_path: Path) -> None:
    text = prose(40, 1)
    row = {"id": "c", "messages": [{"role": "user", "content": text}]}
    write_rows(tmp_path / "conversations.jsonl.gz", [row])
    assert ("conversations.jsonl.gz:1", text) in list(file_texts([tmp_path]))
    (tmp_path / "texts.txt").write_text(text + "\n", encoding="utf-8")
    assert list(file_texts([tmp_path / "texts.txt"])) == [("texts.txt", text)]


def test_benchmarks_that_are_there_are_read(tmp_path: Path) -> None:
    write_rows(tmp_path / "jmed_llm" / "test" / "smdis.jsonl", [choice_row()])
    found = read_benchmarks(tmp_path)
    assert list(found) == ["jmed_llm.smdis"] and isinstance(found["jmed_llm.smdis"][0], ChoiceQuestion)
    with pytest.raises(InputError, match="no questions of any task"):
        read_benchmarks(tmp_path / "jmed_llm")


def test_benchmarks_that_are_compressed_are_read_too(tmp_path: Path) -> None:
    write_rows(tmp_path / "jmed_llm" / "test" / "smdis.jsonl.gz", [choice_row()])
    assert list(read_benchmarks(tmp_path)) == ["jmed_llm.smdis"]

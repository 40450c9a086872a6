"""The readers of question sets: every layout that is published, and what is wrong with a row."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.errors import InputError
from jmed_jax.evaluate.exams.registry import get_question_set, question_sets, read_questions
from jmed_jax.evaluate.exams.sets.plain import plain_row

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


MEDQA = {
    "question": "Which drug?",
    "options": dict(zip("ABCDE", "vwxyz", strict=True)),
    "answer_idx": "D",
    "answer": "y",
}
MEDMCQA = {"id": "m1", "question": "Which?", "opa": "p", "opb": "q", "opc": "r", "opd": "s", "exp": "Because."}
NATIONAL = {"problem_id": "112A1", "problem_text": "どれか。", "choices": list("あいうえお"), "answer": ["e", "b"]}


def test_medqa_as_published_and_with_both_numbers_of_options(tmp_path: Path) -> None:
    both = MEDQA | {"id": "t0", "options_4": dict(zip("ABCD", "wxyz", strict=True)), "answer_idx_4": "C"}
    (published,) = read_questions("medqa", write(tmp_path / "US/train.jsonl", MEDQA), "en")
    assert (published.id, published.answer, published.answer_texts) == ("medqa-train-00000", ("d",), ("y",))
    path = write(tmp_path / "test.jsonl", both)
    (five,), (four,) = (read_questions(name, path, "en") for name in ("medqa", "medqa_4"))
    assert (len(five.choices), len(four.choices)) == (5, 4)
    assert five.answer_texts == four.answer_texts == ("y",)
    assert five.pair == four.pair
    with pytest.raises(InputError, match=r"train\.jsonl:1: 5 options; medqa_4 is for four"):
        read_questions("medqa_4", tmp_path / "US/train.jsonl", "en")


def test_medmcqa_counts_its_key_from_one_or_from_zero(tmp_path: Path) -> None:
    def keys(*counts: int) -> list[tuple[str, ...]]:
        rows = [MEDMCQA | {"id": f"m{i}", "cop": count} for i, count in enumerate(counts)]
        return [question.answer for question in read_questions("medmcqa", write(tmp_path / "dev.jsonl", *rows), "en")]

    assert keys(1, 4) == [("a",), ("d",)]
    assert keys(0, 3) == [("a",), ("d",)]
    with pytest.raises(InputError, match="never 0 nor 4"):
        keys(1, 2)
    with pytest.raises(InputError, match="both 0 and 4"):
        keys(0, 4)
    with pytest.raises(InputError, match=r'dev.jsonl:2: "cop" is -1'):
        keys(0, -1)
    (ours,) = read_questions(
        "medmcqa",
        write(tmp_path / "ours.jsonl", {"id": "a", "question": "?", "choices": ["x", "y"], "answer": "B"}),
        "en",
    )
    assert ours.answer_texts == ("y",)


def test_national_examinations_have_sets_of_letters_numerals_and_two_languages(tmp_path: Path) -> None:
    english = {"problem_id": "112A1", "problem_text_en": "Which?", "choices_en": list("VWXYZ"), "answer": ["e", "b"]}
    either = NATIONAL | {"problem_id": "112B30", "answer": "a or d"}
    number = NATIONAL | {"problem_id": "112C3", "choices": [], "answer": ["26"]}
    no_key = NATIONAL | {"problem_id": "112D1", "answer": [], "scorable": False}
    picture = NATIONAL | {"problem_id": "112D2", "text_only": False}
    write(tmp_path / "ja/2018.jsonl", NATIONAL, either, number, no_key, picture)
    write(tmp_path / "en/2018.jsonl", english)
    write(tmp_path / "metadata/2018.jsonl", {"category": "x"})
    plain, also, numeral, pictured = read_questions("igakuqa", tmp_path, "ja")
    assert (plain.answer, plain.answer_texts) == (("b", "e"), ("い", "お"))
    assert also.accepted == (("a",), ("d",))
    assert numeral.answer_texts == ("26",)
    assert plain.text_only and not pictured.text_only
    (translated,) = read_questions("igakuqa", tmp_path, "en")
    assert translated.pair == plain.pair and translated.answer_texts == ("W", "Z")
    # Another examination of the same number is another question.
    assert read_questions("denqa", tmp_path / "ja/2018.jsonl", "ja")[0].pair != plain.pair


def test_our_own_layout_keeps_all_that_a_question_is(tmp_path: Path) -> None:
    either = NATIONAL | {"answer": "a or d", "explanation": "なぜ。", "section": "A", "text_only": False}
    (question,) = read_questions("denqa", write(tmp_path / "national.jsonl", either), "ja")
    path = write(tmp_path / "plain.jsonl", plain_row(question))
    assert read_questions("questions", path, "ja") == [question]


def test_a_translated_question_names_its_original(tmp_path: Path) -> None:
    row = {"id": "mmlu/anatomy/0001", "question": "?", "choices": list("wxyz"), "answer": "A"}
    (english,) = read_questions("mmlu", write(tmp_path / "anatomy.jsonl", row), "en")
    japanese_row = row | {"id": "jmmlu/anatomy/0000", "mmlu_id": row["id"]}
    (japanese,) = read_questions("jmmlu", write(tmp_path / "ja.jsonl", japanese_row), "ja")
    assert japanese.pair == english.pair
    assert english.subject == "anatomy"


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        ("medqa", MEDQA | {"answer_idx": "F"}, r"x.jsonl:1: the answer F is none of the 5 choices \(a, b, c, d, e\)"),
        ("medqa", MEDQA | {"options": {"A": "v", "C": "w"}}, "letters A, C; expected A, B, C"),
        ("medqa", {"question": "?"}, 'x.jsonl:1: no "options" field'),
        ("igakuqa", NATIONAL | {"answer": ["f"]}, "the answer f is none"),
        ("igakuqa", NATIONAL | {"answer": []}, r"the answer \(none\)"),
        ("igakuqa", NATIONAL | {"choices": [1, 2]}, '"choices" must be a list of texts'),
        ("igakuqa", {"text": "a row of something else"}, 'no "problem_text" field'),
        ("mmlu", {"id": "a", "question": "?", "choices": ["x"], "answer": "B"}, "none of the 1 choices"),
        ("questions", {"id": "a", "language": "fr"}, 'language "fr"; expected ja or en'),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, name: str, row: dict[str, Any], message: str) -> None:
    language = question_sets()[name].languages[0]
    with pytest.raises(InputError, match=message):
        read_questions(name, write(tmp_path / "x.jsonl", row), language)


def test_what_cannot_be_read_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'no question set "usmle"\. There are: .*medqa'):
        get_question_set("usmle")
    with pytest.raises(InputError, match="no such file"):
        read_questions("medqa", tmp_path / "absent", "en")
    with pytest.raises(InputError, match="no files of questions"):
        read_questions("medqa", tmp_path, "en")
    with pytest.raises(InputError, match='id "112A1" stands twice'):
        read_questions("igakuqa", write(tmp_path / "2018.jsonl", NATIONAL, NATIONAL), "ja")


@pytest.mark.skipif(not DATA.is_dir(), reason="real data is not at ../shared/data")
def test_the_real_sets_are_read_whole() -> None:
    found = {
        (name, language): read_questions(name, DATA / name, language)
        for name in ("medqa", "medmcqa", "mmlu", "jmmlu", "igakuqa", "igakuqa119", "denqa", "jjsimqa")
        for language in get_question_set(name).languages
    }
    # Of 720 dental questions, 21 have no usable key.
    assert {key: len(questions) for key, questions in found.items()} == {
        ("medqa", "en"): 3193,
        ("medmcqa", "en"): 4183,
        ("mmlu", "en"): 1593,
        ("jmmlu", "ja"): 976,
        ("igakuqa", "ja"): 1600,
        ("igakuqa", "en"): 1600,
        ("igakuqa119", "ja"): 400,
        ("denqa", "ja"): 699,
        ("jjsimqa", "ja"): 460,
    }
    # The subset of arXiv 2409.11783: text only, five choices.
    for language in ("ja", "en"):
        assert sum(q.text_only and len(q.choices) == 5 for q in found["igakuqa", language]) == 1158
    pairs = Counter(question.pair for key in (("mmlu", "en"), ("jmmlu", "ja")) for question in found[key])
    english = {question.pair: question.answer for question in found["mmlu", "en"]}
    linked = [q for q in found["jmmlu", "ja"] if pairs[q.pair] == 2]
    assert len(linked) > 900 and all(question.answer == english[question.pair] for question in linked)

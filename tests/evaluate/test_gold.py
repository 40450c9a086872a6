import math
from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.evaluate.gold import (
    read_choice_questions,
    read_exam_examples,
    read_exam_questions,
    read_extraction_questions,
    read_sources,
)
from jmed_jax.evaluate.tasks import expand_tasks, get_task

from .rows import choice_row, exam_row, extraction_row, write_rows

CHOICE_CSV = """question,optionA,optionB,optionC,answer
"風邪ですか？
「鼻がつまる、""昨日""から。」",はい,いいえ,,A
熱はありますか？,はい,いいえ,不明,C
"""


@pytest.mark.parametrize("name", ["smdis.jsonl", "smdis.jsonl.gz"])
def test_choice_rows_of_this_projects_layout(tmp_path: Path, name: str) -> None:
    path = write_rows(tmp_path / name, [choice_row("smdis-test-00007", "B", doc_in_test=True)])
    (question,) = read_choice_questions([path], "smdis")
    assert (question.id, question.tag, question.answer) == ("smdis-test-00007", "cold", "B")
    assert question.options == {"A": "はい", "B": "いいえ"}
    assert question.sources == {"doc-smdis-test-00007"}
    assert question.overlaps_test


def test_choice_rows_of_the_benchmarks_csv(tmp_path: Path) -> None:
    path = tmp_path / "smdis.csv"
    path.write_text("\ufeff" + CHOICE_CSV, encoding="utf-8")
    first, second = read_choice_questions([path], "smdis")
    assert first.id == "smdis-test-00000" and second.id == "smdis-test-00001"
    assert first.question == '風邪ですか？\n「鼻がつまる、"昨日"から。」'
    assert first.options == {"A": "はい", "B": "いいえ"}
    assert second.options == {"A": "はい", "B": "いいえ", "C": "不明"}
    assert (first.answer, second.answer) == ("A", "C")


def test_extraction_answers_are_a_list_in_jsonl_and_a_printed_list_in_csv(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "nrner.jsonl", [extraction_row(answers=("発熱", "咳嗽"))])
    table = tmp_path / "nrner.csv"
    table.write_text("question,answer\n症状は？,\"['発熱', '咳嗽']\"\n", encoding="utf-8")
    for path in (rows, table):
        (question,) = read_extraction_questions([path], "nrner")
        assert question.answers == ("発熱", "咳嗽")


def test_hidden_files_in_a_directory_are_not_read(tmp_path: Path) -> None:
    write_rows(tmp_path / "smdis.jsonl", [choice_row()])
    # What a killed process and a file manager leave.
    (tmp_path / ".partial-0123456789ab.smdis.jsonl").write_text('{"id": "smd', encoding="utf-8")
    (tmp_path / "._smdis.csv").write_bytes(b"\x00\x05\x16\x07\xff")
    assert read_sources([tmp_path]) == {"doc-smdis-test-00000"}


def test_a_directory_gives_the_file_of_the_task(tmp_path: Path) -> None:
    write_rows(tmp_path / "smdis.jsonl", [choice_row()])
    write_rows(tmp_path / "nrner.jsonl", [extraction_row()])
    (tmp_path / "JMMLU-Med.csv").write_text("question,optionA,optionB,answer\n骨は？,一,二,B\n", encoding="utf-8")
    assert len(read_choice_questions([tmp_path], "smdis")) == 1
    assert read_choice_questions([tmp_path], "jmmlu_med")[0].answer == "B"
    with pytest.raises(InputError, match=r"no crade\.jsonl"):
        read_choice_questions([tmp_path], "crade")


def test_shared_options_stand_beside_the_train_folder(tmp_path: Path) -> None:
    row = {"id": "jcsts-train-00000", "question": "類似度は？\nS1: 熱がある\nS2: 発熱あり", "answer": "B"}
    path = write_rows(tmp_path / "train" / "jcsts.jsonl", [row])
    with pytest.raises(InputError, match=r"jcsts_options\.json"):
        read_choice_questions([path], "jcsts")
    (tmp_path / "jcsts_options.json").write_text('{"A": "同じ", "B": "ほぼ同じ"}', encoding="utf-8")
    (question,) = read_choice_questions([path], "jcsts")
    assert question.options == {"A": "同じ", "B": "ほぼ同じ"}
    assert question.sources == {"熱がある", "発熱あり"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([choice_row(), choice_row()], r"smdis.jsonl:2: id .* already stands at .*smdis.jsonl:1"),
        ([choice_row(answer="C")], r'smdis.jsonl:1: answer "C" is none of the options'),
        ([{"id": "x", "question": "?", "options": {"A": "a"}}], r'smdis.jsonl:1: no "answer" field'),
        ([choice_row(task="crade")], r'smdis.jsonl:1: a row of task "crade"'),
        ([], "no questions"),
    ],
)
def test_damaged_choice_rows_are_named(tmp_path: Path, rows: list[dict[str, object]], message: str) -> None:
    path = write_rows(tmp_path / "smdis.jsonl", rows)
    with pytest.raises(InputError, match=message):
        read_choice_questions([path], "smdis")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("question,optionA\n?,はい\n", r'smdis.csv:1: no "answer" column \(found: question, optionA\)'),
        ("question,optionA,answer\n?,はい,A\n?,はい,A,B\n", r"smdis.csv:3: more fields"),
        ('question,optionA,answer\n"?\n?",はい,A\n?,はい\n', r'smdis.csv:4: no "answer" field'),
        ("", r'smdis.csv:1: no "question" column'),
    ],
)
def test_damaged_csv_names_the_line_where_the_row_begins(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "smdis.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_choice_questions([path], "smdis")


def test_a_printed_answer_that_is_no_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "nrner.csv"
    path.write_text("question,answer\n症状は？,発熱\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"nrner.csv:2: .*printed Python list"):
        read_extraction_questions([path], "nrner")


def test_exam_rows_of_the_benchmarks_repository(tmp_path: Path) -> None:
    original = {"problem_id": "112A1", "problem_text": "どれか。", "choices": ["一", "二"], "answer": ["a"]}
    write_rows(tmp_path / "2018/112-A.jsonl", [{**original, "points": "3", "text_only": False}])
    write_rows(tmp_path / "2018/112-A_metadata.jsonl", [{"problem_id": "112A1", "category": "内科"}])
    write_rows(tmp_path / "2018/112-A_translate.jsonl", [{"problem_id": "112A1", "problem_text_en": "Which?"}])
    (question,) = read_exam_questions([tmp_path])
    assert (question.year, question.section, question.points) == (2018, "A", 3)
    assert (question.answer, question.text_only, question.language) == (("a",), False, "ja")


def test_exam_folder_with_languages_is_read_in_japanese(tmp_path: Path) -> None:
    write_rows(tmp_path / "ja/2018.jsonl", [exam_row()])
    english = {"problem_text_en": "Which?", "choices_en": ["one", "two"]}
    write_rows(tmp_path / "en/2018.jsonl", [{**exam_row(), **english}])
    assert read_exam_questions([tmp_path])[0].language == "ja"
    assert read_exam_questions([tmp_path / "en"])[0].choices == ("one", "two")


@pytest.mark.parametrize("answer", ["a or d", ("a or d",)])
def test_112b30_accepts_either_letter(tmp_path: Path, answer: object) -> None:
    path = write_rows(tmp_path / "gold.jsonl", [exam_row("112B30", answer)])
    (question,) = read_exam_questions([path])
    assert {("a",), ("d",)} <= set(question.accepted)


def test_official_exceptions_do_not_need_to_stand_in_the_row(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "gold.jsonl", [exam_row("116A71", year=2022), exam_row("112B30", ("b",))])
    anything, either = read_exam_questions([path])
    assert anything.any_answer_accepted and not either.any_answer_accepted
    assert set(either.accepted) == {("b",), ("a",), ("d",)}


def test_accepted_answers_and_any_answer_accepted_of_the_row(tmp_path: Path) -> None:
    row = exam_row(accepted_answers=[["a"], ["b", "c"]], any_answer_accepted=True)
    (question,) = read_exam_questions([write_rows(tmp_path / "gold.jsonl", [row])])
    assert question.accepted == (("a",), ("b", "c"))
    assert question.any_answer_accepted


def test_numeral_keys_accept_the_number_that_they_make_in_the_boxes(tmp_path: Path) -> None:
    row = exam_row("114C75", ("100",), choices=[], problem_text="解答：①②.③/人口1,000対")
    (question,) = read_exam_questions([write_rows(tmp_path / "gold.jsonl", [row])])
    assert question.asks_for_number
    assert question.accepted == (("100",), ("10.0",))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({k: v for k, v in exam_row().items() if k != "points"}, r'gold.jsonl:1: no "points" field'),
        ({k: v for k, v in exam_row().items() if k != "problem_text"}, r'gold.jsonl:1: no "problem_text" field'),
        (exam_row(points="many"), r"gold.jsonl:1: \"points\" is 'many'"),
        (exam_row(points=math.inf), r'gold.jsonl:1: "points" is inf, expected a whole number'),
        (exam_row(problem_id="A-one"), r'gold.jsonl:1: problem_id "A-one"'),
    ],
)
def test_damaged_exam_rows_are_named(tmp_path: Path, row: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_exam_questions([write_rows(tmp_path / "gold.jsonl", [row])])


def test_a_missing_gold_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.jsonl"):
        read_exam_questions([tmp_path / "absent.jsonl"])
    with pytest.raises(InputError, match="no examination files"):
        read_exam_questions([tmp_path])


def test_examples_need_no_points_and_come_in_the_language_asked_for(tmp_path: Path) -> None:
    row = {"problem_id": "100E5", "problem_text": "どれか。", "choices": ["一"], "answer": ["a"]}
    path = write_rows(tmp_path / "fewshot.jsonl", [{**row, "problem_text_en": "Which?", "choices_en": ["one"]}])
    assert read_exam_examples(path, "ja")[0].text == "どれか。"
    assert read_exam_examples(path, "en")[0].choices == ("one",)


def test_sources_are_collected_over_all_tasks_of_a_folder(tmp_path: Path) -> None:
    write_rows(tmp_path / "smdis.jsonl", [choice_row(doc_id="doc-1")])
    write_rows(tmp_path / "nrner.jsonl.gz", [extraction_row(doc_id="doc-2")])
    (tmp_path / "CRADE.csv").write_text("question,answer\n副作用か？,A\n", encoding="utf-8")
    assert read_sources([tmp_path]) == {"doc-1", "doc-2", "副作用か？"}


def test_every_gold_and_training_row_of_the_real_data_is_read(real_data: Path) -> None:
    for name in expand_tasks("jmed_llm"):
        task = get_task(name)
        train_path = task.train_path(real_data)
        assert train_path is not None
        assert len(task.read_gold([task.gold_path(real_data)])) == 60
        assert task.read_gold([train_path])
    exam = get_task("igakuqa")
    assert len(exam.read_gold([exam.gold_path(real_data)])) == 1600

"""Decontamination: what counts as shared with a question of an evaluation set, and what does not."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.corpus import decontaminate
from jmed_jax.corpus.decontaminate import TEMPLATE_ROWS, EvaluationSpans
from jmed_jax.errors import InputError
from jmed_jax.jsonl import open_text, read_jsonl
from jmed_jax.tokenizer.clean import clean

SPAN = 30
QUESTION = "58歳の男性。3日前からの発熱と右季肋部痛を主訴に来院した。最も考えられる疾患はどれか。1つ選べ。"
FILLER = "院内の売店は平日の朝から夕方まで開いている。雨の日には傘を貸し出す。"
KANJI = "".join(chr(0x4E00 + 7 * number) for number in range(200))
"""200 different kanji: no span stands in it twice."""


def read(tmp_path: Path, rows: list[dict[str, Any]], name: str = "exam.jsonl", span: int = SPAN) -> EvaluationSpans:
    path = tmp_path / name
    with open_text(path, "w") as stream:
        stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    return EvaluationSpans.read([path], span)


def test_a_question_within_a_document_is_found_with_its_set_and_span(tmp_path: Path) -> None:
    spans = read(tmp_path, [{"id": "1", "question": QUESTION}])
    assert spans.find(FILLER + QUESTION + FILLER) == ("exam.jsonl", QUESTION.rstrip("。"))
    assert spans.find(QUESTION) == ("exam.jsonl", QUESTION.rstrip("。"))
    assert spans.find(FILLER) is None
    assert spans.find("") is None


@pytest.mark.parametrize(
    "text",
    [
        QUESTION.replace("58", "５８").replace("3", "３").replace("1", "１"),
        QUESTION.replace("、", "，").replace("。", "．"),
        QUESTION.replace("。", "。\n\n 　"),
        QUESTION.replace("を主訴に", "「を主訴に」"),
        " ".join(QUESTION),
        QUESTION.replace("。", ""),
    ],
)
def test_width_punctuation_and_layout_do_not_hide_a_question(tmp_path: Path, text: str) -> None:
    spans = read(tmp_path, [{"question": QUESTION}])
    assert spans.find(FILLER + text + FILLER) is not None
    assert spans.find(clean(FILLER + text + FILLER)) is not None


def test_case_and_half_width_kana_do_not_hide_a_question(tmp_path: Path) -> None:
    spans = read(
        tmp_path,
        [{"question": "ヘモグロビンとアルブミンとクレアチニンの値からみて最も疑われるHIV感染症の病期はどれか"}],
    )
    text = "ﾍﾓｸﾞﾛﾋﾞﾝとｱﾙﾌﾞﾐﾝとｸﾚｱﾁﾆﾝの値からみて最も疑われるhiv感染症の病期はどれか"
    assert spans.find(FILLER + text) is not None


def test_a_question_is_cleaned_as_documents_are(tmp_path: Path) -> None:
    question = KANJI[:20] + "(https://example.org/figure/1を参照)" + KANJI[20:40]
    spans = read(tmp_path, [{"question": question}])
    assert spans.find(clean(question)) is not None


def test_rare_kanji_count(tmp_path: Path) -> None:
    rare = "".join(chr(0x20000 + number) for number in range(40))
    assert read(tmp_path, [{"question": rare}]).find(FILLER + rare) == ("exam.jsonl", rare)


def test_exactly_the_span_matches_and_one_character_less_does_not(tmp_path: Path) -> None:
    spans = read(tmp_path, [{"question": KANJI[:60]}])
    for start in (0, 17, 30):
        assert spans.find(FILLER + KANJI[start : start + SPAN] + FILLER) == ("exam.jsonl", KANJI[start : start + SPAN])
        assert spans.find(FILLER + KANJI[start : start + SPAN - 1] + FILLER) is None
    assert read(tmp_path, [{"question": KANJI[:SPAN]}]).find(KANJI) is not None
    with pytest.raises(InputError, match=r"exam\.jsonl: no text of 30 letters"):
        read(tmp_path, [{"question": KANJI[: SPAN - 1]}])


def test_three_latin_letters_count_as_one_character(tmp_path: Path) -> None:
    """The English name of a disease is long in letters, but no long span of a question."""
    name = "autosomal dominant polycystic kidney disease"
    stem = "Which of these drugs slows its progress to end-stage renal failure?"
    spans = read(tmp_path, [{"question": f"{KANJI[:40]} {name}: {stem}"}])
    assert spans.find(f"多発性嚢胞腎({name}: ADPKD)は遺伝性の疾患である。") is None
    assert spans.find(f"{FILLER} {name.upper()}. {stem}") is not None
    letters = "".join(chr(ord("a") + 7 * number % 26) + str(number) for number in range(60))
    spans = read(tmp_path, [{"question": letters}])
    assert spans.find(FILLER + letters[: 3 * SPAN].upper()) is not None
    assert spans.find(FILLER + letters[: 3 * SPAN - 1].upper()) is None


def test_every_string_of_a_row_counts_however_nested(tmp_path: Path) -> None:
    row = {"id": 7, "choices": ["短い", {"a": [KANJI[:40]]}], "points": 1.5, "notes": None, "meta": {"b": KANJI[50:90]}}
    spans = read(tmp_path, [row])
    assert spans.find(KANJI[5:40]) is not None
    assert spans.find(KANJI[52:88]) is not None
    # Two strings do not make one.
    assert spans.find(KANJI[25:40] + KANJI[50:65]) is None


def test_what_stands_in_many_rows_of_a_file_is_a_template_in_all_files(tmp_path: Path) -> None:
    template = "次の文章を読み、設問に対する答えとして最も適切な選択肢の記号を一つだけ答えなさい。"
    rows = [{"question": f"{template}{KANJI[number : number + 40]}"} for number in range(0, 160, 16)]
    assert len(rows) == TEMPLATE_ROWS
    read(tmp_path, rows, "many.jsonl")
    read(tmp_path, [{"question": template + FILLER}], "one.jsonl")
    spans = EvaluationSpans.read([tmp_path], SPAN)
    assert spans.find(template) is None
    assert spans.find(KANJI[16:46]) is not None
    assert spans.find(FILLER) is not None
    assert read(tmp_path, rows[1:], "fewer.jsonl").find(template) is not None


def test_a_span_twice_in_a_row_is_no_template(tmp_path: Path) -> None:
    assert read(tmp_path, [{"question": [KANJI[:40]] * TEMPLATE_ROWS}]).find(KANJI[:40]) is not None


@pytest.mark.parametrize("before", range(-40, 41, 4))
def test_a_span_across_two_chunks_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int) -> None:
    spans = read(tmp_path, [{"question": KANJI[:SPAN]}])
    monkeypatch.setattr(decontaminate, "_CHUNK", 64)
    text = "、" * 10 + "あ" * (54 + before) + ", ".join(KANJI[:SPAN]) + "あ" * 100
    assert spans.find(text) == ("exam.jsonl", ", ".join(KANJI[:SPAN]))


def test_directories_are_read_to_any_depth_and_name_their_files(tmp_path: Path) -> None:
    (tmp_path / "exams" / "ja").mkdir(parents=True)
    read(tmp_path / "exams" / "ja", [{"question": KANJI[:40]}], "2020.jsonl.gz")
    read(tmp_path / "exams", [{"question": KANJI[50:90]}], "all.jsonl.zst")
    (tmp_path / "exams" / "readme.txt").write_text(FILLER * 3, encoding="utf-8")
    spans = EvaluationSpans.read([tmp_path / "exams", tmp_path / "exams" / "all.jsonl.zst"], SPAN)
    assert spans.find(KANJI[:40]) == ("exams/ja/2020.jsonl.gz", KANJI[:40])
    assert spans.find(KANJI[50:90]) is not None
    assert spans.find(FILLER * 3) is None
    assert len(spans.sets) == 2


def test_a_missing_or_an_empty_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent: no such file"):
        EvaluationSpans.read([tmp_path / "absent"], SPAN)
    for paths in ([], [tmp_path]):
        with pytest.raises(InputError, match="no text of 30 letters"):
            EvaluationSpans.read(paths, SPAN)


def test_spans_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    spans = read(tmp_path, [{"question": QUESTION}])
    sent = pickle.dumps(spans)
    assert pickle.loads(sent).find(QUESTION) == spans.find(QUESTION)
    assert len(sent) < 5000


def test_strange_text_is_no_failure(tmp_path: Path) -> None:
    spans = read(tmp_path, [{"question": QUESTION}])
    for text in ("\ud800", "😀" * 100, "𠮷" * 100, "\n", "ﷺ" * 50):
        assert spans.find(text) is None


# --- real questions ---------------------------------------------------------------------------------------------------


def test_real_questions_are_found_and_medical_documents_are_clean(real_data: Path) -> None:
    spans = EvaluationSpans.read([real_data / "igakuqa" / "ja" / "2020.jsonl", real_data / "jjsimqa"], SPAN)
    for _, row in read_jsonl(real_data / "igakuqa" / "ja" / "2020.jsonl"):
        if len(row["problem_text"]) > 60:
            assert spans.find(clean(f"{FILLER}\n{row['problem_text']}\n{FILLER}")) is not None
    for name in ("mhlw_intractable_diseases", "pediatric_chronic_diseases"):
        for _, row in read_jsonl(real_data / "pretrain" / f"{name}.jsonl.gz"):
            assert spans.find(clean(row["text"])) is None

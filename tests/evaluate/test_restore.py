import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jmed_jax.evaluate.restore import restore_writing
from jmed_jax.tokenizer.clean import clean


@pytest.mark.parametrize(
    ("report", "written", "restored"),
    [
        ("検査でＣＤ８陽性であった。", "CD8陽性", "ＣＤ８陽性"),
        ("プレドニン　２０㎎／日を投与", "20mg/日", "２０㎎／日"),
        (
            "Ｉｎｔｅｒ－ｆａｃｅ　ｈｅｐａｔｉｔｉｓを認めた",
            "Inter-face hepatitis",
            "Ｉｎｔｅｒ－ｆａｃｅ　ｈｅｐａｔｉｔｉｓ",
        ),
        ("腹膜，左鎖骨上リンパ節再発．", "腹膜、左鎖骨上リンパ節再発", "腹膜，左鎖骨上リンパ節再発"),
        ("ﾌﾟﾚﾄﾞﾆﾝ内服", "プレドニン", "ﾌﾟﾚﾄﾞﾆﾝ"),
        ("体温３８．５℃であった", "38.5℃", "３８．５℃"),
        ("発熱\nと咳", "発熱と咳", "発熱\nと咳"),
    ],
)
def test_cleaned_writing_becomes_the_reports_own(report: str, written: str, restored: str) -> None:
    assert restore_writing(str([written]), report) == str([restored])


def test_verbatim_strings_and_foreign_strings_are_kept() -> None:
    report = "ＣＤ８とCD8"
    assert restore_writing("['CD8', '胃癌']", report) == "['CD8', '胃癌']"
    assert restore_writing("['胃癌', 'ＣＤ８とＣＤ８']", report) == "['胃癌', 'ＣＤ８とCD8']"


def test_half_a_character_is_no_match() -> None:
    assert restore_writing("['g']", "２０㎎") == "['g']"
    assert restore_writing("['g']", "２０㎎、５ｇ") == "['ｇ']"


@pytest.mark.parametrize("output", ["", "ＣＤ８", "['CD8'", "[1]", "[]"])
def test_what_is_no_list_of_strings_is_unchanged(output: str) -> None:
    assert restore_writing(output, "ＣＤ８") == output


@settings(deadline=None)
@given(st.text(alphabet="ＣＤ８０㎎／　－ー胃癌ｶﾞ,，．。aA\n", max_size=12), st.text(max_size=5), st.text(max_size=5))
def test_a_restored_string_stands_in_the_report_or_was_kept(span: str, before: str, after: str) -> None:
    report = before + span + after
    kept = str([clean(span)])
    spans = [str([report[i:j]]) for i in range(len(report)) for j in range(i, len(report) + 1)]
    assert restore_writing(kept, report) in (kept, *spans)

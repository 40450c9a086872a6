"""The cleaning rules of arXiv 2412.16423 §2.2, one table a step."""

import re
import time
import unicodedata
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jmed_jax.tokenizer import clean as module
from jmed_jax.tokenizer.clean import STEPS, clean, escape_control_tokens, explain
from tests.tokenizer.clean_cases import MEDICAL, PERSONAL

UNIFIED = [
    # steps 1 and 2: punctuation and NFKC
    ("終わった．次に，薬を", "終わった。次に、薬を"),
    ("体温３８．５℃、１，０００ｍｌ", "体温38.5℃、1,000ml"),
    ("１．概要\n２．原因", "1.概要\n2.原因"),
    ("１\n退院．次回\n　２．既往\n３．", "1\n退院。次回\n 2.既往\n3。"),
    ("ＨｂＡ１ｃ　６．５％", "HbA1c 6.5%"),
    ("便からＥ．ｃｏｌｉを検出．ＣＲＰは", "便からE.coliを検出。CRPは"),
    ("ｗｗｗ．ｅｘａｍｐｌｅ．ｃｏｍ参照", "参照"),
    ("ｱｽﾋﾟﾘﾝ ﾊﾞｲｱｽﾋﾟﾘﾝ", "アスピリン バイアスピリン"),
    ("か゛ くさ", "が くさ"),
    ("Ⅳ度 ㎎ ㍉", "IV度 mg ミリ"),
    # what NFKC would glue to a number
    ("10⁶/μL 10⁻³ １０³ kg/m²", "10^6/μL 10^-3 10^3 kg/m2"),
    ("①2回②3回", "(1)2回(2)3回"),
    ("2½錠", "2 1/2錠"),
    ("①２ ❶2 ㉑3 ㊿４ ⓪5", "(1)2 (1)2 (21)3 (50)4 (0)5"),
    ("36ºC ３６．５ﾟC 37˚C nº", "36℃ 36.5℃ 37℃ no"),
    # step 3: hyphens, chōonpu, tildes
    ("T−1 T‐1 T–1 TーA", "T-1 T-1 T-1 T-A"),
    ("コーヒー データ", "コーヒー データ"),
    ("デ―タとコ—ヒー", "データとコーヒー"),
    ("それは――つまり——", "それは――つまり――"),
    ("3～5日 3〜5日 3~5日", "3〜5日 3〜5日 3〜5日"),
    ("ギラン‐バレー", "ギラン-バレー"),
    # step 4: restored
    ("36.8°C 36.8℃", "36.8℃ 36.8℃"),
    ("そして...…・・・", "そして…"),
    ("5′30″", "5′30″"),
    ("♯1 糖尿病", "#1 糖尿病"),
    # step 7: symbols of one meaning
    ("“咳”と‘痰’", "\"咳\"と'痰'"),
    ("◯×⭕ ➡⇨ ≦≧⩽", "○×○ →→ ≤≥≤"),
    ("反射⊕、⊖ ≅", "反射(+)、(-) ≈"),
    ("<|system|>命令", "< |system| >命令"),
    ("＜｜user｜＞", "< |user| >"),
    ("<||user||>", "< ||user|| >"),
    # step 8: characters outside the allowed set
    ("頭痛😀\u200bあり\x00\ue000", "頭痛あり"),
    ("葛\U000e0100根湯 𠮷田", "葛根湯 𠮷田"),
    ("Sjögren Ménière Å β遮断薬 ♂♀ ※", "Sjögren Ménière Å β遮断薬 ♂♀ ※"),
    # step 9: repetition
    ("です。。。。はい、、", "です。はい、"),
    ("えーーーー！！！！！", "えー!!!"),
    ("======", "==="),
    ("笑ｗｗｗｗ", "笑w"),
    ("(+++) (++) 0000 AAAA 人人人人", "(+++) (++) 0000 AAAA 人人人人"),
    # white space
    ("a\t b\u3000\u00a0c", "a b c"),
    ("a \r\n\r\n \n\nb\rc", "a\n\nb\nc"),
    ("▁あ▁", " あ "),
]


@pytest.mark.parametrize(("raw", "expected"), UNIFIED)
def test_clean_unifies(raw: str, expected: str) -> None:
    assert clean(raw) == expected


MARKED = re.compile("⟦(.*?)⟧")


@pytest.mark.parametrize("line", [line for kind, line in PERSONAL if kind in ("telephone", "e_mail")])
def test_telephone_numbers_and_e_mail_addresses_always_go(line: str) -> None:
    assert clean(MARKED.sub(r"\1", line)) == clean(MARKED.sub("", line))


@pytest.mark.parametrize("text", MEDICAL)
def test_medical_text_is_kept(text: str) -> None:
    assert clean(text) == text


def test_the_word_before_a_telephone_number_stays() -> None:
    assert clean("TEL:0312345678、電話番号 0451234567、☎0312345678") == "TEL:、電話番号 、"


WEB = [
    ("詳細はhttps://www.example.com/a/b?c=1#dを参照", "詳細はを参照"),
    ("(http://example.jp/~user/)", "()"),
    ("www.example.co.jpで公開。", "で公開。"),
    ("@taro_1 さんが投稿", " さんが投稿"),
    ("旅行した #京都旅行 #Trip2024 よ", "旅行した よ"),
    ("楽しい#旅行", "楽しい"),
    ("ttp://example.com。", "。"),
]


@pytest.mark.parametrize(("raw", "expected"), WEB)
def test_web_notation_is_removed(raw: str, expected: str) -> None:
    assert clean(raw) == expected


def test_what_a_removal_brings_together_is_removed_too() -> None:
    assert clean("連絡 ta\u200bro@example.com まで") == "連絡 まで"
    assert clean("電話 09😀0-1234-😀5678") == "電話 "


TROUBLE = [
    *"0901234-()+81 @ab.cjp#タグ:/wht<|>ーア―—〜~.・…°C′″\n\r\t．，①²½゛か゜！。、=_🙂➕➖│",
    "\u3099",
    "\u200b",
    "\u0338",
]
TROUBLE += [
    "http://",
    "www.",
    "tel",
    "+81",
    "電話",
    "090",
    "-1234",
    "<|",
    "|>",
    "@b.jp",
    "𠮷",
    "\U000e0100",
    "\u2581",
    "ﾞ",
    "\ud800",
]
ANY_TEXT = st.text() | st.lists(st.sampled_from(TROUBLE), max_size=30).map("".join)


@settings(max_examples=500, deadline=None)
@given(ANY_TEXT)
@example("・・・.")
@example("ア――イ")
@example("090 12🙂34 5678")
@example("••••")
@example("➕81-90-1234-5678")
@example("<\u0338|")
def test_clean_is_idempotent_and_spells_no_control_token(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert "<|" not in once and "|>" not in once
    assert "\n\n\n" not in once and "  " not in once
    assert clean(escape_control_tokens(text)) == once


def test_fast_normalisation_equals_nfkc_on_every_character() -> None:
    for code in range(0x20, 0x30000):
        for text in (chr(code), f"か{chr(code)}", f"{chr(code)}は"):
            assert module._nfkc(text) == unicodedata.normalize("NFKC", text)


def test_fast_normalisation_equals_nfkc_where_characters_compose() -> None:
    for pair in ("は\u309aは", "a\u0301\u0323", "（\u0338", "　\u3099", "=\u0338=", "\u1100\u1161\u11a8가\u11a8"):
        for text in (pair, f"か{pair}が", f"{pair}！{pair}"):
            assert module._nfkc(text) == unicodedata.normalize("NFKC", text)


def test_steps_are_those_of_the_paper_in_its_order() -> None:
    numbers = [int(step.name[0]) for step in STEPS if step.name[0].isdecimal()]
    assert numbers == sorted(numbers) and set(numbers) == set(range(1, 10))


def _clean_with_every_step(text: str) -> str:
    with patch.object(module, "STEPS", tuple(step._replace(trigger=None) for step in STEPS)):
        return clean(text)


@settings(max_examples=500, deadline=None)
@given(ANY_TEXT)
@example("=\u0338")
@example("<\u0338|")
def test_a_step_that_is_passed_over_has_nothing_to_do(text: str) -> None:
    assert clean(text) == _clean_with_every_step(text)


def test_a_step_that_is_passed_over_has_nothing_to_do_with_any_character() -> None:
    for code in (*range(0x3400), *range(0xF900, 0x10000), *range(0x1F300, 0x1F700)):
        assert clean(chr(code)) == _clean_with_every_step(chr(code))
    gated = [step for step in STEPS if step.trigger]
    for character in filter(lambda c: not module._RARE.match(c), map(chr, range(0x10000))):
        assert not any(step.trigger.match(character) or step.apply(character) != character for step in gated)


def test_explain_names_every_step_that_changed_something() -> None:
    changes = explain("℡０３－１２３４－５６７８😀！！！！")
    assert changes == [
        ("2 NFKC", "TEL03-1234-5678😀!!!!"),
        ("5 telephone numbers removed", "TEL😀!!!!"),
        ("8 characters outside the allowed set deleted", "TEL!!!!"),
        ("9 repetition squeezed", "TEL!!!"),
    ]
    assert explain("体温38.5℃、そして…") == []


@settings(max_examples=300, deadline=None)
@given(ANY_TEXT)
def test_explain_ends_with_the_clean_text(text: str) -> None:
    changes = explain(text)
    assert (changes[-1][1] if changes else text) == clean(text)


def test_cleaning_time_grows_linearly_with_hostile_text() -> None:
    units = ["0", "a", "03-", " ", "@a", "http://", "#あ", "<|", "a.", "ー", "\n ", "090 1234 ", "0(", "電話(", "03 12"]
    for unit in [*units, "ａ．", "a[at]b.", "¹", "ﾟ", "+81 ", "検体番号03-", "・", "。。a", "―", "09012345678"]:
        started = time.process_time()
        clean(unit * 20_000)
        assert time.process_time() - started < 2.0, unit

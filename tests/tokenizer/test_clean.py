"""The cleaning rules of arXiv 2412.16423 §2.2, one table a step."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jmed_jax.tokenizer import clean as module
from jmed_jax.tokenizer.clean import clean, escape_control_tokens

UNIFIED = [
    # steps 1 and 2: punctuation and NFKC
    ("終わった．次に，薬を", "終わった。次に、薬を"),
    ("体温３８．５℃、１，０００ｍｌ", "体温38.5℃、1,000ml"),
    ("１．概要\n２．原因", "1.概要\n2.原因"),
    ("ＨｂＡ１ｃ　６．５％", "HbA1c 6.5%"),
    ("ｱｽﾋﾟﾘﾝ ﾊﾞｲｱｽﾋﾟﾘﾝ", "アスピリン バイアスピリン"),
    ("か゛ くさ", "が くさ"),
    ("Ⅳ度 ㎎ ㍉", "IV度 mg ミリ"),
    # what NFKC would glue to a number
    ("10⁶/μL 10⁻³ １０³ kg/m²", "10^6/μL 10^-3 10^3 kg/m2"),
    ("①2回②3回", "(1)2回(2)3回"),
    ("2½錠", "2 1/2錠"),
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
    # step 7: symbols of one meaning
    ("“咳”と‘痰’", "\"咳\"と'痰'"),
    ("◯×⭕ ➡⇨ ≦≧⩽", "○×○ →→ ≤≥≤"),
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


PERSONAL = [
    "03-1234-5678",
    "０３－１２３４－５６７８",
    "03(1234)5678",
    "(03)1234-5678",
    "（０３）１２３４－５６７８",
    "06-6123-4567",
    "045-123-4567",
    "0467-12-3456",
    "04992-1-2345",
    "0120-123-456",
    "0120-12-3456",
    "0570-012-345",
    "0800-123-4567",
    "090-1234-5678",
    "080-1234-5678",
    "070‐1234‐5678",
    "050−1234−5678",
    "090ー1234ー5678",
    "09012345678",
    "０８０１２３４５６７８",
    "090 1234 5678",
    "03 1234 5678",
    "+81-90-1234-5678",
    "+81 3 1234 5678",
    "+819012345678",
    "taro@example.com",
    "taro.yamada+clinic@mail.example.co.jp",
    "ｔａｒｏ＠ｅｘａｍｐｌｅ．ｃｏｍ".replace("．", "."),
    "info_1@hosp-a.or.jp",
    "a@b.jp",
    "x%y@sub.example.org",
]


@pytest.mark.parametrize("secret", PERSONAL)
def test_personal_data_is_removed(secret: str) -> None:
    assert clean(f"連絡先は{secret}です。") == "連絡先はです。"


def test_bare_digits_after_a_word_for_telephone_are_removed() -> None:
    assert clean("TEL:0312345678、電話番号 0451234567") == "TEL:、電話番号 "


MEDICAL = [
    "血圧150/90mmHg",
    "血圧 150-90 mmHg",
    "2.5mg 1日3回",
    "10^4/μL",
    "HbA1c 6.5%",
    "2024-01-15に入院",
    "2024/01/15 10:30",
    "01-15-2024",
    "T2N1M0 Stage IIB",
    "1-2-3の順に",
    "pT3,pN2,M0",
    "患者ID 0012345678",
    "検体番号 0123-45",
    "0.05-0.10 mg/kg",
    "WBC 12,300/μL",
    "Na 138 K 4.2 Cl 101 mEq/L",
    "CD4 350-500",
    "ICD-10 I63.9",
    "C6H12O6",
    "p<0.05",
    "|r|=0.7",
    "5-FU 500mg/m2",
    "脈拍72/分・整",
    "JCS III-300",
    "GCS E4V5M6",
    "0-1-2-3",
    "00-0000-0000",
    "0306-40615",
    "朝1-昼1-夕1",
    "EF 55% (Teichholz)",
    "#1 糖尿病",
    "#高血圧 #脂質異常症",
    "歯#16、針#27G",
    "2T@朝",
    "抗HBs抗体(+)",
]


@pytest.mark.parametrize("text", MEDICAL)
def test_medical_text_is_kept(text: str) -> None:
    assert clean(text) == text


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


def test_cleaning_time_grows_linearly_with_hostile_text() -> None:
    import time

    for unit in ("0", "a", "03-", " ", "@a", "http://", "#あ", "<|", "a.", "ー", "\n ", "090 1234 "):
        started = time.perf_counter()
        clean(unit * 20_000)
        assert time.perf_counter() - started < 2.0, unit

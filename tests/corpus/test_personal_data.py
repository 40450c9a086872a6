"""What is removed as personal data, and what is not."""

import re
import time
from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jmed_jax.corpus.personal_data import (
    KINDS,
    clean_document,
    is_insurer_number,
    is_my_number,
    remove_personal_data,
)
from jmed_jax.errors import InputError
from jmed_jax.tokenizer.clean import clean
from tests.tokenizer.clean_cases import MEDICAL, PERSONAL
from tests.tokenizer.test_clean import ANY_TEXT

WIDE = {ord(c): ord(c) + 0xFEE0 for c in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-()@:"}
MARKED = re.compile("⟦(.*?)⟧")


def _missed(kind: str, marked: str) -> bool:
    raw = MARKED.sub(r"\1", marked)
    found, counts = clean_document(raw, KINDS)
    return found != clean(MARKED.sub("", marked)) or counts != Counter({kind: len(MARKED.findall(marked))})


def test_personal_data_goes_and_medical_text_stays() -> None:
    personal = PERSONAL + [(kind, line.translate(WIDE)) for kind, line in PERSONAL]
    medical = [(line, line) for line in MEDICAL] + [(line.translate(WIDE), line) for line in MEDICAL]
    missed = [line for kind, line in personal if _missed(kind, line)]
    damaged = [raw for raw, line in medical if clean_document(raw, KINDS)[0] != line]
    print(f"personal data: {len(missed)} of {len(personal)} missed; medical: {len(damaged)} of {len(medical)} damaged")
    assert len(PERSONAL) >= 100 and len(MEDICAL) >= 100
    assert (missed, damaged) == ([], [])


def test_only_the_kinds_asked_for_are_removed() -> None:
    text = "〒100-0001 患者ID:123456 TEL 03-1234-5678"
    assert clean_document(text) == (clean(text), Counter(telephone=1))
    assert clean_document(text, ["patient_id"]) == ("〒100-0001 TEL ", Counter(telephone=1, patient_id=1))
    assert remove_personal_data(clean(text), ["postal_code"]) == (" 患者ID:123456 TEL ", Counter(postal_code=1))


def test_every_occurrence_is_counted() -> None:
    text = "taro@example.com、hanako@example.com、03-1234-5678、03-1234-5678。〒100-0001〒100-0002"
    expected = Counter(e_mail=2, telephone=2, postal_code=2)
    assert clean_document(text, KINDS) == ("、、、。".replace("、、、", "、"), expected)
    assert clean_document("発熱と咳。", KINDS) == ("発熱と咳。", Counter())


def test_a_wrong_check_digit_is_another_number() -> None:
    assert is_my_number("398259791905") and not any(is_my_number(f"39825979190{n}") for n in "012346789")
    assert is_insurer_number("06130017") and not any(is_insurer_number(f"0613001{n}") for n in "012345689")
    # Insurers of the national health insurance have six digits.
    assert is_insurer_number("138016")
    # A remainder of 0 or 1 makes a check digit of 0.
    assert is_my_number("595748906820") and is_my_number("254122482440")


def test_an_unknown_kind_is_an_error_that_names_them_all() -> None:
    with pytest.raises(InputError, match=r'no kind of personal data "shoe_size"\. There are: postal_code, my_'):
        clean_document("発熱", ["shoe_size"])


PIECES = [
    "〒",
    "100-0001",
    "-0001",
    "123",
    "ID:",
    "患者ID",
    "番号",
    "記号",
    "マイナンバー",
    "398259791905",
    " ",
    "-",
    "・",
]
PIECES += [
    "1234",
    "06130017",
    "保険者番号",
    "被保険者証",
    "東京都",
    "横浜市青葉区",
    "は",
    ":",
    "\n",
    "TEL",
    "03-",
    "090",
    "枝番01",
]
PIECES += ["5678", "😀", "１", "(", ")", "AB", "旅券番号", "検体", "No.", "#", "@b.jp", "a", "〔", "ー", "年"]
PERSONAL_TEXT = st.lists(st.sampled_from(PIECES), max_size=20).map("".join)


@settings(max_examples=500, deadline=None)
@given(PERSONAL_TEXT | ANY_TEXT)
@example("患者ID:123456 ID:234567 患者番号 345678")
@example("〒〒100-0001100-0001東京都")
@example("患者ID1〒100-0001234")
def test_doing_it_twice_changes_nothing(text: str) -> None:
    once, _ = clean_document(text, KINDS)
    assert clean_document(once, KINDS) == (once, Counter())
    assert clean(once) == once


@settings(max_examples=300, deadline=None)
@given(PERSONAL_TEXT | ANY_TEXT)
def test_without_kinds_the_text_is_that_of_clean(text: str) -> None:
    assert clean_document(text)[0] == clean(text)


def test_time_grows_linearly_with_hostile_text() -> None:
    units = [
        "1",
        "123-",
        "患者ID",
        "番号:",
        "記号",
        "ID:1",
        "1234 ",
        "1234-",
        "A-",
        "番号:A-A-",
        "〒1",
        "市郡区",
        "枝番01",
    ]
    for unit in [*units, "患者ID:1234-", "ID:1234_", "03-1234 ", "電話(", "[at]", "a.b@"]:
        started = time.process_time()
        clean_document(unit * 20_000, KINDS)
        assert time.process_time() - started < 2.0, unit

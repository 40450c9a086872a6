"""Personal data that a hospital removes by option, beside the telephone numbers and e-mail addresses of `clean`.

Every kind is a function from cleaned text to the spans of what goes: a number with the word that names it ("患者ID:"),
else the next number on the line would look like it. What has a check digit is removed only where that is right, so that
other numbers of the same length survive.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from jmed_jax.errors import InputError
from jmed_jax.tokenizer.clean import PERSONAL_DATA_STEPS, walk
from jmed_jax.tokenizer.contacts import Span, cut, join_spans


def clean_document(text: str, kinds: Sequence[str] = ()) -> tuple[str, Counter[str]]:
    """Return `clean(text)` without personal data of `kinds`, and how many of each kind were removed.

    Telephone numbers ("telephone") and e-mail addresses ("e_mail") always go, and are counted. Doing it twice changes
    nothing.

    Raises:
        InputError: there is no such kind.
    """
    check_kinds(kinds)
    counts: Counter[str] = Counter()
    while True:
        text = _clean_and_count(text, counts)
        removed, found = remove_personal_data(text, kinds)
        if not found:
            return text, counts
        text = removed
        counts += found


def _clean_and_count(text: str, counts: Counter[str]) -> str:
    for name, after in walk(text):
        # The patterns run a second time only where they have found something.
        if name in PERSONAL_DATA_STEPS and len(after) != len(text):
            kind, find = PERSONAL_DATA_STEPS[name]
            counts[kind] += len(find(text))
        text = after
    return text


def remove_personal_data(text: str, kinds: Sequence[str]) -> tuple[str, Counter[str]]:
    """Return a cleaned text without personal data of `kinds`, and how many of each kind were removed.

    Raises:
        InputError: there is no such kind.
    """
    check_kinds(kinds)
    counts: Counter[str] = Counter()
    for kind in kinds:
        spans = _FINDERS[kind](text)
        if spans:
            counts[kind] += len(spans)
            text = cut(text, spans)
    return text, counts


def check_kinds(kinds: Sequence[str]) -> None:
    """Raise an InputError for a kind that is not one of `KINDS`."""
    for kind in kinds:
        if kind not in _FINDERS:
            raise InputError(f'no kind of personal data "{kind}". There are: {", ".join(KINDS)}.')


# A cleaned text writes digits in ASCII and most hyphens as "-"; beside a space or a bracket a chōonpu may be left.
_HYPHEN = "[ ]?[-ー―][ ]?"
# Between a word for a number and the number: "患者ID:", "保険者番号は", "(電子カルテ番号)".
_AFTER_LABEL = "[はが]?[)」】〕]?[ ]?[:=]?[ ]?"


# --- postal codes -----------------------------------------------------------------------------------------------------

_PREFECTURES = (
    "北海道|青森県|岩手県|宮城県|秋田県|山形県|福島県|茨城県|栃木県|群馬県|埼玉県|千葉県|東京都|神奈川県|新潟県|富山県"
    "|石川県|福井県|山梨県|長野県|岐阜県|静岡県|愛知県|三重県|滋賀県|京都府|大阪府|兵庫県|奈良県|和歌山県|鳥取県|島根県"
    "|岡山県|広島県|山口県|徳島県|香川県|愛媛県|高知県|福岡県|佐賀県|長崎県|熊本県|大分県|宮崎県|鹿児島県|沖縄県"
)
_MAYBE_POSTAL_CODE = re.compile(f"[0-9]{{3}}{_HYPHEN}[0-9]{{4}}")
# With the mark or the word in any writing; else only beside an address, for 123-4567 may be a number of anything.
_POSTAL_CODE = re.compile(
    rf"""(?:郵便番号{_AFTER_LABEL}〒?|〒)[ :]?\d{{3}}(?:{_HYPHEN}|[ ])?\d{{4}}(?!\d)
      | (?:住所|所在地|送付先|宛先){_AFTER_LABEL}(?P<bare>\d{{3}}{_HYPHEN}\d{{4}})(?![\d-])
      | (?<![\dA-Za-z.\-/])\d{{3}}{_HYPHEN}\d{{4}}
        (?=[)]?[ \n]?(?:{_PREFECTURES}|[一-鿿ヶケ]{{1,5}}[市郡][一-鿿]{{1,5}}[区町村]))""",
    re.VERBOSE | re.ASCII,
)


def _find_postal_codes(text: str) -> list[Span]:
    if "〒" not in text and "郵便番号" not in text and not _MAYBE_POSTAL_CODE.search(text):
        return []
    return [match.span("bare" if match["bare"] else 0) for match in _POSTAL_CODE.finditer(text)]


# --- My Number --------------------------------------------------------------------------------------------------------

_MY_NUMBER = re.compile(
    rf"[0-9](?<![\w.\-/][0-9])(?<!\d [0-9])(?:\d{{3}}{_HYPHEN}\d{{4}}{_HYPHEN}\d{{4}}|\d{{3}} \d{{4}} \d{{4}})"
    r"(?! ?[\d.\-/])(?![A-Za-z])",
    re.ASCII,
)
_LABELLED_MY_NUMBER = re.compile(
    rf"(?:マイナンバー|個人番号)(?:カード)?(?:番号)?{_AFTER_LABEL}\d(?:[-ー― ]?\d){{11}}(?!\d)", re.ASCII
)


def _find_my_numbers(text: str) -> list[Span]:
    spans = [match.span() for match in _LABELLED_MY_NUMBER.finditer(text)] if "番号" in text or "マイ" in text else []
    spans += [match.span() for match in _MY_NUMBER.finditer(text) if not _is_series(match[0])]
    return [(start, end) for start, end in join_spans(spans) if is_my_number(_digits(text[start:end]))]


def _is_series(text: str) -> bool:
    """Whether three groups of four are years or round numbers (2018 2019 2020, 1200-1600-2000)."""
    groups = re.findall(r"[0-9]{4}", text)
    return all(1900 <= int(group) < 2100 for group in groups) or all(group[-1] == "0" for group in groups)


def is_my_number(digits: str) -> bool:
    """Whether the last of 12 digits is the check digit of the others.

    Ordinance 85 of 2014 of the Ministry of Internal Affairs and Communications, article 5.
    """
    total = sum(int(digit) * (n + 1 if n <= 6 else n - 5) for n, digit in enumerate(digits[10::-1], start=1))
    remainder = total % 11
    return len(digits) == 12 and int(digits[11]) == (0 if remainder <= 1 else 11 - remainder)


# --- health insurance -------------------------------------------------------------------------------------------------

_INSURER = re.compile(
    rf"(?:公費|保険者|負担者)+(?:等)?番号{_AFTER_LABEL}(\d{{8}}|\d{{2}} \d{{2}} \d{{3}} \d|\d{{6}})(?![\d.])", re.ASCII
)
_INSURED = re.compile(
    r"(?:被保険者証?|保険証|介護保険証?|組合員証?|加入者証?|受給者証?|資格確認書|医療証)(?:等)?(?:の)?番号"
    rf"{_AFTER_LABEL}[A-Z]?\d{{4,11}}(?:-\d{{1,8}})*(?![\d.])",
    re.ASCII,
)
# 記号・番号 12・3456; 記号 12-34 番号 567 (枝番) 01
_MARK = r"[A-Za-zぁ-んァ-ヶ一-鿿]{0,3}[・\-]?\d{1,8}(?:-\d{1,4})?"
_BRANCH = rf"(?:[ ]?[(,、]?枝番号?{_AFTER_LABEL}\d{{2}}(?!\d)[)]?)?"
_MARK_AND_NUMBER = re.compile(
    rf"記号[ ]?[・,、/及びおよと]*[ ]?番号{_AFTER_LABEL}{_MARK}[ ]?[・\-―ー/,、 ][ ]?\d{{1,8}}(?![\d.]){_BRANCH}"
    rf"|記号{_AFTER_LABEL}{_MARK}[ ]?[・/,、。]?[ \n]?番号{_AFTER_LABEL}\d{{2,8}}(?![\d.]){_BRANCH}",
    re.ASCII,
)


def _find_insurance_cards(text: str) -> list[Span]:
    if "番号" not in text:
        return []
    spans = [match.span() for match in _INSURER.finditer(text) if is_insurer_number(_digits(match[1]))]
    for pattern in (_INSURED, _MARK_AND_NUMBER):
        spans += [match.span() for match in pattern.finditer(text)]
    return join_spans(spans)


def is_insurer_number(digits: str) -> bool:
    """Whether the last digit of 6 or 8 is the check digit of the others.

    From the right they count twice and once in turn, and the digits of the products are added (Ministry of Health,
    Labour and Welfare, 保険者番号等の設定について).
    """
    doubled = [int(digit) * (2 - n % 2) for n, digit in enumerate(digits[-2::-1])]
    return int(digits[-1]) == -sum(value // 10 + value % 10 for value in doubled) % 10


# --- patients ---------------------------------------------------------------------------------------------------------

# At least four digits: "患者番号3" and "ID: A12" are names in a report of cases, not in a hospital.
_PATIENT_VALUE = (
    rf"[.#]?{_AFTER_LABEL}(?=(?:[A-Za-z\-_]{{0,8}}[0-9]){{4}})[A-Za-z0-9]++(?:[\-_][A-Za-z0-9]++)*+(?![@.]\w)"
)
_PATIENT_ID = re.compile(
    r"(?:(?:患者|診察券|診察カード|カルテ|診療録|病歴|入院|外来|受診者|被験者|被検者)[ の]?"
    r"(?:管理番号|登録番号|識別コード|識別番号|番号|ナンバー|(?i:id|no)(?![A-Za-z])(?:番号)?)"
    r"|(?<![A-Za-z])(?i:patient|pt|chart|medical record|hospital)[ .]?(?i:id|no|number)(?![A-Za-z])"
    r"|(?<![A-Za-z])MRN(?![A-Za-z])"
    rf"|(?P<other>(?<![A-Za-z\-_])ID(?:番号|[ ]?(?i:no))?(?=[.]?[ ]?[:=]))){_PATIENT_VALUE}"
)
# The last word of every label, by itself: several times as fast over a text that has none.
_MAYBE_PATIENT_ID = [
    re.compile(word + _PATIENT_VALUE)
    for word in ("番号", "ナンバー", "コード", "[IiNn][DdOo]", "[Nn](?i:umber)", "MRN")
]
# IDs of other things than people.
_OTHER_ID = re.compile(
    r"(?:(?i:pubmed|pmc|gene|snp|omim|trial|study|sample|specimen|device|product|item|article|document|accession|entrez"
    r"|uniprot|ensembl|hgnc|clinvar|variant|session|video)|試験|治験|検体|標本|研究|論文|文献|製品|商品|機器|装置|端末|遺伝子"
    r"|化合物|試料|記事|文書|動画|施設|項目)[ の]?$"
)


def _find_patient_ids(text: str) -> list[Span]:
    if not any(pattern.search(text) for pattern in _MAYBE_PATIENT_ID):
        return []
    return [
        match.span()
        for match in _PATIENT_ID.finditer(text)
        if not (match["other"] and _OTHER_ID.search(text, max(0, match.start() - 12), match.start()))
    ]


# --- other official numbers of a person -------------------------------------------------------------------------------

_IDENTITY_DOCUMENT = re.compile(
    rf"(?:(?:基礎年金|年金手帳の?)番号{_AFTER_LABEL}\d{{4}}(?:{_HYPHEN})?\d{{6}}"
    rf"|(?:運転)?免許証?(?:の)?番号{_AFTER_LABEL}(?:第[ ]?)?\d{{12}}"
    rf"|(?:旅券|パスポート)(?:の)?番号{_AFTER_LABEL}[A-Z]{{2}}[ ]?\d{{7}}"
    rf"|在留カード(?:等)?(?:の)?番号{_AFTER_LABEL}[A-Z]{{2}}[ ]?\d{{8}}[ ]?[A-Z]{{2}})(?![A-Z0-9])"
)


def _find_identity_documents(text: str) -> list[Span]:
    return [match.span() for match in _IDENTITY_DOCUMENT.finditer(text)] if "番号" in text else []


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdecimal())


_FINDERS: Mapping[str, Callable[[str], list[Span]]] = {
    "postal_code": _find_postal_codes,
    "my_number": _find_my_numbers,
    "insurance_card": _find_insurance_cards,
    "patient_id": _find_patient_ids,
    "identity_document": _find_identity_documents,
}
KINDS = tuple(_FINDERS)
"""What `clean_document` removes by option."""

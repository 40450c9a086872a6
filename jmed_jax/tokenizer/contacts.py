"""Finding telephone numbers and e-mail addresses in Japanese text (arXiv 2412.16423 §2.2, step 5).

Only the standard library is used: a copy of this file travels with every exported Hugging Face tokenizer.
"""

import re
from collections.abc import Iterable

Span = tuple[int, int]
"""Start and end of a place in a text."""

_E_MAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9._%+\-]+(?:@|[ ]?[\[(]at[\])][ ]?)(?:[A-Za-z0-9\-]+\.)+[A-Za-z]{2,}"
)

# A Japanese number has 10 digits, area code and exchange 6 of them, or 11 (mobile, IP, 0800). Without a word for
# telephone it must be written in the groups of its kind. The area codes are those of the numbering plan (Ministry of
# Internal Affairs and Communications), in patterns that are somewhat wider.
_AREA_2 = "0[346]"
_AREA_3 = "0(?:1[15789]|2[2-9]|4[2-9]|5[234589]|7[235-9]|8[2346-9]|9[235-9])"
_AREA_4 = r"0[1-9]\d\d"
_AREA_5 = r"0(?:1[2-6]\d\d|499[2468]|5769|5979|7468|8(?:38[78]|396|477|51[24])|9(?:496|802|91[23]|969))"
_MOBILE = "0[5789]0"
_JOINT = r"(?:[ ]?(?:[\-ー―.・]|[()〔〕\[\]][\-ー―]?)[ ]?)"
_FIRST_JOINT = rf"(?:{_JOINT}|[ ])"
_LOOSE = r"[\-ー―.・()〔〕\[\]/ ]{0,3}"
_MAYBE_TELEPHONE = re.compile(rf"0[1-9](?:{_LOOSE}[0-9]){{8}}")
_TELEPHONE = re.compile(
    rf"""(?<![A-Za-z\d\-^/])(?<!\d[.])(?:
        (?:[(〔\[](?=\d+[)〕\]]))?
        (?: (?: (?:{_AREA_2}|{_MOBILE}){_FIRST_JOINT}\d{{4}} | (?:{_AREA_3}|0800){_FIRST_JOINT}\d{{3}}
              | {_AREA_4}{_FIRST_JOINT}\d\d | {_AREA_5}{_FIRST_JOINT}\d | {_MOBILE}\d{{4}}
            ) {_JOINT} \d{{4}}
          | (?:0120|0570|0180|0990){_FIRST_JOINT}(?:\d{{3}}{_JOINT}\d{{3}}|\d{_JOINT}\d{{5}}|\d{{6}})
          | (?:{_AREA_2}|{_MOBILE}){_JOINT}\d{{4}}[ ]\d{{4}}
          | {_MOBILE}{_JOINT}?\d{{8}}
          | 0120\d{{6}} | 0800\d{{7}}
        )
      | (?<!\d[ ]) (?: (?:{_AREA_2}|{_MOBILE})[ ]\d{{4}}[ ]\d{{4}} | (?:{_AREA_3}|0800)[ ]\d{{3}}[ ]\d{{4}}
          | 0120[ ](?:\d{{3}}[ ]\d{{3}}|\d\d[ ]\d{{4}})
        ) (?![ ]\d)
      | \(?\+[ ]?81\)?{_LOOSE}0?{_LOOSE}(?:[5789]0(?:{_LOOSE}\d){{8}}|[1-9](?:{_LOOSE}\d){{8}})
    )(?![\-ー]?\d|\.\d)""",
    re.VERBOSE | re.ASCII,
)
# After such a word ten or eleven digits are a number in any writing.
_LABELLED_TELEPHONE = re.compile(
    r"(?:(?<![A-Za-z])(?i:tel|fax|phone|telephone|mobile)|電話|でんわ|携帯|ファッ?クス|ファクシミリ|テレ[フホ]ォ?ン"
    r"|フリー(?:ダイ[ヤア]ル|コール|アクセス)|ナビダイ[ヤア]ル|連絡先|問い?合わ?せ先?|[☎☏✆📞📱])"
    r"(?:番号|先|代表|直通|窓口|[ ]?(?i:no|number))?[はが]?(?:[ ]?\([^()0-9\n]{1,8}\))?"
    r"[^0-9A-Za-zぁ-ゖァ-ヺ一-鿿\n]{0,4}?"
    rf"([(〔\[]?0(?:[5789]0(?:{_LOOSE}\d){{8}}|800(?:{_LOOSE}\d){{7}}|[1-9](?:{_LOOSE}\d){{8}}))(?!\d)",
    re.ASCII,
)
# Numbers of the laboratory and of patients may look like one of the telephone (our choice; `corpus.personal_data`
# removes those of patients).
_OTHER_NUMBER = re.compile(
    r"(?:(?:検体|標本|病理|試験|治験|症例|被験者|ロット|製造|承認|認証|届出|登録|研究|受付|整理|管理|会員|カタログ"
    r"|患者|カルテ|診察券|診療録|保険者|記号|商品|製品|部品)(?:番号|ID|No|コード|識別コード)"
    r"|ロット|型番|品番|JANコード|(?<![A-Za-z])(?i:id|lot|isbn|issn|jan|cat|ref))"
    r"(?:番号|(?i:no))?[.:#はの ]{0,3}$"
)


def find_e_mails(text: str) -> list[Span]:
    """Spans of the e-mail addresses in a text that went through steps 1 to 4."""
    if "@" not in text and "(at)" not in text and "[at]" not in text:
        return []
    return [match.span() for match in _E_MAIL.finditer(text)]


def find_telephones(text: str) -> list[Span]:
    """Spans of the telephone numbers in a text that went through steps 1 to 4, in their order, without overlap."""
    if not _MAYBE_TELEPHONE.search(text) and "+81" not in text and "+ 81" not in text:
        return []
    spans = [match.span(1) for match in _LABELLED_TELEPHONE.finditer(text)]
    for match in _TELEPHONE.finditer(text):
        start, end = match.span()
        if not _OTHER_NUMBER.search(text, max(0, start - 20), start):
            spans.append((start, end))
    return join_spans(spans)


def join_spans(spans: Iterable[Span]) -> list[Span]:
    """Sort spans and make one of those that overlap."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def cut(text: str, spans: Iterable[Span]) -> str:
    """Return the text without the spans, which are sorted and do not overlap."""
    parts, end = [], 0
    for start, stop in spans:
        parts.append(text[end:start])
        end = stop
    return "".join(parts) + text[end:]

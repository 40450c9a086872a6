"""Cleaning of Japanese clinical text (arXiv 2412.16423 §2.2), the first step of every encoding.

The steps are the paper's, in its order. Where clinical text needs more than the paper says, the line says "our choice".
Only the standard library is used: a copy of this file travels with every exported Hugging Face tokenizer.
"""

import re
import unicodedata
from collections.abc import Mapping

RULES_VERSION = 1
"""Saved with every tokenizer; raise it when the same text would come out differently."""


def clean(text: str) -> str:
    """Return `text` as the tokenizer and the corpus see it (arXiv 2412.16423 §2.2, steps 1 to 9).

    Newlines stay, at most two in a row; every other run of white space is one ordinary space. Step 10 of the paper
    (space to U+2581) is left to the encoder, so that the result stays readable. `clean(clean(x)) == clean(x)`, and no
    result contains `<|` or `|>`: text cannot spell a control token (our choice).
    """
    # What a removal brings together may read as something new ("a😀@b.jp"), so such text goes round again. A round
    # that removes nothing is idempotent by itself: no step makes what an earlier one looks for.
    while True:
        text = _unify(text)
        kept = _remove_personal_data_and_web_notation(text)
        unified = _unify_symbols(kept)
        squeezed = _squeeze(_NOT_ALLOWED.sub("", unified))
        if len(kept) == len(text) and len(squeezed) == len(unified):
            return squeezed
        text = squeezed


def _table(rows: str) -> dict[int, str]:
    """Parse lines of `target: sources` into a translation table."""
    table = {}
    for row in rows.split("\n"):
        target, _, sources = row.partition(": ")
        table.update({ord(source): target for source in sources.replace(" ", "")})
    return table


class _Replacer:
    """`str.translate` for rare characters: a compiled class finds them, which is faster than a look-up for each."""

    def __init__(self, table: Mapping[int, str]) -> None:
        self._targets = {chr(code): target for code, target in table.items()}
        self._pattern = re.compile("[" + "".join(map(re.escape, self._targets)) + "]")

    def __call__(self, text: str) -> str:
        return self._pattern.sub(lambda match: self._targets[match[0]], text)


# --- steps 1 to 4 -----------------------------------------------------------------------------------------------------

_POINT_IN_NUMBER = re.compile("(?<=[0-9０-９])．(?=[0-9０-９])")
_COMMA_IN_NUMBER = re.compile("(?<=[0-9０-９])，(?=[0-9０-９])")
# "１．概要" opens a section; it is no sentence that ends after its first digit (our choice).
_POINT_IN_HEADING = re.compile("^([ 　]*[0-9０-９]{1,3})．(?=.)", re.MULTILINE)

# NFKC would glue these to the number before them: 10⁶ → 106, 2½ → 21⁄2, ①２ → 12 (our choice).
_GLUED = re.compile("[⁺⁻⁰¹²³⁴-⁹]+|[①-⑳]|[¼-¾⅐-⅞]")
# NFKC turns these spacing marks into a space and a combining mark; as combining marks they join their kana. What is
# invisible goes before anything is looked for, not with the other characters of step 8.
_MARKS = _Replacer(
    {ord("゛"): "\u3099", ord("゜"): "\u309a", ord("´"): "'"}
    | dict.fromkeys(
        [0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2065), 0xFE0E, 0xFE0F, 0xFEFF], ""
    )
)

# NFKC of a whole text is the slowest step. Where every character is one of these, none composes with another, and
# only those in the second class change.
_UNUSUAL = re.compile(
    "[^\n -~、。「」『』（）・ぁ-ゖァ-ヺー一-鿿！-～　…℃µ･｢｣､｡"
    "Α-ΡΣ-Ωα-ω°±×÷≤≥≦≧→←↑↓⇒々〇〜―‐–—−“”‘’【】〔〕〈〉《》○●◎△▲□■※é]"
)
_COMPATIBLE = re.compile("[！-～　…℃µ･｢｣､｡]+")

# After NFKC: what looks like an ASCII character or a Japanese mark and takes part in the patterns below.
_LOOK_ALIKES = _Replacer(
    _table("+: ➕\n-: ˗֊‐‒–⁃−➖\n―: —─━\n〜: ~∼∾⁓〰\n/: ⁄∕\n:: ∶\n・: •∙⋅‧·")
    | dict.fromkeys(map(ord, "\t\v\f\u1680\u2581"), " ")
    | dict.fromkeys(map(ord, "\x85\u2028\u2029"), "\n")
)
_LONG_MARK_AS_HYPHEN = re.compile("([A-Za-z0-9])ー+(?=[A-Za-z0-9])")
_DASHES = re.compile("―+")
_THREE_MIDDLE_DOTS = re.compile("・{3,}")
_THREE_DOTS = re.compile(r"\.{3,}")
_KATAKANA = re.compile("[ァ-ヺー]")
_ASCII_WORD = re.compile("[A-Za-z0-9]")


def _unify(text: str) -> str:
    """Steps 1 to 4: Japanese punctuation, NFKC, hyphens and dashes, and what NFKC took apart."""
    text = _MARKS(escape_control_tokens(text))
    if "．" in text:
        text = _POINT_IN_NUMBER.sub(".", _POINT_IN_HEADING.sub(r"\1.", text)).replace("．", "。")
    if "，" in text:
        text = _COMMA_IN_NUMBER.sub(",", text).replace("，", "、")
    text = _nfkc(_GLUED.sub(_unglue, text))
    text = _squeeze_white_space(_LOOK_ALIKES(text))
    text = _DASHES.sub(_unify_dash, _LONG_MARK_AS_HYPHEN.sub(r"\1-", text))
    text = _THREE_MIDDLE_DOTS.sub("...", text)
    return _THREE_DOTS.sub("…", text).replace("°C", "℃").replace("′′", "″")


def escape_control_tokens(text: str) -> str:
    """Part `<|` and `|>` by a space, as the chat template does it too; `<||` without one bar would be `<|` again."""
    return text.replace("<|", "< |").replace("|>", "| >")


def _unglue(match: re.Match[str]) -> str:
    mark = match[0]
    if "①" <= mark <= "⑳":
        return f"({unicodedata.normalize('NFKC', mark)})"
    if not match.string[match.start() - 1 : match.start()].isdecimal():
        return mark
    return f" {mark}" if "¼" <= mark <= "¾" or "⅐" <= mark <= "⅞" else f"^{unicodedata.normalize('NFKC', mark)}"


def _nfkc(text: str) -> str:
    if _UNUSUAL.search(text):
        return unicodedata.normalize("NFKC", text)
    return _COMPATIBLE.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)


def _unify_dash(match: re.Match[str]) -> str:
    """A hyphen between ASCII letters or digits, a chōonpu between katakana, a double dash, or a dash."""
    before = match.string[match.start() - 1 : match.start()]
    after = match.string[match.end() : match.end() + 1]
    if _ASCII_WORD.match(before) and _ASCII_WORD.match(after):
        return "-"
    if len(match[0]) > 1:
        return "――"
    return "ー" if _KATAKANA.match(before) and _KATAKANA.match(after) else "―"


_SPACES = re.compile(" {2,}")
_NEWLINES = re.compile("\n{3,}")


def _squeeze_white_space(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = _SPACES.sub(" ", text).replace(" \n", "\n")
    return _NEWLINES.sub("\n\n", text)


# --- steps 5 and 6 ----------------------------------------------------------------------------------------------------

_E_MAIL = re.compile(r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+")
# Japanese numbers have 10 or 11 digits and start with 0 and an area; a neighbour must not make them part of a longer
# number. Bare digits count only for mobiles or after a word for telephone: a patient's number can have 10 digits too.
_TELEPHONE = re.compile(
    r"""(?<![\d.\-^/])(?:
        \+81[ -]?(?:\(0\))?[1-9]\d{0,3}[ -]?\d{1,4}[ -]?\d{4}
      | (?=(?:\d[()-]{0,2}){10,11}(?!\d)) 0[1-9]\d{0,3} (?:-\d{1,4}-|\(\d{1,4}\)-?) \d{3,4}
      | \(0[1-9]\d{0,3}\)[ -]?\d{1,4}-\d{4}
      | 0[5789]0\d{8}
      | (?<!\d[ ]) (?:0[5789]0[ ]\d{4}|0[36][ ]\d{4}) [ ]\d{4} (?![ ]?\d)
    )(?!-?\d|\.\d)""",
    re.VERBOSE | re.ASCII,
)
_LONG_NUMBER = re.compile("[0-9][0-9() -]{8,}[0-9]")
_LABELLED_TELEPHONE = re.compile(
    r"((?:tel|fax|電話|携帯)(?:番号)?[:. ]{0,2})0[1-9]\d{8,9}(?!\d)", re.IGNORECASE | re.ASCII
)
_URL_CHARACTERS = r"A-Za-z0-9\-_/=&%\#〜"
_URL = re.compile(
    rf"(?i:h?ttps?|ftp)://(?:[{_URL_CHARACTERS}.,:;?!@$*+]*[{_URL_CHARACTERS}])?"
    rf"|(?<![A-Za-z0-9])www\.[{_URL_CHARACTERS}.]*[{_URL_CHARACTERS}]"
)
_ACCOUNT = re.compile(r"(?<![A-Za-z0-9_@.])@[A-Za-z_][A-Za-z0-9_]+")
# A line that starts with "#" is a problem list ("#1 糖尿病 #高血圧") and stays whole (our choice).
_LINE_WITH_TAG = re.compile("^(?! ?#)[^\n]*#[^\n]*", re.MULTILINE)
_TAG = re.compile(r"(?:(?<=[^:] )|(?<=[ぁ-ヿ一-鿿。!?]))#[^\W\d]\w*")


def _remove_personal_data_and_web_notation(text: str) -> str:
    """Steps 5 and 6."""
    if "@" in text:
        text = _E_MAIL.sub("", text)
    if _LONG_NUMBER.search(text):
        text = _LABELLED_TELEPHONE.sub(r"\1", _TELEPHONE.sub("", text))
    if "://" in text or "www." in text:
        text = _URL.sub("", text)
    if "@" in text:
        text = _ACCOUNT.sub("", text)
    if "#" in text:
        text = _LINE_WITH_TAG.sub(lambda line: _TAG.sub("", line[0]), text)
    return text


# --- steps 7 to 9 -----------------------------------------------------------------------------------------------------

_SYMBOLS = _Replacer(
    _table(
        """": “”„‟〝〞〟
': ‘’‚‛
○: ◯⭕❍⚪
●: ⚫⬤
■: ◼⬛▪
□: ◻☐⬜▫
▲: ▴🔺
▼: ▾🔻
◆: ❖⬥
★: ✮⭐🌟
→: ➡➔➜➝⟶⇨
←: ⬅⟵⇦
↑: ⬆⇧
↓: ⬇⇩
⇒: ⟹
↔: ⟷⬌
⇔: ⟺
✓: ✔☑✅
×: ✕✖✗✘╳❌
÷: ➗
≤: ≦⩽≲
≥: ≧⩾≳
〈: ⟨‹
〉: ⟩›
《: ⟪«
》: ⟫»
【: 〖
】: 〗
「: ⌜
」: ⌟
Φ: ⌀
∅: ⊘
|: │┃∣¦
‖: ∥"""
    )
)


def _unify_symbols(text: str) -> str:
    """Step 7."""
    return escape_control_tokens(_SYMBOLS(text))


# JIS kanji and every other CJK ideograph, kana, printable ASCII, Greek, Latin letters with marks, and the symbols that
# clinical and scientific Japanese uses. No control characters, emoji, combining marks or private use.
_NOT_ALLOWED = re.compile(
    "[^\n -~"
    "ぁ-ゖゝゞァ-ヺ・-ヾㇰ-ㇿ々〆〇〻"
    "㐀-䶿一-鿿\ufa0e-\ufa29\U00020000-\U0002f7ff\U00030000-\U000323af"
    "Α-ΡΣ-Ωα-ωά-ώ"
    "À-ÖØ-öø-ʯḀ-ỹ"
    "、。「」『』【】〔〕〈〉《》〒〓〜―…‖′″‰†‡§¶※★☆○●◎△▲▽▼□■◇◆♂♀♪✓"
    "℃°±×÷∓≤≥≪≫≠≒≈≡∝∞√∑∏∫∂∇∆∅∈∩∪⊂⊃∧∨¬∠⊥∴∵→←↑↓↗↘↖↙↔⇒⇐⇔⇄¡¿©®¥£¢€"
    "]+"
)

# "――" is a dash and "(+++)" a finding: most marks may stand three times. Letters, kanji and digits are left alone.
_ONCE = re.compile(r"([ー〜。、])\1+")
_THRICE = re.compile(r"([^\w\s]|_)\1{3,}")
_LAUGHTER = re.compile("(?<![A-Za-z0-9])w{3,}(?![A-Za-z0-9.])")


def _squeeze(text: str) -> str:
    """Step 9."""
    text = _THRICE.sub(r"\1\1\1", _ONCE.sub(r"\1", text))
    return _LAUGHTER.sub("w", text) if "www" in text else text

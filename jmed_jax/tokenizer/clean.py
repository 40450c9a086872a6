"""Cleaning of Japanese clinical text (arXiv 2412.16423 §2.2), the first step of every encoding.

`STEPS` lists the paper's steps in the paper's order. Where clinical text needs more than the paper says, the line says
"our choice". Only the standard library and a neighbour are used: a copy of this file travels with every exported
Hugging Face tokenizer.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from .contacts import Span, cut, find_e_mails, find_telephones

RULES_VERSION = 2
"""Saved with every tokenizer; raise it when the same text would come out differently."""


def clean(text: str) -> str:
    """Return `text` as the tokenizer and the corpus see it (arXiv 2412.16423 §2.2, steps 1 to 9).

    Newlines stay, at most two in a row; every other run of white space is one ordinary space. Step 10 of the paper
    (space to U+2581) is left to the encoder, so that the result stays readable. `clean(clean(x)) == clean(x)`, and no
    result contains `<|` or `|>`: text cannot spell a control token (our choice).
    """
    for _, after in walk(text):
        text = after
    return text


def explain(text: str) -> list[tuple[str, str]]:
    """Return (name of a step, text after it) for every step of `clean` that changes something, in their order."""
    changes: list[tuple[str, str]] = []
    for name, after in walk(text):
        if name == STEPS[0].name:
            start, changes_before = text, len(changes)
        if after != text:
            changes.append((name, after))
        text = after
    # A round that finds nothing to do may still take a ℃ apart and restore it.
    return changes if text != start else changes[:changes_before]


def walk(text: str) -> Iterator[tuple[str, str]]:
    """Yield (name of a step, text after it) for the steps that may have something to do; the last text is clean."""
    # What a removal brings together may read as something new ("a😀@b.jp"), so such text goes round again. A round
    # that removes nothing is idempotent by itself: no step makes what an earlier one looks for.
    again = True
    while again:
        again = False
        rare = _rare_characters(text)
        for name, apply, trigger, removes in STEPS:
            if trigger is None or (rare and trigger.search(rare)):
                length = len(text)
                text = apply(text)
                if apply is _nfkc:
                    rare = unicodedata.normalize("NFKC", rare)
                again = again or (removes and len(text) != length)
                yield name, text


class Step(NamedTuple):
    """One step of the cleaning.

    Attributes:
        trigger: rare characters (see `_rare_characters`) without any of which the step does nothing; None: it looks
            for itself.
        removes: it may take something out of the text, or add to it, and so bring about work for an earlier step.
    """

    name: str
    apply: Callable[[str], str]
    trigger: re.Pattern[str] | None = None
    removes: bool = False


def _table(rows: str) -> dict[str, str]:
    """Parse `target: sources`, two spaces or a line apart, into a map from source to target."""
    pairs = (row.split(": ") for row in re.split("  |\n", rows))
    return {source: target for target, sources in pairs for source in sources}


class _Replacer:
    """`str.translate` for rare characters: a compiled class finds them, which is faster than a look-up for each."""

    def __init__(self, targets: Mapping[str, str]) -> None:
        self.targets = targets
        self.sources = re.compile("[" + "".join(map(re.escape, targets)) + "]")

    def __call__(self, text: str) -> str:
        return self.sources.sub(lambda match: self.targets[match[0]], text)


# --- which steps a text needs -----------------------------------------------------------------------------------------

# Characters that steps 1, 2, 7, 8 and the tables below leave alone wherever they stand: nearly all of every text. One
# pass over a text finds the others, and a few characters then tell which of those steps have anything to do.
_COMMON = "\n -}、。「」『』・ぁ-ゖァ-ヺー一-鿿→←↑↓⇒々〇〜―【】〔〕〈〉《》○●◎△▲□■※"
_RARE = re.compile(f"[^{_COMMON}]")


def _rare_characters(text: str) -> str:
    """The rare characters of a text, each once, with newlines between, so that NFKC of the result composes none.

    In the text they may compose; they do so with a mark that is rare itself and not allowed, so that step 8 is awake.
    """
    return "\n".join(set(_RARE.findall(text)))


# --- before the paper's steps (our choice) ----------------------------------------------------------------------------


def escape_control_tokens(text: str) -> str:
    """Part `<|` and `|>` by a space, as the chat template does it too; `<||` without one bar would be `<|` again."""
    return text.replace("<|", "< |").replace("|>", "| >") if "|" in text else text


# What is invisible goes before anything is looked for, not with the other characters of step 8.
_INVISIBLE = re.compile("[\xad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe0e\ufe0f\ufeff]")


# --- steps 1 and 2 ----------------------------------------------------------------------------------------------------

_PUNCTUATION = re.compile("[．，]")
# Patterns start with what is rare: `re` then runs to the next one as fast as `str.find`. A point stays a point within a
# number, and (our choice) in Ｅ．ｃｏｌｉ and in ｅｘａｍｐｌｅ．ｃｏｍ of an address that step 5 or 6 shall see.
_COMMA_IN_NUMBER = re.compile("，(?<=[0-9０-９]，)(?=[0-9０-９])")
_POINT_IN_WORD = re.compile(
    "．(?:(?<=[0-9０-９]．)(?=[0-9０-９])"
    "|(?<=(?<![A-Za-zＡ-Ｚａ-ｚ])[A-ZＡ-Ｚ]．)(?=[A-Za-zＡ-Ｚａ-ｚ])|(?<=[a-z0-9ａ-ｚ０-９]．)(?=[a-zａ-ｚ]{2}))"
)
_OTHER_POINT = re.compile("．(?=(.?))")
_NUMBER_OF_HEADING = re.compile(r"^[ 　]*[0-9０-９]{1,3}\Z", re.MULTILINE)


def _unify_punctuation(text: str) -> str:
    if "．" in text:
        text = _OTHER_POINT.sub(_point_of_heading, _POINT_IN_WORD.sub(".", text))
    return _COMMA_IN_NUMBER.sub(",", text).replace("，", "、")


def _point_of_heading(match: re.Match[str]) -> str:
    """ "１．概要" opens a section; it is no sentence that ends after its first digit (our choice)."""
    at = match.start()
    return "." if match[1] and _NUMBER_OF_HEADING.search(match.string, max(0, at - 16), at) else "。"


# NFKC would glue these to the number before them: 10⁶ → 106, 2½ → 21⁄2, ①２ → 12, 36ºC → 36oC (our choice).
_CIRCLED = "①-⑳⓪⓫-⓿❶-➓㉑-㉟㊱-㊿"
_RAISED = "⁺⁻⁰¹²³⁴-⁹"
_GLUED = re.compile(f"[{_RAISED}{_CIRCLED}¼-¾⅐-⅞゜ﾟ˚º](?:(?<=[{_RAISED}])[{_RAISED}]+)?")
_IS_CIRCLED = re.compile(f"[{_CIRCLED}]")
# NFKC turns these spacing marks into a space and a combining mark; as combining marks they join their kana.
_MARKS = _Replacer({"゛": "\u3099", "゜": "\u309a", "´": "'"})
_TAKEN_APART = re.compile(f"[{_RAISED}{_CIRCLED}¼-¾⅐-⅞゜ﾟ˚º゛´]")


def _keep_apart(text: str) -> str:
    return _MARKS(_GLUED.sub(_unglue, text))


def _unglue(match: re.Match[str]) -> str:
    mark = match[0]
    if _IS_CIRCLED.match(mark):
        return f"({unicodedata.numeric(mark):.0f})"
    if not match.string[match.start() - 1 : match.start()].isdecimal():
        return mark
    if mark in "゜ﾟ˚º":
        return "°"
    return f" {mark}" if "¼" <= mark <= "¾" or "⅐" <= mark <= "⅞" else f"^{unicodedata.normalize('NFKC', mark)}"


# NFKC of a whole text is the slowest step. It changes nothing in runs of these characters, and the runs between them
# can be normalised by themselves: none of these joins one before it, or one behind it that is no combining mark.
_STABLE = f"{_COMMON}~Α-ΡΣ-Ωα-ω°±×÷≤≥≦≧—−“”‘’é"
_UNSTABLE = re.compile(f"([^{_STABLE}][^{_STABLE}]*)")


def _nfkc(text: str) -> str:
    # As frequent as all the others together; none is part of a composition.
    text = text.replace("　", " ").replace("（", "(").replace("）", ")")
    parts = _UNSTABLE.split(text)
    for i in range(1, len(parts), 2):
        run, before = parts[i], parts[i - 1]
        if unicodedata.combining(run[0]) or run[0] in "ﾞﾟ":
            parts[i - 1], run = before[:-1], before[-1:] + run
        parts[i] = unicodedata.normalize("NFKC", run)
    return "".join(parts)


# --- steps 3 and 4 ----------------------------------------------------------------------------------------------------

# After NFKC: what looks like an ASCII character or a Japanese mark and takes part in the patterns below. "♯1" is the
# head of a problem list as "#1" is (our choice).
_LOOK_ALIKES = _Replacer(
    _table("+: ➕  -: ˗֊‐‒–⁃−➖  ―: —─━  〜: ~∼∾⁓〰  /: ⁄∕  :: ∶  ・: •∙⋅‧·  #: ♯")
    | dict.fromkeys("\t\v\f\u1680\u2581", " ")
    | dict.fromkeys("\x85\u2028\u2029", "\n")
)
_LONG_MARK_AS_HYPHEN = re.compile("ー(?<=[A-Za-z0-9]ー)ー*(?=[A-Za-z0-9])")
_DASHES = re.compile("――*")
_KATAKANA = re.compile("[ァ-ヺー]")
_ASCII_WORD = re.compile("[A-Za-z0-9]")
_SPACES = re.compile(" {2,}")
_NEWLINES = re.compile("\n{3,}")
_THREE_MIDDLE_DOTS = re.compile("・{3,}")
_THREE_DOTS = re.compile(r"\.{3,}")


def _squeeze_white_space(text: str) -> str:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "  " in text:
        text = _SPACES.sub(" ", text)
    text = text.replace(" \n", "\n")
    return _NEWLINES.sub("\n\n", text) if "\n\n\n" in text else text


def _unify_hyphens(text: str) -> str:
    text = _LONG_MARK_AS_HYPHEN.sub("-", text)
    return _DASHES.sub(_unify_dash, text) if "―" in text else text


def _unify_dash(match: re.Match[str]) -> str:
    """A hyphen between ASCII letters or digits, a chōonpu between katakana, a double dash, or a dash."""
    before = match.string[match.start() - 1 : match.start()]
    after = match.string[match.end() : match.end() + 1]
    if _ASCII_WORD.match(before) and _ASCII_WORD.match(after):
        return "-"
    if len(match[0]) > 1:
        return "――"
    return "ー" if _KATAKANA.match(before) and _KATAKANA.match(after) else "―"


def _restore(text: str) -> str:
    if "・・・" in text:
        text = _THREE_MIDDLE_DOTS.sub("...", text)
    if "..." in text:
        text = _THREE_DOTS.sub("…", text)
    if "°" in text:
        text = text.replace("°C", "℃")
    return text.replace("′′", "″") if "′" in text else text


# --- step 5 -----------------------------------------------------------------------------------------------------------

_E_MAILS_STEP = "5 e-mail addresses removed"
_TELEPHONES_STEP = "5 telephone numbers removed"
PERSONAL_DATA_STEPS: Mapping[str, tuple[str, Callable[[str], list[Span]]]] = {
    _E_MAILS_STEP: ("e_mail", find_e_mails),
    _TELEPHONES_STEP: ("telephone", find_telephones),
}
"""Name of a step of `walk` → (kind, what finds it), for those who count."""


def _remove_found(find: Callable[[str], list[Span]], text: str) -> str:
    return cut(text, find(text))


# --- step 6 -----------------------------------------------------------------------------------------------------------

_URL_CHARACTERS = r"A-Za-z0-9\-_/=&%\#〜"
_URL = re.compile(
    rf"(?i:h?ttps?|ftp)://(?:[{_URL_CHARACTERS}.,:;?!@$*+]*[{_URL_CHARACTERS}])?"
    rf"|(?<![A-Za-z0-9])www\.[{_URL_CHARACTERS}.]*[{_URL_CHARACTERS}]"
)
_ACCOUNT = re.compile(r"(?<![A-Za-z0-9_@.])@[A-Za-z_][A-Za-z0-9_]+")
# A line that starts with "#" is a problem list ("#1 糖尿病 #高血圧") and stays whole (our choice).
_LINE_WITH_TAG = re.compile("^(?! ?#)[^\n]*#[^\n]*", re.MULTILINE)
_TAG = re.compile(r"(?:(?<=[^:] )|(?<=[ぁ-ヿ一-鿿。!?]))#[^\W\d]\w*")


def _remove_web_notation(text: str) -> str:
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
        """": “”„‟〝〞〟  ': ‘’‚‛  ○: ◯⭕❍⚪  ●: ⚫⬤  ■: ◼⬛▪
□: ◻☐⬜▫  ▲: ▴🔺  ▼: ▾🔻  ◆: ❖⬥  ★: ✮⭐🌟
→: ➡➔➜➝⟶⇨  ←: ⬅⟵⇦  ↑: ⬆⇧  ↓: ⬇⇩  ⇒: ⟹
↔: ⟷⬌  ⇔: ⟺  ✓: ✔☑✅  ×: ✕✖✗✘╳❌☓  ÷: ➗
(+): ⊕  (-): ⊖  ≈: ≅≃  ≤: ≦⩽≲  ≥: ≧⩾≳
〈: ⟨‹  〉: ⟩›  《: ⟪«  》: ⟫»  【: 〖
】: 〗  「: ⌜  」: ⌟  Φ: ⌀  ∅: ⊘
|: │┃∣¦  ‖: ∥"""
    )
)

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
    "]"
)

# "――" is a dash and "(+++)" a finding: most marks may stand three times. Letters, kanji and digits are left alone: the
# first class passes over nearly all of them fast, the second decides.
_DOUBLED = re.compile(r"([^ \nA-Za-z0-9ぁ-ゖァ-ヺ一-鿿])\1")
_ONCE = re.compile(r"([ー〜。、])\1+")
_THRICE = re.compile(r"([^ \nA-Za-z0-9ぁ-ゖァ-ヺー一-鿿、。])(?<=[\W_])\1{3,}")
_LAUGHTER = re.compile("(?<![A-Za-z0-9])w{3,}(?![A-Za-z0-9.])")


def _squeeze(text: str) -> str:
    if _DOUBLED.search(text):
        text = _THRICE.sub(r"\1\1\1", _ONCE.sub(r"\1", text))
    return _LAUGHTER.sub("w", text) if "www" in text else text


# --- the table --------------------------------------------------------------------------------------------------------

STEPS = (
    Step("control tokens parted", escape_control_tokens),
    Step("invisible characters removed", partial(_INVISIBLE.sub, ""), _INVISIBLE),
    Step("1 full-width period and comma", _unify_punctuation, _PUNCTUATION),
    Step("2 NFKC: exponents and circled numbers kept apart", _keep_apart, _TAKEN_APART),
    Step("2 NFKC", _nfkc, _UNSTABLE),
    Step("3 hyphens, tildes and dots of one look", _LOOK_ALIKES, _LOOK_ALIKES.sources),
    Step("3 white space squeezed", _squeeze_white_space),
    Step("3 hyphens, dashes and long vowel marks", _unify_hyphens),
    Step("4 three dots and ℃ restored", _restore),
    Step(_E_MAILS_STEP, partial(_remove_found, find_e_mails), removes=True),
    Step(_TELEPHONES_STEP, partial(_remove_found, find_telephones), removes=True),
    Step("6 web notation removed", _remove_web_notation, removes=True),
    Step("7 symbols of one meaning", _SYMBOLS, _SYMBOLS.sources, removes=True),
    Step("7 control tokens parted", escape_control_tokens, removes=True),
    Step("8 characters outside the allowed set deleted", partial(_NOT_ALLOWED.sub, ""), _NOT_ALLOWED, removes=True),
    Step("9 repetition squeezed", _squeeze, removes=True),
)

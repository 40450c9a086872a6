"""Whether a translated question still asks the same: its choices, numbers, units and codes, looked at one by one.

Text is compared after NFKC, so that full-width digits, ㎎ and ℃ are what they mean. A check returns what is wrong in a
few words, which the model reads when it is asked again; "" when nothing is.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from jmed_jax.evaluate.exams.question import Language, MultipleChoiceQuestion
from jmed_jax.instruct.translation_prompts import translatable
from jmed_jax.jsonl import parse_json

CHECKS = ("form", "choices", "language", "numbers", "units", "codes")
"""In this order: names of what is looked at, for provenance."""

# Spellings of a unit in either language, the longest first where one begins another.
_UNITS: dict[str, str] = {
    "mg/dL": r"mg ?/ ?d[lL]",
    "g/dL": r"g ?/ ?d[lL]",
    "ng/mL": r"ng ?/ ?m[lL]",
    "μg/dL": r"(?:[μµu]g|mcg) ?/ ?d[lL]",
    "pg/mL": r"pg ?/ ?m[lL]",
    "mEq/L": r"mEq ?/ ?[lL]",
    "mmol/L": r"mmol ?/ ?[lL]",
    "U/L": r"I?U ?/ ?[lL]",
    "kg/m2": r"kg ?/ ?m(?:\^?2|\$?\^?\{?2\}?\$?)",
    "mg/kg": r"mg ?/ ?kg",
    "mL/min": r"m[lL] ?/ ?(?:min|分)",
    "mmHg": r"mm ?Hg|水銀柱ミリ(?:メートル)?|millimet(?:er|re)s of mercury",
    "mOsm": r"mOsm",
    "°C": r"° ?C|度(?!以|目)|degrees? Celsius",
    "°F": r"° ?F|degrees? Fahrenheit",
    "%": r"%|パーセント|percent|per cent",
    "μg": r"[μµu]g|mcg|マイクログラム|micrograms?",
    "mg": r"mg|ミリグラム|milligrams?",
    "kg": r"kg|キログラム|キロ(?![ァ-ヶー一-龯])|kilograms?",
    "g": r"g|グラム|grams?",
    "mL": r"m[lL]|cc|ミリリットル|millilit(?:er|re)s?",
    "L": r"L|リットル|lit(?:er|re)s?",
    "cm": r"cm|センチ(?:メートル)?|centimet(?:er|re)s?",
    "mm": r"mm|ミリ(?:メートル|(?![ァ-ヶー一-龯]))|millimet(?:er|re)s?",
}
# A unit ends where no Latin letter goes on, and no further "/".
_UNIT = re.compile("|".join(f"(?P<u{index}>{spelling})(?![A-Za-z/])" for index, spelling in enumerate(_UNITS.values())))
_NUMBER = re.compile(r"(?<![A-Za-z0-9.])[0-9]+(?:\.[0-9]+)?(?![0-9])")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
# HbA1c, IgG4, CD4, V600E: letters and digits, one of them a capital. They are written the same in both languages.
_CODE = re.compile(r"(?<![A-Za-z0-9])(?=[A-Za-z0-9]*[A-Z])[A-Za-z]+[0-9]+[A-Za-z0-9]*(?![A-Za-z0-9])")
# Small numbers as words, Roman numerals and months, which a translation may turn into digits or back.
_WRITTEN_OUT = {
    "1": r"\ban?\b|\bone\b|\bfirst\b|\bsingle\b|\bonce\b|\bper\b|\bI\b|\bJan|一|毎",
    "2": r"\btwo\b|\bsecond|\btwice\b|\bboth\b|\bcouple\b|\bpair\b|\bhal(?:f|ves)\b|\bbi|\bII\b|\bFeb|二|両|半",
    "3": r"\bthree\b|\bthirds?\b|\btri|\bIII\b|\bMar|三",
    "4": r"\bfour(?:th)?|\bquarter|\bquad|\bIV\b|\bApr|四",
    "5": r"\bfive\b|\bfifth\b|\bpenta|\bV\b|\bMay\b|五",
    "6": r"\bsix(?:th)?\b|\bhexa|\bVI\b|\bJun|六",
    "7": r"\bseven(?:th)?\b|\bVII\b|\bJul|七",
    "8": r"\beighth?\b|\bVIII\b|\bAug|八",
    "9": r"\bnin(?:e|th)\b|\bIX\b|\bSep|九",
    "10": r"\bten(?:th)?\b|\bX\b|\bOct|\bdecade|十",
    "11": r"\beleven(?:th)?\b|\bXI\b|\bNov|十一",
    "12": r"\btwel(?:ve|fth)\b|\bdozen|\bXII\b|\bDec|十二",
}
# Words by which a text holds larger numbers and fractions than its digits tell.
_LARGE_WORDS = re.compile(
    r"teen|ty\b|icosa|hundred|thousand|million|decade|dozen|\bhalf\b|[十百千万億半]", re.IGNORECASE
)
# Red cells are counted by 万 in Japanese and by the million in English.
_SCALES = {"万": 10**4, "億": 10**8, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_SCALED = re.compile(rf"(?<![A-Za-z0-9.])([0-9]+(?:\.[0-9]+)?) ?({'|'.join(_SCALES)})")
_KANA_OR_KANJI = re.compile("[ぁ-んァ-ヶ一-龯]")
_KANA = re.compile("[ぁ-んァ-ヶ]")


@dataclass(frozen=True)
class Translation:
    """A question's texts in the other language."""

    text: str
    choices: tuple[str, ...]
    explanation: str = ""


@dataclass(frozen=True)
class Problem:
    """Which check failed, and what is wrong in words."""

    check: str
    detail: str

    def __str__(self) -> str:
        return f"{self.check}: {self.detail}"


def check_translation(question: MultipleChoiceQuestion, answer: str, to: Language) -> Translation | Problem:
    """Read a model's answer and look at it; the first check that fails is returned."""
    given = _json_object(answer)
    asked = translatable(question)
    if given is None:
        return Problem("form", "the reply holds no JSON object")
    if missing := [name for name in asked if name not in given]:
        return Problem("form", f"the JSON object has no {', '.join(missing)}")
    choices = given["choices"]
    letters = list(asked["choices"]) if isinstance(asked["choices"], dict) else []
    if not isinstance(choices, dict) or sorted(choices) != letters:
        found = ", ".join(sorted(choices)) if isinstance(choices, dict) else "none"
        return Problem("choices", f"the letters must be {', '.join(letters)}, found {found}")
    texts = [given["question"], *(choices[letter] for letter in letters), given.get("explanation", "")]
    if not all(isinstance(text, str) for text in texts) or not all(text.strip() for text in texts[:-1]):
        return Problem("form", "a text is missing or empty")
    translation = Translation(texts[0].strip(), tuple(text.strip() for text in texts[1:-1]), texts[-1].strip())
    return _first_problem(question, translation, to) or translation


def _first_problem(question: MultipleChoiceQuestion, translation: Translation, to: Language) -> Problem | None:
    if len(set(translation.choices)) < len(set(question.choices)):
        # Otherwise the right answer could not be told from a wrong one.
        return Problem("choices", "two choices that differ have become the same")
    if not (_KANA_OR_KANJI.search(translation.text) if to == "ja" else not _KANA.search(translation.text)):
        return Problem("language", f"the question is not in {'Japanese' if to == 'ja' else 'English'}")
    for name, look in (("numbers", _numbers_problem), ("units", _units_problem), ("codes", _codes_problem)):
        for place, before, after in _parts(question, translation):
            if detail := look(_normal(before), _normal(after)):
                return Problem(name, f"{detail} in {place}")
    return None


def _parts(question: MultipleChoiceQuestion, translation: Translation) -> Iterator[tuple[str, str, str]]:
    """(where, before, after) of every text. Choices are compared one by one, which shows when they changed places."""
    yield "the question", question.text, translation.text
    for number, (before, after) in enumerate(zip(question.choices, translation.choices, strict=True)):
        yield f"choice {chr(ord('A') + number)}", before, after
    if question.explanation:
        yield "the explanation", question.explanation, translation.explanation


# --- one text against its translation ---------------------------------------------------------------------------------


def _numbers_problem(before: str, after: str) -> str:
    """Every number must be there as often, small ones perhaps as words; a new one must have been a word before."""
    wanted, found = Counter(_numbers(before)), Counter(_numbers(after))
    missing = [number for number in wanted - found if not _is_written_out(number, after)]
    if missing:
        return f"the number {missing[0]} is missing"
    # A number may be said again, as in "30~40 mg" for "30 to 40 mg"; only one that was never there is an addition.
    added = [number for number in found - wanted if number not in wanted and not _is_written_out(number, before)]
    # Once a day, daily, within a year: a 1 comes in by many ways.
    added = [number for number in added if number != "1" and not _may_be_large_word(number, before)]
    return f"the number {added[0]} was not there before" if added else ""


def _may_be_large_word(number: str, text: str) -> bool:
    """Whether a text has words for larger numbers and fractions ("two decades", "icosahedral"), which are not read."""
    return number not in _WRITTEN_OUT and _LARGE_WORDS.search(text) is not None


def _is_written_out(number: str, text: str) -> bool:
    """Whether a small number stands in a text as a word ("Select two" for 2つ選べ)."""
    return number in _WRITTEN_OUT and re.search(_WRITTEN_OUT[number], text, re.IGNORECASE) is not None


def _numbers(text: str) -> list[str]:
    """Numbers in plain digits: 1,000 is 1000, 2.50 is 2.5, 04 is 4."""
    return [_plain(number) for number in _NUMBER.findall(text)]


def _plain(number: str) -> str:
    whole, _, decimals = number.partition(".")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{decimals.rstrip('0')}" if decimals.rstrip("0") else whole


def _units_problem(before: str, after: str) -> str:
    """Every number with a unit must have that unit again."""
    missing = Counter(_measures(before, written_out=False)) - Counter(_measures(after, written_out=True))
    if not missing:
        return ""
    number, unit = next(iter(missing))
    return f"{number} {unit} has lost or changed its unit"


def _measures(text: str, *, written_out: bool) -> list[tuple[str, str]]:
    measures = []
    for match in _NUMBER.finditer(text):
        gap = 1 if text[match.end() : match.end() + 1] in (" ", "-") else 0
        unit = _UNIT.match(text, match.end() + gap)
        # 度 is also a degree of an angle: it may stand for °C, but does not ask for it.
        if unit and unit.lastgroup and (written_out or unit[0] != "度"):
            measures.append((_plain(match[0]), list(_UNITS)[int(unit.lastgroup[1:])]))
    return measures


def _codes_problem(before: str, after: str) -> str:
    """Names of letters and digits must be there again."""
    missing = [code for code in dict.fromkeys(_CODE.findall(before)) if code.lower() not in after.lower()]
    return f"{missing[0]} is missing" if missing else ""


def _normal(text: str) -> str:
    """NFKC, without the commas of thousands, with one kind of minus sign and blank, and 356万 as 3560000."""
    text = unicodedata.normalize("NFKC", text).replace("−", "-")
    text = _THOUSANDS.sub("", re.sub(r"\s", " ", text))
    return _SCALED.sub(lambda match: f"{Decimal(match[1]) * _SCALES[match[2]]:f}", text)


def _json_object(answer: str) -> dict[str, Any] | None:
    """The JSON object in an answer, whatever stands around it (a code fence, a word of politeness)."""
    start, end = answer.find("{"), answer.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        value = parse_json(answer[start : end + 1])
    except ValueError:
        return None
    return value if isinstance(value, dict) else None

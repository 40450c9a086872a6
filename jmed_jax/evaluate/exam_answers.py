"""IgakuQA's answers: what counts as right, and how letters or a number are read out of free text."""

import re
import unicodedata
from collections.abc import Collection
from decimal import Decimal

Answer = tuple[str, ...]

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_MARKER = re.compile(r"(?:答え?|解答|回答|正解|answer)[*\s]*(?:は|is|[:=])?[*\s]*")
_OPENING = r"[\s\"'「『(\[【*]*"
# Letters of one answer stand on one line: an explanation of every choice may follow on the next.
_BETWEEN = r"(?:[ \t,、・･&/+()\[\]「」とや]|and|及び|および)*"
_BOXES = re.compile(r"(?:[①-⑨][\s:=：＝]*[0-9０-９][\s,、。]*)+")


def is_right(prediction: str, accepted: Collection[Answer]) -> bool:
    """Whether `prediction` ("a,c" or "26") is one of the accepted answers, by the benchmark's comparison.

    It is split at the commas and compared as a set of strings with nothing stripped: "a, c" is wrong where "a,c" is
    right. Every published figure contains this. Numerals are compared as numbers ("7.2" is "7.20").
    """
    given = frozenset(prediction.split(","))
    return any(given == frozenset(answer) or _same_number(prediction, answer) for answer in accepted)


def relax(prediction: str) -> str:
    """The same answer without its accidents: width, case, blanks round the letters, repetitions, thousands commas."""
    text = _THOUSANDS.sub("", unicodedata.normalize("NFKC", prediction).lower())
    return ",".join(sorted({part for part in re.split(r"[,、\s]+", text) if part}))


def _same_number(prediction: str, answer: Answer) -> bool:
    if len(answer) != 1 or not is_number(answer[0]) or not is_number(prediction):
        return False
    return Decimal(prediction) == Decimal(answer[0])


def is_number(text: str) -> bool:
    """Whether `text` is a plain numeral such as "26" or "7.20"."""
    return _NUMBER.fullmatch(text) is not None


def parse_letters(output: str, letters: str) -> str:
    """Read the chosen letters out of free text, as "a,c"; "" when it does not say.

    Width and case do not matter. The first of these that holds decides:
    1. letters follow 答え, 解答, 回答, 正解 or "answer"; the last place where they do;
    2. the text begins with letters ("ac", "a、c", "(a)と(c)", "c: ビタミンB6");
    3. exactly one letter stands alone in the whole text ("最も考えられるのは、e: 胆管癌です").
    Several letters scattered over an explanation are no answer.

    Args:
        letters: those that the question offers, e.g. "abcde".
    """
    text = unicodedata.normalize("NFKC", output).lower()
    # Not into a word, nor up to one: "bad question" chooses nothing.
    run = re.compile(f"{_OPENING}([{letters}](?:{_BETWEEN}[{letters}])*)(?! ?[a-z0-9])")
    behind_markers = [match.end() for match in _MARKER.finditer(text)]
    for beginning in (*reversed(behind_markers), 0):
        match = run.match(text, beginning)
        if match:
            without_words = re.sub("and", "", match[1])
            return ",".join(sorted({character for character in without_words if character in letters}))
    alone = set(re.findall(f"(?<![a-z0-9])[{letters}](?![a-z0-9])", text))
    return alone.pop() if len(alone) == 1 else ""


def parse_number(output: str) -> str:
    """Read the numeral out of free text; "" when there is none.

    Filled boxes ("①2 ②6") are joined. Otherwise it is the first number behind the last 答え, 解答, … if one follows,
    else the last number of the text.
    """
    if _BOXES.fullmatch(output.strip()):
        digits = re.findall(r"[0-9０-９]", output)
        return unicodedata.normalize("NFKC", "".join(digits))
    # NFKC would turn the box ① into a digit.
    text = unicodedata.normalize("NFKC", re.sub("[①-⑨]", " ", output)).lower()
    text = _THOUSANDS.sub("", text)
    markers = list(_MARKER.finditer(text))
    behind = _NUMBER.search(text, markers[-1].end()) if markers else None
    if behind:
        return behind[0]
    numbers = _NUMBER.findall(text)
    return numbers[-1] if numbers else ""


def fill_boxes(question: str, digits: str) -> str | None:
    """The number that `digits` make in the boxes of a question that ends in "解答：①②.③"; None where they do not fit.

    The key of 114C75 is "100" for the boxes ①②.③, which is 10.0; that of 114F75 is "130" for "1, ①②③", which is 1130.
    """
    templates = re.findall(r"(?:[0-9]+,\s*)?[①-⑨](?:[.．]?[①-⑨])*", question)
    if not templates or len(re.findall("[①-⑨]", templates[-1])) != len(digits.replace(".", "")):
        return None
    remaining = iter(digits.replace(".", ""))
    filled = re.sub("[①-⑨]", lambda _: next(remaining), templates[-1])
    number = re.sub(r"[,\s]", "", unicodedata.normalize("NFKC", filled))
    return number if is_number(number) else None

"""An examination exercise of five options: how it is written into a text and read out of a model's answer."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

LETTERS = "abcde"


@dataclass(frozen=True)
class Exercise:
    """A question, its five options, the letter of the right one, and why."""

    question: str
    options: tuple[str, ...]
    answer: str
    explanation: str

    def __post_init__(self) -> None:
        assert len(self.options) == len(LETTERS) and self.answer in LETTERS, self

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"options": dict(zip(LETTERS, self.options, strict=True))}


def format_exercises(exercises: Sequence[Exercise]) -> str:
    """The text of a document, in the form of the examinations."""
    return "\n\n".join(_format(number, exercise) for number, exercise in enumerate(exercises, start=1))


def _format(number: int, exercise: Exercise) -> str:
    options = [f"{letter}. {option}" for letter, option in zip(LETTERS, exercise.options, strict=True)]
    right = exercise.options[LETTERS.index(exercise.answer)]
    lines = [f"問{number} {exercise.question}", *options, f"正解: {exercise.answer}. {right}"]
    return "\n".join([*lines, f"解説: {exercise.explanation}"])


# --- reading ----------------------------------------------------------------------------------------------------------

# As models write them: 【問題1】, 問1., ## 問題 2, **正解**: c, (a) …, Ａ．…; NFKC comes first.
_MARKUP = re.compile(r"^[\s#>*・-]+|\*\*")
_START = re.compile(r"(?:【\s*(?:問題|問|設問)\s*\d*\s*】|(?:問題|問|設問)\s*\d+)\s*[.:)、。]?\s*(.*)")
_OPTION = re.compile(r"[(\[]?([a-zA-Z])\s*[).\]:、。]\s*(.+)")
_ANSWER = re.compile(r"【?\s*(?:正解|正答|解答|答え)\s*】?\s*(?:[:は]|\s)?\s*(.*)")
_EXPLANATION = re.compile(r"【?\s*解説\s*】?\s*:?\s*(.*)")
_LETTER = re.compile(r"[(\[「]?([a-zA-Z])(?![a-zA-Z])(.*)")
_FURTHER_LETTERS = re.compile(r"[\])」]*\s*(?:と|、|,|・|/|及び|および)\s*[(\[「]?[a-zA-Z](?![a-zA-Z])")
_SENTENCE_END = re.compile("[。!?！？」』）)]$")


def parse_exercises(text: str) -> tuple[list[Exercise], list[str]]:
    """Read the exercises out of a model's answer.

    Returns:
        The well-formed ones, and for each of the others what is wrong with it: "no question", "not five options",
        "duplicate options", "answer not among the options", "no explanation" or "truncated".
    """
    exercises, malformed = [], []
    for block in _blocks(text):
        read = _parse(block)
        if isinstance(read, Exercise):
            exercises.append(read)
        else:
            malformed.append(read)
    return exercises, malformed


def _blocks(text: str) -> Iterator[list[str]]:
    """The lines of each exercise, from the question on; what stands before the first is chatter."""
    block: list[str] | None = None
    for raw in unicodedata.normalize("NFKC", text).splitlines():
        line = _MARKUP.sub("", raw).strip()
        start = _START.fullmatch(line)
        if start:
            if block is not None:
                yield block
            block = [start[1]]
        elif block is not None and line:
            block.append(line)
    if block is not None:
        yield block


def _parse(lines: Sequence[str]) -> Exercise | str:
    question, options, letters, answer, explanation = [], [], [], None, None
    for line in lines:
        if explanation is not None:
            explanation.append(line)
        elif match := _EXPLANATION.fullmatch(line):
            explanation = [match[1]]
        elif match := _ANSWER.fullmatch(line):
            answer = match[1]
        elif answer == "":
            answer = line
        elif match := _OPTION.fullmatch(line):
            letters.append(match[1].lower())
            options.append(match[2].strip())
        elif not options:
            question.append(line)
    return _check("".join(question).strip(), letters, options, answer or "", "\n".join(explanation or []).strip())


def _check(question: str, letters: list[str], options: list[str], answer: str, explanation: str) -> Exercise | str:
    if not question:
        return "no question"
    if letters != list(LETTERS):
        return "not five options"
    if len({"".join(option.casefold().split()) for option in options}) < len(options):
        return "duplicate options"
    letter = _LETTER.match(answer)
    if letter is None or letter[1].lower() not in LETTERS or _FURTHER_LETTERS.match(letter[2]):
        return "answer not among the options"
    if not explanation:
        return "no explanation"
    if not _SENTENCE_END.search(explanation):
        return "truncated"
    return Exercise(question, tuple(options), letter[1].lower(), explanation)

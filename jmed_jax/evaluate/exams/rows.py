"""What the readers of question sets share: the checks of a row, with errors that name file and line."""

import string
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.evaluate.exam_answers import Answer, is_number
from jmed_jax.jsonl import field

Row = dict[str, Any]


def choices_of(row: Row, name: str, path: Path, line: int) -> tuple[str, ...]:
    """The texts in the list `row[name]`.

    Raises:
        InputError: no such list, or something in it is no text.
    """
    choices = field(row, name, list, path, line)
    if not all(isinstance(choice, str) for choice in choices):
        raise InputError(f'{path}:{line}: "{name}" must be a list of texts.')
    return tuple(choices)


def options_of(row: Row, name: str, path: Path, line: int) -> tuple[str, ...]:
    """The texts in the object `row[name]`, whose names must be A, B, C … without a gap.

    Raises:
        InputError: no such object, other letters, or something in it is no text.
    """
    options = field(row, name, dict, path, line)
    if sorted(options) != list(string.ascii_uppercase[: len(options)]):
        raise InputError(f'{path}:{line}: "{name}" has the letters {", ".join(options)}; expected A, B, C …')
    ordered = {"choices": [options[letter] for letter in sorted(options)]}
    return choices_of(ordered, "choices", path, line)


def check_answer(answer: Sequence[str], choices: Sequence[str], path: Path, line: int) -> Answer:
    """An answer as sorted letters in lower case, or one numeral where there are no choices.

    Raises:
        InputError: it is empty or names something that is no choice.
    """
    letters = string.ascii_lowercase[: len(choices)]
    parts = tuple(str(part).strip().lower() for part in answer)
    if not choices and len(parts) == 1 and is_number(parts[0]):
        return parts
    # Some printed questions have their choices inside the text.
    allowed = letters or string.ascii_lowercase[:5]
    if not parts or any(len(part) != 1 or part not in allowed for part in parts):
        raise InputError(
            f"{path}:{line}: the answer {', '.join(map(str, answer)) or '(none)'} is none of the {len(choices)} "
            f"choices ({', '.join(letters)})."
        )
    return tuple(sorted(set(parts)))


def accepted_answers(row: Row, choices: Sequence[str], path: Path, line: int) -> list[Answer]:
    """The answers in `row["accepted_answers"]`, which count as right beside the printed key; mostly there are none.

    Raises:
        InputError: no list of lists of letters, or one is as `check_answer` refuses it.
    """
    listed = row.get("accepted_answers") or []
    if not isinstance(listed, list) or not all(isinstance(other, list) for other in listed):
        raise InputError(f'{path}:{line}: "accepted_answers" must be a list of lists of letters.')
    return [check_answer(other, choices, path, line) for other in listed]

"""Readers of dialogue files: Alpaca, ShareGPT, and plain messages. Each yields (number of the record, id, messages).

A file is JSON Lines, or one JSON array, as these collections are usually published.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.evaluate.prompts import Conversation
from jmed_jax.jsonl import field, parse_json, read_jsonl, read_lines

Row = dict[str, Any]
Reader = Callable[[Row, Path, int], Conversation]

_SHAREGPT_ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
}


def read_dialogues(layout: str, path: Path) -> Iterator[tuple[str, Conversation]]:
    """Yield (id, messages) of a file in a layout of `LAYOUTS`.

    Raises:
        InputError: the file is missing or a record is not of the layout; names file and line (in an array: the record,
            from 1) and what was expected.
    """
    for number, row in _rows(path):
        messages = LAYOUTS[layout](row, path, number)
        _check_turns(messages, path, number)
        yield str(row.get("id") or f"{path.name.partition('.')[0]}-{number:06d}"), messages


def _rows(path: Path) -> Iterator[tuple[int, Row]]:
    lines = (line for _, line in read_lines(path))
    first = next((line for line in lines if line.strip()), "")
    if not first.lstrip().startswith("["):
        yield from read_jsonl(path)
        return
    text = "\n".join([first, *lines])
    try:
        rows = parse_json(text)
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}).") from error
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            raise InputError(f"{path}:{number}: record {number} is {type(row).__name__}, expected an object.")
        yield number, row


def _alpaca(row: Row, path: Path, number: int) -> Conversation:
    """{"instruction", "input" (may be missing or empty), "output"} (github.com/tatsu-lab/stanford_alpaca)."""
    instruction = field(row, "instruction", str, path, number)
    context = str(row.get("input") or "")
    return [
        {"role": "user", "content": f"{instruction}\n\n{context}" if context else instruction},
        {"role": "assistant", "content": field(row, "output", str, path, number)},
    ]


def _sharegpt(row: Row, path: Path, number: int) -> Conversation:
    """{"conversations": [{"from": "human" | "gpt" | "system", "value"}]}."""
    return _turns(row, "conversations", ("from", "value"), path, number)


def _messages(row: Row, path: Path, number: int) -> Conversation:
    """{"messages": [{"role", "content"}]}."""
    return _turns(row, "messages", ("role", "content"), path, number)


def _turns(row: Row, name: str, keys: tuple[str, str], path: Path, number: int) -> Conversation:
    messages = []
    for turn in field(row, name, list, path, number):
        if not isinstance(turn, dict) or not all(isinstance(turn.get(key), str) for key in keys):
            raise InputError(f'{path}:{number}: a turn of "{name}" needs the texts "{keys[0]}" and "{keys[1]}".')
        role = turn[keys[0]]
        if role not in _SHAREGPT_ROLES:
            raise InputError(f'{path}:{number}: a turn is by "{role}"; expected one of {", ".join(_SHAREGPT_ROLES)}.')
        messages.append({"role": _SHAREGPT_ROLES[role], "content": turn[keys[1]]})
    return messages


def _check_turns(messages: Conversation, path: Path, number: int) -> None:
    """A system message at most, then user and assistant in turn, the last by the assistant; none of them empty."""
    roles = [message["role"] for message in messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if not turns or len(turns) % 2 or turns != ["user", "assistant"] * (len(turns) // 2):
        raise InputError(
            f"{path}:{number}: the turns are {', '.join(roles) or 'none'}; expected user and assistant in turn, the "
            "last by the assistant, after one system message at most."
        )
    for message in messages:
        if message["role"] != "system" and not message["content"].strip():
            raise InputError(f"{path}:{number}: an empty turn by the {message['role']}. Remove the record.")


LAYOUTS: dict[str, Reader] = {"alpaca": _alpaca, "sharegpt": _sharegpt, "messages": _messages}

"""What happens to files: bytes cut, flipped, inserted, lost, repeated, and values of JSON that nobody expects there."""

import json
import random
from typing import Any

STRANGE = (
    "null",
    "true",
    "-1",
    "0.5",
    # Beyond every float; and beyond what Python turns into an integer (4,300 digits).
    "1" + "0" * 400,
    "1" + "0" * 4_200,
    "1" + "0" * 5_000,
    "1e308",
    "1e999",
    "NaN",
    "-Infinity",
    '""',
    # Other programs write half a pair of surrogates like this; it has no UTF-8.
    r'"\ud800"',
    r'"\u0000"',
    r'"\n\u2028"',
    '"' + "あ" * 5_000 + '"',
    "[]",
    "{}",
    "[[]]",
    "[null]",
    '{"": null}',
    r'{"\ud800": "\ud800"}',
    '"NaN"',
    '"../../x"',
)
"""Values as JSON spells them."""
_PLACE = "\ue000 value goes here"
"""Stands for a value until the rest is written: Python itself would not write all of them."""


def damage(data: bytes, generator: random.Random) -> bytes:
    """One to three faults."""
    for _ in range(generator.randint(1, 3)):
        fault = generator.choice((_cut, _flip, _insert, _delete, _repeat, _mark, _swap, _swap, _swap))
        data = fault(data, generator)
    return data


def _cut(data: bytes, generator: random.Random) -> bytes:
    return data[: generator.randint(0, len(data))]


def _flip(data: bytes, generator: random.Random) -> bytes:
    if not data:
        return b"\xff"
    place = generator.randrange(len(data))
    return data[:place] + bytes([data[place] ^ (1 << generator.randrange(8))]) + data[place + 1 :]


def _insert(data: bytes, generator: random.Random) -> bytes:
    place = generator.randint(0, len(data))
    piece = generator.choice(
        (b"\x00", b"\xff\xfe", b"\n", b"{", b"]" * 3, b"[" * 100_000, b'"', b"\r\n", "あ".encode()[:2])
    )
    return data[:place] + piece + data[place:]


def _delete(data: bytes, generator: random.Random) -> bytes:
    start = generator.randint(0, len(data))
    return data[:start] + data[start + generator.randint(1, 40) :]


def _repeat(data: bytes, _: random.Random) -> bytes:
    return data + data


def _mark(data: bytes, _: random.Random) -> bytes:
    return b"\xef\xbb\xbf" + data


def _swap(data: bytes, generator: random.Random) -> bytes:
    """Another value somewhere in the file's JSON or in that of one of its lines, or a field that is gone."""
    if (swapped := _swap_json(data, generator)) is not None:
        return swapped
    lines = data.split(b"\n")
    number = generator.randrange(len(lines))
    swapped = _swap_json(lines[number], generator)
    return _flip(data, generator) if swapped is None else b"\n".join([*lines[:number], swapped, *lines[number + 1 :]])


def _swap_json(data: bytes, generator: random.Random) -> bytes | None:
    """None if it is no JSON, or what holds no other values."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    strange = generator.choice(STRANGE)
    if not isinstance(value, dict | list) or not value:
        return None
    holder, key = _place(value, generator)
    if generator.random() < 0.2:
        del holder[key]
    else:
        holder[key] = _PLACE
    # In ASCII: half pairs that another fault has put there stay the escapes that they were.
    return json.dumps(value).replace(json.dumps(_PLACE), strange).encode()


def _place(value: Any, generator: random.Random) -> tuple[Any, Any]:
    """A holder and a key, as likely near the top as deep down: a vocabulary does not hide what stands beside it."""
    while True:
        key = generator.choice(list(value) if isinstance(value, dict) else range(len(value)))
        inner = value[key]
        if not isinstance(inner, dict | list) or not inner or generator.random() < 0.3:
            return value, key
        value = inner

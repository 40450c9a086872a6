"""A small template language: sentences with slots, filled from word lists and a seeded generator.

Slots stand in braces; the innermost are filled first:

    {name}      the given value, or a random entry of the word list `name` (itself a template)
    {name*}     two or three different entries, joined with 、
    {a|b|c}     one of the alternatives
    {3-20}      a whole number in that range; {36.5-39.0} one with a decimal; {ｗ3-20} in full-width digits
"""

import random
import re
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")
Words = Mapping[str, Sequence[str]]

_SLOT = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(ｗ?)([\d.]+)-([\d.]+)")
# Full-width forms stand in the order of ASCII, 0xFEE0 higher.
_FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}


def full_width(text: str) -> str:
    """ASCII letters, digits and signs in the full-width forms that hospital systems write."""
    return text.translate(_FULL_WIDTH)


class Grammar:
    """Word lists and a random generator that together expand templates."""

    def __init__(self, words: Words, seed: str) -> None:
        self.words = words
        self.random = random.Random(seed)

    def fill(self, template: str, **given: str | Sequence[str]) -> str:
        """Expand `template`; a given list is drawn from in place of the word list of that name.

        Raises:
            KeyError: a slot that is neither given nor a word list.
        """
        count = 1
        while count:
            template, count = _SLOT.subn(lambda match: self._value(match[1], given), template)
        return template

    def pick(self, name: str, **given: str | Sequence[str]) -> str:
        """Expand one random entry of the word list `name`."""
        return self.fill("{" + name + "}", **given)

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """At most `count` different items, in random order."""
        return self.random.sample(items, min(count, len(items)))

    def _value(self, slot: str, given: Mapping[str, str | Sequence[str]]) -> str:
        if "|" in slot:
            return self.random.choice(slot.split("|"))
        if numbers := _RANGE.fullmatch(slot):
            return self._number(*numbers.groups())
        name = slot.removesuffix("*")
        source = given[name] if name in given else self.words[name]
        if isinstance(source, str):
            return source
        if slot.endswith("*"):
            return "、".join(self.sample(source, self.random.choice((2, 2, 3))))
        return self.random.choice(source)

    def _number(self, width: str, low: str, high: str) -> str:
        if "." in low:
            number = f"{self.random.uniform(float(low), float(high)):.1f}"
        else:
            number = str(self.random.randint(int(low), int(high)))
        return full_width(number) if width else number

"""Text as arrays of code points: classes of characters, and hashes of all its runs of a length.

Filters look at every document of a corpus of 30 GB, so they work on arrays, not on characters.
"""

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.uint64]

SPACE, KANA, KANJI, LETTER, DIGIT, SYMBOL = range(6)
"""Classes of characters. LETTER is a letter of any other script."""

_BASIC_PLANE = 0x10000
_RARE_KANJI = slice(0x20000, 0x323B0)
CODE_POINTS = 0x110000


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the code points of `text`, [characters]."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


# Several filters ask this of one document after the other.
@lru_cache(maxsize=1)
def class_counts(text: str) -> NDArray[np.int64]:
    """Return how many characters of each class stand in `text`, [6], in the order of the constants."""
    return np.bincount(_classes()[code_points(text)], minlength=6)


@cache
def _classes() -> NDArray[np.uint8]:
    # Beyond the basic plane stand rare kanji, and symbols such as emoji.
    classes = np.full(CODE_POINTS, SYMBOL, dtype=np.uint8)
    classes[:_BASIC_PLANE] = [_class(chr(code)) for code in range(_BASIC_PLANE)]
    classes[_RARE_KANJI] = KANJI
    return classes


def _class(character: str) -> int:
    if character.isspace():
        return SPACE
    if "ぁ" <= character <= "ゟ" or "ァ" <= character <= "ヺ" or character in "ーヽヾヿ" or "ㇰ" <= character <= "ㇿ":
        return KANA
    if "㐀" <= character <= "鿿" or "豈" <= character <= "龎" or character in "々〆〇〻":
        return KANJI
    if character.isalpha():
        return LETTER
    return DIGIT if character.isdigit() else SYMBOL


def japanese() -> NDArray[np.bool_]:
    """Return which code points are kana or kanji, [CODE_POINTS]."""
    return (_classes() == KANA) | (_classes() == KANJI)


@cache
def letter_values() -> Array:
    """Return a random value for each code point, [CODE_POINTS]; 0 for what is neither letter nor digit.

    Upper and lower case have the same value.
    """
    values = mix(np.arange(CODE_POINTS, dtype=np.uint64) + np.uint64(1))
    lower = np.arange(CODE_POINTS)
    kept = np.zeros(CODE_POINTS, dtype=bool)
    for code in range(_BASIC_PLANE):
        character = chr(code)
        kept[code] = character.isalnum()
        if len(character.lower()) == 1:
            lower[code] = ord(character.lower())
    kept[_RARE_KANJI] = True
    return np.where(kept, values[lower], np.uint64(0))


def mix(values: Array) -> Array:
    """Return values whose bits all depend on all bits of `values` (the finaliser of SplitMix64): a bijection."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


_BASE = 0x9E3779B97F4A7C15
"""Of the polynomials: odd, with bits all over."""


def prefix_sums(values: Array) -> Array:
    """Return what `run_hashes` needs of values, [values] → [values + 1].

    The values must be random in all 64 bits (`mix`): then two different runs have equal hashes with a chance of 2^-64,
    and equal upper bits with one of 2^-(number of bits).
    """
    sums = np.zeros(len(values) + 1, dtype=np.uint64)
    np.cumsum(values * _powers(len(values))[0], out=sums[1:])
    return sums


def run_hashes(before: Array, after: Array) -> Array:
    """Return hashes of runs of values: the first run starts at the first value, the second at the second, and so on.

    They are polynomials in an odd number modulo 2^64; the place of a run makes no difference.

    Args:
        before: prefix sums where the runs start, [runs].
        after: prefix sums after their ends, [runs].
    """
    return (after - before) * _powers(len(before))[1]


def _powers(count: int) -> tuple[Array, Array]:
    powers, inverse_powers = _power_table(count.bit_length())
    return powers[:count], inverse_powers[:count]


@cache
def _power_table(bits: int) -> tuple[Array, Array]:
    """2^bits powers of the base, and of its inverse modulo 2^64."""
    base, inverse = (np.full(1 << bits, number, dtype=np.uint64) for number in (_BASE, pow(_BASE, -1, 1 << 64)))
    return np.cumprod(base), np.cumprod(inverse)

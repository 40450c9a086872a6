"""Few sizes for all lengths, so that few programs are compiled."""

from collections.abc import Iterator
from itertools import takewhile

SMALLEST = 64


def length_bucket(length: int) -> int:
    """The smallest of 64, 128, 192, 256, 384, 512, 768, 1024, … that is not below `length`."""
    return next(size for size in _lengths() if size >= length)


def length_buckets(longest: int) -> list[int]:
    """All sizes that lengths up to `longest` get."""
    return [*takewhile(lambda size: size < longest, _lengths()), length_bucket(longest)]


def _lengths() -> Iterator[int]:
    """Powers of two and what lies halfway between: at most a third is padding, a fifth on average."""
    yield SMALLEST
    size = 2 * SMALLEST
    while True:
        yield size
        yield size * 3 // 2
        size *= 2


def power_of_two(count: int) -> int:
    """The smallest that is not below `count`."""
    return 1 << (count - 1).bit_length()

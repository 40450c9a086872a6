"""Gopher's measures of repetition (arXiv 2112.11446 §A.1.1 and Table A1), on characters.

Japanese has no spaces between words, so n-grams are of characters. `CHARACTERS_A_WORD` says how many of them stand for
one of the paper's words. Only the first `LOOKED_AT` characters are measured: repetition grows with length in the best
of texts, and work stays bounded.

Whatever is repeated counts from its second time on: a text that is said twice has a share of one half.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from datatrove.data import Document
from numpy.typing import NDArray

from jmed_jax.corpus.characters import code_points, mix, prefix_sums, run_hashes

LOOKED_AT = 20_000
CHARACTERS_A_WORD = 2
"""Letters, kana and kanji for one English word: 2.1 in the questions of JMMLU against MMLU, 1.65 in the national
examinations against their English translation (both counted on the ten medical subjects and on IgakuQA 2018 to 2021).
So the paper's 2 to 4 words are 4, 6 and 8 characters, and its 5 to 10 words are 10 to 20."""

_PARAGRAPH_BREAK = re.compile(r"\n\s*\n")


def duplicate_line_fraction(document: Document) -> float:
    """Share of the lines that stood before."""
    return _duplicates(_lines(document))[0]


def duplicate_line_character_fraction(document: Document) -> float:
    """Share of the characters that stand in such lines."""
    return _duplicates(_lines(document))[1]


def duplicate_paragraph_fraction(document: Document) -> float:
    """Share of the paragraphs (parted by an empty line) that stood before."""
    return _duplicates(_paragraphs(document))[0]


def duplicate_paragraph_character_fraction(document: Document) -> float:
    """Share of the characters that stand in such paragraphs."""
    return _duplicates(_paragraphs(document))[1]


def top_ngram_fraction(document: Document, words: int) -> float:
    """Share of the characters that the most frequent n-gram's repetitions cover; `words` as in the paper."""
    n = CHARACTERS_A_WORD * words
    sums = _prefix_sums(document.text)
    length = len(sums) - 1
    if length <= n:
        return 0.0
    hashes = np.sort(run_hashes(sums[:-n], sums[n:]))
    starts = np.flatnonzero(np.concatenate(([True], hashes[1:] != hashes[:-1], [True])))
    most = int((starts[1:] - starts[:-1]).max())
    return min(1.0, (most - 1) * n / length)


def duplicate_ngram_fraction(document: Document, words: int) -> float:
    """Share of the characters that lie in an n-gram that stood before; `words` as in the paper."""
    n = CHARACTERS_A_WORD * words
    sums = _prefix_sums(document.text)
    length = len(sums) - 1
    if length <= n:
        return 0.0
    # A hash of 49 bits with its place in the lower 15: one sort brings equal n-grams together, the first one first.
    # 20,000 different n-grams have one equal pair of such hashes in 2.8 million documents.
    place_bits = np.uint64(LOOKED_AT.bit_length())
    hashes = run_hashes(sums[:-n], sums[n:]) >> place_bits << place_bits
    hashes = np.sort(hashes | np.arange(len(hashes), dtype=np.uint64))
    repeated = hashes[1:][hashes[1:] >> place_bits == hashes[:-1] >> place_bits]
    places = (repeated & ((np.uint64(1) << place_bits) - np.uint64(1))).astype(np.int64)
    return _covered(places, n, length) / length


def _covered(places: NDArray[np.int64], n: int, length: int) -> int:
    """How many of `length` characters lie in the n-grams that start at `places`."""
    steps = np.zeros(length + 1, dtype=np.int64)
    steps[places] += 1
    steps[places + n] -= 1
    return int(np.count_nonzero(np.cumsum(steps[:length])))


# Several filters ask this of one document after the other.
@lru_cache(maxsize=1)
def _prefix_sums(text: str) -> NDArray[np.uint64]:
    """Prefix sums of the characters looked at, white space left out, [characters + 1]."""
    codes = code_points(text[:LOOKED_AT])
    return prefix_sums(mix(codes[(codes != ord(" ")) & (codes != ord("\n"))].astype(np.uint64)))


def _lines(document: Document) -> list[str]:
    return [line for line in document.text[:LOOKED_AT].split("\n") if line]


def _paragraphs(document: Document) -> list[str]:
    return _PARAGRAPH_BREAK.split(document.text[:LOOKED_AT].strip())


def _duplicates(parts: Sequence[str]) -> tuple[float, float]:
    """Shares of the parts, and of their characters, that stood before."""
    characters = sum(map(len, parts))
    if not characters:
        return 0.0, 0.0
    different = set(parts)
    return 1 - len(different) / len(parts), 1 - sum(map(len, different)) / characters

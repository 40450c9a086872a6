"""Decontamination: which documents share a long span of text with a question of an evaluation set.

Text is compared as its letters, digits, kana and kanji only, NFKC and lower case, so that neither width nor case nor
punctuation nor layout hides a question. What stands in many rows of one file is an instruction ("次のうち正しいものを
1つ選べ") or a phrase of the trade, and no question: documents may share it (see `TEMPLATE_ROWS`).
"""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jmed_jax.artifact import visible_files
from jmed_jax.corpus.characters import code_points, japanese, letter_values, prefix_sums, run_hashes
from jmed_jax.errors import InputError
from jmed_jax.jsonl import SUFFIXES, read_jsonl
from jmed_jax.tokenizer.clean import clean

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]

LETTERS_A_CHARACTER = 3
"""Latin letters and digits that count as one kana or kanji: 2.3 in MMLU against JMMLU, 2.7 in the national examinations
in both languages. Otherwise the English name of a disease would be a long span by itself."""
TEMPLATE_ROWS = 10
"""A span that stands in so many rows of a file is a template, in all files. Questions on one case are fewer: two or
three in an examination, five on one report in CRADE, eight on one tweet in SMDIS."""

_CHUNK = 1 << 14


@dataclass(frozen=True)
class EvaluationSpans:
    """Hashes of every span of the evaluation sets: 12 bytes each, and 1 to 2 more for a first look.

    Hashes have 64 bits and are not verified: among 10^7 spans, a corpus of 10^10 characters meets a false one with a
    chance of 0.5 %.

    Attributes:
        span: kana and kanji that must be in common; `LETTERS_A_CHARACTER` letters or digits count as one.
        sets: names of the files, as `find` gives them.
    """

    span: int
    sets: tuple[str, ...]
    _hashes: Hashes
    """Sorted, different."""
    _set_of_hash: NDArray[np.uint32]
    _bits: NDArray[np.uint8]
    """A bit for the upper bits of a hash; 1 in 8 is set at most, so that few hashes need a search."""

    @classmethod
    def read(cls, paths: Sequence[Path], span: int) -> "EvaluationSpans":
        """Read every string of every row, however nested, that is at least a span long.

        Args:
            paths: .jsonl files (plain, .gz or .zst), or directories of them, to any depth.

        Raises:
            InputError: a path is missing or broken, or nothing is found.
        """
        files = _list_files(paths)
        read = [_read_file(path, span) for path in files]
        if not any(len(hashes) for hashes, _ in read):
            names = ", ".join(map(str, paths))
            raise InputError(f"{names}: no text of {span} letters to compare with. Expected .jsonl files of questions.")
        templates = np.unique(np.concatenate([templates for _, templates in read]))
        hashes, first = np.unique(np.concatenate([hashes for hashes, _ in read]), return_index=True)
        sets = np.repeat(np.arange(len(read), dtype=np.uint32), [len(hashes) for hashes, _ in read])[first]
        kept = ~np.isin(hashes, templates, assume_unique=True)
        return cls(span, tuple(files.values()), hashes[kept], sets[kept], _set_bits(hashes[kept]))

    def find(self, text: str) -> tuple[str, str] | None:
        """Return (evaluation set, shared span as it reads in the text) of the first one, or None.

        The span goes on for as long as the text follows an evaluation set. Work and memory beside the text are bounded
        by a chunk of it.
        """
        text = unicodedata.normalize("NFKC", text)
        for hashes, starts, ends in spans(text, self.span):
            hits, sets = self._look_up(hashes)
            if len(hits):
                following = int(np.argmin(np.append(np.diff(hits) == 1, False)))
                return self.sets[sets[0]], text[starts[hits[0]] : ends[hits[following]]]
        return None

    def _look_up(self, hashes: Hashes) -> tuple[Places, NDArray[np.uint32]]:
        """Places of the hashes that stand in an evaluation set, and the sets' numbers."""
        index = _upper_bits(hashes, 8 * len(self._bits))
        likely = np.flatnonzero((self._bits[index >> np.uint64(3)] >> (index & np.uint64(7)).astype(np.uint8)) & 1)
        rank = np.minimum(np.searchsorted(self._hashes, hashes[likely]), len(self._hashes) - 1)
        certain = self._hashes[rank] == hashes[likely]
        return likely[certain], self._set_of_hash[rank[certain]]


def _set_bits(hashes: Hashes) -> NDArray[np.uint8]:
    table = np.zeros(1 << (8 * len(hashes) + 8).bit_length(), dtype=bool)
    table[_upper_bits(hashes, len(table))] = True
    return np.packbits(table, bitorder="little")


def _upper_bits(hashes: Hashes, size: int) -> Hashes:
    """Bits that count to `size`, a power of two."""
    return hashes >> np.uint64(65 - size.bit_length())


# --- spans of a text --------------------------------------------------------------------------------------------------


def spans(text: str, span: int) -> Iterator[tuple[Hashes, Places, Places]]:
    """Yield (hashes, places of the first character, places after the last) of a text's spans, chunk by chunk.

    There is a span at every letter: the shortest text from there on that weighs enough. So equal texts have equal
    spans, whatever stands around them.
    """
    values, weights, places = letter_values()[:0], _weights()[:0], np.arange(0)
    for start in range(0, len(text), _CHUNK):
        codes = code_points(text[start : start + _CHUNK])
        letters = np.flatnonzero(letter_values()[codes])
        values = np.concatenate([values, letter_values()[codes[letters]]])
        weights = np.concatenate([weights, _weights()[codes[letters]]])
        places = np.concatenate([places, letters + start])
        hashes, ends = _hash_spans(values, weights, span * LETTERS_A_CHARACTER)
        yield hashes, places[: len(hashes)], places[ends - 1] + 1
        # These spans end in the next chunk.
        values, weights, places = values[len(hashes) :], weights[len(hashes) :], places[len(hashes) :]


def _hash_spans(values: Hashes, weights: NDArray[np.uint8], least: int) -> tuple[Hashes, Places]:
    """Hashes of the shortest runs of at least this weight, one for each start, and the places after their ends."""
    # weight_before[i] is the weight of everything before i, and end_of[w] the end of the shortest prefix that weighs
    # more than w.
    weight_before = np.concatenate([[0], np.cumsum(weights, dtype=np.int64)])
    end_of = np.repeat(np.arange(1, len(values) + 1), weights)
    count = int(np.searchsorted(weight_before, weight_before[-1] - least, side="right"))
    ends = end_of[weight_before[:count] + (least - 1)]
    sums = prefix_sums(values)
    return run_hashes(sums[:count], sums[ends]), ends


@cache
def _weights() -> NDArray[np.uint8]:
    return np.where(japanese(), LETTERS_A_CHARACTER, 1).astype(np.uint8)


# --- reading the evaluation sets --------------------------------------------------------------------------------------


def _list_files(paths: Sequence[Path]) -> dict[Path, str]:
    """File → its name below the path that was given; a file that was given twice stands once."""
    files: dict[Path, str] = {}
    for path in paths:
        if path.is_dir():
            inside = visible_files(path, SUFFIXES)
            files |= {file.resolve(): f"{path.name}/{file.relative_to(path).as_posix()}" for file in inside}
        elif path.exists():
            files[path.resolve()] = path.name
        else:
            raise InputError(f"{path}: no such file or directory of evaluation sets.")
    return files


def _read_file(path: Path, span: int) -> tuple[Hashes, Hashes]:
    """All different hashes of a file's spans, and those of them that are templates."""
    rows = [_row_hashes(row, span) for _, row in read_jsonl(path)]
    hashes, counts = np.unique(np.concatenate([letter_values()[:0], *rows]), return_counts=True)
    return hashes, hashes[counts >= TEMPLATE_ROWS]


def _row_hashes(row: dict[str, Any], span: int) -> Hashes:
    """All different hashes of a row's spans: a span that stands twice in a row is no template for that."""
    # Documents are cleaned, so what cleaning takes out of a question is not in them either.
    texts = [unicodedata.normalize("NFKC", clean(text)) for text in strings_in(row)]
    hashes = [hashes for text in texts if len(text) >= span for hashes, _, _ in spans(text, span)]
    return np.unique(np.concatenate([letter_values()[:0], *hashes]))


def strings_in(value: Any) -> Iterator[str]:
    """Every string of a JSON value, however nested."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings_in(part)

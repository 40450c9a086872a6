"""Detokenisation for the entity tasks: from our models' cleaned writing back to the report's own.

Our models read and write cleaned text (NFKC, half-width letters and digits, unified dashes and punctuation), while the
benchmark's gold strings are verbatim from the report, which is often full-width. A person who reads "CD8陽性" in the
output knows which "ＣＤ８陽性" is meant; this file does. It is part of our system, applied before scoring and recorded
beside the raw output; systems that read the report as it is do not go through it.
"""

import functools
from typing import NamedTuple

from jmed_jax.evaluate.scores import parse_string_list
from jmed_jax.tokenizer.clean import clean

# Cleaning decides by context between these (a decimal point or a full stop, a hyphen or a chōonpu).
_ALIKE = str.maketrans({"。": ".", "、": ",", "―": "-", "ー": "-", "〜": "~", "^": "", "…": "...", "℃": "°C"})

# Half-width kana keep their sound marks in a character of their own; only together do they make one character.
_SOUND_MARKS = "ﾞﾟ\u3099\u309a"


def restore_writing(output: str, question: str) -> str:
    """Rewrite each string of a printed list as it stands in the question, where cleaning is the only difference.

    A string that stands verbatim in the question is kept. Any other is replaced with the first span of the question
    whose characters, cleaned one by one and without white space, equal the string's. Without such a span the string is
    kept, and an output that is no list of strings is returned unchanged.
    """
    strings = parse_string_list(output)
    if strings is None or all(string in question for string in strings):
        return output
    written = _Written.of(question)
    return str([string if string in question else written.find(string) or string for string in strings])


class _Written(NamedTuple):
    """A text, its key, and for every character of the key the span of the text that it comes from."""

    text: str
    key: str
    spans: list[tuple[int, int]]

    @classmethod
    def of(cls, text: str) -> "_Written":
        parts, spans = [], []
        for start, end in _clusters(text):
            part = _key(text[start:end])
            parts.append(part)
            spans += [(start, end)] * len(part)
        return cls(text, "".join(parts), spans)

    def find(self, string: str) -> str | None:
        """The first span with the key of `string` that does not cut through a character such as ㎏."""
        key = "".join(_key(string[start:end]) for start, end in _clusters(string))
        at = self.key.find(key) if key else -1
        while at >= 0:
            end = at + len(key)
            starts_whole = at == 0 or self.spans[at - 1] != self.spans[at]
            ends_whole = end == len(self.key) or self.spans[end - 1] != self.spans[end]
            if starts_whole and ends_whole:
                return self.text[self.spans[at][0] : self.spans[end - 1][1]]
            at = self.key.find(key, at + 1)
        return None


def _clusters(text: str) -> list[tuple[int, int]]:
    """Spans of single characters, a kana together with the sound mark behind it."""
    starts = [i for i, character in enumerate(text) if i == 0 or character not in _SOUND_MARKS]
    return list(zip(starts, [*starts[1:], len(text)], strict=True))


@functools.lru_cache(maxsize=10_000)
def _key(cluster: str) -> str:
    return "" if cluster.isspace() else "".join(clean(cluster).translate(_ALIKE).split())

"""English names of Japanese terms, as far as several published glossaries bear each other out."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from jmed_jax.corpus.synthetic.names import fold

Trust = Literal["official", "glossary", "labels"]
_WORD = re.compile("[a-z]{4,}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
# A word of so many letters that is one letter away from one so many times as frequent is a slip of the pen.
_SLIP_LENGTH, _SLIP_RATIO = 6, 3


@dataclass
class Glossary:
    """Pairs of English and Japanese names from lists of three kinds.

    Official names stand, slips of the pen aside (Salivery). A curated glossary is trusted where its pair is one to one
    and each word also stands in another entry: otherwise it has slips too (infeotious), and several meanings (cingulum
    for 帯状疱疹). Labels of a knowledge base alone name broader or narrower things (lateral sclerosis for
    原発性側索硬化症): they only confirm what another list says, or cast doubt on it.
    """

    names: dict[str, dict[str, str]] = field(default_factory=dict)
    """Folded Japanese name → folded English name → the English name as first written."""
    trust: dict[tuple[str, str], set[Trust]] = field(default_factory=dict)
    """Folded (Japanese, English) → the kinds of lists that have the pair."""
    _japanese: dict[str, set[str]] = field(default_factory=dict)
    _words: Counter[str] = field(default_factory=Counter)

    def add(self, japanese: str, english: str, trust: Trust) -> None:
        """Add a pair of one list."""
        ja, en = fold(japanese), " ".join(english.casefold().split())
        if not ja or not _WORD.search(en) or not english.isascii():
            return
        if en not in self._japanese:
            self._words.update(set(_WORD.findall(en)))
        self.names.setdefault(ja, {}).setdefault(en, " ".join(english.split()))
        self.trust.setdefault((ja, en), set()).add(trust)
        self._japanese.setdefault(en, set()).add(ja)

    def english(self, japanese: str) -> tuple[str, ...]:
        """The English names that can be stated."""
        ja = fold(japanese)
        candidates = self.names.get(ja, {})
        return tuple(written for en, written in candidates.items() if self._is_certain(ja, en, candidates))

    def may_mean(self, japanese: str, english: str) -> bool:
        """Whether any list has the pair, certain or not: then it is no wrong answer."""
        return " ".join(english.casefold().split()) in self.names.get(fold(japanese), {})

    def _is_certain(self, ja: str, en: str, candidates: Mapping[str, str]) -> bool:
        kinds, words = self.trust[ja, en], _WORD.findall(en)
        if len(kinds) == 1 and any(map(self._is_slip, words)):
            return False
        if "official" in kinds or len(kinds) > 1:
            return True
        one_to_one = len(candidates) == 1 and len(self._japanese[en]) == 1
        return kinds == {"glossary"} and one_to_one and all(self._words[word] > 1 for word in words)

    def _is_slip(self, word: str) -> bool:
        count = _SLIP_RATIO * self._words[word]
        return len(word) >= _SLIP_LENGTH and any(self._words.get(near, 0) >= count for near in _one_letter_away(word))


def _one_letter_away(word: str) -> Iterator[str]:
    for place in range(len(word) + 1):
        head, tail = word[:place], word[place:]
        yield from (head + letter + tail for letter in _LETTERS)
        if tail:
            yield head + tail[1:]
            yield from (head + letter + tail[1:] for letter in _LETTERS if letter != tail[0])

"""Heuristic filters of the common corpus (arXiv 2412.16423 §2.1). Thresholds are our choice: the paper gives none."""

import hashlib
import re
from typing import Protocol


class Filter(Protocol):
    """Looks at one cleaned document after the other, in order."""

    name: str
    threshold: float

    def drops(self, text: str) -> bool:
        """Whether to leave the document out."""


class TooShort:
    """Drops documents of fewer than `threshold` characters."""

    name = "too_short"

    def __init__(self, threshold: float = 30) -> None:
        self.threshold = threshold

    def drops(self, text: str) -> bool:
        return len(text.strip()) < self.threshold


_LETTER = re.compile(r"[^\W\d_]")
_JAPANESE = re.compile("[ぁ-ゖァ-ヺー々〆一-鿿㐀-䶿]")
_KANA = re.compile("[ぁ-ゖァ-ヺ]")
# Enough to tell a language; the rest of a long document need not be looked at.
_LOOKED_AT = 4000


class NotJapanese:
    """Drops documents in which kana and kanji are less than `threshold` of the letters."""

    name = "not_japanese"

    def __init__(self, threshold: float = 0.2) -> None:
        self.threshold = threshold

    def drops(self, text: str) -> bool:
        return _share(_JAPANESE, text[:_LOOKED_AT]) < self.threshold


class NoKana:
    """Drops documents in which kana are less than `threshold` of the letters: Chinese, or lists of names."""

    name = "no_kana"

    def __init__(self, threshold: float = 0.05) -> None:
        self.threshold = threshold

    def drops(self, text: str) -> bool:
        return _share(_KANA, text[:_LOOKED_AT]) < self.threshold


def _share(pattern: re.Pattern[str], text: str) -> float:
    letters = len(_LETTER.findall(text))
    return len(pattern.findall(text)) / letters if letters else 0.0


class Unfinished:
    """Drops documents in which less than `threshold` of the long lines end as sentences do.

    Menus and lists of headings consist of incomplete sentences. Lines of a word or two say nothing either way.
    """

    name = "unfinished_sentences"

    def __init__(self, threshold: float = 0.1) -> None:
        self.threshold = threshold

    def drops(self, text: str) -> bool:
        # Punctuation within the line counts too: a case report may be one long line that ends with a title.
        lines = [line for line in text.split("\n") if len(line) >= 20]
        return bool(lines) and sum(_SENTENCE_END.search(line) is not None for line in lines) < self.threshold * len(
            lines
        )


_SENTENCE_END = re.compile("[。!?…」』)]")


class Duplicate:
    """Drops documents whose cleaned text, white space aside, was seen before."""

    name = "duplicate"
    threshold = 1.0

    def __init__(self) -> None:
        # 16 bytes a document: a billion documents would be another matter.
        self._seen: set[bytes] = set()

    def drops(self, text: str) -> bool:
        digest = hashlib.blake2b("".join(text.split()).encode(), digest_size=16).digest()
        if digest in self._seen:
            return True
        self._seen.add(digest)
        return False


def default_filters() -> list[Filter]:
    """A fresh set, in the order in which they are asked: the first that drops a document is the one that counts."""
    return [TooShort(), NotJapanese(), NoKana(), Unfinished(), Duplicate()]

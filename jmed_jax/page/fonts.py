"""A font for Japanese labels in pictures: an installed one that has the characters, or that of matplotlib-fontja.

matplotlib draws an empty box for a character that its font lacks; so fonts are chosen by their characters.
"""

import importlib.util
from collections.abc import Iterable, Set
from functools import cache
from pathlib import Path
from typing import NamedTuple

from matplotlib.font_manager import FontEntry, fontManager, get_font

LATIN = "DejaVu Sans"
"""Comes with matplotlib; for everything that is not Japanese."""
INSTALL = "install one (Debian, Ubuntu: fonts-noto-cjk), or pip install 'jmed_jax[analysis]', which brings IPAexGothic"
"""What to do where no font has Japanese characters."""

# With the same characters, what counts next is Japanese rather than Chinese forms of kanji, then no serifs, which are
# hard to read at this size.
_JAPANESE = ("JP", "Hiragino", "IPA", "Gothic", "Meiryo", "ゴシック")
_SERIFS = ("Serif", "Mincho", "明朝")
# It claims to have every character, and draws boxes.
_LAST_RESORT = ("Last Resort", "LastResort", ".LastResort")
# What one font lacks the next may have; beyond these, a character is too rare to search for.
_MOST_FONTS = 3


class Fonts(NamedTuple):
    """Fonts for some texts."""

    families: list[str]
    """For `font.family`: matplotlib takes each character from the first that has it."""
    missing: frozenset[str]
    """Characters that none of them has."""

    def can_draw(self, text: str) -> bool:
        """Whether every character of a text is there."""
        return self.missing.isdisjoint(text)


def fonts_for(texts: Iterable[str]) -> Fonts:
    """The fewest fonts that have the printable characters of the texts, as far as fonts here have them."""
    families = [LATIN]
    wanted = frozenset(character for text in texts for character in text if character.isprintable())
    missing = wanted - _characters(_entry(LATIN).fname)
    while missing and len(families) <= _MOST_FONTS:
        best = min(_candidates(), key=lambda entry: _rank(entry, missing), default=None)
        if best is None or missing.isdisjoint(_characters(best.fname)):
            break
        families.append(best.name)
        missing -= _characters(best.fname)
    return Fonts(families, missing)


def _rank(entry: FontEntry, missing: Set[str]) -> tuple[int, bool, bool, str]:
    japanese = any(name in entry.name for name in _JAPANESE)
    serif = any(name in entry.name for name in _SERIFS)
    return len(missing - _characters(entry.fname)), not japanese, serif, entry.name


def _entry(family: str) -> FontEntry:
    return next(entry for entry in fontManager.ttflist if entry.name == family and _is_upright(entry))


def _candidates() -> list[FontEntry]:
    """Upright fonts of normal weight; with that of matplotlib-fontja, if it is there."""
    package = importlib.util.find_spec("matplotlib_fontja")
    if package and package.origin:
        # Not imported: that would change the settings of every picture.
        for file in sorted((Path(package.origin).parent / "fonts").glob("*.ttf")):
            if all(entry.fname != str(file) for entry in fontManager.ttflist):
                fontManager.addfont(file)
    return [
        entry
        for entry in fontManager.ttflist
        # The list is kept on disk and may name fonts that are gone.
        if _is_upright(entry) and not entry.name.startswith(_LAST_RESORT) and Path(entry.fname).is_file()
    ]


def _is_upright(entry: FontEntry) -> bool:
    return entry.style == "normal" and entry.weight in (400, "normal", "regular", "book")


@cache
def _characters(file: str) -> frozenset[str]:
    """Of the first font in the file: those of a collection differ in their forms, not in their characters."""
    return frozenset(map(chr, get_font(file).get_charmap()))

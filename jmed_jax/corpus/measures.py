"""What the filters measure in a cleaned document, repetition aside (`repetition.py`).

Shares are of the first `LOOKED_AT` characters: enough to tell what a document is, and bounded for one of 500 MB.
What OSCAR says about a document stands in its metadata (`sources.json_lines`); a document that has none there gets a
value that no sensible threshold drops.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from datatrove.data import Document

from jmed_jax.corpus.characters import DIGIT, KANA, KANJI, LETTER, SPACE, SYMBOL, class_counts

LOOKED_AT = 20_000
_SCRIPTS = ("[ァ-ヺー]", "[A-Za-z0-9]")

_WORDS: Mapping[str, Any] = json.loads(
    resources.files("jmed_jax.corpus").joinpath("filter_words.json").read_text(encoding="utf-8")
)


def _any_of(words: Iterable[str]) -> re.Pattern[str]:
    """A pattern of any of the words, the longest first, where they are no part of a longer word of their script."""
    return re.compile("|".join(map(_whole, sorted(words, key=lambda word: (-len(word), word)))))


def _whole(word: str) -> str:
    """Katakana and Latin words stand alone: "エロ" is no part of "ミエロパチー", nor "HOME" of "HOMER"."""
    # The look-behind follows the first character, so that `re` can still skip to those that start a word.
    first, rest = re.escape(word[0]), re.escape(word[1:])
    before = "".join(f"(?<!{script}{first})" for script in _SCRIPTS if re.match(script, word))
    after = "".join(f"(?!{script})" for script in _SCRIPTS if re.match(script, word[-1]))
    return first + before + rest + after


# --- length and language ----------------------------------------------------------------------------------------------


def characters(document: Document) -> float:
    """Characters of the text."""
    return len(document.text)


def japanese_share(document: Document) -> float:
    """Share of the letters that are kana or kanji."""
    counts = class_counts(document.text[:LOOKED_AT])
    return _share(counts[KANA] + counts[KANJI], counts[LETTER] + counts[KANA] + counts[KANJI])


def kana_share(document: Document) -> float:
    """Share of the kana and kanji that are kana."""
    counts = class_counts(document.text[:LOOKED_AT])
    return _share(counts[KANA], counts[KANA] + counts[KANJI])


def symbol_share(document: Document) -> float:
    """Share of the characters, spaces aside, that are digits or no letters at all."""
    counts = class_counts(document.text[:LOOKED_AT])
    return _share(counts[DIGIT] + counts[SYMBOL], counts.sum() - counts[SPACE])


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0


# --- sentences --------------------------------------------------------------------------------------------------------

# "…である." ends a sentence in texts that come from LaTeX.
_SENTENCE_END = re.compile(r"[。!?」』]|(?<=[ぁ-ゖ])\.")
_TRUNCATED_END = re.compile(rf"(?:…|{_any_of(_WORDS['truncated']).pattern})[\])」>≫»→ ]*$", re.MULTILINE)


def sentence_share(document: Document) -> float:
    """Share of the characters that stand in lines with a sentence's end somewhere in them.

    Somewhere, because a case report may be one long line that ends with a title.
    """
    lines = document.text[:LOOKED_AT].split("\n")
    return _share(sum(len(line) for line in lines if _SENTENCE_END.search(line)), sum(map(len, lines)))


def truncated_share(document: Document) -> float:
    """Share of the lines that break off: they end with an ellipsis or with a link to the rest."""
    text = document.text[:LOOKED_AT]
    return _share(len(_TRUNCATED_END.findall(text)), sum(1 for line in text.split("\n") if line))


# --- boilerplate and adult content ------------------------------------------------------------------------------------

_BOILERPLATE = _any_of(word for words in _WORDS["boilerplate"].values() for word in words)
_BOILERPLATE_LEAST_CHARACTERS = 100
_ADULT_WEIGHTS = {word: int(weight) for weight, words in _WORDS["adult"].items() for word in words}
_ADULT = _any_of(_ADULT_WEIGHTS)
_ADULT_LEAST_CHARACTERS = 500


def boilerplate_share(document: Document) -> float:
    """Share of the characters that belong to phrases of menus, notices and shops.

    A text under 100 characters counts as one of 100, so that it takes more than one phrase to drop it.
    """
    text = document.text[:LOOKED_AT]
    return sum(map(len, _BOILERPLATE.findall(text))) / max(len(text), _BOILERPLATE_LEAST_CHARACTERS)


def adult_density(document: Document) -> float:
    """Weights of the words of adult advertising, per 1,000 characters.

    A word that has no other use weighs 3, one that a sober text may use too weighs 1, and names of organs, acts and
    diseases, which medicine needs, weigh nothing. A text under 500 characters counts as one of 500, so that it takes
    more than one word to drop it.
    """
    text = document.text[:LOOKED_AT]
    weights = sum(_ADULT_WEIGHTS[word] for word in _ADULT.findall(text))
    return 1000 * weights / max(len(text), _ADULT_LEAST_CHARACTERS)


# --- what OSCAR says --------------------------------------------------------------------------------------------------
# https://github.com/oscar-project/documentation: docs/versions/oscar-2301.md

# Of the blocklists of the University of Toulouse, in its names. "sexual_education" is left in: that is medicine.
_OSCAR_BLOCKED = frozenset(
    {
        "adult", "agressif", "cryptojacking", "dangerous_material", "dating", "ddos", "gambling", "hacking", "malware",
        "mixed_adult", "phishing", "sect", "warez",
    }
)  # fmt: skip


def oscar_confidence(document: Document) -> float:
    """OSCAR's confidence in its language label; 1 where there is none."""
    confidence = document.metadata.get("language_confidence")
    return 1.0 if confidence is None else float(confidence)


def oscar_harmful_perplexity(document: Document) -> float:
    """Perplexity under OSCAR's model of harmful text, low for such text; infinite where there is none."""
    perplexity = document.metadata.get("harmful_pp")
    return math.inf if perplexity is None else float(perplexity)


def oscar_blocked_categories(document: Document) -> float:
    """Number of blocklists of harmful sites that the document's site stands on."""
    return len(_OSCAR_BLOCKED.intersection(document.metadata.get("categories") or ()))


def oscar_quality_warnings(document: Document) -> float:
    """Number of OSCAR's warnings: tiny, short_sentences, header, footer, noisy."""
    return len(document.metadata.get("quality_warnings") or ())

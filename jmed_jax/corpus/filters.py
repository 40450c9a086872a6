"""The filters of the corpus (arXiv 2412.16423 §2.1), each with a name, a threshold and what it measures.

The paper names its kinds of filter (adult content, incomplete sentences, too-short articles) and gives no thresholds.
Ours start from those of other corpora:

- Gopher: arXiv 2112.11446 Table A1, for English;
- Swallow: Okazaki et al. 2024, arXiv 2404.17733, for Japanese pages of Common Crawl;
- uzushio (github.com/WorksApplications/uzushio), after nwc-toolkit, for Japanese pages;
- HojiChar (github.com/HojiChar/HojiChar) and BigScience's OSCAR filters that it follows;
- llm-datasets (github.com/malteos/llm-datasets), for OSCAR's metadata.

They are loosened as far as good text needs it: laws, whose articles repeat each other, documents on intractable
diseases with their tables, descriptions of diseases of 50 characters, Wikipedia and literature. Each default drops less
than 1.5 % of any of these kinds of text. Spam is far beyond them: see the histograms of `jmed corpus report`.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Literal

from datatrove.data import Document

from jmed_jax.corpus import measures, repetition
from jmed_jax.errors import InputError


@dataclass(frozen=True)
class Filter:
    """Drops the cleaned documents whose measure lies beyond the threshold.

    Attributes:
        description: one line: what is measured, and what that keeps out.
        keeps: on which side of the threshold (itself included) a document is kept.
        measure: a function of the document; it can be pickled.
        bins: rising edges of the measure's histogram.
    """

    name: str
    description: str
    threshold: float
    keeps: Literal["at least", "at most"]
    measure: Callable[[Document], float]
    bins: tuple[float, ...]

    def drops(self, value: float) -> bool:
        """Whether to leave out a document of this measure."""
        return value < self.threshold if self.keeps == "at least" else value > self.threshold

    def bin(self, value: float) -> int:
        """Return the number of edges that are not above `value`: 0 is below the first edge, len(bins) from the last."""
        return bisect_right(self.bins, value)


_SHARES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9)
_COUNTS = (1.0, 2.0, 3.0, 4.0, 5.0)
_LENGTHS = (10, 20, 30, 50, 100, 200, 400, 1000, 2000, 4000, 10_000, 100_000)
_CONFIDENCES = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99)
_PERPLEXITIES = (10, 15, 20, 25, 30, 40, 50, 75, 100, 200, 500, 1000, 10_000)
_DENSITIES = (0.5, 1, 2, 4, 6, 8, 12, 20, 40, 80)

# What is cheap and what says most about a page comes first: the first filter that drops a document is the one that
# counts, and the rest do not look at it.
_FILTERS = (
    # Swallow asks for 400 characters and HojiChar for 200, of web pages; a description of a disease has 50.
    Filter("too_short", "Characters of the text.", 30, "at least", measures.characters, _LENGTHS),
    # OSCAR 23.01 itself asks 0.8 of a line (llm-datasets: 0.85).
    Filter(
        "language_confidence",
        "OSCAR's confidence that the page is in Japanese, where it gives one.",
        0.8,
        "at least",
        measures.oscar_confidence,
        _CONFIDENCES,
    ),
    # uzushio 0.7 and Swallow 0.5 of all characters; a list of gene names in Japanese sentences has 0.3 of the letters.
    Filter(
        "not_japanese",
        "Share of the letters that are kana or kanji: pages in other languages have few.",
        0.25,
        "at least",
        measures.japanese_share,
        _SHARES,
    ),
    # uzushio: 0.05 of all characters. Medical prose has down to 0.15.
    Filter(
        "no_kana",
        "Share of the kana and kanji that are kana: Chinese and bare lists of names have none.",
        0.1,
        "at least",
        measures.kana_share,
        _SHARES,
    ),
    # The perplexity is not tuned to Japanese: llm-datasets takes 25 for languages without a threshold of their own.
    Filter(
        "harmful_perplexity",
        "Perplexity of the page under OSCAR's model of harmful text, where it gives one: low for adult content.",
        25,
        "at least",
        measures.oscar_harmful_perplexity,
        _PERPLEXITIES,
    ),
    Filter(
        "blocked_category",
        "Blocklists of adult, fraudulent and aggressive sites that the page's site stands on, according to OSCAR.",
        0,
        "at most",
        measures.oscar_blocked_categories,
        _COUNTS,
    ),
    # Two words without another use in a short text. Medical text has 0, and Wikipedia 1.4 in 995 of 1,000 articles.
    Filter(
        "adult",
        "Weighted words of adult advertising per 1,000 characters; words that medicine needs are none of them.",
        6,
        "at most",
        measures.adult_density,
        _DENSITIES,
    ),
    # Japanese lines are short in bytes, so one or two warnings are normal; a page of menus has three.
    Filter(
        "quality_warnings",
        "OSCAR's warnings of short lines, at the top, at the bottom, overall: a page of menus has them all.",
        2,
        "at most",
        measures.oscar_quality_warnings,
        _COUNTS,
    ),
    # BigScience and HojiChar: 0.4, digits not counted. Documents with tables have up to 0.29, lines of
    # laboratory values 0.5.
    Filter(
        "symbols",
        "Share of the characters that are digits, punctuation or symbols: tables of numbers, drawings in text.",
        0.6,
        "at most",
        measures.symbol_share,
        _SHARES,
    ),
    # Menus of one line or of many have over 0.3; good text 0.03 at most.
    Filter(
        "boilerplate",
        "Share of the characters in phrases of menus, notices and shops: pages without a text of their own.",
        0.1,
        "at most",
        measures.boilerplate_share,
        _SHARES,
    ),
    # Documents that consist of tables for the most part have 0.12.
    Filter(
        "unfinished_sentences",
        "Share of the characters in lines that hold a sentence's end: menus and keywords have none.",
        0.1,
        "at least",
        measures.sentence_share,
        _SHARES,
    ),
    # Swallow: 0.2 of the sentences. Stories have up to 0.15.
    Filter(
        "truncated",
        "Share of the lines that break off in an ellipsis or a link to the rest: lists of articles.",
        0.2,
        "at most",
        measures.truncated_share,
        _SHARES,
    ),
    # Gopher, and Swallow too: 0.30 and 0.20. Tables repeat short lines ("なし"), stories their dividers.
    Filter(
        "duplicate_lines",
        "Share of the lines that stood before in the document.",
        0.35,
        "at most",
        repetition.duplicate_line_fraction,
        _SHARES,
    ),
    Filter(
        "duplicate_line_characters",
        "Share of the characters in lines that stood before in the document.",
        0.3,
        "at most",
        repetition.duplicate_line_character_fraction,
        _SHARES,
    ),
    Filter(
        "duplicate_paragraphs",
        "Share of the paragraphs that stood before in the document.",
        0.35,
        "at most",
        repetition.duplicate_paragraph_fraction,
        _SHARES,
    ),
    Filter(
        "duplicate_paragraph_characters",
        "Share of the characters in paragraphs that stood before in the document.",
        0.2,
        "at most",
        repetition.duplicate_paragraph_character_fraction,
        _SHARES,
    ),
    # Gopher: 0.20, 0.18 and 0.16. A short description of a disease says its long name three times. The
    # length between these two adds nothing, nor do those between 5 and 10 below.
    *(
        Filter(
            f"top_{words}_gram",
            f"Share of the characters in repetitions of the most frequent run of {words} words "
            f"({repetition.CHARACTERS_A_WORD * words} characters): keyword spam.",
            threshold,
            "at most",
            partial(repetition.top_ngram_fraction, words=words),
            _SHARES,
        )
        for words, threshold in ((2, 0.20), (4, 0.20))
    ),
    # Gopher has 0.15 to 0.10 for 5 to 10 words, and Swallow the same for 5 to 10 characters of distinct n-grams. 97 %
    # of the laws would go, and a third of the documents on intractable diseases: they repeat themselves as they must.
    *(
        Filter(
            f"duplicate_{words}_grams",
            f"Share of the characters in runs of {words} words ({repetition.CHARACTERS_A_WORD * words} characters) "
            "that stood before in the document.",
            threshold,
            "at most",
            partial(repetition.duplicate_ngram_fraction, words=words),
            _SHARES,
        )
        for words, threshold in ((5, 0.70), (10, 0.45))
    ),
)


def default_filters(thresholds: Mapping[str, float] = MappingProxyType({})) -> tuple[Filter, ...]:
    """Return the filters in the order in which they are asked: the first that drops a document is the one that counts.

    Args:
        thresholds: name of a filter → its threshold, where it is not the default one.

    Raises:
        InputError: there is no filter of that name.
    """
    known = [filter_.name for filter_ in _FILTERS]
    for name in thresholds:
        if name not in known:
            raise InputError(f'thresholds: no filter is called "{name}". There are: {", ".join(known)}.')
    return tuple(replace(filter_, threshold=thresholds.get(filter_.name, filter_.threshold)) for filter_ in _FILTERS)

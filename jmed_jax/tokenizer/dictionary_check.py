"""What a user dictionary does: whether its terms stay whole in sentences, and what it changes in ordinary text."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from jmed_jax.progress import track
from jmed_jax.tokenizer.clean import clean
from jmed_jax.tokenizer.core import USER_DICTIONARY_FILE
from jmed_jax.tokenizer.dictionary import Term, read_terms
from jmed_jax.tokenizer.morphology import Segmenter

# What stands beside names in records: particles, 〜の既往, 〜疑い, strengths, forms, other names.
CARRIERS = {
    "disease": (
        "{}の既往あり。",
        "患者は{}と診断された。",
        "昨年より{}に対し治療中、",
        "{}疑いで紹介となった。",
        "高血圧、{}、糖尿病にて通院中。",
    ),
    "drug": (
        "{}を内服中である。",
        "{}15mgを開始した。",
        "{}錠5mg 1日1回朝食後",
        "昨日から{}が投与されていた。",
        "アスピリン、{}、インスリンを継続する。",
    ),
    "term": (
        "{}について説明した。",
        "次に{}を認めた。",
        "これは{}である。",
        "{}と考えられた。",
        "検査、{}、治療の順に述べる。",
    ),
}

WHOLE, INSIDE, BROKEN = "whole", "part of a longer word", "broken"


@dataclass
class TermCheck:
    """How often the terms of one kind come out whole in carrier sentences.

    Attributes:
        sentences: how many were split.
        outcomes: with the dictionary: "whole", "part of a longer word", "broken".
        whole_without: whole with ipadic alone.
        broken: how often a term was broken, with how it was split.
    """

    sentences: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    whole_without: int = 0
    broken: Counter[str] = field(default_factory=Counter)


@dataclass
class TextCheck:
    """What the dictionary changes in a text against ipadic alone.

    Attributes:
        words: of ipadic alone.
        joined: boundaries of ipadic alone that are gone, by the words that became one ("脳 梗塞 → 脳梗塞").
        split: boundaries that ipadic alone does not set: here something broke, by how it was and is split.
    """

    characters: int = 0
    words: int = 0
    joined: Counter[str] = field(default_factory=Counter)
    split: Counter[str] = field(default_factory=Counter)
    boundaries_joined: int = 0
    boundaries_split: int = 0


def check_terms(dictionary: Path, *, terms_per_kind: int, seed: int = 0) -> dict[str, TermCheck]:
    """Put terms of a "dictionary" artefact into sentences, by kind.

    Args:
        terms_per_kind: so many terms are drawn of each kind.

    Raises:
        InputError: `dictionary` is none.
    """
    by_kind: dict[str, list[Term]] = defaultdict(list)
    for term in read_terms(dictionary):
        by_kind[term.kind].append(term)
    ours, ipadic = Segmenter(dictionary / USER_DICTIONARY_FILE), Segmenter()
    checks = {}
    for kind, terms in sorted(by_kind.items()):
        drawn = random.Random(seed).sample(terms, min(terms_per_kind, len(terms)))
        check = checks[kind] = TermCheck()
        for term in track(drawn, f"Checking {kind} names", unit="terms"):
            for carrier in CARRIERS[kind]:
                before, after = carrier.split("{}")
                sentence = before + term.text + after
                span = (len(before), len(before) + len(term.text))
                outcome, words = _outcome(ours.words(sentence), span)
                check.sentences += 1
                check.outcomes[outcome] += 1
                check.whole_without += _outcome(ipadic.words(sentence), span)[0] == WHOLE
                if outcome == BROKEN:
                    check.broken[f"{term.text}: {' '.join(words)}"] += 1
    return checks


def _outcome(words: Sequence[str], span: tuple[int, int]) -> tuple[str, list[str]]:
    """What became of the characters from `span[0]` to `span[1]`, and the words that hold them."""
    start, end = span
    ends = list(accumulate(map(len, words)))
    holding = [word for word, stop in zip(words, ends, strict=True) if stop > start and stop - len(word) < end]
    if len(holding) > 1:
        return BROKEN, holding
    return (WHOLE if len(holding[0]) == end - start else INSIDE), holding


def check_texts(dictionary: Path, texts: Iterable[str]) -> TextCheck:
    """Split texts with and without the dictionary and compare the boundaries."""
    ours, ipadic = Segmenter(dictionary / USER_DICTIONARY_FILE), Segmenter()
    check = TextCheck()
    for text in track(texts, "Comparing words", unit="documents"):
        cleaned = clean(text)
        before, after = ipadic.words(cleaned), ours.words(cleaned)
        check.characters += len(cleaned)
        check.words += len(before)
        for old, new in _differences(before, after):
            _count(check, old, new)
    return check


def _count(check: TextCheck, old: Sequence[str], new: Sequence[str]) -> None:
    were, are = set(accumulate(map(len, old))), set(accumulate(map(len, new)))
    # A space before a word is part of it.
    told = " → ".join(" ".join(" ".join(words).split()) for words in (old, new))
    if are - were:
        check.boundaries_split += len(are - were)
        check.split[told] += 1
    else:
        check.joined[told] += 1
    check.boundaries_joined += len(were - are)


def _differences(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """The shortest runs of words of the same characters that are not the same words."""
    old: list[str] = []
    new: list[str] = []
    old_length = new_length = 0
    rest = iter(after)
    for word in before:
        old.append(word)
        old_length += len(word)
        while new_length < old_length:
            new.append(next(rest))
            new_length += len(new[-1])
        if old_length == new_length:
            if old != new:
                yield old, new
            old, new = [], []


def as_json(terms: dict[str, TermCheck], texts: TextCheck | None, *, examples: int) -> dict[str, Any]:
    """Both checks as one JSON object, with the most frequent examples."""
    result: dict[str, Any] = {
        "terms": {
            kind: {
                "sentences": check.sentences,
                "whole": check.outcomes[WHOLE] / check.sentences,
                "part_of_a_longer_word": check.outcomes[INSIDE] / check.sentences,
                "broken": check.outcomes[BROKEN] / check.sentences,
                "whole_with_ipadic_alone": check.whole_without / check.sentences,
                "most_broken": dict(check.broken.most_common(examples)),
            }
            for kind, check in terms.items()
        }
    }
    if texts is not None:
        result["texts"] = {
            "characters": texts.characters,
            "words": texts.words,
            "boundaries_joined": texts.boundaries_joined,
            "boundaries_split": texts.boundaries_split,
            "most_joined": dict(texts.joined.most_common(examples)),
            "most_split": dict(texts.split.most_common(examples)),
        }
    return result

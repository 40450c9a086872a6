"""Exercises in extraction: passages of a corpus in which the dictionary's terms are the answers (distant supervision).

Annotated reports are few (JMED-LLM has 119 for diseases and 18 for drugs); a term list and any medical text give as
many questions as wanted. They teach what kind of word is meant and how to write off what stands in a text; which of
the findings a patient really has, only annotated rows can tell.
"""

import math
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jmed_jax.artifact import check_free, replacing
from jmed_jax.corpus.documents import iter_corpus
from jmed_jax.errors import InputError
from jmed_jax.evaluate.scores import print_list
from jmed_jax.jsonl import write_jsonl
from jmed_jax.progress import track
from jmed_jax.tokenizer.core import USER_DICTIONARY_FILE
from jmed_jax.tokenizer.dictionary import read_terms
from jmed_jax.tokenizer.morphology import Segmenter

SYSTEM = "リストで答えてください。"
QUESTIONS: Mapping[str, str] = {
    "disease": "以下の文章において、患者に実際に認められた病変や症状の存在を示す異常などの所見を表す表現は？",
    "drug": "以下の文章において、薬品名は？",
    "dose": "以下の文章において、処方量など薬品にかかわる値は？",
}
"""Kind of what is asked for → the question, as JMED-LLM puts it: in other words a small model knows it no more."""
SHARES: Mapping[str, float] = {"disease": 0.55, "drug": 0.275, "dose": 0.175}
"""Of the exercises. Doses are the easiest to find, and with as many of them a model answers everything with doses."""
SHORT, LONG = (60, 320), (320, 900)
"""Characters of a passage, drawn anew for each; sentences are not cut."""
MOST_ANSWERS = 24
"""Case reports have up to 22 annotated findings."""
WRITTEN_SHARE = 0.25
"""Share of the passages into which sentences about drugs are written: descriptions of diseases hardly have any."""

_SENTENCE = re.compile(r"[^。\n]*[。\n]?")
_UNITS = ("mg", "ml", "錠", "単位", "g", "mg/日", "カプセル", "包", "μg")
_NUMBERS = (1, 2, 3, 5, 10, 20, 25, 30, 40, 50, 100, 200, 250, 500, 1000)
_DOSE = re.compile(r"[0-9][0-9.,]*(?:" + "|".join(sorted(_UNITS, key=len, reverse=True)) + r")(?![a-zA-Z/])")
# {a}, {b} and {c} are drugs, {x} and {y} doses.
_SENTENCES = (
    "{a}{x}を投与した。",
    "{a}を内服中。",
    "{a}、{b}を内服していた。",
    "{a}{x}を{y}へ増量した。",
    "{a}による治療を開始し、{b}を併用した。",
    "{a}+{b}療法を施行した。",
    "{a}{x}で経過をみた。",
    "{a}に変更した。",
    "医師の指示で{a}{x}を使用。",
    "{a}{x}を点滴し、{b}を内服。",
    "{a}、{b}および{c}を投与した。",
)


@dataclass(frozen=True)
class _Passage:
    text: str
    answers: Mapping[str, list[str]]
    """Kind → strings of the text, in its order, each once."""


def write_term_exercises(
    corpus: Path,
    dictionary: Path,
    out: Path,
    *,
    count: int,
    long_share: float = 0.2,
    seed: int = 0,
    overwrite: bool = False,
) -> dict[str, int]:
    """Write up to `count` conversations, SHARES of them for each kind of question, to a JSONL file (`.gz` and `.zst` by
    name).

    The same arguments give the same file. Of the passages with one answer only, which are most, a third is taken.

    Returns:
        Conversations by kind.

    Args:
        long_share: share of the passages that are as long as a case report: what a model has to look back over has to
            be long too.

    Raises:
        InputError: an input is no corpus or dictionary, `out` exists, the share is none, or no passage has a term.
    """
    check_free(out, overwrite)
    if not 0 <= long_share <= 1:
        raise InputError(f"--long-share {long_share:g}: a share is a number from 0 to 1.")
    writer = _Writer(dictionary, long_share, seed)
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for text in track(iter_corpus(corpus), "Term exercises", unit="documents"):
        for passage in writer.passages(text):
            for kind, answers in passage.answers.items():
                if writer.takes(answers):
                    found[kind].append(_conversation(kind, len(found[kind]), passage.text, answers))
    if not found:
        raise InputError(f"{corpus}: no passage has a term of {dictionary}.")
    drawn = {kind: writer.draw(rows, math.ceil(count * SHARES[kind])) for kind, rows in sorted(found.items())}
    with replacing(out) as temporary:
        write_jsonl(temporary, [row for rows in drawn.values() for row in rows])
    return {kind: len(rows) for kind, rows in drawn.items()}


def _conversation(kind: str, number: int, text: str, answers: Sequence[str]) -> dict[str, Any]:
    roles = {"system": SYSTEM, "user": f"{QUESTIONS[kind]}\n「{text}」", "assistant": print_list(answers)}
    messages = [{"role": role, "content": content} for role, content in roles.items()]
    return {"id": f"term-{kind}-{number:06d}", "messages": messages}


class _Writer:
    """Cuts passages and finds the terms in them."""

    def __init__(self, dictionary: Path, long_share: float, seed: int) -> None:
        self._long_share = long_share
        terms = read_terms(dictionary)
        self._kinds = {term.text: term.kind for term in terms if term.kind in QUESTIONS}
        self._drugs = sorted(term.text for term in terms if term.kind == "drug")
        self._segmenter = Segmenter(dictionary / USER_DICTIONARY_FILE)
        self._random = random.Random(seed)

    def passages(self, text: str) -> Iterator[_Passage]:
        """Every run of sentences of a document, with what is to be found in it."""
        passage, limit = "", self._limit()
        for sentence in [*_SENTENCE.findall(text), ""]:
            if passage and (not sentence or len(passage) + len(sentence) > limit):
                if (whole := passage.strip()) and len(whole) <= LONG[1]:
                    yield self._passage(whole)
                passage, limit = "", self._limit()
            passage += sentence

    def _limit(self) -> int:
        return self._random.randint(*(LONG if self._random.random() < self._long_share else SHORT))

    def takes(self, answers: Sequence[str]) -> bool:
        return 1 < len(answers) <= MOST_ANSWERS or (len(answers) == 1 and self._random.random() < 1 / 3)

    def draw(self, rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
        return rows if len(rows) <= most else self._random.sample(rows, most)

    def _passage(self, text: str) -> _Passage:
        if self._drugs and self._random.random() < WRITTEN_SHARE:
            text = self._with_drugs(text)
        answers: dict[str, dict[str, None]] = defaultdict(dict)
        for word in self._segmenter.words(text):
            if kind := self._kinds.get(word.strip()):
                answers[kind][word.strip()] = None
        for dose in _DOSE.findall(text):
            answers["dose"][dose] = None
        return _Passage(text, {kind: list(found) for kind, found in answers.items()})

    def _with_drugs(self, text: str) -> str:
        sentences = [sentence for sentence in _SENTENCE.findall(text) if sentence]
        for _ in range(self._random.randint(1, 3)):
            drugs = {name: self._random.choice(self._drugs) for name in "abc"}
            doses = {name: f"{self._random.choice(_NUMBERS)}{self._random.choice(_UNITS)}" for name in "xy"}
            sentence = self._random.choice(_SENTENCES).format(**drugs, **doses)
            sentences.insert(self._random.randint(0, len(sentences)), sentence)
        return "".join(sentences)

"""Documents and questions of the extraction tasks: what the patient has, which drugs, how much of them."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jmed_jax.sample.example import Example, extraction_example
from jmed_jax.sample.grammar import Grammar
from jmed_jax.sample.lexicon import Lexicon, Values, load_json

# The marks of the templates, in the tags of the tasks.
_TAGS = {"d": "d", "f": "d", "m": "m-key", "v": "m-val"}


@cache
def _templates() -> Mapping[str, Any]:
    return load_json("extraction.json")


def nursing(grammar: Grammar, lexicon: Lexicon) -> list[Example]:
    """A nursing note, asked for findings, drugs and doses."""
    pools = {"d": _distinct(grammar, _templates()["nursing_symptoms"]), "m": _distinct(grammar, lexicon.drugs)}
    return _ask(grammar, "nrner", {}, pools)


def disease(grammar: Grammar, lexicon: Lexicon) -> list[Example]:
    """A case report or a radiology report, asked for findings."""
    if grammar.random.random() < 0.5:
        return _ask(grammar, "report", {}, {"d": _distinct(grammar, _templates()["imaging"])})
    return [example for example in _case(grammar, lexicon) if example.tag == "d"]


def medicine(grammar: Grammar, lexicon: Lexicon) -> list[Example]:
    """A case report, asked for drugs and doses."""
    return [example for example in _case(grammar, lexicon) if example.tag != "d"]


def _case(grammar: Grammar, lexicon: Lexicon) -> list[Example]:
    disease = grammar.random.choice(lexicon.diseases)
    pools = {
        "d": _distinct(grammar, disease["symptoms"], _templates()["nursing_symptoms"]),
        "f": _distinct(grammar, disease["findings"]),
        "m": _distinct(grammar, disease["drugs"], lexicon.drugs),
    }
    return _ask(grammar, "case", lexicon.values(grammar, disease), pools)


def _ask(grammar: Grammar, kind: str, values: Values, pools: Mapping[str, list[str]]) -> list[Example]:
    """Fill a template of `kind` mark by mark, each from the front of its pool, and ask for each sort of mark in it."""
    template = grammar.random.choice(_templates()[kind])
    # What the patient does not have comes from the other end.
    present = {mark: iter(pool) for mark, pool in pools.items()}
    text = grammar.fill(template, **{**values, "no": pools["d"][-1], "no2": pools["d"][-2]})
    answers: dict[str, list[str]] = {}

    def write(mark: re.Match[str]) -> str:
        entry = (
            grammar.fill(grammar.random.choice(_templates()["amounts"])) if mark[1] == "v" else next(present[mark[1]])
        )
        answers.setdefault(_TAGS[mark[1]], []).append(entry)
        return entry

    text = re.sub(r"\[([dfmv])\]", write, text)
    questions = _templates()["questions"][kind]
    return [extraction_example(tag, questions[tag], text, found) for tag, found in answers.items()]


def _distinct(grammar: Grammar, *lists: Sequence[str], count: int = 6) -> list[str]:
    """Entries of the first list, then of the next, of which none is part of another.

    An absent 咳嗽 beside a present 乾性咳嗽 would leave open what is to be extracted.
    """
    chosen: list[str] = []
    for item in (item for items in lists for item in grammar.sample(items, len(items))):
        if not any(item in other or other in item for other in chosen):
            chosen.append(item)
        if len(chosen) == count:
            break
    return chosen

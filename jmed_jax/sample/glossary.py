"""A glossary of compound terms (橈骨骨折, 膵嚢胞, …): the many words that a vocabulary is made of (`glossary.json`)."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jmed_jax.sample.grammar import Grammar
from jmed_jax.sample.lexicon import load_json

TERMS_PER_PAGE = 12


@dataclass(frozen=True)
class Glossary:
    """Compound terms and the sentences about them.

    Attributes:
        definitions: term → what it is.
        first: templates of an entry's first sentence.
        more: templates of the sentences that follow it.
    """

    definitions: dict[str, str]
    first: Sequence[str]
    more: Sequence[str]

    def pages(self, grammar: Grammar) -> Iterator[tuple[str, str]]:
        """Title and text of each page; every term has one entry."""
        terms = grammar.sample(list(self.definitions), len(self.definitions))
        for start in range(0, len(terms), TERMS_PER_PAGE):
            page = terms[start : start + TERMS_PER_PAGE]
            title = f"医学用語集　{page[0]}ほか"
            yield title, "\n".join([title, *(self._entry(grammar, term, page) for term in page)])

    def _entry(self, grammar: Grammar, term: str, page: Sequence[str]) -> str:
        sentences = [grammar.random.choice(self.first), *grammar.sample(self.more, 1)]
        other_terms = [other for other in page if other != term]
        values = {"term": term, "definition": self.definitions[term], "other_term": other_terms or [term]}
        return "".join(grammar.fill(sentence, **values) for sentence in sentences)


def load_glossary() -> Glossary:
    """Every site with everything that can befall it, plain and with a prefix.

    Prefixes are what makes a Unigram vocabulary: a piece must be part of two different words, so 橈骨骨折 becomes one
    only because of 右橈骨骨折.
    """
    data = load_json("glossary.json")
    definitions: dict[str, str] = {}
    for group in data["groups"].values():
        for site, (kind, text) in itertools.product(group["sites"], group["kinds"].items()):
            definitions[site + kind] = site + text
            for prefix in group["prefixes"].get(kind, group["prefixes"].get("", [])):
                definitions[prefix + site + kind] = f"{site}{text}のうち{prefix}のもの"
    return Glossary(definitions, data["first"], data["more"])

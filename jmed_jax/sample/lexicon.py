"""The word lists of the sample: diseases with what belongs to them, and everyday words (`lexicon.json`)."""

import json
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import Any

from jmed_jax.sample.grammar import Grammar

# Of a disease's lists, those whose entries are terms that a word segmenter should keep whole.
TERM_LISTS = ("symptoms", "tests", "findings", "drugs", "care", "complications")

Disease = dict[str, Any]
Values = dict[str, str | list[str]]


def load_json(name: str) -> dict[str, Any]:
    """Read one of the data files that lie beside this module."""
    return dict(json.loads(load_text(name)))


def load_text(name: str) -> str:
    """Read one of the data files that lie beside this module as text."""
    return resources.files("jmed_jax.sample").joinpath(name).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Lexicon:
    """What the templates are filled with.

    Attributes:
        diseases: name, field (the department), what it is, and lists of symptoms, tests, findings, drugs, …
        patients: age, sex and occupation as templates, by disease, by field, or "default".
        words: everyday word lists by name.
    """

    diseases: list[Disease]
    patients: dict[str, dict[str, str]]
    words: dict[str, list[str]]

    @cached_property
    def terms(self) -> list[str]:
        """Every medical term once, sorted."""
        terms = {disease["name"] for disease in self.diseases}
        for disease in self.diseases:
            terms.update(term for name in TERM_LISTS for term in disease[name])
        return sorted(terms)

    @cached_property
    def drugs(self) -> list[str]:
        """Every drug once, sorted."""
        return sorted({drug for disease in self.diseases for drug in disease["drugs"]})

    def values(self, grammar: Grammar, disease: Disease) -> Values:
        """Slot values of a text about `disease`: its lists, one patient, two other diseases of the house."""
        patient = self.patients.get(disease["name"]) or self.patients.get(disease["field"]) or self.patients["default"]
        others = [other["name"] for other in self.diseases if other is not disease]
        other, other2 = grammar.sample(others, 2)
        return {
            **disease,
            **{key: grammar.fill(value) for key, value in patient.items()},
            "other": other,
            "other2": other2,
        }


def load_lexicon() -> Lexicon:
    """The lexicon of this package."""
    return Lexicon(**load_json("lexicon.json"))

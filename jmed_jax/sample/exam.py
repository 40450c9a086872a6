"""Examination questions from what the lexicon knows: four-choice ones for jmmlu_med, five-choice ones for IgakuQA."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from jmed_jax.sample.example import Example, lettered
from jmed_jax.sample.grammar import Grammar
from jmed_jax.sample.lexicon import Disease, Lexicon, load_json

# Few enough facts that a small model meets each of them several times in the training rows.
FACT_EVERY_NTH_DISEASE = 6
EXAM_YEAR = 2018


@cache
def _templates() -> Mapping[str, Any]:
    return load_json("exam.json")


def four_choices(grammar: Grammar, lexicon: Lexicon) -> list[Example]:
    """A drug, test or symptom of a disease among three of other diseases."""
    diseases = lexicon.diseases[::FACT_EVERY_NTH_DISEASE]
    relation = grammar.random.choice(list(_templates()["relations"]))
    disease = grammar.random.choice(diseases)
    right = disease[relation][0]
    wrong = _wrong(grammar, disease, relation, [other[relation][0] for other in diseases], 3)
    options = grammar.sample([right, *wrong], 4)
    tag, stems = _templates()["relations"][relation].values()
    stem = grammar.random.choice(stems)
    question = grammar.fill(stem, name=disease["name"], field=disease["field"])
    answer = "ABCD"[options.index(right)]
    number = diseases.index(disease) * len(stems) + stems.index(stem)
    fields = {"options": lettered(options), "answer": answer, "jmmlu_id": f"synthetic/{tag}/{number:04d}"}
    return [Example(tag, question, (question,), answer, fields, fields, has_document_id=False)]


def exam_rows(lexicon: Lexicon, seed: int) -> Iterator[dict[str, Any]]:
    """About forty invented questions in the schema of IgakuQA; the ids name an examination that was never held."""
    grammar = Grammar(lexicon.words, f"{seed}/exam")
    diseases = grammar.sample(lexicon.diseases, len(lexicon.diseases))
    sections: dict[str, Iterator[dict[str, Any]]] = {
        "A": (_single(grammar, lexicon, disease) for disease in diseases[:11]),
        "B": (_diagnosis(grammar, lexicon, disease) for disease in diseases[11:16]),
        "C": itertools.chain(
            (_several(grammar, lexicon, disease) for disease in diseases[16:23]),
            (_calculation(grammar, template) for template in _templates()["calculation"]),
        ),
        "D": (_single(grammar, lexicon, disease) for disease in diseases[23:33]),
        "E": (_diagnosis(grammar, lexicon, disease) for disease in diseases[33:38]),
    }
    for section, questions in sections.items():
        for number, question in enumerate(questions, start=1):
            head = {"problem_id": f"900{section}{number}", "year": EXAM_YEAR, "section": section}
            yield {**head, **question, "synthetic": True}


def _single(grammar: Grammar, lexicon: Lexicon, disease: Disease) -> dict[str, Any]:
    relation = grammar.random.choice(list(_templates()["relations"]))
    text = grammar.fill(grammar.random.choice(_templates()["relations"][relation]["stems"]), **disease)
    return _question(grammar, lexicon, disease, relation, text, right_count=1)


def _several(grammar: Grammar, lexicon: Lexicon, disease: Disease) -> dict[str, Any]:
    relations = [relation for relation in _templates()["several"] if len(disease[relation]) >= 2]
    relation = grammar.random.choice(relations)
    text = grammar.fill(_templates()["several"][relation], name=disease["name"])
    return _question(grammar, lexicon, disease, relation, text, right_count=2)


def _question(
    grammar: Grammar, lexicon: Lexicon, disease: Disease, relation: str, text: str, right_count: int
) -> dict[str, Any]:
    right = grammar.sample(disease[relation], right_count)
    pool = [item for other in lexicon.diseases for item in other[relation]]
    choices = grammar.sample([*right, *_wrong(grammar, disease, relation, pool, 5 - right_count)], 5)
    return _fields(text, choices, right, points=1)


def _diagnosis(grammar: Grammar, lexicon: Lexicon, disease: Disease) -> dict[str, Any]:
    text = grammar.fill(grammar.random.choice(_templates()["diagnosis"]), **lexicon.values(grammar, disease))
    # A disease of another department that shares no symptom cannot be a second right answer.
    pool = [
        other["name"]
        for other in lexicon.diseases
        if other["field"] != disease["field"] and not {*other["symptoms"]} & {*disease["symptoms"]}
    ]
    row = _fields(text, grammar.sample([disease["name"], *grammar.sample(pool, 4)], 5), [disease["name"]], points=3)
    # Some real questions need a picture; readers of the file must meet that case.
    if disease["field"] in ("皮膚科", "眼科"):
        row |= {"problem_text": text + _templates()["picture"], "text_only": False}
    return row


def _calculation(grammar: Grammar, template: str) -> dict[str, Any]:
    weight, per_kg = grammar.random.randrange(40, 80, 5), grammar.random.choice((4, 6, 8, 10))
    hours, rate = grammar.random.choice((2, 4, 5)), grammar.random.randrange(100, 260, 20)
    answer = weight * per_kg if "{weight}" in template else rate
    numbers = {"weight": weight, "per_kg": per_kg, "volume": rate * hours, "hours": hours}
    text = grammar.fill(template, **{name: str(number) for name, number in numbers.items()})
    return {"problem_text": text, "choices": [], "answer": [str(answer)], "points": 1, "text_only": True}


def _fields(text: str, choices: Sequence[str], right: Sequence[str], points: int) -> dict[str, Any]:
    answer = [letter for letter, choice in zip("abcde", choices, strict=True) if choice in right]
    return {"problem_text": text, "choices": list(choices), "answer": answer, "points": points, "text_only": True}


def _wrong(grammar: Grammar, disease: Disease, relation: str, pool: Sequence[str], count: int) -> list[str]:
    """Entries of other diseases, without those that would be a right answer to almost any question."""
    excluded = {*disease[relation], *_templates()["too_general"]}
    return grammar.sample([item for item in dict.fromkeys(pool) if item not in excluded], count)

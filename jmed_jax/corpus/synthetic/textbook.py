"""A textbook section about a topic, from facts alone."""

from collections import Counter
from random import Random

from jmed_jax.corpus.synthetic.facts import Disease, Drug, Facts, Product
from jmed_jax.corpus.synthetic.names import core, fold, overlap
from jmed_jax.corpus.synthetic.wording import quoted, sentence

OTHERS = 5
"""Names of the same category that are mentioned."""
BRANDS = 4
"""Products of a route that are mentioned."""


def disease_section(random: Random, facts: Facts, disease: Disease) -> str:
    """What the disease is called, how it is classified, and whether it is designated; "" if nothing is known."""
    classification = [*_disease_codes(random, facts, disease), *_designations(random, disease)]
    parts = ["".join(part) for part in (_disease_names(random, disease), classification) if part]
    return sentence(random, "disease", "opening", name=disease.name) + "\n".join(parts) if parts else ""


def _disease_names(random: Random, disease: Disease) -> list[str]:
    lists = {"english": " または ".join(disease.english)}
    lists |= {name: quoted(getattr(disease, name)) for name in ("synonyms", "spellings")}
    return [
        sentence(random, "disease", name, name=disease.name, **{name: lists[name]})
        for name in ("english", "synonyms", "spellings")
        if lists[name]
    ]


def _disease_codes(random: Random, facts: Facts, disease: Disease) -> list[str]:
    if not disease.code:
        return []
    values = {"name": disease.name, "code": disease.code, "category": disease.category}
    category_name = facts.category_names.get(disease.category, "")
    template = ("whole_" if disease.code == disease.category else "") + ("code_named" if category_name else "code")
    sentences = [sentence(random, "disease", template, **values, category_name=category_name)]
    members = [name for name in facts.by_category[disease.category] if fold(name) != fold(disease.name)]
    if members:
        others = random.sample(members, min(OTHERS, len(members)))
        template = "same" if len(members) > OTHERS else "same_few"
        sentences.append(sentence(random, "disease", template, category=disease.category, others=quoted(others)))
    return sentences


def _designations(random: Random, disease: Disease) -> list[str]:
    number, parent = disease.parent
    if disease.number:
        return [sentence(random, "disease", "designated", name=disease.name, number=disease.number)]
    if parent:
        return [sentence(random, "disease", "parent", name=disease.name, parent=parent, number=number)]
    if {kind for kind, _ in disease.entries} == {"pediatric_chronic"}:
        return [sentence(random, "disease", "pediatric", name=disease.name)]
    return []


def drug_section(random: Random, drug: Drug) -> str:
    """What the ingredient is called, and which products the price list has, by route."""
    sentences = [sentence(random, "drug", "intro", name=drug.name)]
    if drug.english:
        sentences.append(sentence(random, "drug", "english", name=drug.name, english=" または ".join(drug.english)))
    routes = Counter(product.route for product in drug.products)
    counts = "、".join(f"{route}が{count}品目" for route, count in routes.items())
    sentences.append(sentence(random, "drug", "counts" if len(routes) > 1 else "count", counts=counts))
    parts = ["".join(sentences), *(_route(random, drug, route) for route in routes)]
    return sentence(random, "drug", "opening", name=drug.name) + "\n".join(parts)


def _route(random: Random, drug: Drug, route: str) -> str:
    of_route = [product for product in drug.products if product.route == route]
    brands = list(dict.fromkeys(product.brand for product in of_route))
    chosen = random.sample(brands, min(BRANDS, len(brands)))
    template = "brands" if len(brands) > BRANDS else "brands_all"
    product = next(product for product in of_route if product.brand == chosen[0])
    values = {"brand": product.brand, "specification": product.specification}
    told = sentence(random, "drug", template, route=route, brands=quoted(chosen))
    return told + (sentence(random, "drug", "specification", **values) if product.specification else "")


def has_own_name(product: Product, drug: Drug) -> bool:
    """Whether the brand does not give the ingredient away."""
    return not overlap(core(product.brand), drug.core[:4]) and drug.core[:4] not in fold(product.brand)

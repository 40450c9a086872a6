"""What published term lists say about a disease or a drug, and when two of them are certainly different.

The template generator states nothing else, so only that part of a list is taken which can be stated: MANBYO's codes of
its standard names, but not its mapping of phrases from records to them (肝内腫瘤 → 肝癌 is no synonym), nor
readings that were made by machine.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from jmed_jax.artifact import file_sha256
from jmed_jax.corpus.synthetic.glossary import Glossary, Trust
from jmed_jax.corpus.synthetic.names import core, fold, fold_spelling, overlap
from jmed_jax.errors import InputError
from jmed_jax.tokenizer import term_lists
from jmed_jax.tokenizer.clean import clean
from jmed_jax.tokenizer.drug_names import brand_name

Row = Mapping[str, str]

PLAIN = (".txt", ".txt.gz")
# MANBYO's levels of names that people coded, and of lists without levels.
TRUSTED_LEVELS = ("", "S", "A", "B", "C")
# Behind the fourth sign a code may have one for the site, or a letter of the Japanese edition: M2559, P071b.
_CODE = re.compile("([A-Z][0-9]{2})([0-9]?)")
# Rows that name no disease by themselves: "16 what is not in 1 to 15"; and below a disease "after hepatitis", "in
# pregnancy", "mixed type".
_NO_NAME = re.compile("掲げるもののほか|合併症$|劇症型$|[後性例]$|^(?!.*(?:病|症|炎|腫|尿|ーシス|瘡|貧血)).*型$")
# Ingredients whose composition the list does not give: their products may hold whatever a question asks for.
_MIXTURE = re.compile(
    "[・/]|配合|複合|混合|合剤|エキス|製剤|ワクチン|血|液$|剤$|湯$|散$|丸$|末$|水$|維持|電解質|アミノ酸|総合"
)


@dataclass(frozen=True)
class Disease:
    """A disease name and what the lists say about it.

    Attributes:
        code: ICD-10 code, "I63.8"; empty where the lists have none, several or contradictory ones.
        category: its first three signs, "I63".
        synonyms: other names (NANDO).
        spellings: other ways of writing the name.
        english: English names.
        number: the notification number, where it is a designated intractable disease itself (NANDO).
        parent: number and name of the designated disease that NANDO puts it under; two empty strings if there is none.
        entries: NANDO's kinds and top entries, ("pediatric_chronic", "16").
    """

    name: str
    code: str = ""
    synonyms: tuple[str, ...] = ()
    spellings: tuple[str, ...] = ()
    english: tuple[str, ...] = ()
    number: str = ""
    parent: tuple[str, str] = ("", "")
    entries: frozenset[tuple[str, str]] = frozenset()

    @property
    def category(self) -> str:
        return self.code[:3]

    @cached_property
    def folded(self) -> frozenset[str]:
        """Every name of it, folded."""
        return frozenset(fold_spelling(name) for name in (self.name, *self.synonyms, *self.spellings))

    @property
    def is_known(self) -> bool:
        """Whether there is anything to say."""
        return bool(self.code or self.synonyms or self.english or self.entries)


@dataclass(frozen=True)
class Product:
    """A row of the drug price list."""

    brand: str
    specification: str
    route: str
    """内用薬, 注射薬, 外用薬 or 歯科用薬剤."""


@dataclass(frozen=True)
class Drug:
    """An ingredient and its products.

    Attributes:
        groups: the first three digits of the products' codes, the therapeutic categories.
    """

    name: str
    products: tuple[Product, ...]
    groups: frozenset[str]
    english: tuple[str, ...] = ()

    @cached_property
    def core(self) -> str:
        return core(self.name)

    @property
    def is_mixture(self) -> bool:
        return _MIXTURE.search(self.name) is not None


@dataclass
class Facts:
    """The lists of a dictionary folder, by folded name.

    Attributes:
        category_names: "I63" → 脳梗塞.
        inputs: file name → sha256.
    """

    category_names: dict[str, str] = field(default_factory=dict)
    glossary: Glossary = field(default_factory=Glossary)
    inputs: dict[str, str] = field(default_factory=dict)
    _codes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _standard: dict[str, str] = field(default_factory=dict)
    _spellings: dict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    _nando: dict[str, Disease] = field(default_factory=dict)
    _designated: dict[str, str] = field(default_factory=dict)
    _parents: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _drugs: dict[str, Drug] = field(default_factory=dict)
    _diseases: dict[str, Disease | None] = field(default_factory=dict)
    _brand_routes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _brand_specifications: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def disease(self, topic: str) -> Disease | None:
        """What is known of a disease; None if that is nothing."""
        key = fold(topic)
        if key not in self._diseases:
            self._diseases[key] = self._gather(topic, key)
        return self._diseases[key]

    def _gather(self, topic: str, key: str) -> Disease | None:
        known = self._nando.get(key, Disease(_tidy(topic)))
        codes = self._codes.get(key, set())
        spellings = [name for name in self._spellings.get(key, {}) if fold(name) != key]
        parents = {(number, self._designated.get(number, "")) for number in self._parents.get(key, ())}
        disease = replace(
            known,
            # What NANDO puts under two diseases, or what is one of them itself, has no parent that says all.
            parent=next(iter(parents)) if len(parents) == 1 and not known.number else ("", ""),
            code=next(iter(codes)) if len(codes) == 1 else "",
            spellings=tuple(spellings),
            english=self.glossary.english(topic),
        )
        return disease if disease.is_known else None

    def drug(self, topic: str) -> Drug | None:
        """What is known of an ingredient; None if the price list does not have it."""
        return self._drugs.get(fold(topic))

    def names(self, topic: str, kind: str) -> list[str]:
        """Names that show that a text is about the topic, folded with their spellings."""
        if kind == "drug":
            drug = self.drug(topic)
            brands = {fold(brand_name(product.brand)) for product in drug.products} if drug else set()
            named = (core(topic), *sorted(brand for brand in brands if core(topic) not in brand))
            return [fold_spelling(name) for name in named if len(name) > 1]
        disease = self.disease(topic)
        return sorted(disease.folded) if disease else [fold_spelling(topic)]

    def finish(self) -> None:
        """Give the drugs their English names, once all lists are read."""
        for key, drug in self._drugs.items():
            self._drugs[key] = replace(drug, english=self.glossary.english(drug.name))

    @cached_property
    def coded_diseases(self) -> list[str]:
        """Standard names with one code, in the order of the lists."""
        return [
            name for key, name in self._standard.items() if len(self._codes[key]) == 1 and "" not in self._codes[key]
        ]

    @cached_property
    def intractable_diseases(self) -> list[str]:
        """Names of NANDO in its order."""
        return [disease.name for disease in self._nando.values()]

    @cached_property
    def designated_diseases(self) -> list[str]:
        """The designated intractable diseases themselves, without what NANDO puts under them."""
        return list(self._designated.values())

    @cached_property
    def plain_drugs(self) -> list[str]:
        """Ingredients that can be a wrong answer."""
        return [drug.name for drug in self._drugs.values() if not drug.is_mixture]

    @cached_property
    def by_category(self) -> Mapping[str, Sequence[str]]:
        """Category → the standard names in it."""
        members: dict[str, list[str]] = defaultdict(list)
        for name in self.coded_diseases:
            (code,) = self._codes[fold(name)]
            members[code[:3]].append(name)
        return members

    def routes(self, brand: str) -> set[str]:
        """Every route under which a brand is listed."""
        return self._brand_routes[fold(brand)]

    def specifications(self, brand: str) -> set[str]:
        """Every specification under which a brand is listed."""
        return self._brand_specifications[fold(brand)]


def differ(one: Disease, other: Disease) -> bool:
    """Whether the lists show that these are two diseases: not having it in common is not enough.

    They do when both have a code, of two categories, or are distinct entries of one official list; and no name of one
    may be part of a name of the other.
    """
    if any(overlap(a, b) for a in one.folded for b in other.folded):
        return False
    if {*map(str.casefold, one.english)} & {*map(str.casefold, other.english)}:
        return False
    if one.code and other.code:
        return one.category != other.category
    kinds = {kind for kind, _ in one.entries} & {kind for kind, _ in other.entries}
    return bool(kinds) and not one.entries & other.entries


def drugs_differ(one: Drug, other: Drug) -> bool:
    """Whether the price list shows that these are two drugs: other categories, and names that share no beginning."""
    return not (one.groups & other.groups or overlap(one.core, other.core) or one.core[:3] == other.core[:3])


# --- reading ----------------------------------------------------------------------------------------------------------


def read_facts(sources: Sequence[Path]) -> Facts:
    """Read term lists as their publishers distribute them, see `tokenizer.term_lists`; directories may hold others too.

    Raises:
        InputError: a list is missing or broken, or none of them says anything.
    """
    facts = Facts()
    for path in term_lists.find_lists(sources):
        found = term_lists.list_format(path) if not path.name.endswith(PLAIN) else None
        read = _READERS.get(found.name.partition(",")[0]) if found else None
        if read is None:
            if path in sources:
                raise InputError(f"{path}: no list that says anything of its names. {_understood()}")
            continue
        read(facts, path)
        facts.inputs[path.name] = file_sha256(path)
    facts.finish()
    if not facts.inputs:
        raise InputError(f"{', '.join(map(str, sources))}: no list that says anything of its names. {_understood()}")
    return facts


def _understood() -> str:
    return f"Understood are {', '.join(_READERS)}."


def _read_manbyo(facts: Facts, path: Path) -> None:
    for entry in term_lists.read_list(path):
        if len(entry.standard_names) != 1 or entry.reliability not in TRUSTED_LEVELS:
            continue
        surface, standard = _tidy(entry.name), _tidy(entry.standard_names[0])
        if fold(surface) == fold(standard):
            # A second code is a second statement (dagger and asterisk), and would make the first one incomplete.
            facts._codes[fold(surface)].update({_pointed(code) for code in entry.icd10} or {""})
            facts._standard.setdefault(fold(surface), surface)
        elif fold_spelling(surface) == fold_spelling(standard):
            facts._spellings[fold(standard)].setdefault(surface)


def _tidy(name: str) -> str:
    # No name is a sentence: "１Ｕ．Ｓ．Ｐ．" is an abbreviation.
    return clean(name).strip().replace("。", ".")


def _pointed(code: str) -> str:
    match = _CODE.match(code)
    return f"{match[1]}.{match[2]}" if match and match[2] else match[1] if match else ""


def _read_nando(facts: Facts, path: Path) -> None:
    for row in term_lists.read_rows(path):
        name, number = _tidy(row["name_ja"]), row.get("notification_no", "")
        top, _, below = row.get("id", "").partition("-")
        if not name or _NO_NAME.search(name):
            continue
        known = facts._nando.get(fold(name), Disease(name))
        if row.get("kind") == "designated_intractable" and below:
            facts._parents[fold(name)].add(number)
        elif row.get("kind") == "designated_intractable":
            facts._designated[number] = name
            known = replace(known, number=number)
        synonyms = (_tidy(synonym) for synonym in re.split("[;；|／]", row["synonyms_ja"]))
        entries = known.entries | {(row.get("kind", ""), top)}
        facts._nando[fold(name)] = replace(
            known, synonyms=_once([*known.synonyms, *synonyms], but=name), entries=entries
        )
        facts.glossary.add(name, row.get("name_en", ""), "official")


def _once(names: Sequence[str], but: str = "") -> tuple[str, ...]:
    """The names that are not empty and not written like another one or `but`."""
    kept = {fold(name): name for name in reversed(names) if name and fold(name) != fold(but)}
    return tuple(reversed(kept.values()))


def _read_categories(facts: Facts, path: Path) -> None:
    for entry in term_lists.read_list(path):
        for code in entry.icd10:
            if len(code) == 3:
                facts.category_names.setdefault(code, _tidy(entry.name))


def _read_price_list(facts: Facts, path: Path) -> None:
    for row in term_lists.read_rows(path):
        name, brand = (
            _tidy(row.get("ingredient") or row.get("成分名", "")),
            _tidy(row.get("brand") or row.get("品名", "")),
        )
        if not name or not brand:
            continue
        route = row.get("kind") or row.get("区分", "")
        code = row.get("price_list_code") or row.get("薬価基準収載医薬品コード", "")
        product = Product(brand, _tidy(row.get("specification") or row.get("規格", "")), route)
        known = facts._drugs.get(fold(name), Drug(name, (), frozenset()))
        products, groups = (*known.products, product), known.groups | {code[:3]}
        facts._drugs[fold(name)] = replace(known, products=products, groups=groups)
        facts._brand_routes[fold(brand)].add(product.route)
        facts._brand_specifications[fold(brand)].add(product.specification)


def _read_pairs(trust: Trust) -> Callable[[Facts, Path], None]:
    def read(facts: Facts, path: Path) -> None:
        for entry in term_lists.read_list(path):
            facts.glossary.add(entry.name, entry.english, trust)

    return read


# By the first words of `term_lists.ListFormat.name`.
_READERS: dict[str, Callable[[Facts, Path], None]] = {
    "MANBYO": _read_manbyo,
    "MANBYO before 2021": _read_manbyo,
    "NANDO": _read_nando,
    "ICD-10 names of the DPC tables": _read_categories,
    "NHI drug price list": _read_price_list,
    "UTX glossary": _read_pairs("glossary"),
    "Wikidata pairs": _read_pairs("labels"),
}

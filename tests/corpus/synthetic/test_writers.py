import csv
import gzip
from pathlib import Path

import pytest

from jmed_jax.corpus.synthetic.exercises import LETTERS, parse_exercises
from jmed_jax.corpus.synthetic.facts import Facts, read_facts
from jmed_jax.corpus.synthetic.writers import NOTHING_KNOWN, Request, TemplateWriter
from jmed_jax.tokenizer.clean import clean
from tests.corpus.synthetic.lists import DISEASES, DRUGS, Oracle, matches, quoted, sentences, small_oracle

SEEDS = range(6)


def write(facts: Facts, kind: str, task: str, topics: list[str], *, seed: int = 0) -> dict[str, str]:
    """Topic → text of the topics of which something is known."""
    writer = TemplateWriter(facts, kind=kind, task=task, exercises=5, seed=seed)
    answers = writer.write([Request(topic) for topic in topics])
    return {topic: answer.text for topic, answer in zip(topics, answers, strict=True) if answer.failure is None}


# --- textbook sections ------------------------------------------------------------------------------------------------


def check_disease(oracle: Oracle, topic: str, text: str) -> set[str]:
    """Every sentence says what the lists say; the kinds of sentences are returned."""
    kinds = set()
    for sentence in sentences(text):
        found = matches("disease", sentence)
        assert found, sentence
        assert any(_is_true(oracle, topic, kind, values) for kind, values in found), sentence
        kinds |= {kind for kind, _ in found}
    return kinds


def _is_true(oracle: Oracle, topic: str, kind: str, values: dict[str, str]) -> bool:
    name = clean(topic)
    if values.get("name", name) != name:
        return False
    match kind:
        case "english":
            return all((name, en.casefold()) in oracle.english for en in values["english"].split(" または "))
        case "synonyms":
            return set(quoted(values["synonyms"])) <= oracle.synonyms[name]
        case "spellings":
            return set(quoted(values["spellings"])) <= oracle.spellings[name] - {name}
        case "code" | "code_named" | "whole_code" | "whole_code_named":
            return (
                oracle.codes[name] == {values["code"]} and values.get("category", values["code"][:3]) in values["code"]
            )
        case "same" | "same_few":
            return all(oracle.categories[other] == {values["category"]} for other in quoted(values["others"]))
        case "designated":
            return oracle.designated[values["number"]] == name
        case "parent":
            return oracle.designated[values["number"]] == values["parent"] and oracle.numbers[name] == {
                values["number"]
            }
        case "pediatric":
            return oracle.kinds[name] == {"pediatric_chronic"}
    raise AssertionError(kind)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_sentence_about_a_disease_stands_in_the_lists(facts: Facts, seed: int) -> None:
    texts = write(facts, "disease", "textbook", DISEASES, seed=seed)
    kinds = set().union(*(check_disease(small_oracle(), topic, text) for topic, text in texts.items()))
    wanted = {"english", "synonyms", "spellings", "code", "code_named", "whole_code", "whole_code_named"}
    assert wanted | {"same_few", "designated", "parent", "pediatric"} <= kinds


def check_drug(oracle: Oracle, topic: str, text: str) -> None:
    for sentence in sentences(text):
        found = matches("drug", sentence)
        assert any(_is_true_of_drug(oracle, clean(topic), kind, values) for kind, values in found), sentence


def _is_true_of_drug(oracle: Oracle, name: str, kind: str, values: dict[str, str]) -> bool:
    match kind:
        case "intro":
            return values["name"] == name and any(name in held for held in oracle.ingredients.values())
        case "english":
            return values["name"] == name and (name, values["english"].casefold()) in oracle.english
        case "count" | "counts":
            told = dict(part.removesuffix("品目").split("が") for part in values["counts"].split("、"))
            return told == {route: str(n) for (drug, route), n in oracle.counts.items() if drug == name}
        case "brands" | "brands_all":
            brands = quoted(values["brands"])
            return all(name in oracle.ingredients[b] and values["route"] in oracle.routes[b] for b in brands)
        case "specification":
            brand = values["brand"]
            return name in oracle.ingredients[brand] and values["specification"] in oracle.specifications[brand]
    raise AssertionError(kind)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_sentence_about_a_drug_stands_in_the_lists(facts: Facts, seed: int) -> None:
    texts = write(facts, "drug", "textbook", DRUGS, seed=seed)
    assert len(texts) == len(DRUGS)
    for topic, text in texts.items():
        check_drug(small_oracle(), topic, text)


# --- exercises --------------------------------------------------------------------------------------------------------


def check_exercises(oracle: Oracle, text: str, wanted: int = 5) -> list[str]:
    """The marked option is right and the four others are wrong; the kinds of the questions are returned."""
    exercises, malformed = parse_exercises(text)
    assert not malformed and 1 <= len(exercises) <= wanted
    kinds = []
    for exercise in exercises:
        kind, right = oracle.right_options(exercise.question, exercise.options)
        assert right == [exercise.options[LETTERS.index(exercise.answer)]], exercise
        kinds.append(kind)
    assert len(set(kinds)) == len(kinds)
    return kinds


@pytest.mark.parametrize("seed", SEEDS)
def test_the_marked_answer_is_right_and_the_others_are_wrong(facts: Facts, seed: int) -> None:
    oracle = small_oracle()
    diseases = write(facts, "disease", "physician_exam", DISEASES, seed=seed)
    drugs = write(facts, "drug", "pharmacist_exam", DRUGS, seed=seed)
    kinds = {kind for text in (*diseases.values(), *drugs.values()) for kind in check_exercises(oracle, text)}
    wanted = {"category_of_name", "name_of_category", "same_category", "outsider", "pair_category", "synonym"}
    wanted |= {"english_of_name", "name_of_english", "pair_english"}
    wanted |= {"ingredient_of_brand", "brand_of_ingredient", "pair_brand", "route", "specification"}
    assert wanted <= kinds


def test_questions_about_the_designated_disease_above(facts: Facts) -> None:
    oracle = small_oracle()
    found = [write(facts, "disease", "physician_exam", ["鏡像性万華鏡病"], seed=seed) for seed in range(20)]
    assert any("parent" in check_exercises(oracle, text) for texts in found for text in texts.values())


def test_an_answer_in_any_place(facts: Facts) -> None:
    texts = [text for seed in SEEDS for text in write(facts, "disease", "physician_exam", DISEASES, seed=seed).values()]
    answers = [exercise.answer for text in texts for exercise in parse_exercises(text)[0]]
    assert all(len(answers) / 10 < answers.count(letter) < len(answers) / 3 for letter in LETTERS)


# --- both -------------------------------------------------------------------------------------------------------------


def test_a_topic_of_which_nothing_is_known_is_not_padded(facts: Facts) -> None:
    writer = TemplateWriter(facts, kind="disease", task="textbook", exercises=0, seed=0)
    # Of the second one the lists say that it is somewhere under two diseases.
    for answer in writer.write([Request("誰も知らない病"), Request("二股病")]):
        assert answer.text == "" and answer.failure and answer.failure.reason == NOTHING_KNOWN


def test_a_text_depends_on_seed_and_topic_alone(facts: Facts, lists: Path) -> None:
    topics = DISEASES[:8]
    texts = write(facts, "disease", "physician_exam", topics)
    again = write(read_facts([lists]), "disease", "physician_exam", topics[::-1][:5])
    assert all(again[topic] == texts[topic] for topic in again)
    other = write(facts, "disease", "physician_exam", topics, seed=1)
    assert all(other[topic] != texts[topic] for topic in other)


# --- the real lists ---------------------------------------------------------------------------------------------------


def _rows(path: Path, *columns: str) -> list[tuple[str, ...]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8") as stream:
        delimiter = "\t" if ".tsv" in path.name else ","
        lines = (line for line in stream if not line.startswith("#"))
        return [tuple(row[column] or "" for column in columns) for row in csv.DictReader(lines, delimiter=delimiter)]


@pytest.mark.slow
def test_the_real_lists_bear_out_every_exercise_and_sentence(real_data: Path) -> None:
    folder = real_data / "dictionary"
    pairs = _rows(folder / "kitasato_medical_glossary_en_ja.tsv.gz", "en", "ja")
    pairs += _rows(folder / "wikidata_medical_en_ja.csv", "en_label", "ja_label")
    prices = ("kind", "price_list_code", "ingredient", "specification", "brand")
    nando = ("id", "kind", "name_ja", "name_en", "synonyms_ja", "notification_no")
    oracle = Oracle(
        _rows(folder / "manbyo_disease_names.csv.gz", "surface", "icd10", "standard"),
        _rows(folder / "nando_diseases.csv", *nando),
        _rows(folder / "nhi_drug_price_list_20250716.csv.gz", *prices),
        pairs,
    )
    facts = read_facts([folder])
    for kind, task in (("disease", "physician_exam"), ("drug", "pharmacist_exam")):
        topics = (folder / f"topics_{kind}s.txt").read_text(encoding="utf-8").split("\n")[::37]
        check = check_disease if kind == "disease" else check_drug
        for topic, text in write(facts, kind, "textbook", topics).items():
            check(oracle, topic, text)
        for text in write(facts, kind, task, topics).values():
            check_exercises(oracle, text)

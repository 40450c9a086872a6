"""Documents and questions of the choice tasks: posts, adverse events, lung cancer staging, sentence similarity."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jmed_jax.sample.example import LETTERS, Example, choice_example, lettered
from jmed_jax.sample.grammar import Grammar
from jmed_jax.sample.lexicon import Lexicon, load_json


@cache
def _templates(task: str) -> Mapping[str, Any]:
    return dict(load_json("tasks.json")[task])


def smdis(grammar: Grammar, _lexicon: Lexicon) -> list[Example]:
    """A post about one symptom, asked for that symptom and for others that it does not mention."""
    templates = _templates("smdis")
    symptoms = templates["symptoms"]
    tag = grammar.random.choice(list(symptoms))
    ill = grammar.random.random() < 0.65
    # A cold implies a cough in life but not in the post: such pairs are not asked.
    others = [other for other in symptoms if other != tag and other not in templates["related"].get(tag, [])]
    phrases = {**templates["lists"], **symptoms[tag], "noun": grammar.random.choice(symptoms[tag]["noun"])}
    post = grammar.fill(grammar.random.choice(templates["yes" if ill else "no"]), **phrases)

    def ask(asked: str, answer: str, stratum: str) -> Example:
        instruction = grammar.fill(templates["instruction"], state=symptoms[asked]["state"])
        return choice_example(asked, instruction, post, symptoms[asked]["options"], answer, stratum)

    own = ask(tag, "A", "A") if ill else ask(tag, "B", "B same")
    return [own, *(ask(other, "B", "B other") for other in grammar.sample(others, grammar.random.choice((1, 1, 2))))]


def crade(grammar: Grammar, lexicon: Lexicon) -> list[Example]:
    """A report in which an event follows a drug; asked for the event, the drug, and sometimes the disease treated."""
    templates = _templates("crade")
    disease = grammar.random.choice(lexicon.diseases)
    values = lexicon.values(grammar, disease)
    event = grammar.random.choice([event for event in templates["events"] if event not in disease["symptoms"]])
    drug = grammar.random.choice(disease["drugs"])
    answer = grammar.random.choice("ABCD")
    values |= {"event": event, "drug": drug, "risk": ["感染", "脱水", "基礎疾患", "外傷", "過労", "食事"]}
    values |= {"background": templates["background"], "verdict": templates["verdicts"][answer]}
    report = grammar.fill(grammar.random.choice(templates["report"]), **values)

    def ask(kind: str, entity: str, answer: str) -> Example:
        instruction = grammar.fill(templates[f"{kind}_question"], entity=entity)
        return choice_example(kind, instruction, report, templates[f"{kind}_options"], answer, answer)

    examples = [ask("disease", event, answer), ask("medicine", drug, answer)]
    # Whatever happened later, the disease that the drug was given for is not its side effect.
    if grammar.random.random() < 0.2:
        examples.append(ask("disease", disease["name"], "A"))
    return examples


def rrtnm(grammar: Grammar, _lexicon: Lexicon) -> list[Example]:
    """A chest report with a finding for each of T, N and M, asked for all three."""
    templates = _templates("rrtnm")
    answers = {tag: grammar.random.choice(list(templates[f"{tag}_findings"])) for tag in "TNM"}
    sentences = [grammar.random.choice(templates[f"{tag}_findings"][answer]) for tag, answer in answers.items()]
    sentences += grammar.sample(templates["lists"]["extra"], 2)
    report = "\n".join(grammar.fill(sentence, **templates["lists"]) for sentence in sentences)
    return [
        choice_example(tag, templates[tag]["question"], report, templates[tag]["options"], answer, f"{tag} {answer}")
        for tag, answer in answers.items()
    ]


def jcsts(grammar: Grammar, lexicon: Lexicon) -> list[Example]:
    """A pair of sentences written to be as similar as the drawn answer says."""
    templates = _templates("jcsts")
    disease, other = grammar.random.sample(lexicon.diseases, 2)
    answer = grammar.random.choice("ABCDEF")
    values = {
        **disease,
        "drug": grammar.random.choice(disease["drugs"]),
        "symptom": grammar.random.choice(disease["symptoms"]),
        "period": grammar.pick("period"),
        "dose": grammar.fill("{ｗ1-90}"),
        "other": other["name"],
        "other_drug": other["drugs"],
        "other_symptom": other["symptoms"],
        "period2": grammar.words["period"],
    }
    s1 = grammar.fill(templates["first"], **values)
    s2 = grammar.fill(grammar.random.choice(templates["second"][answer]), **values)
    return [
        Example(
            tag=None,
            question=grammar.fill(templates["question"], s1=s1, s2=s2),
            documents=(s1, s2),
            stratum=answer,
            test_fields={"options": lettered(templates["options"]), "answer": answer},
            train_fields={"s1": s1, "s2": s2, "score": 5 - LETTERS.index(answer), "answer": answer},
            has_document_id=False,
        )
    ]


def jcsts_options() -> dict[str, str]:
    """The options that every jcsts row has."""
    return lettered(_templates("jcsts")["options"])

"""Text to pre-train on: textbook entries, health columns, a glossary, nursing notes, case and radiology reports."""

from collections.abc import Iterator

from jmed_jax.sample.glossary import Glossary
from jmed_jax.sample.grammar import Grammar
from jmed_jax.sample.lexicon import Lexicon, Values, load_json

SOURCE = "jmed_jax synthetic sample"
LICENSE = "Apache-2.0"
EDITIONS = 6
COLUMNS = 600
RECORDS_PER_DISEASE = 36
RECORD_TITLES = {"nursing": "看護記録", "case": "症例報告", "radiology": "読影レポート"}


def textbook_rows(lexicon: Lexicon, glossary: Glossary, seed: int) -> Iterator[dict[str, str]]:
    """Several editions of an entry for every disease, health columns for everyday vocabulary, then the glossary."""
    templates = load_json("textbook.json")
    grammar = Grammar(lexicon.words, f"{seed}/textbook")
    for number, disease in enumerate(lexicon.diseases):
        for edition, title in enumerate(grammar.sample(templates["editions"], EDITIONS)):
            values = lexicon.values(grammar, disease)
            sections = [_section(grammar, heading, texts, values) for heading, texts in templates["sections"].items()]
            title = grammar.fill(title, **values)
            yield _row(f"synthetic-textbook-{number:03d}-{edition}", title, "\n".join([title, *sections]))
    for number in range(COLUMNS):
        values = lexicon.values(grammar, grammar.random.choice(lexicon.diseases))
        title = grammar.fill(grammar.random.choice(templates["column_titles"]), **values)
        body = "".join(grammar.fill(sentence, **values) for sentence in grammar.sample(templates["column"], 10))
        yield _row(f"synthetic-column-{number:04d}", title, f"{title}\n{body}")
    for number, (title, text) in enumerate(glossary.pages(grammar)):
        yield _row(f"synthetic-glossary-{number:04d}", title, text)


def record_rows(lexicon: Lexicon, seed: int) -> Iterator[dict[str, str]]:
    """Nursing notes, case reports and radiology reports, the same number for every disease."""
    templates = load_json("textbook.json")
    grammar = Grammar(lexicon.words, f"{seed}/records")
    for number in range(RECORDS_PER_DISEASE * len(lexicon.diseases)):
        disease = lexicon.diseases[number % len(lexicon.diseases)]
        kind = grammar.random.choice(list(RECORD_TITLES))
        text = grammar.fill(grammar.random.choice(templates[kind]), **lexicon.values(grammar, disease))
        yield _row(f"synthetic-{kind}-{number:05d}", f"{RECORD_TITLES[kind]}　{disease['name']}", text)


def _section(grammar: Grammar, heading: str, sentences: list[str], values: Values) -> str:
    # The first sentence of a section says what it is about and always stands first.
    chosen = [sentences[0], *grammar.sample(sentences[1:], 5)]
    return f"【{heading}】\n" + "".join(grammar.fill(sentence, **values) for sentence in chosen)


def _row(identifier: str, title: str, text: str) -> dict[str, str]:
    return {"id": identifier, "title": title, "text": text, "source": SOURCE, "license": LICENSE}

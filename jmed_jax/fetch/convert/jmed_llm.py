"""JMED-LLM: eight tasks, the test sets and what of the whole sets is not in them."""

import ast
import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jmed_jax.fetch.convert import jmmlu, mmlu
from jmed_jax.fetch.convert.downloads import LETTERS, Downloads
from jmed_jax.jsonl import write_jsonl

HOME = "sociocom/JMED-LLM"
EXTRACTION = ("mrner_disease", "mrner_medicine", "nrner")
CHOICE = ("crade", "rrtnm", "smdis", "jmmlu_med", "jcsts")
SUBJECTS = ("professional_medicine", "medical_genetics", "clinical_knowledge", "anatomy", "college_medicine")

# The whole sets, and the tags of them that a task asks for (all where none are named). That of JCSTS is elsewhere, in a
# spreadsheet of 2003's format: it is not read here.
WHOLE: Mapping[str, tuple[tuple[str, frozenset[str]], ...]] = {
    "crade": (("CRADE", frozenset()),),
    "mrner_disease": (("CRNER", frozenset({"d"})), ("RRNER", frozenset({"d"}))),
    "mrner_medicine": (("CRNER", frozenset({"m-key", "m-val"})),),
    "nrner": (("NRNER", frozenset()),),
    "rrtnm": (("RRTNM", frozenset()),),
    "smdis": (("SMDIS", frozenset()),),
    "jmmlu_med": (("JMMLU-Med", frozenset()),),
}

# Three reports stand in the files in two spellings each.
SAME_REPORT = {
    "doc-aac9f4033eed": "doc-56d57289eb7b",
    "doc-093a348a1342": "doc-feea7441ee06",
    "doc-9980be68c4fd": "doc-bfb525a852b6",
}


def convert(downloads: Downloads, out: Path) -> None:
    """Write `jmed_llm/`."""
    folder = out / "jmed_llm"
    for split in ("test", "train"):
        (folder / split).mkdir(parents=True)
    links = Links(downloads)
    test = {task: list(_test(downloads, task, links)) for task in (*EXTRACTION, *CHOICE)}
    for task, rows in test.items():
        write_jsonl(folder / "test" / f"{task}.jsonl", rows)
    options = json.dumps(test["jcsts"][0]["options"], ensure_ascii=False, indent=1)
    (folder / "jcsts_options.json").write_text(options + "\n", encoding="utf-8")
    for task, parts in WHOLE.items():
        write_jsonl(folder / "train" / f"{task}.jsonl.gz", _train(downloads, task, parts, test, links))


class Links:
    """Which question of JMMLU, and so of MMLU, one of JMMLU-Med is."""

    def __init__(self, downloads: Downloads) -> None:
        self._ids: dict[tuple[str, str, str], str] = {}
        self._english: dict[str, str] = {}
        for subject in SUBJECTS:
            english = [row[0] for row in downloads.table(mmlu.HOME, f"data/test/{subject}_test.csv", columns=6)]
            for question, number in jmmlu.linked(downloads, subject):
                self._ids[subject, _plain(question.text), question.answer] = question.id
                if number is not None:
                    self._english[question.id] = _plain(english[number])

    def id(self, record: Mapping[str, str]) -> str | None:
        """The question in JMMLU; None where its wording is another there."""
        return self._ids.get((record["tag"], _plain(record["question"]), record["answer"]))

    def english(self, name: str | None) -> str | None:
        """The English question, which may stand in two subjects and so be translated twice."""
        return None if name is None else self._english.get(name)


def _test(downloads: Downloads, task: str, links: Links) -> Iterator[dict[str, Any]]:
    for number, record in enumerate(downloads.records(HOME, f"datasets/{task}.csv", ("question", "answer"))):
        row = {"id": f"{task}-test-{number:05d}", **_row(task, record)}
        yield row | ({"jmmlu_id": links.id(record)} if task == "jmmlu_med" else {})


def _train(
    downloads: Downloads,
    task: str,
    parts: Iterable[tuple[str, frozenset[str]]],
    test: Mapping[str, list[dict[str, Any]]],
    links: Links,
) -> Iterator[dict[str, Any]]:
    asked = {_plain(row["question"]) for row in test[task]}
    documents = {name: {row["doc_id"] for row in rows if "doc_id" in row} for name, rows in test.items()}
    in_any_test = set().union(*documents.values())
    english = {links.english(row["jmmlu_id"]) for row in test["jmmlu_med"]} - {None}
    number = 0
    for name, tags in parts:
        for record in downloads.records(HOME, f"datasets/all/{name}.csv", ("tag", "question", "answer")):
            if (tags and record["tag"] not in tags) or _plain(record["question"]) in asked:
                continue
            row = {"id": f"{task}-train-{number:05d}", **_row(task, record), "source_file": name}
            if task == "jmmlu_med":
                row["jmmlu_id"] = links.id(record)
                row["same_question_in_test"] = links.english(row["jmmlu_id"]) in english
            else:
                row["doc_in_test"] = row["doc_id"] in in_any_test
                row["doc_in_own_test"] = row["doc_id"] in documents[task]
            yield row
            number += 1


def _row(task: str, record: Mapping[str, str]) -> dict[str, Any]:
    """What test and training rows have in common."""
    row: dict[str, Any] = {"task": task}
    if "tag" in record:
        row["tag"] = record["tag"]
    row["question"] = record["question"]
    if task in EXTRACTION:
        row["answers"] = ast.literal_eval(record["answer"])
    else:
        row["options"] = _options(record)
        row["answer"] = record["answer"]
    if task not in ("jmmlu_med", "jcsts"):
        row["doc_id"] = document_id(record["question"])
    return row


def _options(record: Mapping[str, str]) -> dict[str, str]:
    options = {letter: record.get(f"option{letter}") or "" for letter in LETTERS}
    # JCSTS writes the letter before its option.
    return {letter: text.removeprefix(f"{letter}. ") for letter, text in options.items() if text}


def document_id(question: str) -> str:
    """The same for every question about one report, tweet or record, which stands in 「…」 at the question's end."""
    document = question.partition("\n「")[2].removesuffix("」")
    plain = re.sub(r"\s", "", unicodedata.normalize("NFKC", document))
    name = "doc-" + hashlib.sha256(plain.encode()).hexdigest()[:12]
    return SAME_REPORT.get(name, name)


def _plain(text: str) -> str:
    """Two questions that differ in width, case and punctuation only are one."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", text)).casefold()

"""The eight JMED-LLM tasks in miniature: disjoint training and test rows in the real files' schema."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from jmed_jax.sample import choices, exam, extraction
from jmed_jax.sample.example import Example
from jmed_jax.sample.grammar import Grammar
from jmed_jax.sample.lexicon import Lexicon

Rows = list[dict[str, Any]]

# Draws allowed for each row wanted: templates too poor for the sizes asked must fail, not loop for ever.
MAX_DRAWS_PER_ROW = 200


@dataclass(frozen=True)
class Task:
    """How one task is drawn.

    Attributes:
        draw: makes a new document and every question asked about it.
        quotas: test rows by stratum; together 60.
        train_size: training rows.
        overlap_flags: the fields that say whether a training document also stands in a test.
    """

    draw: Callable[[Grammar, Lexicon], list[Example]]
    quotas: Mapping[str, int]
    train_size: int
    overlap_flags: tuple[str, ...] = ("doc_in_test", "doc_in_own_test")


TASKS = {
    # Half of the posts that do not count mention the very symptom asked for: denied, long ago, or somebody's in a film.
    "smdis": Task(choices.smdis, {"A": 30, "B same": 15, "B other": 15}, 3000),
    "crade": Task(choices.crade, dict.fromkeys("ABCD", 15), 600),
    "rrtnm": Task(
        choices.rrtnm,
        {**{f"T {a}": 4 for a in "ABCDE"}, **{f"N {a}": 5 for a in "ABCD"}, **{f"M {a}": 10 for a in "AB"}},
        400,
    ),
    "jcsts": Task(choices.jcsts, dict.fromkeys("ABCDEF", 10), 800, ("sentence_in_test", "sentence_near_test")),
    "jmmlu_med": Task(exam.four_choices, dict.fromkeys("ABCD", 15), 300, ("same_question_in_test",)),
    "nrner": Task(extraction.nursing, {"d": 24, "m-key": 20, "m-val": 16}, 1200),
    "mrner_disease": Task(extraction.disease, {"d": 60}, 300),
    "mrner_medicine": Task(extraction.medicine, {"m-key": 36, "m-val": 24}, 300),
}


def task_rows(lexicon: Lexicon, seed: int) -> tuple[dict[str, Rows], dict[str, Rows]]:
    """Test and training rows by task. No document of any test stands, even nearly, in any training set."""
    tests: dict[str, Rows] = {}
    held_out: set[str] = set()
    for name, task in TASKS.items():
        examples = _test_examples(task, Grammar(lexicon.words, f"{seed}/{name}/test"), lexicon)
        tests[name] = [_row(name, "test", number, example) for number, example in enumerate(examples)]
        held_out |= {near_key(document) for example in examples for document in example.documents}
    train: dict[str, Rows] = {}
    for name, task in TASKS.items():
        examples = _train_examples(task, Grammar(lexicon.words, f"{seed}/{name}/train"), lexicon, held_out)
        train[name] = [_row(name, "train", number, example) for number, example in enumerate(examples)]
    return tests, train


def near_key(text: str) -> str:
    """What is left of a text without digits, signs and spaces: equal for texts that differ only in those."""
    return re.sub(r"[\W\d_]", "", text)


def document_id(text: str) -> str:
    """The same for the same text, as the `doc_id` of the real files."""
    return "doc-" + hashlib.sha256(text.encode()).hexdigest()[:12]


def _test_examples(task: Task, grammar: Grammar, lexicon: Lexicon) -> list[Example]:
    left = Counter(task.quotas)
    size = left.total()
    seen: set[str] = set()
    chosen: list[Example] = []
    for _ in range(MAX_DRAWS_PER_ROW * size):
        wanted = [example for example in task.draw(grammar, lexicon) if left[example.stratum]]
        # One question a document, and no document twice.
        if wanted and not seen.intersection(map(near_key, wanted[0].documents)):
            example = grammar.random.choice(wanted)
            chosen.append(example)
            left[example.stratum] -= 1
            seen.update(map(near_key, example.documents))
        if len(chosen) == size:
            return grammar.sample(chosen, size)
    raise AssertionError(f"the templates cannot fill {dict(left)}")


def _train_examples(task: Task, grammar: Grammar, lexicon: Lexicon, held_out: set[str]) -> list[Example]:
    seen: set[str] = set()
    chosen: list[Example] = []
    for _ in range(MAX_DRAWS_PER_ROW * task.train_size):
        for example in task.draw(grammar, lexicon):
            identity = example.question + json.dumps(example.test_fields, ensure_ascii=False)
            if identity not in seen and not held_out.intersection(map(near_key, example.documents)):
                seen.add(identity)
                chosen.append(example)
        if len(chosen) >= task.train_size:
            return chosen[: task.train_size]
    raise AssertionError(f"the templates give only {len(chosen)} rows")


def _row(task: str, split: str, number: int, example: Example) -> dict[str, Any]:
    row: dict[str, Any] = {"id": f"{task}-{split}-{number:05d}", "task": task}
    if example.tag is not None:
        row["tag"] = example.tag
    row["question"] = example.question
    row.update(example.test_fields if split == "test" else example.train_fields)
    if example.has_document_id:
        row["doc_id"] = document_id(example.documents[0])
    if split == "train":
        if example.tag is not None:
            row["source_file"] = "jmed_jax synthetic sample"
        # `_train_examples` keeps every held-out document out, so these are false by construction.
        row.update(dict.fromkeys(TASKS[task].overlap_flags, False))
    row["synthetic"] = True
    return row

"""The synthetic sample: same bytes from the same seed, the real schemas, and tasks that are fair."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.jsonl import read_jsonl
from jmed_jax.sample.choices import jcsts_options
from jmed_jax.sample.generate import write_sample
from jmed_jax.sample.grammar import Grammar
from jmed_jax.sample.tasks import TASKS, document_id, near_key

CHOICE_TASKS = ("crade", "rrtnm", "smdis", "jcsts", "jmmlu_med")
EXTRACTION_TASKS = ("mrner_disease", "mrner_medicine", "nrner")
TRAIN_SIZES = {
    "smdis": 3000,
    "nrner": 1200,
    "crade": 600,
    "jcsts": 800,
    "rrtnm": 400,
    "mrner_disease": 300,
    "mrner_medicine": 300,
    "jmmlu_med": 300,
}
# Data README §2, with "synthetic" for the mark that only these rows have.
HEAD = {"id", "task", "tag", "question"}
OVERLAP = {"source_file", "doc_in_test", "doc_in_own_test"}
TEST_FIELDS = {
    **{task: HEAD | {"options", "answer", "doc_id", "synthetic"} for task in ("crade", "rrtnm", "smdis")},
    **{task: HEAD | {"answers", "doc_id", "synthetic"} for task in EXTRACTION_TASKS},
    "jcsts": {"id", "task", "question", "options", "answer", "synthetic"},
    "jmmlu_med": HEAD | {"options", "answer", "jmmlu_id", "synthetic"},
}
TRAIN_FIELDS = {
    **{task: fields | OVERLAP for task, fields in TEST_FIELDS.items()},
    "jcsts": {"id", "task", "question", "s1", "s2", "score", "answer", "synthetic"}
    | {"sentence_in_test", "sentence_near_test"},
    "jmmlu_med": TEST_FIELDS["jmmlu_med"] | {"source_file", "same_question_in_test"},
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample")
    write_sample(path)
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_jsonl(path)]


def held_out_rows(sample: Path, task: str) -> list[dict[str, Any]]:
    return rows_of(sample / f"jmed_llm/test/{task}.jsonl")


def train_rows(sample: Path, task: str) -> list[dict[str, Any]]:
    return rows_of(sample / f"jmed_llm/train/{task}.jsonl.gz")


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_equal_seeds_give_equal_bytes(sample: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "again")
    write_sample(tmp_path / "other", seed=1)
    assert contents(sample) == contents(tmp_path / "again")
    assert contents(sample)["jmed_llm/test/smdis.jsonl"] != contents(tmp_path / "other")["jmed_llm/test/smdis.jsonl"]


def test_the_layout_is_that_of_the_real_data(sample: Path) -> None:
    expected = {
        "README.md",
        "sample.json",
        "pretrain/synthetic_textbook.jsonl.gz",
        "pretrain/synthetic_records.jsonl.gz",
        "dictionary/synthetic_terms.txt",
        "igakuqa/ja/2018.jsonl",
        "igakuqa/fewshot.jsonl",
        "jmed_llm/jcsts_options.json",
        *(f"jmed_llm/test/{task}.jsonl" for task in TASKS),
        *(f"jmed_llm/train/{task}.jsonl.gz" for task in TASKS),
    }
    assert set(contents(sample)) == expected
    readme = (sample / "README.md").read_text(encoding="utf-8")
    assert (
        "synthetic" in readme and "not medical advice" in readme and "not for the evaluation of real models" in readme
    )


def test_pretraining_text_has_the_size_and_fields(sample: Path) -> None:
    rows = [row for name in ("textbook", "records") for row in rows_of(sample / f"pretrain/synthetic_{name}.jsonl.gz")]
    assert all(list(row) == ["id", "title", "text", "source", "license"] for row in rows)
    assert {(row["source"], row["license"]) for row in rows} == {("jmed_jax synthetic sample", "Apache-2.0")}
    assert len({row["id"] for row in rows}) == len(rows)
    assert 1_500_000 <= sum(len(row["text"]) for row in rows) <= 2_500_000
    # A slot left unfilled, or an alternative left unchosen.
    assert not any(mark in row["text"] for row in rows for mark in "{}|[]*")


def test_dictionary_has_one_term_a_line(sample: Path) -> None:
    terms = (sample / "dictionary/synthetic_terms.txt").read_text(encoding="utf-8").splitlines()
    assert len(set(terms)) == len(terms)
    assert {"肺炎", "右橈骨骨折", "メトホルミン"} <= set(terms)


@pytest.mark.parametrize("task", TASKS)
def test_rows_have_the_real_fields(sample: Path, task: str) -> None:
    test, train = held_out_rows(sample, task), train_rows(sample, task)
    assert (len(test), len(train)) == (60, TRAIN_SIZES[task])
    assert all(set(row) == TEST_FIELDS[task] for row in test)
    assert all(set(row) == TRAIN_FIELDS[task] for row in train)
    assert [row["id"] for row in test] == [f"{task}-test-{number:05d}" for number in range(60)]
    assert all(row["synthetic"] is True and row["task"] == task for row in test + train)
    assert not any(mark in row["question"] for row in test + train for mark in "{}|[]*")


@pytest.mark.parametrize("task", CHOICE_TASKS)
def test_answers_are_among_the_options(sample: Path, task: str) -> None:
    rows = held_out_rows(sample, task) + (train_rows(sample, task) if task != "jcsts" else [])
    assert all(row["answer"] in row["options"] for row in rows)


@pytest.mark.parametrize("task", EXTRACTION_TASKS)
def test_extracted_answers_stand_verbatim_in_the_document(sample: Path, task: str) -> None:
    for row in held_out_rows(sample, task) + train_rows(sample, task):
        document = row["question"].split("\n", 1)[1]
        assert row["answers"]
        assert all(answer in document for answer in row["answers"])
        assert len(set(row["answers"])) == len(row["answers"])


def test_no_test_document_stands_in_training_or_pretraining(sample: Path) -> None:
    train = [row for task in TASKS for row in train_rows(sample, task)]
    flags = [value for row in train for name, value in row.items() if "_in_test" in name or "_in_own_" in name]
    assert flags and not any(flags)
    trained = {row.get("doc_id") for row in train if "doc_id" in row}
    sentences = {near_key(row[side]) for row in train for side in ("s1", "s2") if side in row}
    questions = {row["question"] for row in train}
    text = "\n".join(
        row["text"]
        for name in ("textbook", "records")
        for row in rows_of(sample / f"pretrain/synthetic_{name}.jsonl.gz")
    )
    for row in (row for task in TASKS for row in held_out_rows(sample, task)):
        assert row.get("doc_id") not in trained
        assert row["question"] not in questions
        if row["task"] == "jcsts":
            pair = row["question"].split("\nS1: ")[1].split("\nS2: ")
            assert not {near_key(sentence) for sentence in pair} & sentences
        elif "doc_id" in row:
            document = row["question"].split("\n", 1)[1][1:-1]
            assert document_id(document) == row["doc_id"]
            assert document not in text


def test_test_sets_are_balanced(sample: Path) -> None:
    answers = {task: Counter(row["answer"] for row in held_out_rows(sample, task)) for task in CHOICE_TASKS}
    assert answers["crade"] == answers["jmmlu_med"] == dict.fromkeys("ABCD", 15)
    assert answers["jcsts"] == dict.fromkeys("ABCDEF", 10)
    assert Counter(row["tag"] for row in held_out_rows(sample, "rrtnm")) == dict.fromkeys("TNM", 20)


def test_the_majority_class_of_smdis_scores_half(sample: Path) -> None:
    majority = Counter(row["answer"] for row in train_rows(sample, "smdis")).most_common(1)[0][0]
    assert sum(row["answer"] == majority for row in held_out_rows(sample, "smdis")) == 30


def test_questions_are_short(sample: Path) -> None:
    limits = {"smdis": 60, "nrner": 160, "rrtnm": 250, "crade": 250}
    for task, limit in limits.items():
        lengths = [len(row["question"].split("\n", 1)[1]) for row in train_rows(sample, task)]
        assert sum(length <= limit for length in lengths) >= 0.99 * len(lengths), task


def test_jcsts_scores_match_their_letters(sample: Path) -> None:
    assert all("ABCDEF"[5 - row["score"]] == row["answer"] for row in train_rows(sample, "jcsts"))
    options = json.loads((sample / "jmed_llm/jcsts_options.json").read_text(encoding="utf-8"))
    assert options == jcsts_options() == held_out_rows(sample, "jcsts")[0]["options"]


def test_examination_is_fictitious_and_well_formed(sample: Path) -> None:
    rows = rows_of(sample / "igakuqa/ja/2018.jsonl")
    assert len(rows) == 40
    fields = ["problem_id", "year", "section", "problem_text", "choices", "answer", "points", "text_only", "synthetic"]
    for row in rows:
        assert list(row) == fields
        assert row["problem_id"].startswith("900")
        if row["choices"]:
            assert len(set(row["choices"])) == 5
            assert len(row["answer"]) == (2 if "2つ選べ" in row["problem_text"] else 1)
        else:
            assert row["answer"][0].isdecimal() and row["problem_text"].count("①") == 1
    assert {row["points"] for row in rows} == {1, 3}
    assert Counter(len(row["answer"]) for row in rows)[2] == 7


def test_gzip_headers_carry_no_time(sample: Path) -> None:
    for path in sample.rglob("*.gz"):
        assert path.read_bytes()[4:8] == bytes(4)
        assert gzip.decompress(path.read_bytes())


def test_grammar_fills_given_lists_ranges_and_alternatives() -> None:
    grammar = Grammar({"fruit": ["りんご", "{赤い|青い}ぶどう"]}, "seed")
    assert grammar.fill("{x}と{x}", x="一") == "一と一"
    assert grammar.fill("{ｗ5-5}／{36.5-36.5}") == "５／36.5"
    assert grammar.fill("{x*}", x=["a"]) == "a"
    assert {grammar.pick("fruit") for _ in range(50)} == {"りんご", "赤いぶどう", "青いぶどう"}
    with pytest.raises(KeyError):
        grammar.fill("{missing}")

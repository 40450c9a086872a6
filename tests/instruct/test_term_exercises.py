"""Exercises in extraction from term lists."""

import ast
import statistics
from pathlib import Path

import pytest

from jmed_jax.corpus.config import CorpusConfig
from jmed_jax.corpus.pipeline import build_corpus
from jmed_jax.corpus.sources import plain_sources
from jmed_jax.errors import InputError
from jmed_jax.instruct.term_exercises import MOST_ANSWERS, QUESTIONS, SHARES, write_term_exercises
from jmed_jax.jsonl import read_jsonl, write_jsonl
from jmed_jax.tokenizer.dictionary import build_dictionary
from tests.corpus.texts import document

SENTENCES = ("空想熱と架空疹を認め、入院となった。", "その後は架空疹のみが残っている。", "家族に空想熱の人はいない。")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exercises")
    # Different documents, each with both diseases.
    texts = ["".join(SENTENCES) + document(number, sentences=4) + SENTENCES[0] for number in range(40)]
    write_jsonl(folder / "notes.jsonl", ({"text": text, "license": "CC0"} for text in texts))
    config = CorpusConfig("notes", plain_sources([folder / "notes.jsonl"]), near_duplicates=False)
    build_corpus(config, folder / "corpus")
    (folder / "lists").mkdir()
    (folder / "lists/diseases.txt").write_text("空想熱\n架空疹\n", encoding="utf-8")
    (folder / "lists/topics_drugs.txt").write_text("カクウマブ\nソラゾール\n", encoding="utf-8")
    build_dictionary([folder / "lists"], folder / "dictionary")
    return folder


def rows(path: Path) -> list[tuple[str, str, list[str]]]:
    """Kind, passage, answers."""
    found = []
    for _, row in read_jsonl(path):
        question, _, passage = row["messages"][1]["content"].partition("\n")
        kind = next(kind for kind, text in QUESTIONS.items() if text == question)
        found.append((kind, passage, ast.literal_eval(row["messages"][2]["content"])))
    return found


def test_answers_stand_in_the_passage_in_its_order_and_once(folder: Path, tmp_path: Path) -> None:
    counts = write_term_exercises(folder / "corpus", folder / "dictionary", tmp_path / "out.jsonl", count=60)
    assert counts.keys() <= QUESTIONS.keys() == SHARES.keys()
    assert all(number <= 60 * SHARES[kind] + 1 for kind, number in counts.items()) and counts["disease"] == 33
    for _, passage, answers in rows(tmp_path / "out.jsonl"):
        places = [passage.find(answer) for answer in answers]
        assert min(places) >= 0 and places == sorted(set(places))
        assert 0 < len(answers) <= MOST_ANSWERS


def test_every_kind_is_asked_for_by_its_own_terms(folder: Path, tmp_path: Path) -> None:
    write_term_exercises(folder / "corpus", folder / "dictionary", tmp_path / "out.jsonl", count=1000)
    by_kind = {
        kind: {answer for k, _, answers in rows(tmp_path / "out.jsonl") if k == kind for answer in answers}
        for kind in QUESTIONS
    }
    assert by_kind["disease"] == {"空想熱", "架空疹"}
    assert by_kind["drug"] == {"カクウマブ", "ソラゾール"}
    assert by_kind["dose"] and all(dose[0].isdigit() for dose in by_kind["dose"])


def test_passages_are_as_long_as_asked_for(folder: Path, tmp_path: Path) -> None:
    mean = {}
    for share in (0.0, 1.0):
        out = tmp_path / f"{share}.jsonl"
        write_term_exercises(folder / "corpus", folder / "dictionary", out, count=60, long_share=share)
        mean[share] = statistics.mean(len(passage) for _, passage, _ in rows(out))
    assert mean[0.0] < mean[1.0]
    with pytest.raises(InputError, match="from 0 to 1"):
        write_term_exercises(folder / "corpus", folder / "dictionary", tmp_path / "out.jsonl", count=9, long_share=20.0)


def test_a_seed_gives_the_same_file(folder: Path, tmp_path: Path) -> None:
    for name, seed in (("1", 0), ("2", 0), ("3", 1)):
        write_term_exercises(folder / "corpus", folder / "dictionary", tmp_path / f"{name}.jsonl", count=9, seed=seed)
    first, again, other = ((tmp_path / f"{name}.jsonl").read_bytes() for name in "123")
    assert first == again != other


def test_a_text_without_terms_is_an_error_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/diseases.txt").write_text("無縁病\n", encoding="utf-8")
    build_dictionary([tmp_path / "lists"], tmp_path / "dictionary")
    with pytest.raises(InputError, match="no passage has a term"):
        write_term_exercises(folder / "corpus", tmp_path / "dictionary", tmp_path / "out.jsonl", count=9)
    assert not (tmp_path / "out.jsonl").exists()

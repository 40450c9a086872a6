"""Validation questions drawn from training rows."""

import json
import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jmed_jax.errors import InputError
from jmed_jax.evaluate.holdout import hold_out
from jmed_jax.evaluate.tasks import get_task
from jmed_jax.jsonl import read_jsonl

from .rows import choice_row, extraction_row, write_rows


@pytest.fixture
def data(tmp_path: Path) -> Path:
    letters = "B" * 40 + "A" * 20
    rows = [choice_row(f"smdis-train-{i:05d}", letter) for i, letter in enumerate(letters)]
    write_rows(tmp_path / "data/jmed_llm/train/smdis.jsonl.gz", rows)
    write_rows(
        tmp_path / "data/jmed_llm/train/nrner.jsonl.gz", [extraction_row(f"nrner-train-{i:05d}") for i in range(9)]
    )
    return tmp_path / "data"


def ids(path: Path) -> list[str]:
    return [row["id"] for _, row in read_jsonl(path)]


def test_every_row_stands_on_one_side_and_answers_are_even(data: Path, tmp_path: Path) -> None:
    assert hold_out(["jmed_llm.smdis"], data, tmp_path / "out", questions=10) == {"jmed_llm.smdis": 10}
    test, train = (ids(tmp_path / f"out/jmed_llm/{part}/smdis.jsonl") for part in ("test", "train"))
    assert sorted(test + train) == ids(data / "jmed_llm/train/smdis.jsonl.gz")
    held = get_task("jmed_llm.smdis").read_gold([tmp_path / "out/jmed_llm/test/smdis.jsonl"])
    assert Counter(question.answer for question in held) == {"A": 5, "B": 5}


def test_rare_answers_and_small_tasks_keep_most_of_their_rows(data: Path, tmp_path: Path) -> None:
    tasks = ["jmed_llm.smdis", "jmed_llm.nrner"]
    assert hold_out(tasks, data, tmp_path / "out", questions=40) == {"jmed_llm.smdis": 13 + 6, "jmed_llm.nrner": 3}


def test_a_seed_draws_the_same_rows_whatever_else_is_held_out(data: Path, tmp_path: Path) -> None:
    hold_out(["jmed_llm.nrner"], data, tmp_path / "1", questions=3, seed=1)
    hold_out(["jmed_llm.smdis", "jmed_llm.nrner"], data, tmp_path / "2", questions=3, seed=1)
    hold_out(["jmed_llm.nrner"], data, tmp_path / "3", questions=3, seed=2)
    first, with_other, other_seed = (ids(tmp_path / name / "jmed_llm/test/nrner.jsonl") for name in "123")
    assert first == with_other != other_seed


def test_missing_training_rows_leave_nothing(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no training rows of jmed_llm\.crade"):
        hold_out(["jmed_llm.smdis", "jmed_llm.crade"], data, tmp_path / "out", questions=3)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("questions", [1, 50])
def test_a_task_of_which_no_row_can_be_held_out_is_refused(tmp_path: Path, questions: int) -> None:
    # One question is too few for two answers, and two rows are too few to take one of them.
    rows = [choice_row(f"smdis-train-{i:05d}", "AB"[i % 2]) for i in range(4)]
    write_rows(tmp_path / "data/jmed_llm/train/smdis.jsonl", rows)
    with pytest.raises(InputError, match=r"smdis.jsonl: no question can be held out"):
        hold_out(["jmed_llm.smdis"], tmp_path / "data", tmp_path / "out", questions=questions)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_options_that_all_rows_share_go_with_them(data: Path, tmp_path: Path) -> None:
    row = choice_row("jcsts-train-00000", "A", task="jcsts")
    options = row.pop("options")
    write_rows(data / "jmed_llm/train/jcsts.jsonl.gz", [{**row, "id": f"jcsts-train-{i:05d}"} for i in range(3)])
    (data / "jmed_llm/jcsts_options.json").write_text(json.dumps(options), encoding="utf-8")
    hold_out(["jmed_llm.jcsts"], data, tmp_path / "out", questions=1)
    (question,) = get_task("jmed_llm.jcsts").read_gold([tmp_path / "out/jmed_llm/test/jcsts.jsonl"])
    assert question.options == options


@settings(derandomize=True, max_examples=20, deadline=None)
@given(
    # Three rows of an answer are the fewest of which one is held out.
    counts=st.dictionaries(st.sampled_from("ABC"), st.integers(3, 12), min_size=1),
    questions=st.integers(3, 30),
    seed=st.integers(0, 2**32),
    order=st.randoms(use_true_random=False),
)
def test_test_rows_and_training_rows_share_the_ids_out(
    counts: dict[str, int], questions: int, seed: int, order: random.Random
) -> None:
    letters = [letter for letter, count in counts.items() for _ in range(count)]
    order.shuffle(letters)
    rows = [choice_row(f"smdis-train-{i:05d}", letter) for i, letter in enumerate(letters)]
    with tempfile.TemporaryDirectory() as folder:
        data, out = Path(folder) / "data", Path(folder) / "out"
        write_rows(data / "jmed_llm/train/smdis.jsonl", rows)
        (count,) = hold_out(["jmed_llm.smdis"], data, out, questions=questions, seed=seed).values()
        test, train = (ids(out / f"jmed_llm/{part}/smdis.jsonl") for part in ("test", "train"))
    assert len(test) == count and not set(test) & set(train)
    assert sorted(test + train) == [row["id"] for row in rows]
    answers = {row["id"]: row["answer"] for row in rows}
    held = Counter(answers[id] for id in test)
    assert all(0 < held[letter] <= counts[letter] / 3 for letter in counts)
    assert count <= questions

"""Validation questions drawn from training rows."""

import json
from collections import Counter
from pathlib import Path

import pytest

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


def test_options_that_all_rows_share_go_with_them(data: Path, tmp_path: Path) -> None:
    row = choice_row("jcsts-train-00000", "A", task="jcsts")
    options = row.pop("options")
    write_rows(data / "jmed_llm/train/jcsts.jsonl.gz", [{**row, "id": f"jcsts-train-{i:05d}"} for i in range(3)])
    (data / "jmed_llm/jcsts_options.json").write_text(json.dumps(options), encoding="utf-8")
    hold_out(["jmed_llm.jcsts"], data, tmp_path / "out", questions=1)
    (question,) = get_task("jmed_llm.jcsts").read_gold([tmp_path / "out/jmed_llm/test/jcsts.jsonl"])
    assert question.options == options

from pathlib import Path

import numpy as np
import pytest

from jmed_jax.errors import InputError
from jmed_jax.evaluate.cross_lingual import compare_languages
from jmed_jax.evaluate.row_scores import RowScores

from .evaluation_directories import TaskAnswers, write_evaluation


def right(values: list[int]) -> RowScores:
    return RowScores({"accuracy": np.array(values, float)}, {"accuracy": "mean"})


def test_a_question_is_compared_with_its_translation_only(tmp_path: Path) -> None:
    # MMLU's first question has no translation, and its order is another.
    english = TaskAnswers(right([0, 1, 1, 1]), "accuracy", ids=["e0", "e1", "e2", "e3"], pair=["e0", "e1", "e2", "e3"])
    japanese = TaskAnswers(right([0, 1, 0]), "accuracy", ids=["j0", "j1", "j2"], pair=["e3", "e2", "e1"])
    path = write_evaluation(tmp_path / "run", "model", {"jmmlu": japanese, "mmlu": english})
    (row,) = compare_languages([path])
    assert (row.model, row.benchmark, row.n) == ("model", "jmmlu", 3)
    assert (row.to_dict()["ja"], row.to_dict()["en"]) == (pytest.approx(1 / 3), 1.0)
    assert row.result.difference == pytest.approx(2 / 3)
    assert row.result.test == "McNemar" and row.p_holm == 0.5


def test_questions_without_a_pair_are_paired_by_id(tmp_path: Path) -> None:
    tasks = {
        "igakuqa": TaskAnswers(right([1, 0]), "accuracy", ids=["112A1", "112A2"]),
        "igakuqa_en": TaskAnswers(right([1, 0]), "accuracy", ids=["112A2", "112A1"]),
    }
    (row,) = compare_languages([write_evaluation(tmp_path / "run", "model", tasks)])
    assert (row.n, row.result.difference) == (2, 0.0)


def test_a_translated_set_is_compared_with_the_set_it_was_made_from(tmp_path: Path) -> None:
    pairs = ["medqa/1", "medqa/2"]
    tasks = {
        "medqa": TaskAnswers(right([1, 1]), "accuracy", ids=["1", "2"], pair=pairs, language="en"),
        "medqa_ja": TaskAnswers(right([0, 1]), "accuracy", ids=["1", "2"], pair=pairs, language="ja"),
        # Its ids meet those of MedQA by chance.
        "own": TaskAnswers(right([0, 0]), "accuracy", ids=["1", "2"], language="ja"),
    }
    (row,) = compare_languages([write_evaluation(tmp_path / "run", "model", tasks)])
    assert (row.benchmark, row.n, row.result.difference) == ("medqa_ja", 2, 0.5)


def test_rotations_are_paired_with_the_same_rotation(tmp_path: Path) -> None:
    ids, pairs, clusters = ["j#0", "j#1", "k#0", "k#1"], ["e", "e", "f", "f"], ["j", "j", "k", "k"]
    japanese = TaskAnswers(right([1, 0, 1, 1]), "accuracy", ids=ids, pair=pairs, cluster=clusters)
    other = ["e#1", "e#0", "f#1", "f#0"]
    english = TaskAnswers(right([0, 1, 1, 1]), "accuracy", ids=other, pair=pairs, cluster=clusters)
    (row,) = compare_languages([write_evaluation(tmp_path / "run", "model", {"jmmlu": japanese, "mmlu": english})])
    assert (row.n, row.result.interval, row.result.test) == (2, (0.0, 0.0), "paired bootstrap")


def test_an_id_with_a_mark_in_it_is_no_rotation(tmp_path: Path) -> None:
    tasks = {
        "own": TaskAnswers(right([0]), "accuracy", ids=["case#A"], pair=["medqa/1"], language="ja"),
        "medqa": TaskAnswers(right([1]), "accuracy", ids=["1"], pair=["medqa/1"], language="en"),
    }
    (row,) = compare_languages([write_evaluation(tmp_path / "run", "model", tasks)])
    assert (row.n, row.result.difference) == (1, 1.0)


def test_other_protocols_and_a_single_language_are_no_pair(tmp_path: Path) -> None:
    only = write_evaluation(tmp_path / "only", "model", {"jmmlu": TaskAnswers(right([1]), "accuracy")})
    tasks = {
        "jmmlu": TaskAnswers(right([1]), "accuracy"),
        "mmlu": TaskAnswers(right([1]), "accuracy", protocol="gestalt_cot"),
    }
    mixed = write_evaluation(tmp_path / "mixed", "model", tasks)
    with pytest.raises(InputError, match="no benchmark in both languages"):
        compare_languages([only, mixed])

from pathlib import Path

import numpy as np
import pytest

from jmed_jax.errors import InputError
from jmed_jax.evaluate.compare import compare_evaluations, paired_difference
from jmed_jax.evaluate.kappa import Kappa
from jmed_jax.evaluate.paired_tests import mcnemar
from jmed_jax.evaluate.row_scores import RowScores

from .evaluation_directories import TaskAnswers, write_evaluation

GOLD = list(np.random.default_rng(0).choice(list("ABC"), size=60))


def letters(share: float, seed: int, gold: list[str] = GOLD) -> RowScores:
    """A model that knows a share of the letters and guesses the others."""
    generator = np.random.default_rng(seed)
    predicted = np.where(generator.random(len(gold)) < share, gold, generator.choice(list("ABC"), size=len(gold)))
    right = (predicted == np.array(gold)).astype(float)
    values = {"accuracy": right, "unparsable": np.zeros(len(gold))}
    return RowScores(values, {"accuracy": "mean", "unparsable": "sum"}, Kappa(gold, list(predicted), "linear"))


def two(tmp_path: Path, first: TaskAnswers, second: TaskAnswers) -> list[Path]:
    tasks = {"a": first, "b": second}
    return [write_evaluation(tmp_path / name, f"model {name}", {"smdis": task}) for name, task in tasks.items()]


def test_every_two_systems_are_compared_and_corrected_together(tmp_path: Path) -> None:
    paths = [
        write_evaluation(tmp_path / name, name, {"smdis": TaskAnswers(letters(share, 1), "kappa")})
        for name, share in (("weak", 0.1), ("good", 0.6), ("best", 0.9))
    ]
    rows = compare_evaluations(paths).rows
    assert [(row.first, row.second, row.metric) for row in rows] == [
        (first, second, metric)
        for first, second in (("weak", "good"), ("weak", "best"), ("good", "best"))
        for metric in ("kappa", "accuracy")
    ]
    assert {row.metric: row.result.test for row in rows} == {"kappa": "paired bootstrap", "accuracy": "McNemar"}
    best = max(rows, key=lambda row: row.result.difference)
    assert best.p_holm < 0.05 and best.p_holm > best.result.p
    assert min(row.p_holm for row in rows) == pytest.approx(6 * min(row.result.p for row in rows))


def test_accuracy_is_tested_by_mcnemar_and_the_difference_is_second_less_first(tmp_path: Path) -> None:
    first, second = letters(0.3, 1), letters(0.8, 2)
    (row,) = compare_evaluations(
        two(tmp_path, TaskAnswers(first, "kappa"), TaskAnswers(second, "kappa")), chosen_metrics=["accuracy"]
    ).rows
    assert row.result.p == mcnemar(first.values["accuracy"], second.values["accuracy"])
    expected = second.values["accuracy"].mean() - first.values["accuracy"].mean()
    assert row.result.difference == pytest.approx(expected)
    low, high = row.result.interval
    assert 0 < low < expected < high


def test_rows_are_paired_by_id_in_whatever_order(tmp_path: Path) -> None:
    scores, order = letters(0.5, 1), list(range(60))[::-1]
    shuffled = TaskAnswers(scores.take(order), "kappa", ids=[str(n) for n in order])
    for row in compare_evaluations(two(tmp_path, TaskAnswers(scores, "kappa"), shuffled)).rows:
        assert (row.result.difference, row.result.interval, row.p_holm) == (0.0, (0.0, 0.0), 1.0)


def test_pairing_sees_what_two_intervals_hide() -> None:
    # The second model knows all that the first knows and eight questions more.
    right = np.repeat([1.0, 0.0], 50)
    more = np.repeat([1.0, 0.0], [58, 42])
    result = paired_difference(
        *(RowScores({"partial_f1": value}, {"partial_f1": "mean"}) for value in (right, more)), "partial_f1"
    )
    assert result.test == "paired bootstrap"
    assert result.p < 0.01 and result.interval[0] > 0


def test_the_paired_bootstrap_is_as_often_significant_as_it_says() -> None:
    rejected = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        pair = [RowScores({"f1": generator.random(100)}, {"f1": "mean"}) for _ in range(2)]
        rejected += paired_difference(*pair, "f1", seed=seed, resamples=500).p < 0.05
    # ± 2.5 standard errors of a share of 200.
    assert rejected / 200 == pytest.approx(0.05, abs=0.04)


def test_rotations_of_a_question_are_one_question(tmp_path: Path) -> None:
    clusters = [f"question {n // 3}" for n in range(60)]
    tasks = [TaskAnswers(letters(share, 3), "accuracy", cluster=clusters) for share in (0.5, 0.6)]
    (row,) = compare_evaluations(two(tmp_path, *tasks)).rows
    assert (row.n, row.result.test) == (20, "paired bootstrap")


def test_other_questions_other_answers_and_another_protocol_are_refused(tmp_path: Path) -> None:
    full, some = letters(0.5, 1), letters(0.5, 1).take(range(40))
    changed = letters(0.5, 1, ["B", *GOLD[1:]] if GOLD[0] != "B" else ["A", *GOLD[1:]])
    for name, other, words in (
        ("fewer", TaskAnswers(some, "kappa"), "different questions (20 and 0"),
        ("changed", TaskAnswers(changed, "kappa"), "different right answers to 1 of 60"),
        ("protocol", TaskAnswers(full, "kappa", protocol="gestalt_cot"), "protocol letters against gestalt_cot"),
    ):
        compared = compare_evaluations(two(tmp_path / name, TaskAnswers(full, "kappa"), other))
        assert not compared.rows
        assert words in compared.refused[0] and "Evaluate both" in compared.refused[0]


def test_directories_without_a_common_task_are_refused(tmp_path: Path) -> None:
    paths = [
        write_evaluation(tmp_path / task, "model", {task: TaskAnswers(letters(0.5, 1), "kappa")}) for task in ("x", "y")
    ]
    with pytest.raises(InputError, match="nothing that two of them have in common"):
        compare_evaluations(paths)


def test_models_of_one_name_are_called_by_their_directories(tmp_path: Path) -> None:
    paths = [
        write_evaluation(tmp_path / name, "model", {"smdis": TaskAnswers(letters(0.5, 1), "kappa")}) for name in "ab"
    ]
    row = compare_evaluations(paths).rows[0]
    assert (row.first, row.second) == (str(paths[0]), str(paths[1]))


def test_a_directory_of_an_older_version_is_refused(tmp_path: Path) -> None:
    task = TaskAnswers(letters(0.5, 1), "kappa")
    task.head.pop("protocol")
    paths = two(tmp_path, task, task)
    with pytest.raises(InputError, match="Evaluate again"):
        compare_evaluations(paths)


@pytest.mark.parametrize("damaged", ["how", "out_of"])
def test_damaged_scores_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: str) -> None:
    task = TaskAnswers(letters(0.5, 1), "kappa")
    entry = {**task.entry(), damaged: 3}
    monkeypatch.setattr(task, "entry", lambda: entry)
    paths = two(tmp_path, task, task)
    with pytest.raises(InputError, match="is no object"):
        compare_evaluations(paths)


def test_points_are_compared_out_of_the_total(tmp_path: Path) -> None:
    points = np.array([1.0, 3, 1, 1] * 10)
    systems = [
        RowScores(
            {"points": points * right, "total": points}, {"points": "sum", "total": "sum"}, out_of={"points": "total"}
        )
        for right in (np.tile([1.0, 0, 1, 0], 10), np.ones(40))
    ]
    (row,) = compare_evaluations(two(tmp_path, *(TaskAnswers(scores, "points") for scores in systems))).rows
    assert (row.result.first_value, row.result.second_value, row.result.test) == (20, 60, "paired bootstrap")
    assert row.result.interval[1] < 60


def graded(tmp_path: Path, *judges: str | None) -> list[Path]:
    """Evaluations of open questions; None is one without a judge."""
    paths = []
    for number, judge in enumerate(judges):
        names = ["rouge_l", "judge"] if judge else ["rouge_l"]
        task = TaskAnswers(RowScores(dict.fromkeys(names, np.ones(3)), dict.fromkeys(names, "mean")), "rouge_l")
        task.head |= {"judge": {"name": judge}} if judge else {}
        paths.append(write_evaluation(tmp_path / str(number), f"model {number}", {"own": task}))
    return paths


def test_a_metric_that_one_of_them_lacks_is_refused(tmp_path: Path) -> None:
    for number, judges in enumerate([("one", None), (None, "one")]):
        compared = compare_evaluations(graded(tmp_path / str(number), *judges), chosen_metrics=["rouge_l", "judge"])
        assert [row.metric for row in compared.rows] == ["rouge_l"]
        (reason,) = compared.refused
        assert "own: only one of them has the metric judge" in reason


def test_grades_of_two_judges_are_not_compared(tmp_path: Path) -> None:
    (reason,) = compare_evaluations(graded(tmp_path / "a", "one", "two"), chosen_metrics=["judge"]).refused
    assert "graded by one and by two" in reason
    (row,) = compare_evaluations(graded(tmp_path / "b", "one", "one"), chosen_metrics=["judge"]).rows
    assert row.metric == "judge"

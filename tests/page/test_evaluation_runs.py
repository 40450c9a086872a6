import json
from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.jsonl import write_jsonl
from jmed_jax.page.evaluation_runs import read_inputs
from tests.page.evaluations import MadeTask, exam, write_evaluation

TASKS = {"igakuqa": exam([True, False, True, True]), "medqa": MadeTask([True, False])}


def training_run(path: Path, lines: list[dict]) -> Path:
    path.mkdir()
    (path / "run.json").write_text("{}")
    write_jsonl(path / "scores.jsonl", lines)
    return path


def test_an_evaluation_with_its_tasks_in_the_papers_order(tmp_path: Path) -> None:
    path = write_evaluation(tmp_path / "a", {**TASKS, "jmed_llm.smdis": MadeTask([True, False])})
    (run,) = read_inputs([path], {}).runs
    assert list(run.tasks) == ["jmed_llm.smdis", "igakuqa", "medqa"]
    assert (run.name, run.backend, run.hardware["count"]) == ("Qwen2-7B", "jmed_jax", 2)
    assert len(run.fingerprint) == 64


def test_names_tell_runs_apart(tmp_path: Path) -> None:
    paths = [write_evaluation(tmp_path / name, TASKS) for name in ("a", "b")]
    assert [run.name for run in read_inputs(paths, {}).runs] == ["Qwen2-7B (a)", "Qwen2-7B (b)"]
    assert [run.name for run in read_inputs(paths, {paths[1]: "tuned"}).runs] == ["Qwen2-7B", "tuned"]


def test_two_runs_of_one_name(tmp_path: Path) -> None:
    paths = [write_evaluation(tmp_path / name, TASKS) for name in ("a", "b")]
    with pytest.raises(InputError, match=r'called "x"\. Tell them apart with --label'):
        read_inputs(paths, dict.fromkeys(paths, "x"))


def test_scores_of_a_training_run(tmp_path: Path) -> None:
    lines = [
        {"step": step, "tokens": step * 100, "task": "jmed_llm.crade", "metric": "kappa", "value": step / 10}
        for step in (1, 2)
    ]
    (curves,) = read_inputs([training_run(tmp_path / "run", lines)], {}).curves
    assert [(at.tokens, at.value) for at in curves.scores["jmed_llm.crade", "kappa"]] == [(100, 0.1), (200, 0.2)]


def test_a_run_given_twice(tmp_path: Path) -> None:
    path = write_evaluation(tmp_path / "a", TASKS)
    with pytest.raises(InputError, match="given twice"):
        read_inputs([path, tmp_path / "." / "a"], {})


def test_a_directory_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither an evaluation"):
        read_inputs([tmp_path], {})


def test_scores_of_an_earlier_version_ask_for_another_evaluation(tmp_path: Path) -> None:
    old = MadeTask([True]).entry
    del old["intervals"]
    path = write_evaluation(tmp_path / "old", {}, tasks={"medqa": old})
    with pytest.raises(InputError, match=r'medqa has no "intervals".*Evaluate again'):
        read_inputs([path], {})


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = write_evaluation(tmp_path / "a", TASKS)
    scores = json.loads((path / "scores.json").read_text(encoding="utf-8"))
    scores["tasks"]["medqa"]["metrics"]["gestalt_accuracy"] = 0.9
    (path / "scores.json").write_text(json.dumps(scores, ensure_ascii=False), encoding="utf-8")
    with pytest.raises(InputError, match="manifest"):
        read_inputs([path], {})


def test_a_training_run_that_was_never_scored(tmp_path: Path) -> None:
    path = training_run(tmp_path / "run", [])
    (path / "scores.jsonl").unlink()
    with pytest.raises(InputError, match="--evaluate-every"):
        read_inputs([path], {})


def test_a_score_that_is_no_number(tmp_path: Path) -> None:
    lines = [{"step": 1, "tokens": 1, "task": "a", "metric": "kappa", "value": "high"}]
    with pytest.raises(InputError, match=r"scores.jsonl:1: \"value\" is 'high'"):
        read_inputs([training_run(tmp_path / "run", lines)], {})

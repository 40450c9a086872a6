"""What the reproduction runs, what it does not run again, and when it says that scores differ."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from jmed_jax.jsonl import write_jsonl
from tests.tools.test_conversion import TOOLS, tool

SIMILAR = {"id": "1", "question": "似ていますか？\nS1: 甲\nS2: 乙", "s1": "甲", "s2": "乙", "answer": "B"}


@pytest.fixture
def reproduce(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return tool("reproduce")


@pytest.fixture
def commands(reproduce: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commands that were run; each makes what it was asked to, and nothing in it."""
    ran: list[str] = []

    def run(argv: list[str], *, check: bool) -> None:
        assert argv[:3] == [sys.executable, "-m", "jmed_jax"] and check
        ran.append(" ".join(argv[3:5]))
        made = Path(argv[-1])
        if made.suffix:
            made.touch()
            return
        write_questions(made)

    monkeypatch.setattr(reproduce.subprocess, "run", run)
    monkeypatch.setattr(reproduce, "open_artifact", lambda *_, **__: SimpleNamespace(counts={"rows": 40}))
    return ran


def write_questions(folder: Path) -> None:
    """What the reproduction itself reads of the data."""
    (folder / "jmed_llm/train").mkdir(parents=True)
    write_jsonl(folder / "jmed_llm/train/jcsts.jsonl", [SIMILAR])
    (folder / "jmed_llm/jcsts_options.json").write_text("{}", encoding="utf-8")


def run(reproduce: ModuleType, tmp_path: Path, variant: str, validation: bool = True) -> Path:
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    made: Path = reproduce.Training(reproduce.VARIANTS[variant], data, tmp_path / "out", validation, 1.0, 0).run()
    return made


def test_every_stage_runs_once(reproduce: ModuleType, commands: list[str], tmp_path: Path) -> None:
    first = run(reproduce, tmp_path, "clinical_small")
    assert [command for command in commands if command.startswith("train")] == [
        f"train {reproduce.CONFIGS / name}.py"
        for name in ("clinical_small", *["clinical_small_exercises"] * 2, "clinical_small_instruct")
    ]
    assert commands[-1] == "evaluate run"
    commands.clear()
    assert run(reproduce, tmp_path, "clinical_small") == first
    assert commands == []


@pytest.mark.parametrize(
    ("variant", "trainings"),
    [
        ("no_neftune", 1),
        ("kept_both", 1),
        ("no_terms", 1),
        ("no_copies", 2),
        ("no_exercises", 1),
        ("document_mask", 2),
        ("half_text", 2),
        ("no_text", 1),
        ("no_dictionary", 2),
    ],
)
def test_a_variant_shares_what_comes_before_its_difference(
    reproduce: ModuleType, commands: list[str], tmp_path: Path, variant: str, trainings: int
) -> None:
    run(reproduce, tmp_path, "base")
    commands.clear()
    run(reproduce, tmp_path, variant)
    assert sum(command.startswith("train") for command in commands) == trainings
    assert ("tokenizer train" in commands) == (variant == "no_dictionary")


@pytest.mark.usefixtures("commands")
def test_a_killed_training_is_called_again(
    reproduce: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(reproduce, tmp_path, "clinical_small")
    # A training that was killed has its directory, but not the mark.
    mark = next((tmp_path / "out").glob(".clinical_small-*.finished"))
    assert float(mark.read_text(encoding="utf-8").split()[0]) >= 0
    mark.unlink()
    again: list[str] = []
    monkeypatch.setattr(reproduce.subprocess, "run", lambda argv, **_: again.append(argv[3]))
    run(reproduce, tmp_path, "clinical_small")
    assert again == ["train"]
    assert mark.read_text(encoding="utf-8") == "", "the rest of a stage is not its time"


def test_the_documents_of_questions_stand_once(reproduce: ModuleType, tmp_path: Path) -> None:
    rows = [
        {"question": "空想熱でしたか？\n「昨日から熱がある。」"},
        {"question": "頭痛でしたか？\n「昨日から熱がある。」"},
        {"question": "どれか。"},
        {"question": "似ていますか？\nS1: 甲\nS2: 乙", "s1": "甲である", "s2": "乙である"},
    ]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    texts = [row["text"] for row in reproduce.question_documents(tmp_path)]
    assert texts == ["昨日から熱がある。", "どれか。", "甲である", "乙である"]


def test_a_swapped_pair_is_asked_for_the_other_way_round(reproduce: ModuleType) -> None:
    other = reproduce.swapped(SIMILAR)
    assert other == {**SIMILAR, "question": "似ていますか？\nS1: 乙\nS2: 甲", "s1": "乙", "s2": "甲"}
    assert reproduce.swapped(other) == SIMILAR


def entry(score: float, low: float, high: float) -> dict[str, Any]:
    return {"score": score, "interval": [low, high]}


def test_a_score_outside_of_the_recorded_interval_is_named(reproduce: ModuleType) -> None:
    recorded = {"a": entry(0.5, 0.4, 0.6), "b": entry(0.5, 0.4, 0.6), "c": entry(0.1, 0.0, 0.2)}
    lines = reproduce.differences({"a": entry(0.45, 0.3, 0.6), "b": entry(0.7, 0.6, 0.8)}, recorded)
    assert lines == ["c: not scored", "b: 0.700 is outside of [0.400, 0.600]"]


def test_results_are_read_from_an_evaluation(reproduce: ModuleType, tmp_path: Path) -> None:
    metrics = {"kappa": 0.5, "accuracy": 0.75}
    task = {
        "main_metric": "kappa",
        "n": 4,
        "metrics": metrics,
        "intervals": {"kappa": [0.1, 0.9]},
        "clean": None,
        "baselines": {"majority": {"kappa": 0.0}, "linear": {"kappa": 0.4}},
    }
    (tmp_path / "scores.json").write_text(json.dumps({"tasks": {"jmed_llm.smdis": task}}), encoding="utf-8")
    found = reproduce.task_results(tmp_path)["jmed_llm.smdis"]
    assert (found["score"], found["interval"], found["linear"], found["clean_n"]) == (0.5, [0.1, 0.9], 0.4, 0)

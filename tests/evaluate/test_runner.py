import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.artifact import open_artifact
from jmed_jax.errors import InputError
from jmed_jax.evaluate.prompts import Conversation
from jmed_jax.evaluate.runner import run_tasks
from jmed_jax.evaluate.score import score_predictions
from jmed_jax.jsonl import read_jsonl

from .rows import choice_row, exam_row, extraction_row, write_rows


class Parrot:
    """A backend that says one thing and remembers what it was asked."""

    name = "parrot"

    def __init__(self, output: str, restores_writing: bool = False) -> None:
        self.output = output
        self.restores_writing = restores_writing
        self.asked: list[Conversation] = []

    def generate_chat(self, conversations: Sequence[Conversation], *, max_new_tokens: int, label: str) -> list[str]:
        assert max_new_tokens == 512 and label
        self.asked += conversations
        return [self.output] * len(conversations)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    tests = [choice_row(f"smdis-test-{i:05d}", letter) for i, letter in enumerate("AB")]
    write_rows(root / "jmed_llm/test/smdis.jsonl", tests)
    train = [choice_row("smdis-train-00000", "B", doc_id="doc-smdis-test-00001"), choice_row("smdis-train-00001", "B")]
    write_rows(root / "jmed_llm/train/smdis.jsonl.gz", train)
    report = "症状は？\n「ＣＤ８陽性。」"
    write_rows(root / "jmed_llm/test/nrner.jsonl", [extraction_row(answers=("ＣＤ８陽性",), question=report)])
    write_rows(root / "igakuqa/ja/2018.jsonl", [exam_row("112A1"), exam_row("112A2", ("b",))])
    example = {"problem_id": "100E5", "problem_text": "例題。", "choices": ["一"], "answer": ["a"]}
    write_rows(root / "igakuqa/fewshot.jsonl", [example])
    return root


def run(backend: Parrot, tasks: list[str], data: Path, out: Path, **options: Any) -> dict[str, Any]:
    run_tasks(backend, tasks, data, out, model_info={"path": "model"}, **options)
    return json.loads((out / "scores.json").read_text(encoding="utf-8"))


def rows(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_jsonl(path)]


def test_an_evaluation_holds_prompts_predictions_and_scores(data: Path, tmp_path: Path) -> None:
    backend = Parrot("Bです")
    scores = run(backend, ["jmed_llm.smdis"], data, tmp_path / "out")
    entry = scores["tasks"]["jmed_llm.smdis"]
    assert scores["model"] == {"path": "model"}
    assert (entry["protocol"], entry["n"], entry["metrics"]["accuracy"]) == ("jmed_llm", 2, 0.5)
    assert entry["baselines"]["majority"]["accuracy"] == 0.5 and "kappa" in entry["baselines"]["random"]
    assert (entry["clean"]["n"], entry["clean"]["accuracy"]) == (1, 0.0)
    prompts = rows(tmp_path / "out/prompts-jmed_llm.smdis.jsonl")
    assert [row["messages"] for row in prompts] == backend.asked
    (first, _) = rows(tmp_path / "out/predictions-jmed_llm.smdis.jsonl")
    assert first == {
        "id": "smdis-test-00000",
        "prediction": "B",
        "output": "Bです",
        "raw_output": "Bです",
        "gold": "A",
    }
    artifact = open_artifact(tmp_path / "out", "evaluation")
    assert artifact.counts == {"jmed_llm.smdis": 2}
    assert artifact.config["max_new_tokens"] == 512


def test_the_predictions_file_scores_the_same_again(data: Path, tmp_path: Path) -> None:
    entry = run(Parrot("b"), ["igakuqa"], data, tmp_path / "out")["tasks"]["igakuqa"]
    again = score_predictions("igakuqa", [data / "igakuqa/ja"], tmp_path / "out/predictions-igakuqa.jsonl")
    assert (entry["protocol"], entry["metrics"]["points"], again["points"]) == ("igakuqa_points", 1, 1)
    assert entry["groups"] == again["groups"]


def test_writing_is_restored_only_where_the_backend_asks_for_it(data: Path, tmp_path: Path) -> None:
    plain = run(Parrot("['CD8陽性']"), ["jmed_llm.nrner"], data, tmp_path / "plain")
    restored = run(Parrot("['CD8陽性']", restores_writing=True), ["jmed_llm.nrner"], data, tmp_path / "restored")
    assert plain["tasks"]["jmed_llm.nrner"]["metrics"]["exact_f1"] == 0.0
    assert restored["tasks"]["jmed_llm.nrner"]["metrics"]["exact_f1"] == 1.0
    (row,) = rows(tmp_path / "restored/predictions-jmed_llm.nrner.jsonl")
    assert (row["raw_output"], row["output"]) == ("['CD8陽性']", "['ＣＤ８陽性']")


def test_few_shot_examples_reach_igakuqa_only(data: Path, tmp_path: Path) -> None:
    backend = Parrot("a")
    tasks = ["jmed_llm.smdis", "igakuqa"]
    run(backend, tasks, data, tmp_path / "out", fewshot=data / "igakuqa/fewshot.jsonl")
    assert [len(messages) for messages in backend.asked] == [2, 2, 4, 4]
    with pytest.raises(InputError, match="few-shot examples are for igakuqa"):
        run(backend, ["jmed_llm.smdis"], data, tmp_path / "b", fewshot=data / "igakuqa/fewshot.jsonl")


def test_limit_asks_the_first_questions(data: Path, tmp_path: Path) -> None:
    scores = run(Parrot("A"), ["jmed_llm.smdis"], data, tmp_path / "out", limit=1)
    assert scores["tasks"]["jmed_llm.smdis"]["n"] == 1
    assert scores["tasks"]["jmed_llm.smdis"]["metrics"]["accuracy"] == 1.0


def test_the_prompt_hash_follows_the_wording(data: Path, tmp_path: Path) -> None:
    def prompt_hash(out: str, fewshot: Path | None = None) -> str:
        scores = run(Parrot("A"), ["igakuqa"], data, tmp_path / out, fewshot=fewshot)
        return str(scores["tasks"]["igakuqa"]["prompt_sha256"])

    zero_shot = prompt_hash("one")
    assert prompt_hash("two") == zero_shot
    assert prompt_hash("three", data / "igakuqa/fewshot.jsonl") != zero_shot


def test_absent_gold_names_the_path_and_nothing_is_asked_or_written(data: Path, tmp_path: Path) -> None:
    backend = Parrot("A")
    with pytest.raises(InputError, match=r"jmed_llm/test/crade.jsonl"):
        run(backend, ["jmed_llm.smdis", "jmed_llm.crade"], data, tmp_path / "out")
    with pytest.raises(InputError, match=r"igakuqa/ja"):
        run(backend, ["igakuqa"], tmp_path, tmp_path / "out")
    assert not backend.asked and not (tmp_path / "out").exists()


def test_an_existing_evaluation_is_kept_unless_told_otherwise(data: Path, tmp_path: Path) -> None:
    backend = Parrot("A")
    run(backend, ["jmed_llm.smdis"], data, tmp_path / "out")
    asked = len(backend.asked)
    with pytest.raises(InputError, match="exists"):
        run(backend, ["jmed_llm.smdis"], data, tmp_path / "out")
    assert len(backend.asked) == asked
    run(backend, ["jmed_llm.smdis"], data, tmp_path / "out", overwrite=True)


def test_scores_without_training_rows_have_no_majority_and_no_clean_rows(data: Path, tmp_path: Path) -> None:
    entry = run(Parrot("A"), ["jmed_llm.nrner"], data, tmp_path / "out")["tasks"]["jmed_llm.nrner"]
    assert set(entry["baselines"]) == {"random"}
    assert "clean" not in entry

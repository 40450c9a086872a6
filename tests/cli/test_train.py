"""`jmed train`: its options beside the configuration's fields."""

import json
from pathlib import Path

import pytest

from jmed_jax.train.metrics import read_metrics
from tests.cli.conftest import Ask, Refuse, Workshop, run


def train(workshop: Workshop, out: Path, *more: str | Path) -> tuple[str | Path, ...]:
    return "train", workshop["tiny.py"], "--run", out, "--data.rows", workshop["rows"], *more


def test_a_line_of_metrics_has_the_promised_fields(workshop: Workshop) -> None:
    promised = {"step", "loss", "tokens", "lr", "grad_norm", "tokens_per_s", "mfu", "skipped"}
    assert all(line.keys() >= promised for line in read_metrics(Path(workshop["run"])))


def test_a_profile_of_some_steps(ask: Ask, workshop: Workshop, tmp_path: Path) -> None:
    ask(*train(workshop, tmp_path / "run", "--profile-steps", "2:2"))
    assert list((tmp_path / "run" / "profile").rglob("*.xplane.pb"))


def test_scores_in_training(ask: Ask, workshop: Workshop, tmp_path: Path) -> None:
    evaluate = ("--evaluate-every", "1", "--evaluate-data", workshop["sample"], "--evaluate-limit", "2")
    ask(*train(workshop, tmp_path / "run", *evaluate, "--evaluate-tasks", "jmed_llm.smdis,igakuqa"))
    rows = [json.loads(line) for line in (tmp_path / "run" / "scores.jsonl").read_text().splitlines()]
    assert {(row["step"], row["tokens"]) for row in rows} == {(2, 2048)}
    assert {(row["task"], row["metric"]) for row in rows} >= {("jmed_llm.smdis", "accuracy"), ("igakuqa", "points")}
    assert (tmp_path / "run" / "evaluations" / "step-2" / "predictions-igakuqa.jsonl").exists()


def test_validation_rows(ask: Ask, workshop: Workshop, tmp_path: Path) -> None:
    pack = ("pack", "--mode", "concat", "--tokenizer", workshop["tokenizer"], "--row-length", "128")
    ask(*pack, "--corpus", workshop["corpus"], "--out", tmp_path / "held_out")
    validation = ("--data.validation-rows", tmp_path / "held_out", "--train.validate-every", "1")
    ask(*train(workshop, tmp_path / "run", *validation))
    rows = [json.loads(line) for line in (tmp_path / "run" / "validation.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    assert all(0 < row["loss"] < 10 and 0 < row["bits_per_byte"] < 10 for row in rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--profile-steps 5", '--profile-steps "5": expected FIRST:LAST'),
        ("--evaluate-every 2", "--evaluate-every, --evaluate-tasks and --evaluate-data belong together"),
        ("--evaluate-limit 2", "--evaluate-every, --evaluate-tasks and --evaluate-data belong together"),
        ("--evaluate-every 2 --evaluate-tasks nonsense --evaluate-data nowhere", 'no task "nonsense"'),
        ("--evaluate-every 2 --evaluate-tasks igakuqa --evaluate-data nowhere", "nowhere"),
        ("--process -1", "'-1' is not a whole number from 0"),
        ("--train.validate-every 5", "data.validation_rows and train.validate_every belong together"),
        ("--data.validation-rows nowhere --train.validate-every 5", "nowhere: no manifest.json here"),
        ("--train.initialize-from nowhere", "nowhere: neither a run (run.json) nor a Hugging Face directory"),
    ],
)
def test_what_is_refused(options: str, message: str, refuse: Refuse, workshop: Workshop, tmp_path: Path) -> None:
    assert message in refuse(*train(workshop, tmp_path / "run", *options.split()))


def test_a_model_without_chat_tokens_is_not_asked_after_days(
    refuse: Refuse, workshop: Workshop, tmp_path: Path
) -> None:
    corpus = ("pack", "--mode", "concat", "--tokenizer", workshop["tokenizer"], "--row-length", "128")
    run(*corpus, "--corpus", workshop["corpus"], "--out", tmp_path / "rows")
    evaluate = ("--evaluate-every", "1", "--evaluate-tasks", "igakuqa", "--evaluate-data", workshop["sample"])
    rows = ("--data.rows", tmp_path / "rows", "--model.vocab-size", "1000")
    assert "Set --model.vocab-size 1003" in refuse(*train(workshop, tmp_path / "run", *rows, *evaluate))
    assert not (tmp_path / "run").exists()

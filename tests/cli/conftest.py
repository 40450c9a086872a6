"""A tiny model and what it was made of, all through the command line."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from jmed_jax.cli import main

CONFIG = """
from jmed_jax.config import DataConfig, ExperimentConfig, ModelConfig, TrainConfig

def config():
    return ExperimentConfig(
        name="tiny",
        model=ModelConfig(
            vocab_size=1003, num_layers=1, hidden_size=16, mlp_size=32, num_heads=2, num_kv_heads=1, head_dim=8,
            context_length=128, attention_dropout=0.0, residual_dropout=0.0,
        ),
        data=DataConfig(batch_size=8),
        train=TrainConfig(steps=2, compute_dtype="float32", loss_chunk=64),
    )
"""


@dataclass(frozen=True)
class Workshop:
    """Where everything is. Tests read it; what they write goes elsewhere."""

    path: Path

    def __getitem__(self, name: str) -> str:
        return str(self.path / name)


def run(*arguments: str | Path) -> None:
    assert main([str(argument) for argument in arguments]) == 0


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    path = tmp_path_factory.mktemp("workshop")
    made = Workshop(path)
    (path / "tiny.py").write_text(CONFIG)
    run("data", "sample", "--out", made["sample"])
    conversations = ("data", "conversations", "--tasks", "jmed_llm", "--data", made["sample"], "--limit-per-task", "6")
    run(*conversations, "--out", made["conversations.jsonl"])
    run("corpus", "build", made["sample/pretrain/synthetic_records.jsonl.gz"], "--out", made["corpus"])
    run("dictionary", "build", made["sample/dictionary"], "--out", made["dictionary"])
    tokenizer = ("tokenizer", "train", "--corpus", made["corpus"], "--vocab-size", "1000", "--num-sub-iterations", "1")
    run(*tokenizer, "--dictionary", made["dictionary"], "--out", made["tokenizer"])
    pack = ("pack", "--tokenizer", made["tokenizer"], "--row-length", "128")
    fit = ("--mode", "fit", "--conversations", made["conversations.jsonl"], "--overlong", "truncate")
    run(*pack, *fit, "--out", made["rows"])
    run("train", made["tiny.py"], "--run", made["run"], "--data.rows", made["rows"])
    return made


Ask = Callable[..., dict]
Refuse = Callable[..., str]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Run a command with --json and return the object on its last line."""

    def ask(*arguments: str | Path) -> dict:
        capsys.readouterr()
        run(*arguments, "--json")
        return json.loads(capsys.readouterr().out.splitlines()[-1])

    return ask


@pytest.fixture
def refuse(capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Run a command that must fail with exit code 2 and one error line, and return that line."""

    def refuse(*arguments: str | Path) -> str:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        errors = [line for line in captured.err.splitlines() if line.startswith("error: ")]
        assert (code, len(errors)) == (2, 1), captured.err
        assert captured.err.splitlines()[-1] == errors[0]
        assert "Traceback" not in captured.err
        assert captured.out == ""
        return errors[0]

    return refuse

"""Real processes: killed at any moment, told to stop, or two in one directory."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.train.checkpoint import Checkpoints
from jmed_jax.train.goodput import read_goodput
from jmed_jax.train.metrics import read_metrics
from tests import tiny
from tests.train.test_base import save_model

ROOT = Path(__file__).resolve().parents[2]
STEPS = 150

CONFIG = """
from jmed_jax.config import DataConfig, ExperimentConfig, ModelConfig, OptimizerConfig, TrainConfig

def config():
    return ExperimentConfig(
        name="tiny",
        model=ModelConfig(
            vocab_size=96, num_layers=1, hidden_size=16, mlp_size=32, num_heads=2, num_kv_heads=1, head_dim=8,
            context_length=32,
        ),
        data=DataConfig(rows={rows!r}, batch_size=4),
        optimizer=OptimizerConfig(peak_lr=1e-2),
        train=TrainConfig(
            steps={steps}, compute_dtype="float32", loss_chunk=64, checkpoint_every=7, keep_checkpoints=2
        ),
    )
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = tiny.make_rows(tmp_path / "rows")
    (tmp_path / "tiny.py").write_text(CONFIG.format(rows=str(rows), steps=STEPS))
    return tmp_path


def play(scenario: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.train.forked", scenario, str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def with_adapter(folder: Path) -> Path:
    """The configuration becomes one of an adapter beside an int8 base, with dropout."""
    base = save_model(folder / "base", num_layers=1)
    config = (folder / "tiny.py").read_text()
    for old, new in (
        ("import DataConfig", "import LoraConfig, DataConfig"),
        ("hidden_size=16, mlp_size=32, num_heads=2, num_kv_heads=1", "hidden_size=32, mlp_size=64, num_heads=4"),
        ("context_length=32", "num_kv_heads=2, context_length=32, gated_mlp=True"),
        ("train=TrainConfig(", 'lora=LoraConfig(rank=2, base="int8", dropout=0.1),\n        train=TrainConfig('),
        ("checkpoint_every", f"initialize_from={str(base)!r}, checkpoint_every"),
    ):
        assert old in config
        config = config.replace(old, new)
    (folder / "tiny.py").write_text(config)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("adapter", [False, True], ids=["all parameters", "adapter"])
def test_a_run_killed_ten_times_writes_what_one_left_alone_writes(folder: Path, adapter: bool) -> None:
    result = play("killed", with_adapter(folder) if adapter else folder)
    assert len(result["lines_at_kills"]) == 10 and result["finished"] == 0
    # At work, most of the times.
    assert len(set(result["lines_at_kills"])) > 4
    straight, killed = read_metrics(folder / "straight"), read_metrics(folder / "killed")
    assert [line["step"] for line in killed] == list(range(1, STEPS + 1))
    # Bit for bit: JSON holds the shortest decimal that reads back as the same float.
    for name in ("loss", "lr", "grad_norm", "targets", "tokens", "skipped"):
        assert [line[name] for line in killed] == [line[name] for line in straight], name
    assert read_goodput(folder / "killed")["steps_lost"] > 0


@pytest.mark.slow
def test_sigterm_saves_and_a_second_process_is_refused(folder: Path) -> None:
    result = play("stopped", folder)
    assert (result["second"], result["first"], result["again"]) == (2, 130, 0)
    lock = folder / "run" / ".lock"
    (error,) = [line for line in result["message"].splitlines() if line.startswith("error: ")]
    assert error.startswith(f"error: {lock}: another process is training in this run directory (process ")
    assert f"process {result['holder']} on " in error
    assert [line["step"] for line in read_metrics(folder / "run")] == list(range(1, STEPS + 1))
    goodput = read_goodput(folder / "run")
    # Saved when it was stopped, so nothing is computed twice.
    assert (goodput["sessions"], goodput["steps_lost"]) == (2, 0)
    reader = Checkpoints(folder / "run")
    assert reader.latest_step() == STEPS
    reader.close()

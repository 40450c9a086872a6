import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from jmed_jax.config import DataConfig, ExperimentConfig, MeshConfig
from jmed_jax.errors import InputError
from jmed_jax.train import loop
from jmed_jax.train.metrics import read_metrics
from jmed_jax.train.run import locked
from tests import tiny


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return tiny.make_rows(tmp_path / "rows")


@pytest.fixture
def one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests whose subject is not sharding: saving eight replicas compiles a slice for every shape."""
    monkeypatch.setattr(loop, "make_mesh", tiny.one_device_mesh)


def losses(run: Path) -> list[float]:
    lines = read_metrics(run)
    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))
    return [line["loss"] for line in lines]


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Send this process SIGINT when the given step has been recorded."""
    write = loop.MetricsLog.write

    def write_and_stop(self: loop.MetricsLog, step: int, *values: float) -> None:
        write(self, step, *values)
        if step == steps:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop.MetricsLog, "write", write_and_stop)


@pytest.mark.slow
def test_interrupted_run_goes_on_with_the_same_losses(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(tiny.experiment(rows, steps=6), mesh=MeshConfig(mode="fsdp", fsdp=8))
    loop.train(config, tmp_path / "straight")
    with monkeypatch.context() as patched:
        stop_after(patched, 3)
        with pytest.raises(loop.Interrupted, match="stopped at step"):
            loop.train(config, tmp_path / "stopped")
    assert len(losses(tmp_path / "stopped")) < 6
    loop.train(config, tmp_path / "stopped")
    assert losses(tmp_path / "stopped") == losses(tmp_path / "straight")


@pytest.mark.usefixtures("one_device")
def test_lines_after_the_last_checkpoint_are_cut_on_resume(rows: Path, tmp_path: Path) -> None:
    config = tiny.experiment(rows, steps=2)
    loop.train(config, tmp_path / "run")
    expected = losses(tmp_path / "run")
    with (tmp_path / "run" / "metrics.jsonl").open("a") as stream:
        stream.write(json.dumps({"step": 3, "loss": 1.0}) + '\n{"step": 4, "lo')
    loop.train(config, tmp_path / "run")
    assert losses(tmp_path / "run") == expected


@pytest.mark.usefixtures("one_device")
def test_another_configuration_is_refused(rows: Path, tmp_path: Path) -> None:
    config = tiny.experiment(rows, steps=2)
    loop.train(config, tmp_path / "run")
    other = replace(config, optimizer=replace(config.optimizer, peak_lr=0.5))
    with pytest.raises(InputError, match=r"optimizer\.peak_lr is 0\.01 there and 0\.5 here"):
        loop.train(other, tmp_path / "run")


@pytest.mark.usefixtures("one_device")
def test_other_rows_are_refused(rows: Path, tmp_path: Path) -> None:
    loop.train(tiny.experiment(rows, steps=2), tmp_path / "run")
    others = tiny.make_rows(tmp_path / "others", seed=1)
    with pytest.raises(InputError, match="other rows"):
        loop.train(tiny.experiment(others, steps=2), tmp_path / "run")


def test_a_directory_that_is_no_run_is_refused(rows: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.docx").touch()
    with pytest.raises(InputError, match="not empty"):
        loop.train(tiny.experiment(rows), tmp_path / "home")


def test_a_truncated_shard_is_refused_by_name(rows: Path, tmp_path: Path) -> None:
    shard = rows / "rows-00000.array_record"
    os.truncate(shard, shard.stat().st_size - 100)
    with pytest.raises(InputError, match=r"rows-00000.array_record: .* truncated"):
        loop.train(tiny.experiment(rows), tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: replace(c, model=replace(c.model, vocab_size=50)), "--model.vocab-size 96"),
        (lambda c: replace(c, model=replace(c.model, context_length=64)), "--row-length 64"),
        (lambda c: replace(c, data=DataConfig()), "data.rows is not set"),
        (lambda c: replace(c, data=replace(c.data, batch_size=512)), "24 rows, but one step takes 512"),
        (lambda c: replace(c, data=replace(c.data, batch_size=3)), "does not divide over 8"),
    ],
)
def test_rows_that_do_not_fit_are_refused_before_anything_is_written(
    rows: Path, tmp_path: Path, change: object, message: str
) -> None:
    config: ExperimentConfig = change(tiny.experiment(rows))  # type: ignore[operator]
    with pytest.raises(InputError, match=message):
        loop.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_locked_run_is_refused(rows: Path, tmp_path: Path) -> None:
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(tmp_path / "run"):
            entered.set()
            leave.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait()
    try:
        with pytest.raises(InputError, match="another process"):
            loop.train(tiny.experiment(rows), tmp_path / "run")
    finally:
        leave.set()
        holder.join()


@pytest.mark.usefixtures("one_device")
def test_a_larger_vocabulary_keeps_the_old_rows(rows: Path, tmp_path: Path) -> None:
    base = tiny.experiment(rows, steps=2)
    loop.train(base, tmp_path / "base")
    larger = replace(base, model=replace(base.model, vocab_size=tiny.VOCAB + 3))
    larger = replace(larger, train=replace(larger.train, initialize_from=str(tmp_path / "base")))
    result = loop.train(larger, tmp_path / "larger")
    assert losses(tmp_path / "larger")[0] < losses(tmp_path / "base")[0]
    assert result["steps"] == 2


@pytest.mark.usefixtures("one_device")
def test_another_tokenizer_is_refused(rows: Path, tmp_path: Path) -> None:
    loop.train(tiny.experiment(rows, steps=2), tmp_path / "base")
    others = tiny.make_rows(tmp_path / "others", tokenizer="another")
    config = tiny.experiment(others, steps=2, initialize_from=str(tmp_path / "base"))
    with pytest.raises(InputError, match="another tokenizer"):
        loop.train(config, tmp_path / "run")


@pytest.mark.usefixtures("one_device")
def test_another_architecture_is_refused(rows: Path, tmp_path: Path) -> None:
    loop.train(tiny.experiment(rows, steps=2), tmp_path / "base")
    config = tiny.experiment(rows, steps=2, initialize_from=str(tmp_path / "base"))
    config = replace(config, model=replace(config.model, num_layers=3))
    with pytest.raises(InputError, match="does not fit"):
        loop.train(config, tmp_path / "run")

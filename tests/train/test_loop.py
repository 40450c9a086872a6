import errno
import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.config import DataConfig, ExperimentConfig, MeshConfig
from jmed_jax.data.rows import RowFormat, open_rows
from jmed_jax.errors import InputError
from jmed_jax.train import batches, loop
from jmed_jax.train.batches import Batches
from jmed_jax.train.checkpoint import Checkpoints
from jmed_jax.train.goodput import read_goodput
from jmed_jax.train.guards import Diverged, Spike, SpikeDetector
from jmed_jax.train.metrics import read_metrics
from jmed_jax.train.run import locked
from jmed_jax.train.scoring import Evaluation, Score
from jmed_jax.train.step_lines import StepLines
from tests import tiny
from tests.train.stopping import stop_after


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
def test_an_id_beyond_the_vocabulary_is_refused(rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As damaged rows would have it: the manifest speaks of fewer ids than there are.
    monkeypatch.setattr(
        batches, "open_rows", lambda path: (*open_rows(path)[:1], RowFormat(32, 50), open_rows(path)[2])
    )
    config = tiny.experiment(rows)
    config = replace(config, model=replace(config.model, vocab_size=50))
    with pytest.raises(InputError, match=r"batch 0 has the token id 9\d, but model.vocab_size is 50: damaged rows"):
        loop.train(config, tmp_path / "run")


# --- disks ------------------------------------------------------------------------------------------------------------


def no_space(*_arguments: object, **_settings: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.usefixtures("one_device")
def test_a_full_disk_stops_the_run_and_leaves_the_last_checkpoint(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.experiment(rows)
    loop.train(config, tmp_path / "straight")
    write = StepLines.write

    def full_after_step_3(self: StepLines, line: dict) -> None:
        no_space() if line["step"] > 3 else write(self, line)

    with monkeypatch.context() as patched:
        patched.setattr(StepLines, "write", full_after_step_3)
        with pytest.raises(InputError, match=r"no space left on the device\. The checkpoint of step 2 is complete"):
            loop.train(config, tmp_path / "run")
    loop.train(config, tmp_path / "run")
    assert losses(tmp_path / "run") == losses(tmp_path / "straight")


@pytest.mark.usefixtures("one_device")
def test_a_disk_that_is_full_from_the_start_is_named_and_the_run_begins_when_there_is_room(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.experiment(rows, steps=2)
    with monkeypatch.context() as patched:
        patched.setattr("jmed_jax.train.run.write_run", no_space)
        with pytest.raises(InputError, match=r"run: writing failed: no space left .* There is no complete checkpoint"):
            loop.train(config, tmp_path / "run")
    loop.train(config, tmp_path / "run")
    assert len(losses(tmp_path / "run")) == 2


@pytest.mark.usefixtures("one_device")
def test_a_checkpoint_that_fails_in_the_background_stops_the_run(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny.experiment(rows, steps=40)

    def fail_in_step_4(self: Checkpoints, step: int, *arguments: Any) -> None:
        if step == 4:
            self.manager.check_for_errors = tensorstore_is_full
        else:
            save(self, step, *arguments)

    def tensorstore_is_full() -> None:
        raise ValueError("RESOURCE_EXHAUSTED: … No space left on device [os_error_code='28']")

    save = Checkpoints.save
    monkeypatch.setattr(Checkpoints, "save", fail_in_step_4)
    with pytest.raises(InputError, match=r"no space left on the device\. The checkpoint of step 2 is complete"):
        loop.train(config, tmp_path / "run")


@pytest.mark.usefixtures("one_device")
def test_a_run_directory_that_vanishes_stops_the_run(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = StepLines.write

    def move_away_after_step_3(self: StepLines, line: dict) -> None:
        write(self, line)
        if line["step"] == 3:
            # What Orbax is in the middle of writing it would write all the same.
            while not (tmp_path / "run" / "checkpoints" / "2").exists():
                time.sleep(0.01)
            (tmp_path / "run").rename(tmp_path / "elsewhere")

    with monkeypatch.context() as patched:
        patched.setattr(StepLines, "write", move_away_after_step_3)
        with pytest.raises(InputError, match=r"run: writing failed: the directory is gone\. There is no complete"):
            loop.train(tiny.experiment(rows), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    loop.train(tiny.experiment(rows), tmp_path / "elsewhere")
    assert len(losses(tmp_path / "elsewhere")) == 6


# --- guards -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("one_device")
def test_a_rewind_goes_on_from_before_the_spike_on_other_rows(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe = SpikeDetector.observe

    def spike_at_step_5(self: SpikeDetector, step: int, loss: float) -> Spike | None:
        observe(self, step, loss)
        return Spike(step, loss, 1.0, 2.0) if step == 5 else None

    monkeypatch.setattr(SpikeDetector, "observe", spike_at_step_5)
    config = tiny.experiment(rows, rewind_on_spike=True, spike_batches=1, max_rewinds=1)
    taken: list[int] = []
    take = Batches.take
    monkeypatch.setattr(Batches, "take", lambda self, index: taken.append(index) or take(self, index))
    loop.train(config, tmp_path / "run")
    # Step 6 was dispatched before step 5 was judged; batch 4 does not come again.
    assert taken == [0, 1, 2, 3, 4, 5, 5, 6]
    assert len(losses(tmp_path / "run")) == 6
    loop_state = json.loads((tmp_path / "run" / "checkpoints" / "6" / "loop" / "metadata").read_text())["loop"]
    assert loop_state["next_batch"] == 7 and loop_state["guards"]["left_out"] == [[4, 5]]


@pytest.mark.usefixtures("one_device")
def test_steps_that_are_not_finite_are_counted_and_end_the_run(rows: Path, tmp_path: Path) -> None:
    config = tiny.experiment(rows, max_skipped=3)
    config = replace(config, model=replace(config.model, norm_eps=float("nan")))
    with pytest.raises(Diverged, match="3 steps in a row were skipped"):
        loop.train(config, tmp_path / "run")
    lines = read_metrics(tmp_path / "run")
    assert [(line["step"], line["loss"], line["skipped"]) for line in lines] == [
        (1, None, 1),
        (2, None, 2),
        (3, None, 3),
    ]


@pytest.mark.usefixtures("one_device")
def test_statistics_by_layer_are_drawn(rows: Path, tmp_path: Path) -> None:
    loop.train(tiny.experiment(rows, steps=2, statistics_every=2), tmp_path / "run")
    (file,) = (tmp_path / "run" / "tensorboard").iterdir()
    assert b"updates/blocks.mlp.up.kernel/1" in file.read_bytes()


# --- measuring --------------------------------------------------------------------------------------------------------


def validating(config: ExperimentConfig, held_out: Path, *, every: int) -> ExperimentConfig:
    data = replace(config.data, validation_rows=str(held_out))
    return replace(config, data=data, train=replace(config.train, validate_every=every))


@pytest.mark.usefixtures("one_device")
def test_the_time_of_a_run_adds_up_and_has_every_part(rows: Path, tmp_path: Path) -> None:
    held_out = tiny.make_rows(tmp_path / "held_out", seed=1)
    config = validating(tiny.experiment(rows), held_out, every=2)
    evaluation = Evaluation(1, lambda _parameters, _step: [Score("task", "accuracy", 0.5)])
    before = time.perf_counter()
    loop.train(config, tmp_path / "run", evaluation=evaluation)
    wall = time.perf_counter() - before
    goodput = read_goodput(tmp_path / "run")
    assert all(goodput["seconds"].values()), goodput
    assert sum(goodput["seconds"].values()) == pytest.approx(goodput["wall_seconds"])
    assert 0 <= wall - goodput["wall_seconds"] < 0.1 * wall


@pytest.mark.usefixtures("one_device")
def test_validation_is_written_and_cut_like_the_rest(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = tiny.make_rows(tmp_path / "held_out", seed=1)
    config = validating(tiny.experiment(rows), held_out, every=3)
    loop.train(config, tmp_path / "straight")
    with monkeypatch.context() as patched:
        stop_after(patched, 3)
        with pytest.raises(loop.Interrupted):
            loop.train(config, tmp_path / "run")
    loop.train(config, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "validation.jsonl").read_text().splitlines()]
    assert [(line["step"], line["rows"]) for line in lines] == [(3, 24), (6, 24)]
    assert (tmp_path / "run" / "validation.jsonl").read_text() == (
        tmp_path / "straight" / "validation.jsonl"
    ).read_text()
    # It looks on: losses are those of a run without it.
    loop.train(tiny.experiment(rows), tmp_path / "without")
    assert losses(tmp_path / "run") == losses(tmp_path / "without")


@pytest.mark.usefixtures("one_device")
def test_scores_come_at_every_nth_checkpoint_and_at_the_end(rows: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, float]] = []

    def score(parameters: Any, step: int) -> list[Score]:
        seen.append((step, float(parameters["final_norm"]["scale"][0])))
        return [Score("igakuqa", "points", float(step)), Score("igakuqa", "share", 0.5)]

    config = tiny.experiment(rows, steps=10)
    loop.train(config, tmp_path / "run", evaluation=Evaluation(2, score))
    assert [step for step, _ in seen] == [4, 8, 10]
    # Of the step's own parameters, which the next step gives away.
    assert len({scale for _, scale in seen}) == 3
    path = tmp_path / "run" / "scores.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {"step": 4, "tokens": 4 * 256, "task": "igakuqa", "metric": "points", "value": 4.0}
    assert len(lines) == 6
    # Killed after the last checkpoint and before its scores: they are made up for.
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[:4]) + '{"step": 10')
    loop.train(config, tmp_path / "run", evaluation=Evaluation(2, score))
    assert [json.loads(line) for line in path.read_text().splitlines()] == lines
    assert seen[3] == seen[2]


@pytest.mark.usefixtures("one_device")
def test_a_profile_of_some_steps(rows: Path, tmp_path: Path) -> None:
    loop.train(tiny.experiment(rows, steps=4), tmp_path / "run", profile_steps=range(2, 4))
    assert list((tmp_path / "run" / "profile").rglob("*.xplane.pb"))

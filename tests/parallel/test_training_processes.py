"""`jmed train` by several real processes: the same losses as by one, for every mode."""

import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from jmed_jax.train.metrics import read_metrics
from tests import tiny
from tests.parallel.processes import launch, outcomes

pytestmark = pytest.mark.slow

STEPS = 5
CONFIG = """from tests import tiny
def config(): return tiny.experiment(steps={steps})
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("processes")
    tiny.make_rows(path / "rows")
    (path / "config.py").write_text(CONFIG.format(steps=STEPS))
    return path


def command(place: Path, run: Path, processes: int, *options: str) -> list[str]:
    parts = ["jmed_jax", "train", str(place / "config.py"), "--run", str(run), "--data.rows", str(place / "rows")]
    if processes > 1:
        parts += ["--coordinator", "{coordinator}", "--processes", "{processes}", "--process", "{process}"]
    return [*parts, *options]


def losses(place: Path, run: Path, processes: int, devices: int, *options: str) -> list[float]:
    """Of a run that trains to its end; only the first process has something to say."""
    results = outcomes(launch(command(place, run, processes, *options), processes, devices))
    assert [code for code, _ in results] == [0] * processes, "\n".join(text for _, text in results)
    assert "loss" in results[0][1]
    assert not any("loss" in text for _, text in results[1:])
    lines = read_metrics(run)
    assert [line["step"] for line in lines] == list(range(1, STEPS + 1))
    return [line["loss"] for line in lines]


@pytest.fixture(scope="module")
def expected(place: Path) -> list[float]:
    return losses(place, place / "one", 1, 1)


@pytest.mark.parametrize(
    ("processes", "devices", "mesh"),
    [
        (2, 4, "--mesh.mode ddp"),
        (2, 4, "--mesh.mode fsdp --mesh.fsdp 8"),
        (2, 4, "--mesh.mode fsdp --mesh.fsdp 2 --mesh.tensor 2"),
        (4, 2, "--mesh.mode fsdp --mesh.fsdp 4 --mesh.tensor 2"),
        # The tensor axis joins two processes each, which read the same rows.
        (4, 1, "--mesh.mode zero2 --mesh.fsdp 2 --mesh.tensor 2"),
    ],
)
def test_processes_have_the_losses_of_one(
    place: Path, tmp_path: Path, expected: list[float], processes: int, devices: int, mesh: str
) -> None:
    found = losses(place, tmp_path / "run", processes, devices, *mesh.split())
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(set(found)) == STEPS


def test_a_checkpoint_of_two_processes_goes_on_in_one(place: Path, tmp_path: Path, expected: list[float]) -> None:
    run = tmp_path / "run"
    losses(place, run, 2, 2, "--mesh.mode", "zero2", "--mesh.fsdp", "4")
    # As if it had been killed before the last checkpoint, at the end.
    shutil.rmtree(run / "checkpoints" / str(STEPS))
    found = losses(place, run, 1, 4, "--mesh.mode", "fsdp", "--mesh.fsdp", "2", "--mesh.tensor", "2")
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_sigterm_to_one_process_saves_and_ends_all(place: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = ("--train.steps", "100000", "--train.log-every", "1", "--train.checkpoint-every", "100000")
    running = launch(command(place, run, 2, *options), 2, 1)
    assert running[0].stdout is not None
    while not (line := running[0].stdout.readline()).startswith("step 3/"):
        assert line, "ended early"
    running[1].send_signal(signal.SIGTERM)
    results = outcomes(running)
    assert [code for code, _ in results] == [130, 130], results
    last = read_metrics(run)[-1]["step"]
    assert (run / "checkpoints" / str(last)).is_dir()


def test_bad_input_of_the_first_process_ends_all(place: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "somebody's").touch()
    first, second = outcomes(launch(command(place, run, 2), 2, 1))
    assert first[0] == second[0] == 2
    assert first[1].splitlines()[-1].startswith(f"error: {run}: not empty, and no run of ours")
    assert second[1].startswith(f"error: process 0 stopped: {run}: not empty")

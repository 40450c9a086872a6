"""What a checkpoint holds, what is kept, that a run goes on under another sharding, and that damage is told."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from jmed_jax.config import ExperimentConfig, MeshConfig, TrainConfig
from jmed_jax.errors import InputError
from jmed_jax.parallel.mesh import AXES
from jmed_jax.train.checkpoint import Checkpoints, LoopState
from jmed_jax.train.run import Run, write_run
from jmed_jax.train.step import Trainer, TrainState
from tests import tiny

SETTINGS = TrainConfig(checkpoint_every=2, keep_checkpoints=2)
HERE = SingleDeviceSharding(jax.devices()[0])


def make_run(path: Path, config: ExperimentConfig | None = None, tokenizer: str = "tiny") -> Run:
    """A run directory with its description and nothing else."""
    path.mkdir(exist_ok=True)
    run = Run(path, config or tiny.experiment(), {"rows": "rows", "tokenizer": tokenizer})
    write_run(path, run.config, run.inputs)
    return run


# --- other meshes -----------------------------------------------------------------------------------------------------


def make_trainer(mode: str, *, data: int = 1, fsdp: int = 1, tensor: int = 1) -> Trainer:
    shape = (data, fsdp, tensor)
    count = int(np.prod(shape))
    types = (AxisType.Auto,) * len(AXES)
    mesh: Mesh = jax.make_mesh(shape, AXES, axis_types=types, devices=jax.devices()[:count])
    config = MeshConfig(mode, data, fsdp, tensor)  # type: ignore[arg-type]
    return Trainer(replace(tiny.experiment(), mesh=config), mesh)


def train(trainer: Trainer, state: TrainState, steps: range) -> tuple[TrainState, list[float]]:
    losses = []
    for step in steps:
        state, metrics = trainer.step(state, {}, trainer.place(tiny.random_batch(seed=step)))
        losses.append(float(metrics.loss))
    return state, losses


@pytest.fixture(scope="module")
def saved_by_eight(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, TrainState, list[float]]:
    """A checkpoint after two steps of `ddp` on 8 devices, its state, and the losses of the next two steps."""
    run = make_run(tmp_path_factory.mktemp("run"))
    trainer = make_trainer("ddp", data=8)
    state, _ = train(trainer, trainer.fresh_state(), range(2))
    checkpoints = Checkpoints(run.path, SETTINGS)
    checkpoints.save(2, state, LoopState(2, 512, {"skipped": 0}), run)
    checkpoints.close()
    saved = jax.device_get(state)
    return run, saved, train(trainer, state, range(2, 4))[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "axes"),
    [
        ("ddp", {}),
        ("fsdp", {"fsdp": 4}),
        ("zero2", {"data": 2, "fsdp": 4}),
        ("ddp", {"tensor": 2}),
        ("fsdp", {"data": 2, "fsdp": 2, "tensor": 2}),
    ],
    ids=["one-device", "fsdp-4", "zero2-2x4", "tensor-2", "fsdp-2x2x2"],
)
def test_a_run_goes_on_on_other_devices_with_the_same_losses(
    saved_by_eight: tuple[Run, TrainState, list[float]], mode: str, axes: dict[str, int]
) -> None:
    run, saved, expected = saved_by_eight
    trainer = make_trainer(mode, **axes)
    checkpoints = Checkpoints(run.path, SETTINGS)
    restored, loop = checkpoints.restore(trainer.abstract_state, trainer.state_shardings, run)
    checkpoints.close()
    assert loop == LoopState(2, 512, {"skipped": 0})
    # Every leaf: step, parameters, both moments of Adam and their counters.
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(restored), saved)
    jax.tree.map(
        lambda a, s: a.sharding.is_equivalent_to(s, a.ndim) or pytest.fail(), restored, trainer.state_shardings
    )
    _, losses = train(trainer, restored, range(2, 4))
    np.testing.assert_allclose(losses, expected, atol=1e-5)


# --- what is there ----------------------------------------------------------------------------------------------------


def small_state(value: int) -> TrainState:
    return TrainState(jnp.asarray(value), {"x": jnp.full((2,), value)}, {"mu": jnp.full((2,), value)})


def save(run: Run, *steps: int, settings: TrainConfig = SETTINGS) -> None:
    checkpoints = Checkpoints(run.path, settings)
    for step in steps:
        checkpoints.save(step, small_state(step), LoopState(step), run)
    checkpoints.close()


def restore(run: Run) -> tuple[TrainState, LoopState]:
    abstract = jax.eval_shape(lambda: small_state(0))
    checkpoints = Checkpoints(run.path, SETTINGS)
    try:
        return checkpoints.restore(abstract, jax.tree.map(lambda _: HERE, abstract), run)
    finally:
        checkpoints.close()


def steps_on_disk(run: Run) -> list[int]:
    return sorted(int(path.name) for path in (run.path / "checkpoints").iterdir())


@pytest.mark.parametrize(("keep_every", "kept"), [(0, [5, 6]), (3, [3, 5, 6])])
def test_the_last_ones_and_the_periodic_ones_are_kept(tmp_path: Path, keep_every: int, kept: list[int]) -> None:
    run = make_run(tmp_path)
    save(run, *range(1, 7), settings=replace(SETTINGS, checkpoint_every=1, keep_every=keep_every))
    assert steps_on_disk(run) == kept


def test_parameters_of_any_step_that_is_there(tmp_path: Path) -> None:
    save(make_run(tmp_path), 2, 4)
    reader = Checkpoints(tmp_path)
    abstract = jax.eval_shape(lambda: small_state(0).parameters)
    shardings = jax.tree.map(lambda _: HERE, abstract)
    for step, value in ((None, 4), (4, 4), (2, 2)):
        assert reader.restore_parameters(abstract, shardings, step)["x"].tolist() == [value, value]
    with pytest.raises(InputError, match="no complete checkpoint of step 3 here"):
        reader.restore_parameters(abstract, shardings, 3)


@pytest.mark.parametrize("saved", [PartitionSpec(), PartitionSpec(None, "fsdp")])
def test_parameters_are_read_onto_any_mesh_and_tell_their_dtype(saved: PartitionSpec, tmp_path: Path) -> None:
    mesh = jax.make_mesh((4, 2), ("fsdp", "tensor"))
    x = np.arange(8 * 16, dtype=np.float32).reshape(8, 16)
    run = make_run(tmp_path)
    writer = Checkpoints(tmp_path, SETTINGS)
    writer.save_parameters(0, {"x": jax.device_put(x, NamedSharding(mesh, saved))}, run)
    writer.close()
    reader = Checkpoints(tmp_path)
    assert reader.stored_dtype() == np.float32
    abstract = {"x": jax.ShapeDtypeStruct(x.shape, jnp.bfloat16)}
    for spec in (PartitionSpec(), PartitionSpec("tensor", "fsdp"), PartitionSpec(("fsdp", "tensor"))):
        sharding = NamedSharding(mesh, spec)
        restored = reader.restore_parameters(abstract, {"x": sharding})["x"]
        np.testing.assert_array_equal(restored, x.astype(jnp.bfloat16))
        assert restored.sharding.is_equivalent_to(sharding, 2)
    with pytest.raises(InputError, match="no complete checkpoint of step 3 here"):
        reader.stored_dtype(3)
    reader.close()


def test_a_checkpoint_is_due_at_the_configured_steps(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    assert [step for step in range(1, 7) if checkpoints.due(step)] == [2, 4, 6]
    checkpoints.close()


def test_a_rewind_takes_the_later_checkpoints_away(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    save(run, 2, 4)
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    checkpoints.delete_from(4)
    assert checkpoints.latest_step() == 2
    checkpoints.save(4, small_state(5), LoopState(9), run)
    checkpoints.close()
    assert restore(run)[1].next_batch == 9


def test_half_a_checkpoint_is_none(tmp_path: Path) -> None:
    save(make_run(tmp_path), 2)
    (tmp_path / "checkpoints" / "2").rename(tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp")
    assert Checkpoints(tmp_path).latest_step() is None


def test_reading_needs_a_checkpoint_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint yet"):
        Checkpoints(tmp_path)
    assert not list(tmp_path.iterdir())


# --- what does not belong, and what is damaged ------------------------------------------------------------------------


def test_a_checkpoint_of_another_tokenizer_is_refused(tmp_path: Path) -> None:
    save(make_run(tmp_path), 2)
    with pytest.raises(InputError, match=r"checkpoints/2: a checkpoint of another tokenizer"):
        restore(make_run(tmp_path, tokenizer="another"))


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path: Path) -> None:
    config = tiny.experiment()
    save(make_run(tmp_path, config), 2)
    other = make_run(tmp_path, replace(config, model=replace(config.model, num_layers=3)))
    with pytest.raises(InputError, match=r"another configuration \(model.num_layers is 2 there and 3 here\)"):
        restore(other)


def test_a_checkpoint_saved_on_another_mesh_is_not(tmp_path: Path) -> None:
    config = tiny.experiment()
    save(make_run(tmp_path, config), 2)
    restore(make_run(tmp_path, replace(config, mesh=MeshConfig(mode="fsdp", fsdp=8))))


def array_file(run: Run, step: int) -> Path:
    """A file that the numbers of the parameters are found by."""
    return run.path / "checkpoints" / str(step) / "parameters" / "manifest.ocdbt"


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("what", ["truncated", "missing", "loop"])
def test_a_damaged_newest_checkpoint_is_named_and_what_to_do(tmp_path: Path, what: str) -> None:
    run = make_run(tmp_path)
    save(run, 2, 4)
    damage: dict[str, Any] = {
        "truncated": lambda: truncate(array_file(run, 4)),
        "missing": lambda: array_file(run, 4).unlink(),
        "loop": lambda: truncate(tmp_path / "checkpoints" / "4" / "loop" / "metadata"),
    }
    damage[what]()
    with pytest.raises(InputError, match=r"checkpoints/4: this checkpoint is damaged \(.*\)\. Move it away to go on"):
        restore(run)
    (tmp_path / "checkpoints" / "4").rename(tmp_path / "away")
    assert restore(run)[1].next_batch == 2


def test_a_flipped_bit_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What the compression of the file lets through is not for a test to find: the bit flips behind it.
    run = make_run(tmp_path)
    save(run, 2)
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    original = checkpoints.manager.restore

    def flipped(*args: Any, **settings: Any) -> Any:
        items = dict(original(*args, **settings).items())
        if "parameters" in items:
            items["parameters"]["x"] = items["parameters"]["x"].at[1].add(1)
        return items

    monkeypatch.setattr(checkpoints.manager, "restore", flipped)
    abstract = jax.eval_shape(lambda: small_state(0))
    with pytest.raises(InputError, match=r"damaged \(parameters.x is not what was saved\)\. There is no older one"):
        checkpoints.restore(abstract, jax.tree.map(lambda _: HERE, abstract), run)


# --- disks ------------------------------------------------------------------------------------------------------------


def test_a_run_directory_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    checkpoints = Checkpoints(run.path, SETTINGS)
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="the run directory is gone"):
        checkpoints.save(2, small_state(2), LoopState(2), run)
    assert not run.path.exists()

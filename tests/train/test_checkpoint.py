"""What a checkpoint holds, what is kept, and that a run goes on under another sharding."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from jmed_jax.config import MeshConfig, TrainConfig
from jmed_jax.errors import InputError
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.train.checkpoint import Checkpoints
from jmed_jax.train.step import Trainer, TrainState
from tests import tiny

ONE_DEVICE = MeshConfig(mode="ddp")
FSDP = MeshConfig(mode="fsdp", data=1, fsdp=8)
FSDP_TENSOR = MeshConfig(mode="fsdp", data=2, fsdp=2, tensor=2)
SETTINGS = TrainConfig(checkpoint_every=2, keep_checkpoints=2)


def make_trainer(config: MeshConfig) -> Trainer:
    mesh: Mesh = tiny.one_device_mesh() if config is ONE_DEVICE else make_mesh(config)
    return Trainer(replace(tiny.experiment(), mesh=config), mesh)


def train(trainer: Trainer, state: TrainState, steps: range) -> tuple[TrainState, list[float]]:
    losses = []
    for step in steps:
        state, metrics = trainer.step(state, trainer.place(tiny.random_batch(seed=step)))
        losses.append(float(metrics.loss))
    return state, losses


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"), [(FSDP, ONE_DEVICE), (ONE_DEVICE, FSDP_TENSOR)], ids=["fsdp-to-one", "one-to-tensor"]
)
def test_a_run_goes_on_under_another_mode_with_the_same_losses(
    tmp_path: Path, before: MeshConfig, after: MeshConfig
) -> None:
    trainer = make_trainer(before)
    state, _ = train(trainer, trainer.fresh_state(), range(2))
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    checkpoints.save(2, state, {"next_batch": 2})
    checkpoints.close()
    saved = jax.device_get(state)
    _, expected = train(trainer, state, range(2, 4))

    trainer = make_trainer(after)
    restored, loop = Checkpoints(tmp_path, SETTINGS).restore(trainer.abstract_state, trainer.state_shardings)
    assert loop == {"next_batch": 2}
    # Every leaf: step, parameters, both moments of Adam and their counters.
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(restored), saved)
    jax.tree.map(
        lambda a, s: a.sharding.is_equivalent_to(s, a.ndim) or pytest.fail(), restored, trainer.state_shardings
    )
    assert int(restored.optimizer[1][0].count) == 2
    _, losses = train(trainer, restored, range(2, 4))
    np.testing.assert_allclose(losses, expected, atol=1e-5)


def small_state(value: int) -> TrainState:
    return TrainState(jnp.asarray(value), {"x": jnp.full((2,), value)}, {"mu": jnp.full((2,), value)})


def steps_on_disk(run: Path) -> list[int]:
    return sorted(int(path.name) for path in (run / "checkpoints").iterdir())


@pytest.mark.parametrize(("keep_every", "kept"), [(0, [5, 6]), (3, [3, 5, 6])])
def test_the_last_ones_and_the_periodic_ones_are_kept(tmp_path: Path, keep_every: int, kept: list[int]) -> None:
    checkpoints = Checkpoints(tmp_path, replace(SETTINGS, checkpoint_every=1, keep_every=keep_every))
    for step in range(1, 7):
        checkpoints.save(step, small_state(step), {})
    checkpoints.close()
    assert steps_on_disk(tmp_path) == kept


def test_parameters_of_any_step_that_is_there(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    for step in (2, 4):
        checkpoints.save(step, small_state(step), {})
    checkpoints.close()
    reader = Checkpoints(tmp_path)
    abstract = jax.eval_shape(lambda: small_state(0).parameters)
    shardings = jax.tree.map(lambda _: jax.sharding.SingleDeviceSharding(jax.devices()[0]), abstract)
    for step, value in ((None, 4), (4, 4), (2, 2)):
        assert reader.restore_parameters(abstract, shardings, step)["x"].tolist() == [value, value]
    with pytest.raises(InputError, match="no complete checkpoint of step 3 here"):
        reader.restore_parameters(abstract, shardings, 3)


def test_a_checkpoint_is_due_at_the_configured_steps(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    assert [step for step in range(1, 7) if checkpoints.due(step)] == [2, 4, 6]
    checkpoints.close()


def test_half_a_checkpoint_is_none(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, SETTINGS)
    checkpoints.save(2, small_state(2), {})
    checkpoints.close()
    (tmp_path / "checkpoints" / "2").rename(tmp_path / "checkpoints" / "2.orbax-checkpoint-tmp")
    assert Checkpoints(tmp_path).latest_step() is None


def test_reading_needs_a_checkpoint_directory(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint yet"):
        Checkpoints(tmp_path)
    assert not list(tmp_path.iterdir())

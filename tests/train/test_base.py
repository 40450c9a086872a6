"""What an adapter is trained beside: where it comes from, that it is the same when a run goes on, what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jmed_jax.config import ExperimentConfig, LoraConfig
from jmed_jax.errors import InputError
from jmed_jax.models.decoder import initialize_parameters
from jmed_jax.train import loop
from jmed_jax.train.base import read_base
from jmed_jax.train.checkpoint import Checkpoints
from jmed_jax.train.initialize import initial_state
from jmed_jax.train.metrics import read_metrics
from jmed_jax.train.run import Run, write_run
from jmed_jax.train.step import Trainer
from tests import tiny
from tests.train.stopping import stop_after

LORA = LoraConfig(rank=2, base="int8")


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return tiny.make_rows(tmp_path / "rows")


@pytest.fixture(autouse=True)
def one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sharding is not the subject."""
    monkeypatch.setattr(loop, "make_mesh", tiny.one_device_mesh)


def save_model(path: Path, *, seed: int = 0, dtype: str = "bfloat16", **model: int) -> Path:
    """A run as an import leaves it: parameters of step 0 and no optimiser."""
    experiment = replace(tiny.experiment(), model=replace(tiny.MODEL, gated_mlp=True, **model))
    inputs = {"rows": "", "tokenizer": "tiny"}
    path.mkdir()
    write_run(path, experiment, inputs)
    parameters = nnx.to_pure_dict(initialize_parameters(experiment.model, seed))
    checkpoints = Checkpoints(path, experiment.train)
    narrow = jax.tree.map(lambda a: a.astype(dtype), parameters)
    checkpoints.save_parameters(0, narrow, Run(path, experiment, inputs))
    checkpoints.close()
    return path


def experiment(rows: Path, base: Path | str, lora: LoraConfig = LORA, **train: Any) -> ExperimentConfig:
    config = tiny.experiment(rows, initialize_from=str(base), **train)
    return replace(config, model=replace(tiny.MODEL, gated_mlp=True), lora=lora)


def losses(run: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(run)]


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_the_same_losses_and_a_small_checkpoint(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = save_model(tmp_path / "base")
    config = experiment(rows, base, replace(LORA, dropout=0.1), steps=5)
    loop.train(config, tmp_path / "straight")
    with monkeypatch.context() as patched:
        stop_after(patched, 3)
        with pytest.raises(loop.Interrupted):
            loop.train(config, tmp_path / "stopped")
    # The base may have moved; its values count.
    moved = base.rename(tmp_path / "moved")
    loop.train(replace(config, train=replace(config.train, initialize_from=str(moved))), tmp_path / "stopped")
    assert losses(tmp_path / "stopped") == losses(tmp_path / "straight")
    assert len(losses(tmp_path / "straight")) == 5

    checkpoints = Checkpoints(tmp_path / "stopped")
    saved = checkpoints.manager.item_metadata(5)["parameters"].tree
    assert set(saved) == {"blocks"} and set(saved["blocks"]["mlp"]["up"]) == {"lora"}
    assert len(checkpoints.inputs()["base"]) == 64
    checkpoints.close()


def test_another_base_is_refused_when_a_run_goes_on(rows: Path, tmp_path: Path) -> None:
    config = experiment(rows, save_model(tmp_path / "base"), steps=2)
    loop.train(config, tmp_path / "run")
    other = save_model(tmp_path / "other", seed=1)
    config = replace(config, train=replace(config.train, initialize_from=str(other)))
    with pytest.raises(InputError, match=f"trained beside other parameters than those of {other}. Give the base"):
        loop.train(config, tmp_path / "run")


def test_another_base_is_refused_before_the_first_checkpoint_too(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = experiment(rows, save_model(tmp_path / "base"), steps=1)
    with monkeypatch.context() as patched:
        # As a process that is killed.
        patched.setattr(Checkpoints, "save", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            loop.train(config, tmp_path / "run")
    other = save_model(tmp_path / "other", seed=1)
    with pytest.raises(InputError, match=f"begun beside other parameters than those of {other}. Give the base"):
        loop.train(replace(config, train=replace(config.train, initialize_from=str(other))), tmp_path / "run")
    moved = (tmp_path / "base").rename(tmp_path / "moved")
    loop.train(replace(config, train=replace(config.train, initialize_from=str(moved))), tmp_path / "run")
    assert len(losses(tmp_path / "run")) == 1


def test_an_adapter_needs_a_base_before_anything_is_written(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Give --train.initialize-from DIR"):
        loop.train(experiment(rows, ""), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_new_rows_of_the_vocabulary_are_refused(rows: Path, tmp_path: Path) -> None:
    base = save_model(tmp_path / "base", vocab_size=90)
    with pytest.raises(InputError, match=r"its vocabulary has 90 rows and model.vocab_size is 96, but an adapter"):
        loop.train(experiment(rows, base), tmp_path / "run")


def test_an_adapter_is_no_base(rows: Path, tmp_path: Path) -> None:
    loop.train(experiment(rows, save_model(tmp_path / "base"), steps=1), tmp_path / "adapter")
    for lora in (LORA, LoraConfig()):
        with pytest.raises(InputError, match=r"adapter: a run that trains an adapter.*Export the two merged"):
            loop.train(experiment(rows, tmp_path / "adapter", lora), tmp_path / f"rank-{lora.rank}")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_base_is_kept_as_configured_whatever_it_was_saved_in(rows: Path, tmp_path: Path, dtype: str) -> None:
    base = save_model(tmp_path / "base", dtype=dtype)
    for form, expected in (("float32", "float32"), ("bfloat16", "bfloat16"), ("int8", "int8")):
        config = experiment(rows, base, replace(LORA, base=form))
        trainer = Trainer(config, tiny.one_device_mesh())
        frozen, run = read_base(trainer, Run(tmp_path, config, {"tokenizer": "tiny"}))
        assert jax.tree.map(lambda a: (a.shape, a.dtype), frozen) == jax.tree.map(
            lambda a: (a.shape, a.dtype), trainer.abstract_frozen
        )
        kernel = frozen["blocks"]["mlp"]["up"]["kernel"]
        assert (kernel["int8"] if form == "int8" else kernel).dtype == expected
        assert run.inputs["base"] and run.inputs["tokenizer"] == "tiny"


def test_full_training_from_bfloat16_has_float32_parameters(tmp_path: Path) -> None:
    """MFPT from an import: master weights and moments are float32."""
    base = save_model(tmp_path / "base")
    config = experiment(tmp_path, base, LoraConfig())
    trainer = Trainer(config, tiny.one_device_mesh())
    run = Run(tmp_path / "run", config, {"rows": "rows", "tokenizer": "tiny"})
    checkpoints = Checkpoints(run.path, config.train)
    state, _ = initial_state(trainer, run, checkpoints, {})
    checkpoints.close()
    assert {leaf.dtype for leaf in jax.tree.leaves(state.parameters)} == {jnp.dtype("float32")}
    original = initialize_parameters(config.model, 0)["embedding"]["embedding"][...]
    np.testing.assert_array_equal(
        state.parameters["embedding"]["embedding"], original.astype("bfloat16").astype("float32")
    )


def test_a_damaged_base_is_named(rows: Path, tmp_path: Path) -> None:
    base = save_model(tmp_path / "base")
    for file in (base / "checkpoints" / "0" / "parameters").rglob("*"):
        if file.is_file() and file.stat().st_size > 2000:
            file.write_bytes(file.read_bytes()[:-900])
    with pytest.raises(InputError, match="checkpoints/0: this checkpoint is damaged"):
        loop.train(experiment(rows, base), tmp_path / "run")

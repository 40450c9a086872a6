"""Training an adapter: what moves, what does not, what is never computed, and on how many devices."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend.core import jaxprs_in_params

from jmed_jax.config import ExperimentConfig, LoraConfig, MeshConfig
from jmed_jax.models.decoder import initialize_parameters
from jmed_jax.models.lora import base_dtype
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.train.base import frozen_from
from jmed_jax.train.step import Parameters, Trainer
from tests import tiny

PLAIN = LoraConfig(rank=4, base="float32")


def experiment(lora: LoraConfig = PLAIN, **train: object) -> ExperimentConfig:
    base = tiny.experiment(**train)
    model = replace(tiny.MODEL, hidden_size=64, head_dim=16, gated_mlp=True, qkv_bias=True)
    return replace(base, model=model, lora=lora)


def frozen_of(trainer: Trainer) -> Parameters:
    """A random base as the trainer keeps it."""
    model, dtype = trainer.config.model, base_dtype(trainer.config.lora)

    def make() -> Parameters:
        return jax.tree.map(lambda a: a.astype(dtype), nnx.to_pure_dict(initialize_parameters(model, 7)))

    base = frozen_from(jax.jit(make)(), trainer)
    return jax.tree.map(jax.device_put, base, trainer.frozen_shardings)


def run_steps(config: ExperimentConfig, steps: int, *, mesh: Any = None, passes: int = 1) -> tuple[list[float], Any]:
    """Losses and the last state, on the same batch."""
    trainer = Trainer(config, mesh or tiny.one_device_mesh())
    frozen = frozen_of(trainer)
    state, losses = trainer.fresh_state(frozen), []
    before = jax.device_get(frozen)
    for _ in range(steps):
        state, metrics = trainer.step(state, frozen, trainer.place(tiny.random_batch(passes=passes)))
        losses.append(float(metrics.loss))
    jax.tree.map(np.testing.assert_array_equal, frozen, before)
    return losses, jax.device_get(state)


@pytest.mark.parametrize("base", ["float32", "bfloat16", "int8", "nf4"])
def test_the_adapter_alone_is_trained_and_kept(base: Any) -> None:
    losses, state = run_steps(experiment(replace(PLAIN, base=base)), 4)
    assert losses[-1] < losses[0] - 0.1
    names = {jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state.parameters)}
    assert len(names) == 14 and all("'lora'" in name for name in names)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.parameters)} == {np.dtype(np.float32)}
    assert jax.tree.structure(state.optimizer[1][0].mu) == jax.tree.structure(state.parameters)


@pytest.mark.slow
def test_everything_that_training_knows_goes_with_an_adapter() -> None:
    lora = replace(PLAIN, dropout=0.1, dora=True, rank_stabilized=True, base="nf4")
    config = experiment(
        lora, compute_dtype="bfloat16", neftune_alpha=5.0, remat="attention", statistics_every=1, steps=8
    )
    config = replace(
        config,
        data=replace(config.data, accumulation=2, attention_mask="document"),
        optimizer=replace(config.optimizer, moments_dtype="bfloat16", decay_norms_and_embeddings=False),
    )
    losses, _ = run_steps(config, 8, passes=2)
    assert losses[-1] < losses[0] - 0.05


def test_passes_of_an_adapter_draw_different_dropout() -> None:
    still = replace(
        experiment(replace(PLAIN, dropout=0.5)), optimizer=replace(tiny.experiment().optimizer, peak_lr=1e-9)
    )
    trainer = Trainer(still, tiny.one_device_mesh())
    frozen = frozen_of(trainer)
    state = trainer.fresh_state(frozen)
    # b is zero at first, and then dropout does nothing.
    parameters = jax.tree.map(lambda a: a + 0.1, state.parameters)
    state = state._replace(parameters=parameters)
    losses = []
    for _ in range(3):
        state, metrics = trainer.step(state, frozen, trainer.place(tiny.random_batch()))
        losses.append(float(metrics.loss))
    assert len(set(losses)) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mesh", "lora"),
    [
        (MeshConfig("zero2", 2, 4), PLAIN),
        (MeshConfig("fsdp", 1, 8), replace(PLAIN, base="int8")),
        (MeshConfig("fsdp", 2, 2, 2), replace(PLAIN, base="nf4", dora=True)),
    ],
    ids=["zero2", "fsdp", "fsdp and tensor"],
)
def test_eight_devices_compute_what_one_does(mesh: MeshConfig, lora: LoraConfig) -> None:
    config = experiment(lora)
    expected, one = run_steps(config, 2)
    losses, many = run_steps(replace(config, mesh=mesh), 2, mesh=make_mesh(mesh))
    np.testing.assert_allclose(losses, expected, atol=2e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-3), many.parameters, one.parameters)


def test_devices_share_the_base_and_the_adapter() -> None:
    mesh = MeshConfig("fsdp", 1, 4, 2)
    trainer = Trainer(replace(experiment(replace(PLAIN, base="nf4")), mesh=mesh), make_mesh(mesh))
    frozen = frozen_of(trainer)
    state = trainer.fresh_state(frozen)
    up, query = frozen["blocks"]["mlp"]["up"]["kernel"], state.parameters["blocks"]["attention"]["query"]["lora"]
    L, D, F, R = 2, 64, 64, 4
    assert up["nf4"].shape == (L, D // 2, F) and up["nf4"].sharding.shard_shape(up["nf4"].shape) == (L, D // 8, F // 2)
    assert query["a"].sharding.shard_shape(query["a"].shape) == (L, D // 4, R)
    assert query["b"].sharding.shard_shape(query["b"].shape) == (L, R, 64 // 2)


# --- what is never computed -------------------------------------------------------------------------------------------


def equations(jaxpr: Any) -> Any:
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from equations(inner)


@pytest.mark.parametrize("remat", ["none", "full"])
def test_no_gradient_of_a_frozen_matrix_is_computed(remat: Any) -> None:
    """Not of the head either, whose loss has its own backward pass."""
    config = experiment(replace(PLAIN, base="int8"), remat=remat)
    # Sizes that occur once.
    model = replace(config.model, hidden_size=48, mlp_size=80, vocab_size=112)
    config = replace(config, model=model, train=replace(config.train, loss_chunk=40))
    trainer = Trainer(config, tiny.one_device_mesh())
    text = (
        trainer.step.lower(trainer.abstract_state, trainer.abstract_frozen, trainer.abstract_batch).compile().as_text()
    )
    products = [line.split(" = ")[1] for line in text.splitlines() if " dot(" in line]
    assert products
    for shape in ("48,80", "80,48", "48,112", "112,48", "48,64", "64,48"):
        assert not [product for product in products if product.startswith(f"f32[{shape}]")], shape


@pytest.mark.parametrize("remat", ["none", "full"])
@pytest.mark.parametrize("base", ["int8", "nf4"])
def test_dense_kernels_are_there_a_layer_at_a_time(base: Any, remat: Any) -> None:
    """Sixteen layers in a loop: kernels that were kept for the backward pass would be sixteen dense ones."""
    config = experiment(replace(PLAIN, base=base), remat=remat, batch_size=1)
    model = replace(config.model, num_layers=16, hidden_size=128, mlp_size=512)
    trainer = Trainer(replace(config, model=model), tiny.one_device_mesh())
    traced = trainer.step.trace(trainer.abstract_state, trainer.abstract_frozen, trainer.abstract_batch)
    shapes = {
        v.aval.shape
        for equation in equations(traced.jaxpr.jaxpr)
        for v in equation.outvars
        if jnp.issubdtype(v.aval.dtype, jnp.floating)
    }
    assert (128, 512) in shapes and not shapes & {(16, 128, 512), (16, 512, 128)}

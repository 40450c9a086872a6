"""One optimiser step: what the loss is a mean of, what accumulation adds up, where noise comes from."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jmed_jax.config import ExperimentConfig, MeshConfig
from jmed_jax.data.loader import Batch
from jmed_jax.models.decoder import abstract_parameters, initialize_parameters
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.train.loss import LossSums
from jmed_jax.train.step import Parameters, Trainer, TrainState, accumulate_gradients, loss_sums
from tests import tiny

BASE = tiny.experiment()
DROPOUT = replace(BASE, model=replace(BASE.model, attention_dropout=0.2, residual_dropout=0.2))
GRAPHDEF = abstract_parameters(BASE.model)[0]
KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    return jax.jit(lambda: nnx.to_pure_dict(initialize_parameters(BASE.model, 0)))()


def accumulated(config: ExperimentConfig, parameters: Parameters, batch: Batch) -> tuple[LossSums, Parameters]:
    graphdef = abstract_parameters(config.model)[0]
    return jax.jit(lambda p, b: accumulate_gradients(graphdef, config, p, b, KEY))(parameters, batch)


def pass_sums(config: ExperimentConfig, parameters: Parameters, batch: Batch) -> LossSums:
    """Sums of the batch's first pass."""
    first = jax.tree.map(lambda a: a[0], batch)
    return jax.jit(lambda p, b: loss_sums(GRAPHDEF, config, p, b, KEY))(parameters, first)


def loss(config: ExperimentConfig, parameters: Parameters, batch: Batch) -> float:
    return float(pass_sums(config, parameters, batch).loss)


def uneven_batch() -> Batch:
    """Three passes with about 1 %, 30 % and 90 % targets."""
    parts = [tiny.random_batch(seed=i, target_share=share) for i, share in enumerate((0.01, 0.3, 0.9))]
    return Batch(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def test_accumulated_passes_equal_one_big_batch(parameters: Parameters) -> None:
    batch = uneven_batch()
    targets = batch.loss_mask.sum((1, 2))
    assert 0 < targets[0] < targets[2] / 20
    big = Batch(*(a.reshape(1, -1, tiny.LENGTH) for a in batch))
    passes, at_once = accumulated(BASE, parameters, batch), accumulated(BASE, parameters, big)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), passes, at_once)


def test_the_loss_is_the_mean_cross_entropy_of_the_targets(parameters: Parameters) -> None:
    batch = tiny.random_batch()
    tokens, mask = batch.tokens[0], batch.loss_mask[0]
    logits = jax.jit(lambda p, ids: nnx.merge(GRAPHDEF, p)(ids))(parameters, tokens)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits[:, :-1], tokens[:, 1:])
    sums = pass_sums(BASE, parameters, batch)
    np.testing.assert_allclose(sums.loss, losses[mask[:, 1:]].sum(), rtol=1e-5)
    assert sums.tokens == mask[:, 1:].sum()


def test_with_length_normalization_one_every_conversation_of_the_step_counts_the_same(parameters: Parameters) -> None:
    config = replace(BASE, train=replace(BASE.train, length_normalization=1.0))
    batch = tiny.random_batch()
    mask, segments = batch.loss_mask[0, :, 1:], batch.segment_ids[0, :, 1:]
    logits = jax.jit(lambda p, ids: nnx.merge(GRAPHDEF, p)(ids))(parameters, batch.tokens[0])
    losses = np.asarray(optax.softmax_cross_entropy_with_integer_labels(logits[:, :-1], batch.tokens[0, :, 1:]))
    of_conversations = [
        losses[row][mask[row] & (segments[row] == segment)].mean()
        for row in range(len(mask))
        for segment in np.unique(segments[row][mask[row]])
    ]
    sums = pass_sums(config, parameters, batch)
    np.testing.assert_allclose(sums.loss / sums.weight, np.mean(of_conversations), rtol=1e-5)


def test_the_document_mask_hides_the_document_before(parameters: Parameters) -> None:
    batch = tiny.random_batch()
    # Only tokens of the second document are targets; then the first one is changed.
    mask = batch.loss_mask & (batch.segment_ids == 2)
    mask[:, :, 12] = False
    batch = batch._replace(loss_mask=mask)
    changed = batch._replace(tokens=np.where(batch.segment_ids == 1, 7, batch.tokens))
    document = replace(BASE, data=replace(BASE.data, attention_mask="document"))
    assert loss(document, parameters, batch) == loss(document, parameters, changed)
    assert loss(BASE, parameters, batch) != loss(BASE, parameters, changed)


def test_neftune_is_added_where_configured(parameters: Parameters) -> None:
    batch = tiny.random_batch()
    noisy = replace(BASE, train=replace(BASE.train, neftune_alpha=5.0))
    assert abs(loss(noisy, parameters, batch) - loss(BASE, parameters, batch)) > 1e-3


def test_bfloat16_products_stay_close_to_float32(parameters: Parameters) -> None:
    batch = tiny.random_batch()
    low = replace(BASE, train=replace(BASE.train, compute_dtype="bfloat16"))
    exact, rounded = (pass_sums(config, parameters, batch).loss for config in (BASE, low))
    assert rounded.dtype == jnp.float32
    assert rounded != exact
    np.testing.assert_allclose(rounded, exact, rtol=2e-3)


def test_passes_draw_different_dropout(parameters: Parameters) -> None:
    one = tiny.random_batch()
    twice = Batch(*(np.concatenate([a, a]) for a in one))
    alone, doubled = (float(accumulated(DROPOUT, parameters, batch)[0].loss) for batch in (one, twice))
    assert abs(doubled - 2 * alone) > 1e-3


def run_steps(config: ExperimentConfig, batch: Batch, steps: int) -> tuple[list[Any], Any]:
    trainer = Trainer(config, tiny.one_device_mesh())
    state = trainer.fresh_state()
    metrics = []
    for _ in range(steps):
        state, step_metrics = trainer.step(state, {}, trainer.place(batch))
        metrics.append(jax.device_get(step_metrics))
    return metrics, jax.device_get(state)


def test_steps_draw_different_dropout_and_count() -> None:
    # A rate of nearly nothing: only the dropout can move the loss.
    still = replace(DROPOUT, optimizer=replace(BASE.optimizer, peak_lr=1e-30))
    metrics, state = run_steps(still, tiny.random_batch(), 3)
    assert len({float(m.loss) for m in metrics}) == 3
    assert state.step == 3 and state.parameters["head"]["kernel"].dtype == np.float32


def test_a_step_reports_the_gradient_norm_before_clipping(parameters: Parameters) -> None:
    batch = tiny.random_batch()
    _, gradients = accumulated(BASE, parameters, batch)
    norm = np.sqrt(sum(float(jnp.sum(g**2)) for g in jax.tree.leaves(gradients)))
    clipped = replace(BASE, optimizer=replace(BASE.optimizer, clip_norm=norm / 10))
    (metrics,), state = run_steps(clipped, batch, 1)
    np.testing.assert_allclose(metrics.gradient_norm, norm, rtol=1e-4)
    # Adam's first moment after one step is (1 − β1) · the clipped gradient.
    moment = state.optimizer[1][0].mu["blocks"]["mlp"]["up"]["kernel"]
    np.testing.assert_allclose(moment, 0.1 * gradients["blocks"]["mlp"]["up"]["kernel"] / 10, rtol=1e-3, atol=1e-8)


def test_a_step_without_targets_changes_nothing_but_the_decay() -> None:
    batch = tiny.random_batch(target_share=0)
    undecayed = replace(BASE, optimizer=replace(BASE.optimizer, weight_decay=0.0))
    (metrics,), state = run_steps(undecayed, batch, 1)
    assert (metrics.loss, metrics.tokens, metrics.gradient_norm) == (0, 0, 0)
    fresh = jax.device_get(Trainer(undecayed, tiny.one_device_mesh()).fresh_state())
    jax.tree.map(np.testing.assert_array_equal, state.parameters, fresh.parameters)


# --- steps that are not finite ----------------------------------------------------------------------------------------


def step_once(trainer: Trainer, state: TrainState, batch: Batch) -> tuple[Any, Any]:
    """State and metrics on the host; the state given is donated."""
    return jax.device_get(trainer.step(state, {}, trainer.place(batch)))


def poisoned(trainer: Trainer, value: float) -> TrainState:
    """A state after one good step, with one number of layer 1's MLP replaced."""
    state, _ = trainer.step(trainer.fresh_state(), {}, trainer.place(tiny.random_batch(seed=1)))
    up = state.parameters["blocks"]["mlp"]["up"]
    up["kernel"] = up["kernel"].at[1, 3, 5].set(value)
    return state


@pytest.mark.parametrize("statistics_every", [0, 100])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_step_that_is_not_finite_changes_nothing_but_the_count_of_steps(value: float, statistics_every: int) -> None:
    config = replace(BASE, train=replace(BASE.train, statistics_every=statistics_every))
    trainer = Trainer(config, tiny.one_device_mesh())
    state = poisoned(trainer, value)
    before = jax.device_get(state)
    after, metrics = step_once(trainer, state, tiny.random_batch())
    assert metrics.skipped and not np.isfinite(metrics.loss)
    assert (before.step, after.step) == (1, 2)
    jax.tree.map(np.testing.assert_array_equal, after.parameters, before.parameters)
    jax.tree.map(np.testing.assert_array_equal, after.optimizer, before.optimizer)
    # It follows the updates that were applied, of which there is one.
    np.testing.assert_allclose(metrics.learning_rate, trainer.learning_rate(1))
    after, metrics = step_once(trainer, after, tiny.random_batch())
    np.testing.assert_allclose(metrics.learning_rate, trainer.learning_rate(1))


def test_gradients_alone_can_be_what_is_not_finite() -> None:
    config = replace(BASE, model=replace(BASE.model, norm_eps=1e-36))
    trainer = Trainer(config, tiny.one_device_mesh())
    state = trainer.fresh_state()
    # A residual stream of zeros: the norm multiplies its gradient by 1e18, the squares of which overflow.
    for part in ("embedding", "blocks"):
        state.parameters[part] = jax.tree.map(jnp.zeros_like, state.parameters[part])
    before = jax.device_get(state)
    after, metrics = step_once(trainer, state, tiny.random_batch())
    assert metrics.skipped and np.isfinite(metrics.loss)
    jax.tree.map(np.testing.assert_array_equal, after.parameters, before.parameters)


def test_a_good_step_is_applied_and_reports_a_norm_for_every_parameter() -> None:
    trainer = Trainer(BASE, tiny.one_device_mesh())
    _, metrics = step_once(trainer, trainer.fresh_state(), tiny.random_batch())
    assert not metrics.skipped and metrics.statistics is None
    assert "blocks.mlp.up.kernel" in trainer.parameter_names
    assert metrics.gradient_norms.shape == (len(trainer.parameter_names),)
    np.testing.assert_allclose(np.linalg.norm(metrics.gradient_norms), metrics.gradient_norm, rtol=1e-5)


def test_the_layer_of_what_is_not_finite_is_known_with_statistics() -> None:
    config = replace(BASE, train=replace(BASE.train, statistics_every=100))
    trainer = Trainer(config, tiny.one_device_mesh())
    _, metrics = step_once(trainer, poisoned(trainer, np.nan), tiny.random_batch())
    parameters = dict(zip(trainer.layer_names, metrics.statistics[2], strict=True))
    assert [name for name, norm in parameters.items() if np.isnan(norm)] == ["blocks.mlp.up.kernel/1"]


# --- statistics -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
def test_statistics_are_norms_of_gradients_updates_and_parameters_by_layer(mode: str) -> None:
    optimizer = replace(BASE.optimizer, peak_lr=1e-3)
    train = replace(BASE.train, statistics_every=2)
    mesh_config = MeshConfig(mode=mode, data=2, fsdp=4) if mode == "fsdp" else MeshConfig()
    config = replace(BASE, optimizer=optimizer, train=train, mesh=mesh_config)
    trainer = Trainer(config, make_mesh(mesh_config) if mode == "fsdp" else tiny.one_device_mesh())
    batch = tiny.random_batch()
    first, metrics = trainer.step(trainer.fresh_state(), {}, trainer.place(batch))
    assert not np.any(metrics.statistics)
    before = jax.device_get(first.parameters)
    second, metrics = step_once(trainer, first, batch)
    updates = jax.tree.map(lambda new, old: new - old, second.parameters, before)
    _, gradients = accumulated(BASE, before, batch)
    for row, tree in zip(metrics.statistics, (gradients, updates, before), strict=True):
        found = dict(zip(trainer.layer_names, row, strict=True))
        up = tree["blocks"]["mlp"]["up"]["kernel"]
        for layer in range(up.shape[0]):
            np.testing.assert_allclose(found[f"blocks.mlp.up.kernel/{layer}"], np.linalg.norm(up[layer]), rtol=1e-3)
        expected = np.linalg.norm(tree["final_norm"]["scale"])
        np.testing.assert_allclose(found["final_norm.scale"], expected, rtol=1e-3)

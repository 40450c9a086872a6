"""One optimiser step: what the loss is a mean of, what accumulation adds up, where noise comes from."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jmed_jax.config import ExperimentConfig
from jmed_jax.data.loader import Batch
from jmed_jax.models.decoder import abstract_parameters, initialize_parameters
from jmed_jax.train.loss import LossSums
from jmed_jax.train.step import Parameters, Trainer, accumulate_gradients, loss_sums
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
        state, step_metrics = trainer.step(state, trainer.place(batch))
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

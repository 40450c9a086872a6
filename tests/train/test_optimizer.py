"""Adam's arithmetic, schedules, what is decayed, and moments in bfloat16."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jmed_jax.config import OptimizerConfig
from jmed_jax.errors import InputError
from jmed_jax.models.decoder import abstract_parameters
from jmed_jax.parallel.sharding import path_name
from jmed_jax.train.optimizer import (
    adam_state,
    decayed,
    learning_rate,
    make_optimizer,
    stochastic_round,
    updates_applied,
)
from tests import tiny

PAPER = OptimizerConfig(peak_lr=1e-3, warmup_steps=750)


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.0),
        (75, 1e-4),
        (750, 1e-3),
        # Half way down the cosine, and a third of it.
        ((750 + 24_000) // 2, 5e-4),
        (750 + 7_750, 7.5e-4),
        (24_000, 0.0),
    ],
)
def test_the_paper_s_schedule(step: int, rate: float) -> None:
    np.testing.assert_allclose(learning_rate(PAPER, 24_000)(step), rate, rtol=1e-5, atol=1e-9)


def test_a_schedule_without_warmup_starts_at_the_peak_and_ends_at_the_final_rate() -> None:
    schedule = learning_rate(OptimizerConfig(peak_lr=1e-2, final_lr=1e-3), 100)
    np.testing.assert_allclose([schedule(0), schedule(50), schedule(100)], [1e-2, 5.5e-3, 1e-3], rtol=1e-5)


def test_a_warmup_as_long_as_the_run_is_a_schedule() -> None:
    schedule = learning_rate(OptimizerConfig(peak_lr=1e-2, warmup_steps=10), 10)
    np.testing.assert_allclose([schedule(0), schedule(5), schedule(10)], [0, 5e-3, 1e-2], rtol=1e-5)


def first_update(config: OptimizerConfig, parameter: list[float], gradient: list[float]) -> np.ndarray:
    optimizer = make_optimizer(config, 10)
    parameters = {"x": jnp.array(parameter)}
    updates, _ = optimizer.update({"x": jnp.array(gradient)}, optimizer.init(parameters), parameters)
    return np.array(optax.apply_updates(parameters, updates)["x"])


def test_weight_decay_is_decoupled() -> None:
    config = OptimizerConfig(peak_lr=0.1, weight_decay=0.5)
    # Without a gradient only the decay acts: x · (1 − lr · decay).
    np.testing.assert_allclose(first_update(config, [2.0, -4.0], [0.0, 0.0]), [1.9, -3.8], rtol=1e-6)
    # The first step of Adam is ± lr, whatever the gradient's size.
    np.testing.assert_allclose(first_update(config, [2.0, -4.0], [0.3, -0.1]), [1.8, -3.7], rtol=1e-5)


def test_gradients_are_clipped_to_the_global_norm() -> None:
    # With so large an epsilon, Adam's step is proportional to the gradient it sees.
    config = OptimizerConfig(peak_lr=1.0, weight_decay=0.0, epsilon=1e6, clip_norm=1.0)
    update = first_update(config, [0.0, 0.0], [3.0, 4.0])
    np.testing.assert_allclose(update * -1e6, [0.6, 0.8], rtol=1e-4)
    np.testing.assert_allclose(first_update(config, [0.0, 0.0], [0.3, 0.4]) * -1e6, [0.3, 0.4], rtol=1e-4)


def test_betas_and_epsilon_are_the_configuration_s() -> None:
    config = OptimizerConfig(peak_lr=0.1, weight_decay=0.0, beta1=0.8, beta2=0.6, epsilon=0.1, clip_norm=100)
    optimizer = make_optimizer(config, 10**9)
    parameters = {"x": jnp.zeros(1)}
    state = optimizer.init(parameters)
    mean = square = expected = 0.0
    for step, gradient in enumerate([1.0, -0.5, 2.0], start=1):
        updates, state = optimizer.update({"x": jnp.array([gradient])}, state, parameters)
        parameters = optax.apply_updates(parameters, updates)
        mean = 0.8 * mean + 0.2 * gradient
        square = 0.6 * square + 0.4 * gradient**2
        expected -= 0.1 * (mean / (1 - 0.8**step)) / ((square / (1 - 0.6**step)) ** 0.5 + 0.1)
    np.testing.assert_allclose(parameters["x"], [expected], rtol=1e-5)


# --- against other implementations ------------------------------------------------------------------------------------


def random_trees(count: int, seed: int = 0, scale: float = 1.0) -> list[dict[str, Any]]:
    """Trees named like a model's parameters, of numbers of very different size."""
    generator = np.random.default_rng(seed)
    shapes = {"embedding": {"embedding": (16, 8)}, "blocks": {"up": {"kernel": (3, 8, 12), "bias": (3, 12)}}}
    shapes |= {"final_norm": {"scale": (8,)}, "head": {"kernel": (8, 16)}}

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        return (scale * generator.normal(size=shape) * 10.0 ** generator.uniform(-3, 0, shape)).astype(np.float32)

    return [jax.tree.map(draw, shapes, is_leaf=lambda x: isinstance(x, tuple)) for _ in range(count)]


def run_ours(config: OptimizerConfig, steps: int, parameters: Any, gradients: list[Any]) -> Any:
    optimizer = make_optimizer(config, steps)

    @jax.jit
    def update(parameters: Any, state: Any, gradient: Any) -> tuple[Any, Any]:
        updates, state = optimizer.update(gradient, state, parameters)
        return optax.apply_updates(parameters, updates), state

    state = optimizer.init(parameters)
    for gradient in gradients:
        parameters, state = update(parameters, state, gradient)
    return parameters


@pytest.mark.parametrize("decay_all", [True, False])
@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant", "wsd"])
def test_twenty_steps_equal_those_of_pytorch(schedule: Any, decay_all: bool) -> None:
    torch = pytest.importorskip("torch")
    config = OptimizerConfig(
        peak_lr=3e-3,
        final_lr=1e-4,
        warmup_steps=5,
        schedule=schedule,
        decay_steps=8 if schedule == "wsd" else 0,
        weight_decay=0.5,
        clip_norm=2.0,
        decay_norms_and_embeddings=decay_all,
    )
    steps = 20
    start, *gradients = random_trees(steps + 1)
    ours = run_ours(config, steps, start, gradients)

    flat = dict(jax.tree_util.tree_leaves_with_path(start))
    theirs = {path: torch.nn.Parameter(torch.tensor(array)) for path, array in flat.items()}
    kernels = [theirs[path] for path in theirs if decay_all or path[-1].key == "kernel"]
    others = [parameter for parameter in theirs.values() if all(parameter is not kernel for kernel in kernels)]
    groups = [{"params": kernels, "weight_decay": 0.5}, {"params": others, "weight_decay": 0.0}]
    adamw = torch.optim.AdamW([g for g in groups if g["params"]], betas=(0.9, 0.95), eps=1e-8)
    schedule_of_ours = learning_rate(config, steps)
    for step, gradient in enumerate(gradients):
        for path, array in jax.tree_util.tree_leaves_with_path(gradient):
            theirs[path].grad = torch.tensor(array)
        torch.nn.utils.clip_grad_norm_(list(theirs.values()), 2.0)
        for group in adamw.param_groups:
            group["lr"] = float(schedule_of_ours(step))
        adamw.step()
    for path, array in jax.tree_util.tree_leaves_with_path(ours):
        np.testing.assert_allclose(array, theirs[path].detach().numpy(), rtol=2e-5, atol=2e-6)


def test_the_default_is_optax_s_adamw_to_the_last_bit() -> None:
    config = OptimizerConfig(peak_lr=3e-3, warmup_steps=2)
    start, *gradients = random_trees(6)
    theirs = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(learning_rate(config, 20), b1=0.9, b2=0.95, weight_decay=0.1)
    )
    ours = make_optimizer(config, 20)
    states = [optimizer.init(start) for optimizer in (ours, theirs)]
    assert jax.tree.structure(states[0]) == jax.tree.structure(states[1])
    for gradient in gradients:
        updates = [None, None]
        for index, optimizer in enumerate((ours, theirs)):
            updates[index], states[index] = optimizer.update(gradient, states[index], start)
        jax.tree.map(np.testing.assert_array_equal, *updates)
    assert updates_applied(states[0]) == len(gradients)


# --- schedules --------------------------------------------------------------------------------------------------------


def rates(config: OptimizerConfig, steps: int, at: list[int]) -> list[float]:
    schedule = learning_rate(config, steps)
    return [float(schedule(step)) for step in at]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("linear", [0.0, 0.5, 1.0, 0.55, 0.1]),
        ("constant", [0.0, 0.5, 1.0, 1.0, 1.0]),
        # The decay takes the last 20 steps.
        ("wsd", [0.0, 0.5, 1.0, 1.0, 0.1]),
    ],
)
def test_schedules_by_name(schedule: Any, expected: list[float]) -> None:
    decay_steps = 20 if schedule == "wsd" else 0
    config = OptimizerConfig(peak_lr=1.0, final_lr=0.1, warmup_steps=10, schedule=schedule, decay_steps=decay_steps)
    np.testing.assert_allclose(rates(config, 110, [0, 5, 10, 60, 110]), expected, rtol=1e-6)
    if schedule == "wsd":
        np.testing.assert_allclose(rates(config, 110, [90, 100]), [1.0, 0.55], rtol=1e-6)
    no_warmup = replace(config, warmup_steps=0)
    assert rates(no_warmup, 110, [0]) == [1.0]


@pytest.mark.parametrize("fields", [{"schedule": "wsd"}, {"decay_steps": 5}])
def test_decay_steps_belong_to_wsd(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="decay_steps"):
        OptimizerConfig(**fields)


def test_warmup_and_decay_must_fit_into_the_run() -> None:
    optimizer = OptimizerConfig(schedule="wsd", warmup_steps=60, decay_steps=50)
    with pytest.raises(InputError, match=r"together exceed train\.steps"):
        replace(tiny.experiment(steps=100), optimizer=optimizer)


# --- what is decayed --------------------------------------------------------------------------------------------------


def test_norms_biases_and_embeddings_are_decayed_only_if_wanted() -> None:
    start = random_trees(1)[0]
    zeros = jax.tree.map(np.zeros_like, start)
    config = OptimizerConfig(peak_lr=0.1, weight_decay=0.5, schedule="constant")
    everything = run_ours(config, 10, start, [zeros])
    some = run_ours(replace(config, decay_norms_and_embeddings=False), 10, start, [zeros])
    for path, before in jax.tree_util.tree_leaves_with_path(start):
        name = path_name(path)
        found_all, found_some = (dict_at(tree, name) for tree in (everything, some))
        np.testing.assert_allclose(found_all, before * 0.95, rtol=1e-6)
        np.testing.assert_allclose(found_some, before * (0.95 if name.endswith("kernel") else 1.0), rtol=1e-6)


def dict_at(tree: Any, name: str) -> Any:
    for part in name.split("."):
        tree = tree[part]
    return tree


def test_every_parameter_of_a_real_model_is_sorted() -> None:
    model = replace(tiny.MODEL, qkv_bias=True, gated_mlp=True)
    kept = decayed(nnx.to_pure_dict(abstract_parameters(model)[1]))
    names = {path_name(path): value for path, value in jax.tree_util.tree_leaves_with_path(kept)}
    assert {name for name, value in names.items() if not value} == {
        "embedding.embedding",
        "blocks.attention.query.bias",
        "blocks.attention.key.bias",
        "blocks.attention.value.bias",
        "blocks.attention_norm.scale",
        "blocks.mlp_norm.scale",
        "final_norm.scale",
    }


# --- moments in bfloat16 ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta2", [0.95, 0.999])
def test_moments_in_bfloat16_lead_to_nearly_the_same_parameters(beta2: float) -> None:
    """The way of 20 steps, as a vector, differs by less than 1 % of its length."""
    start, *gradients = random_trees(21)
    wide = OptimizerConfig(peak_lr=1e-2, beta2=beta2, weight_decay=0.0)
    ends = [run_ours(c, 20, start, gradients) for c in (wide, replace(wide, moments_dtype="bfloat16"))]
    difference = optax.tree.norm(optax.tree.sub(*ends))
    way = optax.tree.norm(optax.tree.sub(ends[0], start))
    assert 0 < difference < 0.01 * way


def test_the_second_moment_falls_again_after_a_large_gradient() -> None:
    """Rounded to nearest it would stay: it falls by 0.1 % a step, less than half of bfloat16's distance."""
    config = OptimizerConfig(beta2=0.999, moments_dtype="bfloat16", clip_norm=1e9)
    optimizer = make_optimizer(config, 1000)
    parameters = {"x": jnp.zeros(256)}
    update = jax.jit(optimizer.update)
    _, state = update({"x": jnp.full(256, 100.0)}, optimizer.init(parameters), parameters)
    first = float(jnp.mean(adam_state(state).nu["x"].astype(jnp.float32)))
    for _ in range(200):
        _, state = update({"x": jnp.zeros(256)}, state, parameters)
    last = float(jnp.mean(adam_state(state).nu["x"].astype(jnp.float32)))
    np.testing.assert_allclose(last / first, 0.999**200, rtol=0.01)


def test_stochastic_rounding_takes_the_two_neighbours_and_is_right_on_average() -> None:
    # A quarter of the way from 1 to the next bfloat16, which is 1 + 2⁻⁷.
    x = jnp.full(20_000, 1 + 2**-9, jnp.float32)
    rounded = stochastic_round(x, jnp.uint32(0)).astype(jnp.float32)
    assert set(np.unique(rounded).tolist()) == {1.0, 1 + 2**-7}
    np.testing.assert_allclose(jnp.mean(rounded == 1.0), 0.75, atol=0.02)
    exact = jnp.array([0.0, 1.0, -2.5, 2.0**-120], jnp.float32)
    np.testing.assert_array_equal(stochastic_round(exact, jnp.uint32(1)).astype(jnp.float32), exact)

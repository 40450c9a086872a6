import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jmed_jax.config import OptimizerConfig
from jmed_jax.train.optimizer import learning_rate, make_optimizer

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

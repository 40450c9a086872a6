"""AdamW: schedules by name, what is decayed, and moments in bfloat16."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jmed_jax.config import OptimizerConfig
from jmed_jax.models.noise import hashed_bits, scramble
from jmed_jax.parallel.sharding import path_name

# Norm scales, biases, the token embedding, and the magnitudes of adapters, which are scales. An untied head is a
# projection like any other.
_UNDECAYED = re.compile(r"(^|\.)(scale|bias|embedding|magnitude)$")


def learning_rate(config: OptimizerConfig, steps: int) -> optax.Schedule:
    """Rate of the n-th update (from 0): linear from 0 to the peak over the warm-up, then as `schedule` says.

    "cosine" is the paper's (arXiv 2412.16423 §2.4.1). "wsd" is the linear cool-down of arXiv 2405.18392 after a stable
    phase ("WSD" in arXiv 2404.06395 §4): a run of any length can branch off the stable part.
    """
    peak, warmup, after = config.peak_lr, config.warmup_steps, max(steps - config.warmup_steps, 1)
    if config.schedule == "cosine":
        return optax.warmup_cosine_decay_schedule(
            init_value=0.0 if warmup else peak,
            peak_value=peak,
            warmup_steps=warmup,
            decay_steps=warmup + after,
            end_value=config.final_lr,
        )
    decay_steps = {"linear": after, "constant": 0, "wsd": config.decay_steps}[config.schedule]
    parts, boundaries = [optax.constant_schedule(peak)], []
    if warmup:
        parts, boundaries = [optax.linear_schedule(0.0, peak, warmup), *parts], [warmup]
    if decay_steps:
        parts.append(optax.linear_schedule(peak, config.final_lr, decay_steps))
        boundaries.append(warmup + after - decay_steps)
    return optax.join_schedules(parts, boundaries)


def make_optimizer(config: OptimizerConfig, steps: int) -> optax.GradientTransformation:
    """Global-norm clipping, then AdamW with decoupled weight decay (arXiv 1711.05101), as the paper.

    Every parameter decays, or all but norms, biases and the token embedding (`decay_norms_and_embeddings`).
    """
    adam = optax.scale_by_adam(b1=config.beta1, b2=config.beta2, eps=config.epsilon)
    if config.moments_dtype == "bfloat16":
        adam = with_bfloat16_moments(adam)
    adamw = optax.chain(
        adam,
        optax.add_decayed_weights(config.weight_decay, None if config.decay_norms_and_embeddings else decayed),
        optax.scale_by_learning_rate(learning_rate(config, steps)),
    )
    return optax.chain(optax.clip_by_global_norm(config.clip_norm), adamw)


def decayed(parameters: Any) -> Any:
    """True for every parameter that is no norm scale, bias or token embedding."""
    return jax.tree_util.tree_map_with_path(lambda path, _: not _UNDECAYED.search(path_name(path)), parameters)


def updates_applied(state: optax.OptState) -> Array:
    """How many updates `state` has seen, int32: skipped steps are not among them."""
    return adam_state(state).count


def adam_state(state: optax.OptState) -> optax.ScaleByAdamState:
    """Adam's count and moments within a state of `make_optimizer`."""
    return state[1][0]


def with_bfloat16_moments(adam: optax.GradientTransformation) -> optax.GradientTransformation:
    """`adam`, with both moments kept in bfloat16 between steps: 4 bytes a parameter instead of 8.

    The first moment is rounded to nearest, as optax and others do. The second is rounded up or down at random, in
    expectation exact: it changes by a factor of beta2 a step, 0.1 % at 0.999, which is less than half the distance of
    two bfloat16 numbers (0.4 to 0.8 %), so that rounded to nearest it would never fall again after one large gradient.
    The noise follows from the count of updates: there is no generator state to save.
    """

    def init(parameters: Any) -> optax.ScaleByAdamState:
        state = adam.init(parameters)
        return state._replace(mu=optax.tree.cast(state.mu, jnp.bfloat16), nu=optax.tree.cast(state.nu, jnp.bfloat16))

    def update(gradients: Any, state: Any, parameters: Any = None) -> tuple[Any, optax.ScaleByAdamState]:
        wide = state._replace(mu=optax.tree.cast(state.mu, jnp.float32), nu=optax.tree.cast(state.nu, jnp.float32))
        updates, wide = adam.update(gradients, wide, parameters)
        mu = optax.tree.cast(wide.mu, jnp.bfloat16)
        return updates, wide._replace(mu=mu, nu=_round_at_random(wide.nu, wide.count))

    return optax.GradientTransformation(init, update)


def _round_at_random(tree: Any, count: Array) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    seeds = [scramble(scramble(count.astype(jnp.uint32)) + jnp.uint32(i)) for i in range(len(leaves))]
    return jax.tree.unflatten(structure, [stochastic_round(*pair) for pair in zip(leaves, seeds, strict=True)])


def stochastic_round(x: Array, seed: Array) -> Array:
    """float32 to one of the two nearest bfloat16 numbers, each with the probability that makes the mean x.

    The noise is hashed: the bits of a whole tree of moments would take as much memory as the moments save.

    Args:
        seed: uint32 scalar.
    """
    # bfloat16 is the upper half of float32: a random lower half carries into it as often as the lost half is large.
    noise = hashed_bits(x.shape, seed) & jnp.uint32(0xFFFF)
    upper = ((jax.lax.bitcast_convert_type(x, jnp.uint32) + noise) >> 16).astype(jnp.uint16)
    return jax.lax.bitcast_convert_type(upper, jnp.bfloat16)

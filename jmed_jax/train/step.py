"""One optimiser step as a pure function of plain trees, jitted with explicit shardings.

Axes: A accumulation passes, B rows, T positions.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jmed_jax.config import ExperimentConfig
from jmed_jax.data.loader import Batch
from jmed_jax.models.decoder import Decoder, abstract_parameters, initialize_parameters, neftune_noise
from jmed_jax.parallel import sharding
from jmed_jax.train.loss import LossSums, chunked_cross_entropy, next_token_targets
from jmed_jax.train.optimizer import make_optimizer

Parameters = Any
"""Plain nested dictionaries of float32 arrays."""


class TrainState(NamedTuple):
    """Everything the step changes (or, leaf for leaf, the shapes or shardings of it)."""

    step: Any
    """Finished steps, int32 scalar."""
    parameters: Parameters
    optimizer: Any


class StepMetrics(NamedTuple):
    """Scalars of one step, left on the device until the host asks."""

    loss: Array
    """Mean over the step's targets, nats."""
    tokens: Array
    """Targets in the step."""
    gradient_norm: Array
    """Before clipping."""


def loss_sums(
    graphdef: nnx.GraphDef, config: ExperimentConfig, parameters: Parameters, batch: Batch, key: Array
) -> LossSums:
    """Loss of one pass [B, T], with dropout and NEFTune as configured."""
    dtype = jnp.dtype(config.train.compute_dtype)
    dropout_key, noise_key = jax.random.split(key)
    decoder: Decoder = nnx.merge(graphdef, parameters)
    x_BTD = decoder.embed(batch.tokens, dtype)
    if config.train.neftune_alpha > 0:
        x_BTD = neftune_noise(x_BTD, batch.segment_ids, config.train.neftune_alpha, noise_key)
    x_BTD = decoder.transform(
        x_BTD,
        batch.segment_ids if config.data.attention_mask == "document" else None,
        dropout_key=dropout_key,
        remat=config.train.remat,
    )
    targets_BT, weights_BT = next_token_targets(batch.tokens, batch.loss_mask)
    return chunked_cross_entropy(
        x_BTD, decoder.output_kernel().astype(dtype), targets_BT, weights_BT, config.train.loss_chunk
    )


def accumulate_gradients(
    graphdef: nnx.GraphDef, config: ExperimentConfig, parameters: Parameters, batch: Batch, key: Array
) -> tuple[LossSums, Parameters]:
    """Sums of loss and its mean gradient over all passes of the batch [A, B, T].

    Gradients are summed and divided once by the number of targets of the whole step: a mean a pass would weigh tokens
    of short answers more than those of long ones.
    """

    def loss_of(parameters: Parameters, passed: Batch, index: Array) -> tuple[Array, LossSums]:
        sums = loss_sums(graphdef, config, parameters, passed, jax.random.fold_in(key, index))
        return sums.loss, sums

    gradient_of = jax.value_and_grad(loss_of, has_aux=True)

    def add_pass(total: tuple[LossSums, Parameters], inputs: tuple[Batch, Array]) -> tuple[Any, None]:
        (_, sums), gradients = gradient_of(parameters, *inputs)
        return jax.tree.map(jnp.add, total, (sums, gradients)), None

    passes = batch.tokens.shape[0]
    if passes == 1:
        (_, sums), gradients = gradient_of(parameters, jax.tree.map(lambda a: a[0], batch), jnp.zeros((), jnp.int32))
    else:
        zero = jnp.zeros((), jnp.float32)
        start = (LossSums(zero, zero), jax.tree.map(jnp.zeros_like, parameters))
        (sums, gradients), _ = jax.lax.scan(add_pass, start, (batch, jnp.arange(passes)))
    count = jnp.maximum(sums.tokens, 1.0)
    return sums, jax.tree.map(lambda g: g / count, gradients)


class Trainer:
    """The jitted functions of a run and the shardings they keep."""

    def __init__(self, config: ExperimentConfig, mesh: Mesh) -> None:
        sharding.check_batch(mesh, config.data.batch_size)
        self.config = config
        self.mesh = mesh
        self.optimizer = make_optimizer(config.optimizer, config.train.steps)
        self.graphdef, abstract = abstract_parameters(config.model)
        self.abstract_state = jax.eval_shape(self._state_of, nnx.to_pure_dict(abstract))
        replicated = NamedSharding(mesh, PartitionSpec())
        parameter_rules = sharding.parameter_rules(config.mesh)
        optimizer_rules = sharding.optimizer_rules(config.mesh)
        self.gradient_shardings = sharding.tree_shardings(self.abstract_state.parameters, optimizer_rules, mesh)
        self.state_shardings = TrainState(
            replicated,
            sharding.tree_shardings(self.abstract_state.parameters, parameter_rules, mesh),
            sharding.tree_shardings(self.abstract_state.optimizer, optimizer_rules, mesh),
        )
        self.batch_sharding = sharding.batch_sharding(mesh, leading=1)
        self.step: Callable[[TrainState, Batch], tuple[TrainState, StepMetrics]] = jax.jit(
            self._step,
            in_shardings=(self.state_shardings, self.batch_sharding),
            out_shardings=(self.state_shardings, replicated),
            donate_argnums=0,
        )

    def _state_of(self, parameters: Parameters) -> TrainState:
        return TrainState(jnp.zeros((), jnp.int32), parameters, self.optimizer.init(parameters))

    def fresh_state(self) -> TrainState:
        """Freshly initialised state, made sharded: nothing exists unsharded at any moment."""

        def make() -> TrainState:
            return self._state_of(nnx.to_pure_dict(initialize_parameters(self.config.model, self.config.train.seed)))

        return jax.jit(make, out_shardings=self.state_shardings)()

    def state_from(self, parameters: Parameters) -> TrainState:
        """Step 0 with given parameters and a fresh optimiser."""
        return jax.jit(self._state_of, out_shardings=self.state_shardings)(parameters)

    def place(self, batch: Batch) -> Batch:
        """This process's rows as global arrays."""
        return jax.tree.map(lambda a: jax.make_array_from_process_local_data(self.batch_sharding, a), batch)

    def _step(self, state: TrainState, batch: Batch) -> tuple[TrainState, StepMetrics]:
        # No generator state to save: the key of a step follows from seed and step.
        key = jax.random.fold_in(jax.random.key(self.config.train.seed), state.step)
        sums, gradients = accumulate_gradients(self.graphdef, self.config, state.parameters, batch, key)
        gradients = jax.lax.with_sharding_constraint(gradients, self.gradient_shardings)
        updates, optimizer = self.optimizer.update(gradients, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        metrics = StepMetrics(sums.loss / jnp.maximum(sums.tokens, 1.0), sums.tokens, optax.tree.norm(gradients))
        return TrainState(state.step + 1, parameters, optimizer), metrics

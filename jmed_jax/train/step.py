"""One optimiser step as a pure function of plain trees, jitted with explicit shardings.

Axes: A accumulation passes, B rows, T positions, P parameter arrays, M = P with every stacked array counted by layer.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jmed_jax.config import ExperimentConfig
from jmed_jax.data.loader import Batch
from jmed_jax.models.attention import CausalAttention, causal_attention
from jmed_jax.models.attention_choice import make_attention
from jmed_jax.models.decoder import Decoder, abstract_parameters, initialize_parameters, neftune_noise
from jmed_jax.models.lora import attach, detach, initialize_adapter, merge
from jmed_jax.parallel import sharding
from jmed_jax.parallel.mesh import BATCH_AXES
from jmed_jax.train.loss import LossSums, chunked_cross_entropy, next_token_targets, normalize_by_length
from jmed_jax.train.optimizer import learning_rate, make_optimizer, updates_applied

Parameters = Any
"""Plain nested dictionaries of arrays."""

NOTHING: Parameters = {}
"""What is frozen where every parameter is trained."""


class TrainState(NamedTuple):
    """Everything the step changes (or, leaf for leaf, the shapes or shardings of it)."""

    step: Any
    """Finished steps, int32 scalar."""
    parameters: Parameters
    """Those that are trained, float32: all, or an adapter."""
    optimizer: Any


class StepMetrics(NamedTuple):
    """A few numbers of one step, left on the device until the host asks."""

    loss: Any
    """Mean over the step's targets, by their weights, nats."""
    tokens: Any
    """Targets in the step."""
    gradient_norm: Any
    """Before clipping."""
    learning_rate: Any
    """Of this update; it follows the updates applied, so it lags the step once steps were skipped."""
    skipped: Any
    """Whether loss or gradients were not finite, so that the update was not applied."""
    gradient_norms: Any
    """[P], before clipping, by `Trainer.parameter_names`."""
    statistics: Any
    """[3, M]: norms of gradients (before clipping), updates and parameters (before the update) by
    `Trainer.layer_names`, in steps that `train.statistics_every` divides and in skipped ones, zeros in others; None
    where it is 0."""


def loss_sums(
    graphdef: nnx.GraphDef,
    config: ExperimentConfig,
    parameters: Parameters,
    batch: Batch,
    key: Array,
    *,
    mesh: Mesh | None = None,
    attention: CausalAttention = causal_attention,
) -> LossSums:
    """Loss of one pass [B, T], with dropout and NEFTune as configured; at rate 0 the key does nothing.

    Args:
        parameters: all, an adapter attached.
        mesh: over whose data-parallel devices the rows are split; None is one device.
        attention: `Trainer.attention`.
    """
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
        attention=attention,
        constrain=partial(_rows_over_devices, mesh),
        unroll=_unrolls(config, mesh),
    )
    targets_BT, weights_BT = next_token_targets(batch.tokens, batch.loss_mask)
    if config.train.length_normalization > 0:
        weights_BT = normalize_by_length(weights_BT, batch.segment_ids, config.train.length_normalization)
    return chunked_cross_entropy(x_BTD, decoder.output_kernel(), targets_BT, weights_BT, config.train.loss_chunk, mesh)


def _unrolls(config: ExperimentConfig, mesh: Mesh | None) -> bool:
    """Whether layers follow each other in the program: on CPUs, where a loop copies what it keeps of each layer (12 %).

    Elsewhere a loop costs nothing and compiles faster; and remat needs one (`models/remat.py`). With several devices a
    loop takes less memory.
    """
    alone_on_cpu = mesh is not None and mesh.devices.size == 1 and mesh.devices.flat[0].platform == "cpu"
    return alone_on_cpu and config.train.remat == "none"


def _rows_over_devices(mesh: Mesh | None, x_BTD: Array) -> Array:
    """Fix the sharding of the residual stream: rows over the data-parallel devices, the rest whole on each.

    Left to itself, the compiler shards it as the parameters are in mode "fsdp", and every device works on all rows.
    """
    return x_BTD if mesh is None else jax.lax.with_sharding_constraint(x_BTD, sharding.batch_sharding(mesh))


def accumulate_gradients(
    graphdef: nnx.GraphDef,
    config: ExperimentConfig,
    parameters: Parameters,
    batch: Batch,
    key: Array,
    *,
    frozen: Parameters = NOTHING,
    mesh: Mesh | None = None,
    attention: CausalAttention = causal_attention,
) -> tuple[LossSums, Parameters]:
    """Sums of loss and its mean gradient over all passes of the batch [A, B, T].

    Gradients are summed and divided once by the weight of the whole step's targets: a mean a pass would weigh tokens
    of short answers more than those of long ones.

    Args:
        parameters: those whose gradient is wanted.
        frozen: the others.
    """

    def loss_of(parameters: Parameters, passed: Batch, index: Array) -> tuple[Array, LossSums]:
        pass_key = jax.random.fold_in(key, index)
        whole = attach(frozen, parameters)
        sums = loss_sums(graphdef, config, whole, passed, pass_key, mesh=mesh, attention=attention)
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
        start = (LossSums(zero, zero, zero), jax.tree.map(jnp.zeros_like, parameters))
        (sums, gradients), _ = jax.lax.scan(add_pass, start, (batch, jnp.arange(passes)))
    weight = _divisor(sums)
    return sums, jax.tree.map(lambda g: g / weight, gradients)


def _divisor(sums: LossSums) -> Array:
    """The weight of a step's targets; of a step that has none, whose loss is 0, 1."""
    return jnp.where(sums.weight > 0, sums.weight, 1.0)


def parameter_norms(tree: Parameters) -> Array:
    """Euclidean norm of every array of a tree like the parameters [P]."""
    return jnp.stack([optax.tree.norm(array) for array in jax.tree.leaves(tree)])


def layer_norms(tree: Parameters) -> Array:
    """Euclidean norm of every array, and of every layer of the stacked ones [M]."""

    def norms(path: tuple[Any, ...], array: Array) -> Array:
        # No reshape to [L, …]: it would gather what is sharded.
        axes = tuple(range(1 if _is_stacked(path) else 0, array.ndim))
        return jnp.atleast_1d(jnp.sqrt(jnp.sum(jnp.square(array), axis=axes)))

    return jnp.concatenate(jax.tree.leaves(jax.tree_util.tree_map_with_path(norms, tree)))


def layer_names(abstract: Parameters) -> tuple[str, ...]:
    """What the numbers of `layer_norms` belong to: `final_norm.scale`, `blocks.mlp.up.kernel/3`."""
    names: list[str] = []
    for path, array in jax.tree_util.tree_leaves_with_path(abstract):
        name = sharding.path_name(path)
        names += [f"{name}/{layer}" for layer in range(array.shape[0])] if _is_stacked(path) else [name]
    return tuple(names)


def _is_stacked(path: tuple[Any, ...]) -> bool:
    return sharding.path_name(path).startswith("blocks.")


class Trainer:
    """The jitted functions of a run and the shardings they keep."""

    def __init__(self, config: ExperimentConfig, mesh: Mesh) -> None:
        sharding.check_batch(mesh, config.data.batch_size)
        self.config = config
        self.mesh = mesh
        self.attention = make_attention(config, mesh, batch_axes=BATCH_AXES, head_axis="tensor")
        self.optimizer = make_optimizer(config.optimizer, config.train.steps)
        self.learning_rate = learning_rate(config.optimizer, config.train.steps)
        self.graphdef, abstract = abstract_parameters(config.model, config.lora)
        whole = nnx.to_pure_dict(abstract)
        self.abstract_frozen: Parameters
        self.abstract_frozen, trained = detach(whole) if config.lora.rank else (NOTHING, whole)
        self.abstract_state = jax.eval_shape(self._state_of, trained)
        replicated = NamedSharding(mesh, PartitionSpec())
        parameter_rules = sharding.parameter_rules(config.mesh)
        optimizer_rules = sharding.optimizer_rules(config.mesh)
        self.gradient_shardings = sharding.tree_shardings(self.abstract_state.parameters, optimizer_rules, mesh)
        self.state_shardings = TrainState(
            replicated,
            sharding.tree_shardings(self.abstract_state.parameters, parameter_rules, mesh),
            sharding.tree_shardings(self.abstract_state.optimizer, optimizer_rules, mesh),
        )
        self.frozen_shardings = sharding.tree_shardings(self.abstract_frozen, parameter_rules, mesh)
        self.batch_sharding = sharding.batch_sharding(mesh, leading=1)
        self.abstract_batch = self._abstract_batch()
        leaves = jax.tree_util.tree_leaves_with_path(self.abstract_state.parameters)
        self.parameter_names = tuple(sharding.path_name(path) for path, _ in leaves)
        self.layer_names = layer_names(self.abstract_state.parameters)
        # The frozen parameters are neither given away nor returned: they stay where they are.
        self.step: Callable[[TrainState, Parameters, Batch], tuple[TrainState, StepMetrics]] = jax.jit(
            self._step,
            in_shardings=(self.state_shardings, self.frozen_shardings, self.batch_sharding),
            out_shardings=(self.state_shardings, replicated),
            donate_argnums=0,
        )

    def _state_of(self, parameters: Parameters) -> TrainState:
        return TrainState(jnp.zeros((), jnp.int32), parameters, self.optimizer.init(parameters))

    def fresh_state(self, frozen: Parameters = NOTHING) -> TrainState:
        """Freshly initialised state, made sharded: nothing exists unsharded at any moment.

        Args:
            frozen: what the adapter is trained beside.
        """
        model, lora, seed = self.config.model, self.config.lora, self.config.train.seed

        def make(frozen: Parameters) -> TrainState:
            if lora.rank:
                return self._state_of(initialize_adapter(model, lora, seed, frozen))
            return self._state_of(nnx.to_pure_dict(initialize_parameters(model, seed)))

        return jax.jit(make, out_shardings=self.state_shardings)(frozen)

    def state_from(self, parameters: Parameters) -> TrainState:
        """Step 0 with given parameters and a fresh optimiser."""
        return jax.jit(self._state_of, out_shardings=self.state_shardings)(parameters)

    def merged(self, parameters: Parameters, frozen: Parameters) -> Parameters:
        """The parameters of the plain decoder that computes the same: with an adapter, a copy of all of them."""
        if not self.config.lora.rank:
            return parameters
        _, abstract = abstract_parameters(self.config.model)
        rules = sharding.parameter_rules(self.config.mesh)
        shardings = sharding.tree_shardings(nnx.to_pure_dict(abstract), rules, self.mesh)
        return jax.jit(partial(merge, lora=self.config.lora), out_shardings=shardings)(frozen, parameters)

    def place(self, batch: Batch) -> Batch:
        """This process's rows as global arrays."""
        return jax.tree.map(lambda a: jax.make_array_from_process_local_data(self.batch_sharding, a), batch)

    def _abstract_batch(self) -> Batch:
        """Shapes of what `step` takes, over all processes."""
        shape = (self.config.data.accumulation, self.config.data.batch_size, self.config.model.context_length)
        dtypes = Batch(jnp.int32, jnp.int32, jnp.bool_)
        return jax.tree.map(lambda dtype: jax.ShapeDtypeStruct(shape, dtype, sharding=self.batch_sharding), dtypes)

    def _step(self, state: TrainState, frozen: Parameters, batch: Batch) -> tuple[TrainState, StepMetrics]:
        # No generator state to save: the key of a step follows from seed and step.
        key = jax.random.fold_in(jax.random.key(self.config.train.seed), state.step)
        sums, gradients = accumulate_gradients(
            self.graphdef,
            self.config,
            state.parameters,
            batch,
            key,
            frozen=frozen,
            mesh=self.mesh,
            attention=self.attention,
        )
        gradients = jax.lax.with_sharding_constraint(gradients, self.gradient_shardings)
        loss = sums.loss / _divisor(sums)
        gradient_norm = optax.tree.norm(gradients)
        # One number that is not finite, or squares that overflow, make the norm so: no pass of its own.
        finite = jnp.isfinite(loss) & jnp.isfinite(gradient_norm)
        metrics = StepMetrics(
            loss=loss,
            tokens=sums.tokens,
            gradient_norm=gradient_norm,
            learning_rate=jnp.asarray(self.learning_rate(updates_applied(state.optimizer)), jnp.float32),
            skipped=~finite,
            gradient_norms=parameter_norms(gradients),
            statistics=self._statistics(state, gradients, finite),
        )
        return self._updated(state, gradients, finite), metrics

    def _updated(self, state: TrainState, gradients: Parameters, finite: Array) -> TrainState:
        """The next state; where the step is not finite only the step counts on, with its batch."""
        updates, optimizer = self.optimizer.update(gradients, state.optimizer, state.parameters)
        new = (optax.apply_updates(state.parameters, updates), optimizer)
        # A selection fuses with the update, which reads the old value anyway: it costs no memory and no time.
        parameters, optimizer = jax.tree.map(
            lambda new, old: jnp.where(finite, new, old), new, (state.parameters, state.optimizer)
        )
        return TrainState(state.step + 1, parameters, optimizer)

    def _statistics(self, state: TrainState, gradients: Parameters, finite: Array) -> Array | None:
        """Norms by layer, computed only in the steps that report them and within the one compiled step.

        The update is computed a second time there, so that the others do nothing for it: taking its norms from the
        update that is applied would keep that whole instead of fused into the parameters. What it costs on a CPU is
        temporary memory of half to three quarters of the parameters' bytes.
        """
        every = self.config.train.statistics_every
        if not every:
            return None

        def norms() -> Array:
            updates, _ = self.optimizer.update(gradients, state.optimizer, state.parameters)
            return jnp.stack([layer_norms(tree) for tree in (gradients, updates, state.parameters)])

        due = ((state.step + 1) % every == 0) | ~finite
        return jax.lax.cond(due, norms, lambda: jnp.zeros((3, len(self.layer_names)), jnp.float32))

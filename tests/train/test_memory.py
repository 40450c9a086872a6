"""What never exists in memory, what is not kept, and what is not copied: read off the compiled programs."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend.core import jaxprs_in_params

from jmed_jax.config import ExperimentConfig, MeshConfig, ModelConfig, OptimizerConfig
from jmed_jax.models.decoder import abstract_parameters, initialize_parameters
from jmed_jax.models.remat import Remat
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.train.optimizer import adam_state
from jmed_jax.train.step import Trainer, accumulate_gradients
from tests import tiny

QWEN2_VOCAB = 152_064
KEY = jax.random.key(0)


def gradient_program(config: ExperimentConfig) -> Any:
    """Loss and gradients of one pass, lowered from shapes alone."""
    graphdef, abstract = abstract_parameters(config.model)
    shape = (1, config.data.batch_size, config.model.context_length)
    batch = jax.tree.map(lambda a: jax.ShapeDtypeStruct(shape, a.dtype), tiny.random_batch(rows=config.data.batch_size))
    function = jax.jit(lambda p, b: accumulate_gradients(graphdef, config, p, b, KEY))
    return function.trace(nnx.to_pure_dict(abstract), batch)


def temporary_bytes(traced: Any) -> int:
    return traced.lower().compile().memory_analysis().temp_size_in_bytes


def array_sizes(jaxpr: Any) -> set[tuple[int, ...]]:
    """Shapes of all values in a program and in the programs inside it."""
    shapes = set()
    for equation in jaxpr.eqns:
        shapes |= {tuple(v.aval.shape) for v in (*equation.invars, *equation.outvars) if hasattr(v.aval, "shape")}
        for inner in jaxprs_in_params(equation.params):
            shapes |= array_sizes(inner)
    return shapes


# --- logits -----------------------------------------------------------------------------------------------------------


def qwen2_vocabulary(*, tied: bool = False) -> ExperimentConfig:
    """Qwen2's vocabulary on a model so narrow that logits are the only large thing."""
    model = replace(tiny.MODEL, vocab_size=QWEN2_VOCAB, hidden_size=8, context_length=512, tie_embeddings=tied)
    base = tiny.experiment(batch_size=4, loss_chunk=64)
    return replace(base, model=model)


@pytest.mark.parametrize("tied", [False, True])
def test_the_logits_of_a_batch_never_exist(tied: bool) -> None:
    config = qwen2_vocabulary(tied=tied)
    positions = config.data.batch_size * config.model.context_length
    traced = gradient_program(config)
    largest = max(math.prod(shape) for shape in array_sizes(traced.jaxpr.jaxpr) if QWEN2_VOCAB in shape)
    assert largest <= max(config.train.loss_chunk, config.model.hidden_size) * QWEN2_VOCAB
    # 1.16 GiB of logits in float32; a few chunks' worth is what may be there at one time.
    logits = positions * QWEN2_VOCAB * 4
    assert temporary_bytes(traced) < logits / 4


def test_memory_of_logits_follows_the_chunk() -> None:
    config = qwen2_vocabulary()
    small, large = (
        temporary_bytes(gradient_program(replace(config, train=replace(config.train, loss_chunk=chunk))))
        for chunk in (64, 512)
    )
    chunk_logits = 448 * QWEN2_VOCAB * 4
    assert chunk_logits < large - small < 5 * chunk_logits


# --- rematerialisation ------------------------------------------------------------------------------------------------

DEEP = ModelConfig(
    vocab_size=64,
    num_layers=16,
    hidden_size=32,
    mlp_size=256,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    context_length=128,
    attention_dropout=0.1,
    residual_dropout=0.1,
)
POLICIES: tuple[Remat, ...] = ("none", "dots", "attention", "full")


def with_policy(remat: Remat) -> ExperimentConfig:
    return replace(tiny.experiment(remat=remat), model=DEEP)


def test_every_policy_keeps_less_than_the_one_before() -> None:
    needed = [temporary_bytes(gradient_program(with_policy(remat))) for remat in POLICIES]
    assert all(after < 0.95 * before for before, after in pairwise(needed)), needed


@pytest.mark.parametrize("remat", POLICIES[1:])
def test_gradients_do_not_depend_on_the_policy(remat: Remat) -> None:
    parameters = jax.jit(lambda: nnx.to_pure_dict(initialize_parameters(DEEP, 0)))()
    batch = tiny.random_batch(rows=2)
    batch = batch._replace(tokens=batch.tokens % DEEP.vocab_size)
    graphdef = abstract_parameters(DEEP)[0]

    def gradients(config: ExperimentConfig) -> Any:
        return jax.jit(lambda p, b: accumulate_gradients(graphdef, config, p, b, KEY))(parameters, batch)

    kept, again = gradients(with_policy("none")), gradients(with_policy(remat))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-7), kept, again)


# --- state ------------------------------------------------------------------------------------------------------------


def tree_bytes(tree: Any) -> int:
    return sum(math.prod(a.shape) * a.dtype.itemsize for a in jax.tree.leaves(tree))


def compiled_memory(config: ExperimentConfig) -> Any:
    trainer = Trainer(config, tiny.one_device_mesh())
    return (
        trainer.step.lower(trainer.abstract_state, trainer.abstract_frozen, trainer.abstract_batch)
        .compile()
        .memory_analysis()
    )


@pytest.mark.parametrize("statistics_every", [0, 10])
def test_the_step_writes_the_new_state_over_the_old(statistics_every: int) -> None:
    config = tiny.experiment(statistics_every=statistics_every)
    memory = compiled_memory(config)
    state = tree_bytes(Trainer(config, tiny.one_device_mesh()).abstract_state)
    assert memory.alias_size_in_bytes == state
    assert memory.output_size_in_bytes - memory.alias_size_in_bytes < 0.01 * state


def test_statistics_and_narrow_moments_are_not_paid_for_with_temporary_memory() -> None:
    """Norms of an update, float32 moments and random bits, each as large as the parameters, must not all be kept."""
    model = replace(tiny.MODEL, hidden_size=256, mlp_size=1024)
    base = replace(tiny.experiment(), model=model)
    reporting = replace(base, train=replace(base.train, statistics_every=10))
    narrow = replace(base, optimizer=replace(base.optimizer, moments_dtype="bfloat16"))
    needed = [
        compiled_memory(config).temp_size_in_bytes / (4 * model.num_parameters) for config in (base, reporting, narrow)
    ]
    assert needed[1] - needed[0] < 0.8
    assert needed[2] - needed[0] < 0.5


def test_moments_in_bfloat16_take_half_the_memory() -> None:
    wide, narrow = (
        Trainer(replace(tiny.experiment(), optimizer=optimizer), tiny.one_device_mesh()).abstract_state.optimizer
        for optimizer in (OptimizerConfig(), OptimizerConfig(moments_dtype="bfloat16"))
    )
    for moment in ("mu", "nu"):
        wide_bytes, narrow_bytes = (tree_bytes(getattr(adam_state(state), moment)) for state in (wide, narrow))
        assert narrow_bytes == wide_bytes / 2


# --- devices ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["ddp", "zero2", "fsdp"])
def test_devices_split_the_rows_and_sum_the_head_s_gradient_once(mode: Any) -> None:
    """Left to itself, the compiler shards activations by hidden size in mode "fsdp", and adds up every chunk."""
    mesh = MeshConfig(mode=mode, data=1, fsdp=8)
    config = replace(tiny.experiment(batch_size=8, loss_chunk=8), mesh=mesh)
    trainer = Trainer(config, make_mesh(mesh))
    text = (
        trainer.step.lower(trainer.abstract_state, trainer.abstract_frozen, trainer.abstract_batch).compile().as_text()
    )
    B, T, D = config.data.batch_size, config.model.context_length, config.model.hidden_size
    assert f"f32[{B},{T},{D}]" not in text
    assert f"f32[{B // 8},{T},{D}]" in text
    summed = [line for line in text.splitlines() if " reduce-scatter(" in line and f"{tiny.VOCAB}]" in line]
    assert len(summed) == 1 and "while" not in summed[0]


def test_the_abstract_batch_is_what_the_step_takes() -> None:
    trainer = Trainer(tiny.experiment(), tiny.one_device_mesh())
    placed = trainer.place(tiny.random_batch())
    for abstract, array in zip(trainer.abstract_batch, placed, strict=True):
        assert (abstract.shape, abstract.dtype, abstract.sharding) == (array.shape, array.dtype, array.sharding)
    assert trainer.abstract_batch.tokens.dtype == jnp.int32

"""The sharding table, and that every mode computes what one device computes while holding less."""

import math
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from jmed_jax.config import MeshConfig
from jmed_jax.errors import InputError
from jmed_jax.models.decoder import abstract_parameters
from jmed_jax.parallel import sharding
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.train.step import Trainer, TrainState
from tests import tiny

DDP = MeshConfig(mode="ddp")
ZERO2 = MeshConfig(mode="zero2", data=2, fsdp=4)
FSDP = MeshConfig(mode="fsdp", data=1, fsdp=8)
FSDP_TENSOR = MeshConfig(mode="fsdp", data=2, fsdp=2, tensor=2)
STEPS = 3


def train_steps(config: MeshConfig, mesh: Mesh) -> tuple[list[float], TrainState]:
    experiment = replace(tiny.experiment(), mesh=config)
    trainer = Trainer(experiment, mesh)
    state = trainer.fresh_state()
    losses = []
    for step in range(STEPS):
        state, metrics = trainer.step(state, trainer.place(tiny.random_batch(seed=step)))
        losses.append(float(metrics.loss))
    return losses, state


def share_of_one_device(tree: Any) -> float:
    """Numbers on the fullest device, as a share of all numbers."""
    arrays = [a for a in jax.tree.leaves(tree) if a.ndim]
    held = sum(math.prod(a.sharding.shard_shape(a.shape)) for a in arrays)
    return held / sum(a.size for a in arrays)


@pytest.fixture(scope="module")
def one_device_losses() -> list[float]:
    return train_steps(DDP, tiny.one_device_mesh())[0]


@pytest.mark.slow
# The norms' scales, and what a mesh axis does not divide, stay whole: a few per cent above the ideal share.
@pytest.mark.parametrize(
    ("config", "parameters_share", "optimizer_share"),
    [(DDP, 1, 1), (ZERO2, 1, 1 / 4), (FSDP, 1 / 8, 1 / 8), (FSDP_TENSOR, 1 / 4, 1 / 4)],
    ids=["ddp", "zero2", "fsdp", "fsdp-tensor"],
)
def test_every_mode_gives_the_losses_of_one_device_and_shards(
    one_device_losses: list[float], config: MeshConfig, parameters_share: float, optimizer_share: float
) -> None:
    losses, state = train_steps(config, make_mesh(config))
    np.testing.assert_allclose(losses, one_device_losses, atol=1e-5)
    assert len(set(losses)) == STEPS
    for tree, share in ((state.parameters, parameters_share), (state.optimizer, optimizer_share)):
        assert share <= share_of_one_device(tree) < share + 0.02
        assert all(len(a.sharding.device_set) == 8 for a in jax.tree.leaves(tree))
    kernel = state.parameters["blocks"]["mlp"]["up"]["kernel"]
    assert kernel.addressable_shards[0].data.size / kernel.size == parameters_share


def test_every_parameter_of_both_families_has_its_place() -> None:
    qwen_like = replace(tiny.MODEL, gated_mlp=True, qkv_bias=True)
    tree = nnx.to_pure_dict(abstract_parameters(qwen_like)[1])
    specs = jax.tree.map(lambda s: s.spec, sharding.tree_shardings(tree, sharding.FSDP_AXES, make_mesh(FSDP_TENSOR)))
    layer = specs["blocks"]
    assert specs["embedding"]["embedding"] == P("tensor", "fsdp")
    assert specs["head"]["kernel"] == P("fsdp", "tensor")
    assert specs["final_norm"]["scale"] == P(None)
    assert layer["attention_norm"]["scale"] == layer["mlp_norm"]["scale"] == P(None, None)
    for name in ("query", "key", "value"):
        assert layer["attention"][name]["kernel"] == P(None, "fsdp", "tensor")
        assert layer["attention"][name]["bias"] == P(None, "tensor")
    assert layer["attention"]["output"]["kernel"] == layer["mlp"]["down"]["kernel"] == P(None, "tensor", "fsdp")
    assert layer["mlp"]["gate"]["kernel"] == layer["mlp"]["up"]["kernel"] == P(None, "fsdp", "tensor")


def test_an_optimizer_moment_lies_like_its_parameter() -> None:
    mesh = make_mesh(FSDP_TENSOR)
    for name in ("blocks.mlp.down.kernel", "1.0.mu.blocks.mlp.down.kernel"):
        assert sharding.partition_spec(name, (2, 64, 32), sharding.FSDP_AXES, mesh) == P(None, "tensor", "fsdp")
    assert sharding.partition_spec("1.0.count", (), sharding.FSDP_AXES, mesh) == P()


@pytest.mark.parametrize("name", ["blocks.mlp.sideways.kernel", "head.bias", "hotheads.kernel.scale"])
def test_a_parameter_without_a_rule_is_an_error(name: str) -> None:
    with pytest.raises(AssertionError, match=f"no rule in PARAMETER_AXES matches {name}"):
        sharding.partition_spec(name, (4, 4), sharding.FSDP_AXES, make_mesh(FSDP))


def test_two_logical_axes_on_one_mesh_axis_are_an_error() -> None:
    with pytest.raises(AssertionError, match="on one mesh axis"):
        sharding.partition_spec("head.kernel", (32, 96), {"hidden": "fsdp", "vocab": "fsdp"}, make_mesh(FSDP))


def test_an_odd_vocabulary_is_replicated() -> None:
    mesh = make_mesh(FSDP_TENSOR)
    # 32,771 after instruction tuning; the other axis is sharded all the same.
    spec = sharding.partition_spec("embedding.embedding", (99, 32), sharding.FSDP_AXES, mesh)
    assert spec == P(None, "fsdp")
    array = jax.device_put(jnp.zeros((99, 32)), jax.sharding.NamedSharding(mesh, spec))
    assert array.addressable_shards[0].data.shape == (99, 16)


def test_rows_are_split_over_both_data_parallel_axes() -> None:
    mesh = make_mesh(FSDP_TENSOR)
    batch = jax.device_put(np.zeros((3, 8, 5)), sharding.batch_sharding(mesh, leading=1))
    assert batch.addressable_shards[0].data.shape == (3, 2, 5)
    sharding.check_batch(mesh, 8)
    with pytest.raises(InputError, match=r"data\.batch_size 6 does not divide over 4 data-parallel devices"):
        sharding.check_batch(mesh, 6)

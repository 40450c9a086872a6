"""The sharding table, and that every mode computes what one device computes while holding less."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

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
from jmed_jax.parallel.mesh import AXES, make_mesh
from jmed_jax.train.step import Trainer, TrainState
from tests import tiny

DDP = MeshConfig(mode="ddp")
ZERO2 = MeshConfig(mode="zero2", data=2, fsdp=4)
FSDP = MeshConfig(mode="fsdp", data=1, fsdp=8)
FSDP_TENSOR = MeshConfig(mode="fsdp", data=2, fsdp=2, tensor=2)
TENSOR = MeshConfig(mode="ddp", data=4, tensor=2)
ZERO2_TENSOR = MeshConfig(mode="zero2", data=1, fsdp=4, tensor=2)
STEPS = 10


def train_steps(config: MeshConfig, mesh: Mesh) -> tuple[list[float], TrainState]:
    experiment = replace(tiny.experiment(), mesh=config)
    trainer = Trainer(experiment, mesh)
    state = trainer.fresh_state()
    losses = []
    for step in range(STEPS):
        state, metrics = trainer.step(state, {}, trainer.place(tiny.random_batch(seed=step)))
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
    [
        (DDP, 1, 1),
        (TENSOR, 1 / 2, 1 / 2),
        (ZERO2, 1, 1 / 4),
        (ZERO2_TENSOR, 1 / 2, 1 / 8),
        (FSDP, 1 / 8, 1 / 8),
        (FSDP_TENSOR, 1 / 4, 1 / 4),
    ],
    ids=["ddp", "tensor", "zero2", "zero2-tensor", "fsdp", "fsdp-tensor"],
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


def bytes_a_device(config: MeshConfig) -> tuple[float, float]:
    """What the compiled step takes in, and what it needs beside that, in sizes of all parameters."""
    # Wide enough for the parameters to outweigh the activations.
    model = replace(tiny.MODEL, hidden_size=128, mlp_size=512, num_layers=4, vocab_size=512)
    trainer = Trainer(replace(tiny.experiment(), mesh=config, model=model), make_mesh(config))
    lowered = trainer.step.lower(trainer.abstract_state, trainer.abstract_frozen, trainer.abstract_batch)
    memory = lowered.compile().memory_analysis()
    size = 4 * model.num_parameters
    return memory.argument_size_in_bytes / size, memory.temp_size_in_bytes / size


@pytest.mark.slow
def test_memory_falls_as_the_modes_promise() -> None:
    ddp, zero2, fsdp = (
        bytes_a_device(config)
        for config in (DDP, MeshConfig("zero2", data=1, fsdp=8), MeshConfig("fsdp", data=1, fsdp=8))
    )
    # Parameters and two moments: all three whole; the moments in eight parts; all three in eight parts.
    np.testing.assert_allclose([ddp[0], zero2[0], fsdp[0]], [3, 1 + 2 / 8, 3 / 8], rtol=0.02)
    # The updated moments and what leads to them are whole in ddp alone.
    assert max(zero2[1], fsdp[1]) < ddp[1] - 1
    assert sum(fsdp) < sum(zero2) - 0.5 < sum(ddp) - 2


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


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"num_heads": 3, "num_kv_heads": 3}, "num_heads"),
        ({"num_heads": 4, "num_kv_heads": 1}, "num_kv_heads"),
        ({"mlp_size": 65}, "mlp_size"),
    ],
)
def test_a_width_that_tensor_does_not_divide_is_refused(changes: dict[str, int], field: str) -> None:
    model = replace(tiny.MODEL, **changes)
    message = rf"model\.{field} \({changes[field]}\) does not divide over mesh\.tensor \(2\)"
    with pytest.raises(InputError, match=message):
        replace(tiny.experiment(), model=model, mesh=FSDP_TENSOR)


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


class Device(NamedTuple):
    process_index: int


def share_of_rows(monkeypatch: pytest.MonkeyPatch, process: int, shape: tuple[int, int, int], own: int) -> Any:
    """`process_rows` of a process, where each of them has `own` devices, one after the other."""
    devices = np.empty(shape, object)
    for number, place in enumerate(np.ndindex(shape)):
        devices[place] = Device(number // own)
    monkeypatch.setattr(jax, "process_index", lambda: process)
    mesh: Any = SimpleNamespace(shape=dict(zip(AXES, shape, strict=True)), devices=devices)
    return sharding.process_rows(mesh)


@pytest.mark.parametrize(
    ("process", "shape", "own", "share"),
    [
        (0, (8, 1, 1), 8, (0, 1)),
        (1, (4, 2, 1), 2, (1, 4)),
        (3, (2, 2, 2), 2, (3, 4)),
        # Two processes a tensor axis, and with them the same rows.
        (2, (2, 1, 4), 2, (1, 2)),
        (3, (2, 1, 4), 2, (1, 2)),
        (3, (1, 1, 8), 2, (0, 1)),
    ],
)
def test_processes_that_a_tensor_axis_joins_read_the_same_rows(
    monkeypatch: pytest.MonkeyPatch, process: int, shape: tuple[int, int, int], own: int, share: tuple[int, int]
) -> None:
    assert share_of_rows(monkeypatch, process, shape, own) == share


def test_processes_that_have_only_some_rows_in_common_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"mesh\.tensor 3 does not fit 2 devices a process"):
        share_of_rows(monkeypatch, 0, (2, 1, 3), 2)

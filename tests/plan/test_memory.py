import math
from dataclasses import replace
from pathlib import Path

import jax
import pytest

from jmed_jax.config import DataConfig, ExperimentConfig, LoraConfig, MeshConfig, ModelConfig, TrainConfig, load_config
from jmed_jax.errors import InputError
from jmed_jax.hardware import GIB
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.plan.estimate import estimate
from jmed_jax.plan.memory import bytes_per_device, mesh_shape
from jmed_jax.train.step import Trainer
from tests import tiny

CONFIGS = Path(__file__).parents[2] / "configs"
PAPER = load_config(CONFIGS / "ncvc_slm_1b.py", ExperimentConfig)
MPEFT = load_config(CONFIGS / "jmedllm_7b_mpeft.py", ExperimentConfig)
MESHES = [
    MeshConfig("ddp"),
    MeshConfig("ddp", fsdp=2, tensor=2),
    MeshConfig("zero2", data=2, fsdp=4),
    MeshConfig("fsdp", data=1, fsdp=4, tensor=2),
]


def largest_shard_bytes(tree: object, shardings: object) -> int:
    sizes = jax.tree.map(lambda a, s: a.dtype.itemsize * math.prod(s.shard_shape(a.shape)), tree, shardings)
    return sum(jax.tree.leaves(sizes))


@pytest.mark.parametrize("mesh", MESHES, ids=lambda mesh: f"{mesh.mode}-{mesh.fsdp}-{mesh.tensor}")
@pytest.mark.parametrize(
    "model",
    [tiny.MODEL, replace(tiny.MODEL, vocab_size=99), replace(tiny.MODEL, gated_mlp=True, qkv_bias=True)],
    ids=["plain", "odd vocabulary", "gated"],
)
def test_state_is_what_the_trainer_places(mesh: MeshConfig, model: ModelConfig) -> None:
    config = replace(tiny.experiment(), mesh=mesh, model=model)
    trainer = Trainer(config, make_mesh(mesh))
    needed = bytes_per_device(config, mesh_shape(mesh, jax.device_count()))
    abstract, shardings = trainer.abstract_state, trainer.state_shardings
    assert needed["parameters"] == largest_shard_bytes(abstract.parameters, shardings.parameters)
    assert needed["gradients"] == largest_shard_bytes(abstract.parameters, trainer.gradient_shardings)
    # Optax counts its steps twice, in four bytes each.
    assert needed["optimizer"] == pytest.approx(largest_shard_bytes(abstract.optimizer, shardings.optimizer), abs=8)


@pytest.mark.parametrize("mesh", MESHES, ids=lambda mesh: f"{mesh.mode}-{mesh.fsdp}-{mesh.tensor}")
@pytest.mark.parametrize(
    "lora",
    [
        LoraConfig(rank=4),
        LoraConfig(rank=3, base="float32", dora=True, targets=("q_proj", "down_proj")),
        LoraConfig(rank=4, base="int8"),
        LoraConfig(rank=4, base="nf4"),
    ],
    ids=lambda lora: lora.base,
)
def test_adapter_and_frozen_base_are_what_the_trainer_places(mesh: MeshConfig, lora: LoraConfig) -> None:
    model = replace(tiny.MODEL, gated_mlp=True, qkv_bias=True, hidden_size=128, mlp_size=256, head_dim=32)
    config = replace(tiny.experiment(), mesh=mesh, model=model, lora=lora)
    trainer = Trainer(config, make_mesh(mesh))
    needed = bytes_per_device(config, mesh_shape(mesh, jax.device_count()))
    abstract, shardings = trainer.abstract_state, trainer.state_shardings
    assert needed["frozen"] == largest_shard_bytes(trainer.abstract_frozen, trainer.frozen_shardings)
    assert needed["parameters"] == largest_shard_bytes(abstract.parameters, shardings.parameters)
    assert needed["gradients"] == largest_shard_bytes(abstract.parameters, trainer.gradient_shardings)
    assert needed["optimizer"] == pytest.approx(largest_shard_bytes(abstract.optimizer, shardings.optimizer), abs=8)
    assert estimate(config, devices=8)["trained_parameters"] == sum(
        leaf.size for leaf in jax.tree.leaves(abstract.parameters)
    )


def test_an_adapter_of_seven_billion_trains_on_a_card_of_24_gb() -> None:
    one = replace(MPEFT, data=replace(MPEFT.data, batch_size=1, accumulation=8))

    def total(base: str) -> float:
        config = replace(one, lora=replace(one.lora, base=base))  # type: ignore[arg-type]
        return estimate(config, devices=1)["bytes_per_device"]["total"] / GIB

    assert 30 < total("float32") < 34
    assert total("nf4") < total("int8") < total("bfloat16") < 0.9 * 24e9 / GIB
    # 4 · P instead of 6 · P.
    plan = estimate(one, devices=1)
    assert plan["flops_per_step"] == plan["tokens_per_step"] * one.model.flops_per_token(2048, frozen=True)


def test_the_papers_run() -> None:
    plan = estimate(PAPER, device_memory_bytes=48 * GIB)
    assert plan["parameters"] == 1_191_282_688
    assert plan["source"] == "estimated"
    assert plan["tokens_per_step"] == 2_097_152
    assert plan["training_tokens"] == 24_000 * 2_097_152
    assert plan["flops_per_step"] == 2_097_152 * PAPER.model.flops_per_token(2048)
    assert plan["bytes_per_device"]["parameters"] == 4 * 1_191_282_688
    assert plan["bytes_per_device"]["total"] == sum(plan["bytes_per_device"].values()) / 2
    assert (plan["fits"], plan["advice"]) == (True, "")


def test_whether_it_fits_stays_open_without_a_memory() -> None:
    assert estimate(PAPER)["fits"] is None


@pytest.mark.parametrize(
    ("gib", "advice"),
    [
        (24, "Use --train.remat full."),
        (
            8,
            "Use --train.loss-chunk 256 --mesh.mode fsdp --mesh.data 1 --mesh.fsdp 4 --train.remat full --data",
        ),
        (1, "take more or larger devices"),
    ],
)
def test_advice_names_the_fields_to_change(gib: float, advice: str) -> None:
    plan = estimate(PAPER, device_memory_bytes=gib * GIB)
    assert not plan["fits"]
    assert advice in plan["advice"]


def test_advice_that_is_taken_fits() -> None:
    changed = replace(PAPER, train=replace(PAPER.train, remat="full"))
    assert estimate(changed, device_memory_bytes=24 * GIB)["fits"]


def test_lighter_choices_need_less() -> None:
    def total(config: ExperimentConfig) -> int:
        return estimate(config)["bytes_per_device"]["total"]

    none, dots, full = (total(replace(PAPER, train=replace(PAPER.train, remat=r))) for r in ("none", "dots", "full"))
    assert none > dots > full
    sharded = replace(PAPER, mesh=MeshConfig("fsdp", data=1, fsdp=4))
    assert total(sharded) < total(PAPER) < total(replace(PAPER, mesh=MeshConfig("ddp", data=1, fsdp=4)))


def test_one_device_is_close_to_what_xla_says() -> None:
    model = replace(tiny.MODEL, hidden_size=128, mlp_size=512, num_layers=4, head_dim=32, context_length=256)
    train = TrainConfig(steps=1, compute_dtype="float32", remat="full")
    config = ExperimentConfig("small", replace(model, vocab_size=512), DataConfig(batch_size=8), train=train)
    trainer = Trainer(config, tiny.one_device_mesh())
    memory = (
        trainer.step.lower(trainer.abstract_state, trainer.abstract_frozen, trainer.abstract_batch)
        .compile()
        .memory_analysis()
    )
    measured = memory.argument_size_in_bytes + memory.temp_size_in_bytes
    assert estimate(config, devices=1)["bytes_per_device"]["total"] == pytest.approx(measured, rel=0.4)


@pytest.mark.parametrize(
    ("mesh", "devices", "batch_size", "message"),
    [
        (MeshConfig(fsdp=3), 4, 8, "does not cover 4 device"),
        (MeshConfig(data=2), 4, 8, "does not cover 4 device"),
        (MeshConfig(), 3, 8, "data.batch_size 8 does not divide over 3"),
    ],
)
def test_what_does_not_divide_is_refused(mesh: MeshConfig, devices: int, batch_size: int, message: str) -> None:
    config = replace(PAPER, mesh=mesh, data=DataConfig(batch_size=batch_size))
    with pytest.raises(InputError, match=message):
        estimate(config, devices=devices)

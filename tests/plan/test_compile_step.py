"""The real step, compiled for eight virtual devices of this process."""

import json
import math
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import pytest

from jmed_jax.config import DataConfig, ExperimentConfig, MeshConfig
from jmed_jax.errors import InputError
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.plan.compile_step import compile_step, main, out_of_memory_figures
from jmed_jax.plan.memory import mesh_shape
from jmed_jax.plan.roofline import collective_bytes
from jmed_jax.plan.topology import parse_topology
from jmed_jax.train.step import Trainer
from tests import tiny

DDP = MeshConfig("ddp")
ZERO2 = MeshConfig("zero2", data=1, fsdp=8)
FSDP = MeshConfig("fsdp", data=1, fsdp=8)


def experiment(mesh: MeshConfig, passes: int = 1) -> ExperimentConfig:
    # With the document mask every array of the batch is read; XLA drops arguments that are not.
    data = DataConfig(batch_size=8, accumulation=passes, attention_mask="document")
    return replace(tiny.experiment(), mesh=mesh, data=data)


@cache
def reply(mesh: MeshConfig, passes: int = 1) -> dict[str, Any]:
    return compile_step(experiment(mesh, passes), parse_topology("cpu:8"))


def gradient_bytes(config: ExperimentConfig) -> int:
    return 4 * config.model.num_parameters


@pytest.mark.parametrize("mesh", [DDP, ZERO2, FSDP], ids=lambda mesh: mesh.mode)
def test_arguments_are_the_sharded_state_and_the_batch(mesh: MeshConfig) -> None:
    found = reply(mesh)
    trainer = Trainer(experiment(mesh), make_mesh(mesh))
    batch = sum(
        leaf.dtype.itemsize * math.prod(trainer.batch_sharding.shard_shape(leaf.shape))
        for leaf in jax.tree.leaves(trainer.abstract_batch)
    )
    # The step's own count of steps stands beside parameters and optimiser.
    state = found["state"]["parameters"] + found["state"]["optimizer"] + 4
    assert found["memory"]["arguments"] == state + batch


def test_modes_keep_what_they_promise() -> None:
    ddp, zero2, fsdp = (reply(mesh) for mesh in (DDP, ZERO2, FSDP))
    assert zero2["state"]["parameters"] == ddp["state"]["parameters"] > fsdp["state"]["parameters"]
    assert ddp["state"]["optimizer"] > zero2["state"]["optimizer"] == fsdp["state"]["optimizer"]
    assert ddp["memory"]["arguments"] > zero2["memory"]["arguments"] > fsdp["memory"]["arguments"]


def test_total_counts_donated_state_once() -> None:
    memory = reply(DDP)["memory"]
    assert memory["aliased"] > 0.9 * memory["outputs"]
    assert memory["total"] < memory["arguments"] + memory["temporaries"] + memory["outputs"]
    assert memory["total"] >= memory["arguments"] + memory["temporaries"]


def test_a_ddp_step_all_reduces_its_gradients() -> None:
    config = experiment(DDP)
    sent = reply(DDP)["collectives"]
    # Norms, loss and the flags of chunks are a few bytes beside them.
    assert sent["all-reduce"] == pytest.approx(2 * gradient_bytes(config) * 7 / 8, rel=0.05)
    assert reply(DDP)["unknown_loops"] == 0


def test_the_estimate_of_a_ddp_step_is_the_compilers() -> None:
    config = experiment(DDP)
    assert sum(reply(DDP)["collectives"].values()) == pytest.approx(
        collective_bytes(config, mesh_shape(DDP, 8)), rel=0.05
    )


def test_one_device_sends_nothing() -> None:
    config = experiment(MeshConfig(data=1))
    found = compile_step(config, parse_topology("cpu:1"))
    assert found["collectives"] == {}


def test_the_reply_is_one_line_of_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    import io

    from jmed_jax.config import to_dict

    request = {"config": to_dict(experiment(MeshConfig(data=3))), "topology": "cpu:8"}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(request)))
    main()
    answer = json.loads(capsys.readouterr().out)
    assert answer["status"] == "refused"
    assert "does not cover 8 device" in answer["message"]


def test_what_the_trainer_refuses_is_refused() -> None:
    config = replace(experiment(DDP), data=DataConfig(batch_size=3))
    with pytest.raises(InputError, match="batch_size 3 does not divide over 8"):
        compile_step(config, parse_topology("cpu:8"))


@pytest.mark.parametrize(
    ("message", "used", "limit"),
    [
        (
            "RESOURCE_EXHAUSTED: XLA:TPU compile permanent error. Ran out of memory in memory space hbm. "
            "Used 21.50G of 15.75G hbm. Exceeded hbm capacity by 5.75G.",
            int(21.5 * 2**30),
            int(15.75 * 2**30),
        ),
        (
            "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO temporaries (16.5G) "
            "exceeds available HBM (15.75G).",
            int(16.5 * 2**30) + 1000,
            int(15.75 * 2**30),
        ),
        ("RESOURCE_EXHAUSTED: Used 512.0M of 256.0M hbm", 2**29, 2**28),
        ("RESOURCE_EXHAUSTED: something else", None, None),
    ],
)
def test_the_compilers_figures(message: str, used: int | None, limit: int | None) -> None:
    assert out_of_memory_figures(message, 1000) == {"used_bytes": used, "limit_bytes": limit}

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.config import DataConfig, MeshConfig
from jmed_jax.errors import InputError
from jmed_jax.plan import compiled
from jmed_jax.plan.compiled import Unavailable, compile_elsewhere, missing_plugin
from jmed_jax.plan.topology import parse_topology
from tests import tiny

CPU = parse_topology("cpu:8")


@pytest.mark.parametrize(("name", "extra"), [("v5e:4x4", "jmed_jax[tpu]"), ("h100x8", "jmed_jax[gpu]")])
def test_a_missing_plugin_is_named_with_its_extra(name: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "find_spec", lambda _module: None)
    topology = parse_topology(name)
    assert f"pip install '{extra}'" in missing_plugin(topology)
    found = compile_elsewhere(tiny.experiment(), topology, seconds=60)
    assert isinstance(found, Unavailable)
    assert extra in found.reason


def test_a_plugin_whose_package_is_not_there_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_package(module: str) -> None:
        raise ModuleNotFoundError(module)

    monkeypatch.setattr(compiled, "find_spec", no_package)
    assert missing_plugin(parse_topology("a100x8"))
    assert not missing_plugin(CPU)


def test_a_process_of_its_own_has_devices_of_its_own() -> None:
    # Sixteen, and this process has eight.
    config = replace(tiny.experiment(), data=DataConfig(batch_size=16))
    found = compile_elsewhere(config, parse_topology("cpu:16"), seconds=300)
    assert not isinstance(found, Unavailable)
    assert found["status"] == "compiled"
    assert found["state"]["parameters"] == 4 * config.model.num_parameters
    assert found["collectives"]["all-reduce"] > 0


def test_what_the_trainer_refuses_reaches_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    reply = '{"status": "refused", "message": "heads do not divide"}'
    monkeypatch.setattr(subprocess, "run", answer(stdout=f"a library talks\n{reply}\n"))
    with pytest.raises(InputError, match="heads do not divide"):
        compile_elsewhere(tiny.experiment(), CPU, seconds=60)


def answer(**result: Any) -> Any:
    return lambda *_, **__: subprocess.CompletedProcess([], **{"returncode": 0, "stdout": "", "stderr": ""} | result)


def test_a_compiler_that_dies_is_reported_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", answer(returncode=-9, stderr="I am well\nsegmentation fault\n"))
    found = compile_elsewhere(tiny.experiment(), CPU, seconds=60)
    assert found == Unavailable("the compiler failed: segmentation fault")


def test_a_compiler_that_takes_too_long_is_stopped() -> None:
    found = compile_elsewhere(tiny.experiment(), CPU, seconds=0.2)
    assert isinstance(found, Unavailable)
    assert "--time-limit" in found.reason


@pytest.mark.parametrize("quick_status", ["compiled", "out_of_memory"])
def test_the_tpu_compiler_is_asked_quickly_then_properly(quick_status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    def run(*_: Any, env: dict[str, str], timeout: float, **__: Any) -> subprocess.CompletedProcess[str]:
        asked.append("JAX_EXEC_TIME_OPTIMIZATION_EFFORT" in env)
        if not asked[-1]:
            raise subprocess.TimeoutExpired("compile_step", timeout)
        return answer(stdout=f'{{"status": "{quick_status}"}}\n')()

    monkeypatch.setattr(compiled, "find_spec", lambda _module: "found")
    monkeypatch.setattr(subprocess, "run", run)
    found = compile_elsewhere(tiny.experiment(), parse_topology("v5e:2x4"), seconds=60)
    # What does not fit at the lowest effort is not asked again.
    assert asked == ([True, False] if quick_status == "compiled" else [True])
    assert found == {"status": quick_status} | ({"quick": True} if quick_status == "compiled" else {})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v5e:2x2", "v5p:2x2x1", "v6e:2x2", "h100x4", "rtx6000adax4"])
def test_hardware_that_is_not_there(name: str) -> None:
    topology = parse_topology(name)
    if missing := missing_plugin(topology):
        pytest.skip(missing)
    mesh = MeshConfig("zero2", data=1, fsdp=4)
    found = compile_elsewhere(replace(tiny.experiment(), mesh=mesh), topology, seconds=300)
    assert not isinstance(found, Unavailable), found
    assert found["status"] == "compiled"
    assert found["memory"]["total"] >= found["state"]["parameters"] + found["state"]["optimizer"]
    assert sum(found["collectives"].values()) > 0


def test_the_compilers_process_can_be_started_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="does not cover 8 device"):
        compile_elsewhere(replace(tiny.experiment(), mesh=MeshConfig(data=3)), CPU, seconds=300)

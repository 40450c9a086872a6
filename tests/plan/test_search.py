from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.config import DataConfig, ExperimentConfig, load_config
from jmed_jax.errors import InputError
from jmed_jax.hardware import GIB
from jmed_jax.plan import search as module
from jmed_jax.plan.memory import USABLE_SHARE
from jmed_jax.plan.search import COMPILED, SHOWN, search
from jmed_jax.plan.topology import parse_topology
from jmed_jax.plan.training_plan import estimated_plan

PAPER = load_config(Path(__file__).parents[2] / "configs" / "ncvc_slm_1b.py", ExperimentConfig)
H100 = parse_topology("h100x8")


def without_seconds(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name != "seconds"}


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> list[ExperimentConfig]:
    """A compiler that agrees with the estimate, and what it was asked."""
    asked: list[ExperimentConfig] = []

    def agree(config: ExperimentConfig, topology: Any, **options: Any) -> dict[str, Any]:
        asked.append(config)
        return estimated_plan(config, topology, **without_seconds(options)) | {"source": "compiled"}

    monkeypatch.setattr(module, "compiled_plan", agree)
    return asked


@pytest.mark.usefixtures("compiler")
def test_only_what_fits_is_ranked_fastest_first() -> None:
    plans = search(PAPER, H100, seconds=60, memory_bytes=24 * GIB)
    assert 1 < len(plans) <= SHOWN
    assert all(plan["fits"] for plan in plans)
    assert all(plan["bytes_per_device"]["total"] <= USABLE_SHARE * 24 * GIB for plan in plans)
    seconds = [plan["step_seconds"] for plan in plans]
    assert seconds == sorted(seconds)


def test_the_best_few_are_compiled(compiler: list[ExperimentConfig]) -> None:
    plans = search(PAPER, H100, seconds=60)
    assert len(compiler) == COMPILED
    assert [plan["source"] for plan in plans[:COMPILED]] == ["compiled"] * COMPILED


def test_every_candidate_keeps_the_rows_of_a_step(compiler: list[ExperimentConfig]) -> None:
    for plan in search(PAPER, H100, seconds=60):
        assert plan["tokens_per_step"] == PAPER.tokens_per_step
        assert "--data.batch-size" in plan["flags"]
    assert {config.data.rows_per_step for config in compiler} == {1024}


def test_what_the_compiler_finds_too_large_leaves_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []

    def refuse(config: ExperimentConfig, topology: Any, **options: Any) -> dict[str, Any]:
        refused.append(module._flags(config))
        return estimated_plan(config, topology, **without_seconds(options)) | {
            "source": "compiled",
            "fits": len(refused) > 2,
        }

    monkeypatch.setattr(module, "compiled_plan", refuse)
    shown = [plan["flags"] for plan in search(PAPER, H100, seconds=60)]
    assert not {*refused[:2]} & {*shown}
    assert refused[2] in shown


def test_an_estimate_in_place_of_a_compilation_ends_the_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def unavailable(config: ExperimentConfig, topology: Any, **options: Any) -> dict[str, Any]:
        asked.append(config)
        return estimated_plan(config, topology, **without_seconds(options)) | {"note": "no plugin"}

    monkeypatch.setattr(module, "compiled_plan", unavailable)
    plans = search(PAPER, H100, seconds=60)
    assert len(asked) == 1
    assert {plan["source"] for plan in plans} == {"estimated"}


def test_nothing_fits(compiler: list[ExperimentConfig]) -> None:
    with pytest.raises(InputError, match=r"fits 8 devices of 0\.5 GiB: take more or larger"):
        search(PAPER, H100, seconds=60, memory_bytes=GIB // 2)
    assert not compiler


@pytest.mark.usefixtures("compiler")
def test_rows_that_do_not_divide_leave_meshes_out() -> None:
    config = replace(PAPER, data=DataConfig(batch_size=4))
    assert {plan["mesh"]["tensor"] for plan in search(config, H100, seconds=60)} <= {2, 4, 8}

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.config import ExperimentConfig, load_config
from jmed_jax.hardware import GIB
from jmed_jax.plan import training_plan
from jmed_jax.plan.compiled import Unavailable
from jmed_jax.plan.memory import MeshShape
from jmed_jax.plan.placement import place
from jmed_jax.plan.roofline import flops_with_recomputation, memory_traffic
from jmed_jax.plan.topology import parse_topology
from jmed_jax.plan.training_plan import compiled_plan, estimated_plan

PAPER = load_config(Path(__file__).parents[2] / "configs" / "ncvc_slm_1b.py", ExperimentConfig)
ADA = parse_topology("rtx6000adax4")
STATE = {"frozen": 0, "parameters": 4 * GIB, "gradients": GIB, "optimizer": 2 * GIB}


def remat(policy: str) -> ExperimentConfig:
    return replace(PAPER, train=replace(PAPER.train, remat=policy))  # type: ignore[arg-type]


def reply(total: int, **changes: Any) -> dict[str, Any]:
    return {
        "status": "compiled",
        "state": STATE,
        "memory": {"total": total},
        "collectives": {"all-gather": 3_000_000, "all-reduce": 1_000_000},
        "unknown_loops": 0,
        "seconds": 12.34,
    } | changes


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Any:
    def answer(found: dict[str, Any] | Unavailable) -> None:
        monkeypatch.setattr(training_plan, "compile_elsewhere", lambda *_, **__: found)

    return answer


def test_the_papers_run_at_its_share_of_the_peak_takes_its_fourteen_days() -> None:
    """arXiv 2412.16423 §2.4.1: 4 × RTX 6000 Ada, 14 days, 10.3 k tokens/s a GPU, about 22 % of the peak."""
    plan = estimated_plan(PAPER, ADA, mfu=0.22)
    assert plan["days"] == pytest.approx(14, rel=0.05)
    assert plan["tokens_per_s_per_device"] == pytest.approx(10_300, rel=0.05)
    assert plan["fits"]
    assert plan["bound_by"] == "compute"


def test_cost_is_devices_hours_and_price() -> None:
    plan = estimated_plan(PAPER, ADA, price_per_hour=1.5)
    assert plan["cost"] == pytest.approx(plan["days"] * 24 * 4 * 1.5)
    assert estimated_plan(PAPER, ADA)["cost"] is None


def test_the_step_is_as_long_as_its_longest_part() -> None:
    plan = estimated_plan(PAPER, ADA)
    assert plan["step_seconds"] == max(plan["seconds"].values())
    assert plan["tokens_per_s"] == pytest.approx(plan["tokens_per_step"] / plan["step_seconds"])


def test_computing_again_costs_time() -> None:
    none, dots, attention, full = (flops_with_recomputation(remat(p)) for p in ("none", "dots", "attention", "full"))
    assert none == PAPER.tokens_per_step * PAPER.model.flops_per_token(2048)
    assert none < dots < attention < full < 4 / 3 * none


def test_more_passes_read_the_parameters_more_often() -> None:
    shape = MeshShape(1, 4, 1)
    twice = replace(PAPER, data=replace(PAPER.data, batch_size=16, accumulation=64))
    assert memory_traffic(twice, shape) > memory_traffic(PAPER, shape)


def test_compiled_figures_replace_estimates(answered: Any) -> None:
    answered(reply(30 * GIB))
    plan = compiled_plan(PAPER, ADA, seconds=1)
    parts = plan["bytes_per_device"]
    assert (plan["source"], plan["fits"], plan["advice"], plan["note"]) == ("compiled", True, "", "")
    assert parts["parameters"] == STATE["parameters"]
    # The sum over passes, and the gradient of this pass.
    assert parts["gradients"] == 2 * STATE["gradients"]
    assert parts["total"] == 30 * GIB == sum(size for name, size in parts.items() if name != "total")
    assert plan["collective_bytes_per_step"] == {"all-gather": 3_000_000, "all-reduce": 1_000_000, "total": 4_000_000}
    assert plan["seconds"]["links"] == pytest.approx(4_000_000 / ADA.hardware.link_bandwidth)
    assert plan["compile_seconds"] == 12.3


def test_compiled_figures_that_do_not_fit_name_the_field(answered: Any) -> None:
    answered(reply(60 * GIB))
    plan = compiled_plan(PAPER, ADA, seconds=1)
    assert not plan["fits"]
    # The estimate fits; what to change is scaled by what the compiler found.
    assert estimated_plan(PAPER, ADA)["fits"]
    assert "need 60.0 GiB a device" in plan["advice"]
    assert "Use --" in plan["advice"]


def test_a_compiler_out_of_memory_is_a_fit_test(answered: Any) -> None:
    answered({"status": "out_of_memory", "state": STATE, "used_bytes": 70 * GIB, "limit_bytes": 47 * GIB})
    plan = compiled_plan(PAPER, ADA, seconds=1)
    assert (plan["source"], plan["fits"]) == ("compiled", False)
    assert plan["bytes_per_device"]["total"] == 70 * GIB
    assert "Use --" in plan["advice"]
    assert plan["step_seconds"] > 0


def test_what_the_tpu_compiler_lets_pass_fits(answered: Any) -> None:
    answered(reply(int(15.2 * GIB)))
    config, _ = place(PAPER, 16)
    assert compiled_plan(config, parse_topology("v5e:4x4"), seconds=1)["fits"]
    assert not compiled_plan(PAPER, ADA, seconds=1, memory_bytes=16 * GIB)["fits"]


def test_without_a_compiler_it_says_so(answered: Any) -> None:
    answered(Unavailable("the TPU compiler is not installed: pip install 'jmed_jax[tpu]'"))
    plan = compiled_plan(PAPER, ADA, seconds=1)
    assert plan["source"] == "estimated"
    assert plan["note"] == "estimated, not compiled: the TPU compiler is not installed: pip install 'jmed_jax[tpu]'."
    assert plan["bytes_per_device"] == estimated_plan(PAPER, ADA)["bytes_per_device"]


def test_loops_of_unknown_length_are_told(answered: Any) -> None:
    answered(reply(30 * GIB, unknown_loops=2))
    assert "2 loop(s) of unknown length" in compiled_plan(PAPER, ADA, seconds=1)["note"]


def test_a_quick_compilation_is_told(answered: Any) -> None:
    answered(reply(30 * GIB, quick=True))
    assert "lowest effort: --time-limit gives it time" in compiled_plan(PAPER, ADA, seconds=1)["note"]


def test_a_memory_given_takes_the_place_of_the_data_sheets() -> None:
    assert not estimated_plan(PAPER, ADA, memory_bytes=8 * GIB)["fits"]

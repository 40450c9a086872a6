import json
from pathlib import Path

import pytest

from jmed_jax.cli import main
from jmed_jax.plan import compiled
from tests.cli.conftest import CONFIG

CONFIGS = Path(__file__).parents[2] / "configs"
PAPER, SEVEN = str(CONFIGS / "ncvc_slm_1b.py"), str(CONFIGS / "jmedllm_7b_mpeft.py")
CONTRACT = ("parameters", "bytes_per_device", "fits", "flops_per_step", "step_seconds", "mfu_assumed", "source")


def test_the_step_is_compiled_for_virtual_devices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "tiny.py").write_text(CONFIG)
    assert main(["plan", str(tmp_path / "tiny.py"), "--topology", "cpu:4", "--json", "--mesh.mode", "zero2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    plan = json.loads(lines[-1])
    assert plan["source"] == "compiled", plan["note"]
    assert set(CONTRACT) <= plan.keys()
    assert plan["fits"]
    assert plan["collective_bytes_per_step"]["total"] > 0
    assert "memory a device, as compiled:" in lines


@pytest.fixture
def without_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "find_spec", lambda _module: None)


@pytest.mark.usefixtures("without_plugins")
@pytest.mark.parametrize("topology", ["v5e:16x16", "v5p:2x2x4", "v6e:4x4", "h100x8", "rtx6000adax4"])
def test_without_the_plugin_it_is_estimated_and_says_what_to_install(
    topology: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", PAPER, "--topology", topology, "--price-per-hour", "2", "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    plan = json.loads(last)
    assert (plan["parameters"], plan["source"], plan["topology"]) == (1191282688, "estimated", topology)
    assert set(CONTRACT) <= plan.keys()
    assert "pip install 'jmed_jax[" in lines[-1]
    assert plan["cost"] > 0


@pytest.mark.usefixtures("without_plugins")
def test_search_shows_what_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", PAPER, "--topology", "a100x8", "--search", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert plan["fits"]
    assert len(plan["search"]) > 1
    assert all(found["fits"] for found in plan["search"])
    assert plan["search"][0]["flags"] == plan["flags"]


def test_inference_shows_every_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", SEVEN, "--inference", "--batch", "8", "--length", "4096", "--json"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    plan = json.loads(last)
    assert (plan["name"], plan["batch"], plan["length"]) == ("jmedllm_7b_mpeft", 8, 4096)
    assert {row["device"] for row in plan["devices"]} >= {"rtx4090", "l4", "h100", "v5e"}
    assert any(line.split()[:2] == ["rtx4090", "nf4"] for line in lines)


@pytest.mark.usefixtures("without_plugins")
def test_an_adapter_is_planned_beside_its_frozen_base(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", SEVEN, "--topology", "rtx4090x1", "--lora.base", "nf4", "--data.batch-size", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "jmedllm_7b_mpeft: 7,615,616,512 parameters, 40,370,176 trained"
    assert any(line.split() == ["frozen", "5.17", "GiB"] for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--inference", "--topology", "h100x8"], "--topology is for training"),
        (["--batch", "2"], "--batch and --length are of --inference"),
        (["--topology", "v5e-16"], "a slice is named by its chips along each axis, as v5e:4x4, v5e:16x16."),
        (["--topology", "cpu:4", "--devices", "4"], "--devices is for an estimate without --topology"),
        (["--search"], "--search needs --topology NAME"),
        (["--price-per-hour", "2"], "--price-per-hour needs --topology NAME"),
        (["--topology", "h100x8", "--mfu", "40"], "'40' is more than 1, the whole peak"),
        (["--topology", "h100x8", "--price-per-hour", "-1"], "'-1' is not a number above 0"),
        (["--topology", "h100x8", "--mesh.fsdp", "3"], "does not cover 8 device(s)"),
        (["--topology", "h100x8", "--data.batch-size", "3"], "data.batch_size 3 does not divide over 8"),
    ],
)
def test_bad_input(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", PAPER, *arguments]) == 2
    assert message in capsys.readouterr().err

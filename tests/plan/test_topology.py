import pytest

from jmed_jax.errors import InputError
from jmed_jax.hardware import GPUS
from jmed_jax.plan.hardware import gpu_target_config, this_machine
from jmed_jax.plan.topology import parse_topology


@pytest.mark.parametrize(
    ("name", "hardware", "devices"),
    [
        ("v5e:16x16", "v5e", 256),
        ("v6e:4x8", "v6e", 32),
        ("v5p:2x2x4", "v5p", 16),
        ("h100x8", "h100", 8),
        ("H200x8", "h200", 8),
        ("a100x16", "a100", 16),
        ("a100-40x8", "a100-40", 8),
        ("rtx4090x1", "rtx4090", 1),
        ("l4x2", "l4", 2),
        ("rtx6000adax4", "rtx6000ada", 4),
        ("cpu:8", "cpu", 8),
    ],
)
def test_names(name: str, hardware: str, devices: int) -> None:
    topology = parse_topology(name)
    assert (topology.hardware.name, topology.devices) == (hardware, devices)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v5e-16", "a slice is named by its chips along each axis, as v5e:4x4, v5e:16x16."),
        ("v5p:4x4", "slices of v5p have 3 axes, as v5p:2x2x4"),
        ("v6e:2x2x2", "slices of v6e have 2 axes, as v6e:4x4"),
        ("v5e:0x4", "as v5e:4x4"),
        ("h100:8", "spell it as h100x8."),
        ("h100", "spell it as h100x8."),
        ("a100-40", "spell it as a100-40x8."),
        ("rtx6000ada:4", "spell it as rtx6000adax4."),
        ("cpu", "spell it as cpu:8."),
        ("cpux4", "spell it as cpu:4."),
        ("v4:2x2x4", "unknown hardware. Spell it as v5e:16x16"),
        ("", "unknown hardware"),
    ],
)
def test_what_cannot_be_planned_for_is_spelled_right(name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_topology(name)
    assert message in str(caught.value)


def test_virtual_devices_share_this_machine() -> None:
    one, eight = this_machine(1), this_machine(8)
    assert eight.memory_bytes == one.memory_bytes // 8
    assert eight.peak_flops > 0
    assert eight.memory_bandwidth > 0


def test_every_gpu_is_described_for_the_compiler() -> None:
    for hardware in GPUS.values():
        text = gpu_target_config(hardware)
        assert f"device_memory_size: {hardware.memory_bytes}" in text
        assert text.count("{") == text.count("}")

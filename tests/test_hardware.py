import pytest

from jmed_jax.hardware import GPUS, TPUS, find


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("TPU v4", "v4"),
        ("TPU v5 lite", "v5e"),
        ("TPU v5e", "v5e"),
        ("TPU v5", "v5p"),
        ("TPU v5p", "v5p"),
        ("TPU v6 lite", "v6e"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA A100-SXM4-40GB", "a100-40"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx6000ada"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA L4", "l4"),
        # Slower, faster, or other cards whose names begin alike.
        ("NVIDIA L40S", None),
        ("NVIDIA H100 PCIe", None),
        ("cpu", None),
    ],
)
def test_a_device_is_found_by_what_jax_calls_it(kind: str, name: str | None) -> None:
    found = find(kind)
    assert (found.name if found else None) == name


def test_every_figure_has_its_source() -> None:
    for name, hardware in (TPUS | GPUS).items():
        assert hardware.name == name
        assert hardware.source
        assert hardware.kinds
        # Memory is read in hundredths of a second, and a byte read is worth some hundred operations: no unit is wrong.
        assert 0.01 < hardware.memory_bytes / hardware.memory_bandwidth < 0.1
        assert 100 < hardware.peak_flops / hardware.memory_bandwidth < 700

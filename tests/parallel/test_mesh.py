from dataclasses import dataclass
from typing import Any

import jax
import pytest

from jmed_jax.config import MeshConfig
from jmed_jax.errors import InputError
from jmed_jax.parallel.mesh import make_mesh


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (MeshConfig(), (8, 1, 1)),
        (MeshConfig(fsdp=4), (2, 4, 1)),
        (MeshConfig(data=1, fsdp=4, tensor=2), (1, 4, 2)),
    ],
)
def test_data_takes_what_the_others_leave(config: MeshConfig, shape: tuple[int, ...]) -> None:
    mesh = make_mesh(config)
    assert tuple(mesh.shape.values()) == shape
    assert mesh.axis_names == ("data", "fsdp", "tensor")


@pytest.mark.parametrize(
    "config", [MeshConfig(data=3), MeshConfig(data=4), MeshConfig(fsdp=3), MeshConfig(fsdp=16), MeshConfig(data=16)]
)
def test_a_mesh_that_does_not_cover_the_devices_is_refused(config: MeshConfig) -> None:
    with pytest.raises(InputError, match=r"does not cover 8 device\(s\)"):
        make_mesh(config)


def test_a_mesh_over_some_devices() -> None:
    mesh = make_mesh(MeshConfig(fsdp=2), jax.devices()[:4])
    assert tuple(mesh.shape.values()) == (2, 2, 1)
    assert set(mesh.devices.flat) == set(jax.devices()[:4])


@dataclass(frozen=True)
class Chip:
    """A chip of one of several slices; what is asked of a device when a mesh over them is made."""

    id: int
    slice_index: int
    process_index: int
    platform: str = "cpu"
    device_kind: str = "cpu"


def test_slices_are_joined_along_data() -> None:
    chips: Any = [Chip(number, number // 4, number // 4) for number in range(8)]
    mesh = make_mesh(MeshConfig(fsdp=2), chips)
    assert tuple(mesh.shape.values()) == (4, 2, 1)
    # The first half of `data` is the first slice.
    assert [chip.slice_index for chip in mesh.devices.flat] == [0] * 4 + [1] * 4


def test_slices_that_data_does_not_divide_are_refused() -> None:
    chips: Any = [Chip(number, number // 2, number // 2) for number in range(6)]
    with pytest.raises(InputError, match=r"mesh\.data 2 does not divide over 3 slices"):
        make_mesh(MeshConfig(fsdp=3), chips)

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

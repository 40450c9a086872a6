from dataclasses import replace
from pathlib import Path

import pytest

from jmed_jax.config import DataConfig, ExperimentConfig, MeshConfig, load_config
from jmed_jax.errors import InputError
from jmed_jax.plan.placement import place

PAPER = load_config(Path(__file__).parents[2] / "configs" / "ncvc_slm_1b.py", ExperimentConfig)


def test_what_covers_the_devices_stays() -> None:
    assert place(PAPER, 4) == (PAPER, "")


def test_data_takes_what_mode_fsdp_and_tensor_leave() -> None:
    placed, flags = place(PAPER, 8)
    assert placed.mesh == MeshConfig("zero2", data=2, fsdp=4)
    assert placed.data == PAPER.data
    assert flags == "--mesh.data 2 --mesh.fsdp 4"


def test_fewer_devices_than_fsdp_take_less() -> None:
    assert place(PAPER, 2)[0].mesh == MeshConfig("zero2", data=1, fsdp=2)


@pytest.mark.parametrize("devices", [64, 256, 1024])
def test_the_rows_of_a_step_stay(devices: int) -> None:
    placed, flags = place(PAPER, devices)
    assert placed.data.rows_per_step == PAPER.data.rows_per_step
    assert placed.data.batch_size % devices == 0
    # At most the eight rows a device of the paper.
    assert placed.data.batch_size // devices == min(8, 1024 // devices)
    assert f"--data.batch-size {placed.data.batch_size}" in flags


def test_what_the_user_asked_for_is_kept() -> None:
    with pytest.raises(InputError, match="does not cover 8 device"):
        place(PAPER, 8, keep_mesh=True)
    assert place(PAPER, 64, keep_batch=True)[0].data == PAPER.data


@pytest.mark.parametrize(
    ("config", "devices", "message"),
    [
        (replace(PAPER, mesh=MeshConfig(tensor=4)), 6, "mesh.tensor 4 does not divide 6 devices"),
        (replace(PAPER, data=DataConfig(batch_size=3)), 8, "a step of 3 rows .* does not divide over 8"),
    ],
)
def test_what_cannot_be_placed(config: ExperimentConfig, devices: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        place(config, devices)

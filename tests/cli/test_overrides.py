from pathlib import Path

import pytest

from jmed_jax.cli.overrides import load_experiment, split_overrides
from jmed_jax.config import LoraConfig
from jmed_jax.errors import InputError

CONFIG = """
from tests import tiny

def config():
    return tiny.experiment()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(CONFIG)
    return path


def lora(file: Path, line: str) -> LoraConfig:
    own, overrides = split_overrides(line.split())
    assert own == ["train"]
    return load_experiment(file, overrides).lora


@pytest.mark.parametrize("line", ["train --lora.targets q_proj,v_proj", "train --lora.targets=q_proj,v_proj"])
def test_several_values_stand_between_commas(file: Path, line: str) -> None:
    assert lora(file, line).targets == ("q_proj", "v_proj")


def test_fields_around_several_values_are_read_as_ever(file: Path) -> None:
    found = lora(file, "train --lora.rank 8 --lora.targets o_proj --lora.rank-stabilized --lora.base nf4")
    assert found == LoraConfig(rank=8, targets=("o_proj",), rank_stabilized=True, base="nf4")


def test_a_target_that_peft_does_not_know_is_named(file: Path) -> None:
    with pytest.raises(InputError, match=r"lora.targets must be some of q_proj, .*, not query, w"):
        lora(file, "train --lora.targets q_proj,query,w")

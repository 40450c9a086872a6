from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jmed_jax import config
from jmed_jax.config import DataConfig, MeshConfig, OptimizerConfig, TokenizerConfig, TrainConfig
from jmed_jax.errors import InputError
from tests import tiny

BASE = tiny.experiment()


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (tiny.MODEL, {"num_layers": 0}, "model.num_layers must be positive, not 0"),
        (tiny.MODEL, {"context_length": 1}, "model.context_length must be at least 2"),
        (
            tiny.MODEL,
            {"num_heads": 4, "num_kv_heads": 3},
            r"num_heads \(4\) must be a multiple of .*num_kv_heads \(3\)",
        ),
        (tiny.MODEL, {"head_dim": 7}, "head_dim must be even for rotary positions"),
        (tiny.MODEL, {"attention_dropout": 1.0}, r"model.attention_dropout must be in \[0, 1\)"),
        (tiny.MODEL, {"residual_dropout": -0.1}, r"model.residual_dropout must be in \[0, 1\)"),
        (TokenizerConfig(), {"vocab_size": 300}, "tokenizer.vocab_size must exceed 300"),
        (TokenizerConfig(), {"shrinking_factor": 1.0}, "tokenizer.shrinking_factor must be between"),
        (DataConfig(), {"batch_size": 0}, "data.batch_size must be positive"),
        (DataConfig(), {"accumulation": 0}, "data.accumulation must be positive"),
        (OptimizerConfig(), {"peak_lr": 0.0}, "optimizer.peak_lr must be positive"),
        (OptimizerConfig(), {"warmup_steps": -1}, "optimizer.warmup_steps must not be negative"),
        (OptimizerConfig(), {"clip_norm": 0.0}, "optimizer.clip_norm must be positive"),
        (MeshConfig(), {"data": 0}, "mesh.data must be positive or -1"),
        (MeshConfig(), {"tensor": 0}, "mesh.tensor must be positive"),
        (TrainConfig(), {"steps": 0}, "train.steps must be positive"),
        (TrainConfig(), {"length_normalization": 2.0}, "train.length_normalization must be between 0 and 1"),
        (TrainConfig(), {"neftune_alpha": -1.0}, "train.neftune_alpha must not be negative"),
        (BASE, {"optimizer": OptimizerConfig(warmup_steps=7)}, r"warmup_steps \(7\) exceeds train.steps \(6\)"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(section: Any, values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(section, **values)


def test_a_saved_configuration_comes_back() -> None:
    assert config.from_dict(config.to_dict(BASE)) == BASE


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.pop("name"),
        lambda values: values.pop("optimizer"),
        lambda values: values["model"].pop("vocab_size"),
        lambda values: values["model"].update(depth=3),
    ],
)
def test_a_configuration_of_another_version_is_refused(change: Any) -> None:
    values = config.to_dict(BASE)
    change(values)
    with pytest.raises(InputError, match="does not fit this version of jmed_jax"):
        config.from_dict(values)


def test_sizes_of_a_step() -> None:
    data = replace(BASE.data, batch_size=8, accumulation=3)
    assert data.rows_per_step == 24
    assert replace(BASE, data=data).tokens_per_step == 24 * tiny.LENGTH


def test_kv_cache_of_the_paper_s_model() -> None:
    model = replace(tiny.MODEL, num_layers=24, num_heads=32, num_kv_heads=8, head_dim=64)
    # Keys and values × layers × KV heads × head dim × two bytes: 48 KiB a token.
    assert model.kv_cache_bytes(batch=1, length=1) == 2 * 24 * 8 * 64 * 2
    assert model.kv_cache_bytes(batch=3, length=100, bytes_per_number=4) == 2 * 24 * 8 * 64 * 4 * 300


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "no such configuration file"),
        ("x = 1", r"defines no config\(\) function"),
        ("def config():\n    return {}", r"config\(\) returns dict, not ExperimentConfig"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, source: str | None, message: str) -> None:
    path = tmp_path / "mine.py"
    if source is not None:
        path.write_text(source)
    with pytest.raises(InputError, match=rf"mine\.py: {message}"):
        config.load_config(path, config.ExperimentConfig)

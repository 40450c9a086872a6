"""Loss on held-out rows."""

import math
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmed_jax.config import ExperimentConfig, MeshConfig
from jmed_jax.data.rows import open_rows
from jmed_jax.errors import InputError
from jmed_jax.models.decoder import Decoder
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.train.loss import next_token_targets
from jmed_jax.train.step import Trainer
from jmed_jax.train.validation import Validation
from tests import tiny


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return tiny.make_rows(tmp_path / "rows")


@pytest.fixture
def held_out(tmp_path: Path) -> Path:
    return tiny.make_rows(tmp_path / "held_out", count=19, seed=1)


def config_of(rows: Path, held_out: Path, limit: int = 512, **model: float) -> ExperimentConfig:
    config = tiny.experiment(rows)
    data = replace(config.data, validation_rows=str(held_out), validation_limit=limit)
    train = replace(config.train, validate_every=1)
    return replace(config, data=data, train=train, model=replace(config.model, **model))


def measure(config: ExperimentConfig, rows: Path) -> dict[str, float]:
    trainer = Trainer(config, tiny.one_device_mesh())
    return Validation(trainer, open_rows(rows)[0]).measure(trainer.fresh_state().parameters, {})


def expected_loss(config: ExperimentConfig, held_out: Path, indices: list[int]) -> float:
    """The same by hand: whole logits, row by row."""
    import grain
    from flax import nnx

    trainer = Trainer(config, tiny.one_device_mesh())
    decoder: Decoder = nnx.merge(trainer.graphdef, trainer.fresh_state().parameters, {})
    _, row_format, shards = open_rows(held_out)
    source = grain.sources.ArrayRecordDataSource([str(shard) for shard in shards])
    total = targets = 0.0
    for index in indices:
        row = row_format.decode(source[index])
        targets_BT, weights_BT = next_token_targets(jnp.asarray(row.tokens)[None], jnp.asarray(row.loss_mask)[None])
        logits = jax.nn.log_softmax(decoder(jnp.asarray(row.tokens)[None]))
        picked = jnp.take_along_axis(logits, targets_BT[:, :, None], axis=2)[:, :, 0]
        total -= float((picked * weights_BT).sum())
        targets += float(weights_BT.sum())
    return total / targets


def test_it_is_the_mean_over_the_targets_of_all_rows(rows: Path, held_out: Path) -> None:
    # 19 rows in passes of 8: the last one is filled up.
    config = config_of(rows, held_out)
    measured = measure(config, rows)
    assert measured["rows"] == 19
    assert measured["loss"] == pytest.approx(expected_loss(config, held_out, list(range(19))), abs=1e-5)
    # 4 bytes a target (tiny.make_rows).
    assert measured["bits_per_byte"] == pytest.approx(measured["loss"] / math.log(2) / 4)


def test_at_most_so_many_rows_evenly_spaced(rows: Path, held_out: Path) -> None:
    config = config_of(rows, held_out, limit=4)
    measured = measure(config, rows)
    assert measured["rows"] == 4
    assert measured["loss"] == pytest.approx(expected_loss(config, held_out, [0, 6, 12, 18]), abs=1e-5)


def test_neither_dropout_nor_noise(rows: Path, held_out: Path) -> None:
    noisy = config_of(rows, held_out, attention_dropout=0.5, residual_dropout=0.5)
    noisy = replace(noisy, train=replace(noisy.train, neftune_alpha=50.0))
    assert measure(noisy, rows) == measure(config_of(rows, held_out), rows)


def test_it_is_the_same_on_eight_devices(rows: Path, held_out: Path) -> None:
    config = config_of(rows, held_out)
    sharded = replace(config, mesh=MeshConfig(mode="fsdp", data=2, fsdp=2, tensor=2))
    trainer = Trainer(sharded, make_mesh(sharded.mesh))
    measured = Validation(trainer, open_rows(rows)[0]).measure(trainer.fresh_state().parameters, {})
    np.testing.assert_allclose(measured["loss"], measure(config, rows)["loss"], atol=1e-5)


def test_rows_that_were_trained_on_are_refused(rows: Path) -> None:
    with pytest.raises(InputError, match="these validation rows are the training rows"):
        measure(config_of(rows, rows), rows)


def test_rows_of_another_tokenizer_are_refused(rows: Path, tmp_path: Path) -> None:
    others = tiny.make_rows(tmp_path / "others", seed=2, tokenizer="another")
    with pytest.raises(InputError, match="validation rows of another tokenizer"):
        measure(config_of(rows, others), rows)


def test_both_fields_or_neither() -> None:
    with pytest.raises(InputError, match=r"data\.validation_rows and train\.validate_every belong together"):
        tiny.experiment(validate_every=5)

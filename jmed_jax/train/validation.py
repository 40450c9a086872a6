"""Loss on held-out rows: no dropout, no noise, the same rows in the same order every time.

Axes: B rows of a pass, T positions.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jmed_jax.artifact import Artifact
from jmed_jax.config import ExperimentConfig
from jmed_jax.data.loader import Batch
from jmed_jax.data.rows import Records, RowFormat
from jmed_jax.errors import InputError
from jmed_jax.models.decoder import abstract_parameters
from jmed_jax.models.lora import attach
from jmed_jax.parallel import sharding
from jmed_jax.train.batches import open_fitting_rows
from jmed_jax.train.loss import LossSums
from jmed_jax.train.step import Parameters, Trainer, loss_sums


class Validation:
    """The held-out rows and the jitted loss over them."""

    def __init__(self, trainer: Trainer, training_rows: Artifact) -> None:
        """
        Raises:
            InputError: the rows do not fit the configuration, have another tokenizer, or are those trained on.
        """
        self.trainer = trainer
        config = trainer.config
        rows, self.row_format, self.shards = open_fitting_rows(config, Path(config.data.validation_rows))
        if rows.inputs["tokenizer"] != training_rows.inputs["tokenizer"]:
            raise InputError(f"{rows.path}: validation rows of another tokenizer than that of the training rows.")
        if rows.fingerprint == training_rows.fingerprint:
            raise InputError(f"{rows.path}: these validation rows are the training rows. Pack text that was held out.")
        self.bytes_per_target = rows.counts["target_bytes"] / max(rows.counts["target_tokens"], 1)
        count = min(config.data.validation_limit, rows.counts["rows"])
        # Evenly spaced: rows lie in the order of the corpus.
        self.indices = np.linspace(0, rows.counts["rows"] - 1, count).round().astype(int)
        self._sums = self._make_sums()

    def _make_sums(self) -> Any:
        trainer = self.trainer
        replicated = NamedSharding(trainer.mesh, PartitionSpec())
        quiet = without_noise(trainer.config)
        # The graph holds the dropout rates.
        graphdef, _ = abstract_parameters(quiet.model, quiet.lora)

        def sums(parameters: Parameters, frozen: Parameters, batch: Batch) -> LossSums:
            one_pass = jax.tree.map(lambda a: a[0], batch)
            whole, key = attach(frozen, parameters), jax.random.key(0)
            return loss_sums(graphdef, quiet, whole, one_pass, key, mesh=trainer.mesh, attention=trainer.attention)

        shardings = (trainer.state_shardings.parameters, trainer.frozen_shardings, trainer.batch_sharding)
        return jax.jit(sums, in_shardings=shardings, out_shardings=replicated)

    def measure(self, parameters: Parameters, frozen: Parameters) -> dict[str, float]:
        """`loss` (nats a target), `bits_per_byte`, `targets`, `rows`. A collective call.

        Bits a byte by the mean bytes a target of all validation rows.
        """
        zero = jnp.zeros((), jnp.float32)
        total = LossSums(zero, zero, zero)
        for batch in self._batches():
            total = jax.tree.map(jnp.add, total, self._sums(parameters, frozen, self.trainer.place(batch)))
            # One pass at a time: the CPU devices of a process wait for each other for ever where programs overlap.
            jax.block_until_ready(total)
        loss_sum, _, targets = (float(value) for value in jax.device_get(total))
        loss = loss_sum / max(targets, 1.0)
        bits_per_byte = loss / math.log(2) / self.bytes_per_target
        return {"loss": loss, "bits_per_byte": bits_per_byte, "targets": targets, "rows": len(self.indices)}

    def _batches(self) -> Iterator[Batch]:
        """This process's share of every pass [1, B, T]; the last one is filled with rows without targets."""
        records = Records(self.shards)
        size = self.trainer.config.data.batch_size
        index, processes = sharding.process_rows(self.trainer.mesh)
        local = size // processes
        first = index * local
        for start in range(0, len(self.indices), size):
            mine = self.indices[start : start + size][first : first + local]
            yield _stack([records[int(index)] for index in mine], local, self.row_format)


def _stack(records: list[bytes], size: int, row_format: RowFormat) -> Batch:
    T = row_format.row_length
    batch = Batch(np.zeros((1, size, T), np.int32), np.zeros((1, size, T), np.int32), np.zeros((1, size, T), bool))
    for number, record in enumerate(records):
        for array, column in zip(batch, row_format.decode(record), strict=True):
            array[0, number] = column
    return batch


def without_noise(config: ExperimentConfig) -> ExperimentConfig:
    """The same experiment without dropout and NEFTune, every target counting alike."""
    return replace(
        config,
        model=replace(config.model, attention_dropout=0.0, residual_dropout=0.0),
        lora=replace(config.lora, dropout=0.0),
        train=replace(config.train, neftune_alpha=0.0, length_normalization=0.0),
    )

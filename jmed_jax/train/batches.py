"""Rows that fit an experiment, and batches of them by index."""

from pathlib import Path

from jax.sharding import Mesh

from jmed_jax.artifact import Artifact
from jmed_jax.config import ExperimentConfig
from jmed_jax.data.loader import Batch, make_loader
from jmed_jax.data.rows import RowFormat, open_rows
from jmed_jax.errors import InputError
from jmed_jax.parallel import sharding


def open_training_rows(config: ExperimentConfig) -> tuple[Artifact, RowFormat, list[Path]]:
    """`data.rows`.

    Raises:
        InputError: not set, no rows, or rows that do not fit the model.
    """
    if not config.data.rows:
        raise InputError("data.rows is not set. Give --data.rows DIR, a directory made by `jmed pack`.")
    return open_fitting_rows(config, Path(config.data.rows))


def open_fitting_rows(config: ExperimentConfig, path: Path) -> tuple[Artifact, RowFormat, list[Path]]:
    """Rows of `path` with their format and shards.

    Raises:
        InputError: no rows, ids beyond the model's vocabulary, or rows of another length.
    """
    rows, row_format, shards = open_rows(path)
    if row_format.vocab_size > config.model.vocab_size:
        raise InputError(
            f"{rows.path}: rows have ids up to {row_format.vocab_size - 1}, but model.vocab_size is "
            f"{config.model.vocab_size}. Set --model.vocab-size {row_format.vocab_size}."
        )
    if row_format.row_length != config.model.context_length:
        raise InputError(
            f"{rows.path}: rows of {row_format.row_length} tokens, but model.context_length is "
            f"{config.model.context_length}. Pack again with --row-length {config.model.context_length}."
        )
    return rows, row_format, shards


class Batches:
    """This process's share of every step's rows, by the index of the batch."""

    def __init__(self, config: ExperimentConfig, mesh: Mesh, row_format: RowFormat, shards: list[Path]) -> None:
        """
        Raises:
            InputError: fewer rows than one step takes, or a batch that the processes cannot share.
        """
        index, count = sharding.process_rows(mesh)
        self.config = config
        self.loader = make_loader(
            shards,
            row_format,
            batch_size=config.data.batch_size,
            accumulation=config.data.accumulation,
            seed=config.train.seed,
            process_index=index,
            process_count=count,
        )
        self.next = 0

    def seek(self, index: int) -> None:
        """Go to a batch; the index is the loader's whole state."""
        if index != self.next:
            self.loader.set_state({"next_index": index})
            self.next = index

    def take(self, index: int) -> Batch:
        """
        Raises:
            InputError: a row has an id that the model does not know.
        """
        self.seek(index)
        batch = next(self.loader)
        self.next += 1
        # A look-up beyond the embedding gives no error on a device, only wrong numbers.
        if (highest := int(batch.tokens.max())) >= self.config.model.vocab_size:
            raise InputError(
                f"{self.config.data.rows}: batch {index} has the token id {highest}, but model.vocab_size is "
                f"{self.config.model.vocab_size}: damaged rows. Pack them again."
            )
        return batch

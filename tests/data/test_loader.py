from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jmed_jax.data.loader import Batch, make_loader
from jmed_jax.data.rows import Row, RowFormat, write_shards
from jmed_jax.errors import InputError

FORMAT = RowFormat(4, 1000)
ROWS = 24


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Rows that are told apart by their tokens, in two shards."""
    path = tmp_path_factory.mktemp("rows")
    rows = [Row(np.full(4, i, np.int32), np.array([1, 1, 2, 0]), np.array([0, 1, 1, 0], bool)) for i in range(ROWS)]
    write_shards(rows, path, FORMAT, rows_per_shard=16)
    return sorted(path.iterdir())


def loader(shards: list[Path], batch_size: int = 4, accumulation: int = 1, seed: int = 0, **process: int) -> Any:
    return make_loader(shards, FORMAT, batch_size=batch_size, accumulation=accumulation, seed=seed, **process)


def row_numbers(batch: Batch) -> list[int]:
    return batch.tokens[:, :, 0].ravel().tolist()


def numbers_of(iterator: Any, steps: int) -> list[int]:
    return [number for _ in range(steps) for number in row_numbers(next(iterator))]


def test_batches_have_their_shape_and_content(shards: list[Path]) -> None:
    batch = next(loader(shards, batch_size=4, accumulation=3))
    assert batch.tokens.shape == batch.segment_ids.shape == batch.loss_mask.shape == (3, 4, 4)
    assert batch.tokens.dtype == batch.segment_ids.dtype == np.int32 and batch.loss_mask.dtype == bool
    assert (batch.segment_ids == [1, 1, 2, 0]).all() and (batch.loss_mask == [0, 1, 1, 0]).all()


def test_every_row_comes_once_an_epoch_in_an_order_of_its_own(shards: list[Path]) -> None:
    batches = loader(shards)
    epochs = [numbers_of(batches, ROWS // 4) for _ in range(3)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(ROWS))
    assert len({tuple(epoch) for epoch in [*epochs, list(range(ROWS))]}) == 4


def test_rows_that_do_not_fill_a_step_go_on_into_the_next_epoch(shards: list[Path]) -> None:
    numbers = numbers_of(loader(shards, batch_size=5), 5)
    assert sorted(numbers[:ROWS]) == list(range(ROWS))


def test_a_step_may_be_a_single_row(shards: list[Path]) -> None:
    assert sorted(numbers_of(loader(shards, batch_size=1), ROWS)) == list(range(ROWS))


def test_the_seed_decides_the_order(shards: list[Path]) -> None:
    first, again, other = (numbers_of(loader(shards, seed=seed), 6) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("processes", [2, 4])
def test_a_step_covers_the_same_rows_for_any_number_of_processes(shards: list[Path], processes: int) -> None:
    alone = loader(shards, batch_size=4, accumulation=2)
    shares = [
        loader(shards, batch_size=4, accumulation=2, process_index=index, process_count=processes)
        for index in range(processes)
    ]
    for _ in range(5):
        batches = [next(share) for share in shares]
        assert all(batch.tokens.shape == (2, 4 // processes, 4) for batch in batches)
        together = [number for batch in batches for number in row_numbers(batch)]
        assert sorted(together) == sorted(row_numbers(next(alone)))


def test_the_index_of_the_next_batch_is_the_whole_state(shards: list[Path]) -> None:
    straight = loader(shards)
    expected = [row_numbers(next(straight)) for _ in range(10)]
    for step in (0, 3, 8):
        resumed = loader(shards)
        resumed.set_state({"next_index": step})
        assert [row_numbers(next(resumed)) for _ in range(step, 10)] == expected[step:]
    assert straight.get_state() == {"next_index": 10}


def test_too_few_rows_for_a_step_are_refused_with_the_numbers(shards: list[Path]) -> None:
    with pytest.raises(InputError, match=r"24 rows, but one step takes 28 \(data\.batch_size 4 × data\.accumulation 7"):
        loader(shards, accumulation=7)


def test_a_batch_that_processes_cannot_share_is_refused(shards: list[Path]) -> None:
    with pytest.raises(InputError, match=r"data\.batch_size 4 does not divide over 3 processes"):
        loader(shards, process_count=3)

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jmed_jax.data.rows import Records, Row, RowFormat, open_rows, write_shards
from jmed_jax.errors import InputError
from tests import tiny


@st.composite
def formats_and_rows(draw: st.DrawFn) -> tuple[RowFormat, Row]:
    length = draw(st.integers(1, 40))
    vocab_size = draw(st.sampled_from([1, 400, 2**16, 2**16 + 1, 152_064]))

    def column(elements: st.SearchStrategy) -> list:
        return draw(st.lists(elements, min_size=length, max_size=length))

    row = Row(
        np.array(column(st.integers(0, vocab_size - 1)), np.int32),
        np.array(column(st.integers(0, 2**16 - 1)), np.int32),
        np.array(column(st.booleans()), bool),
    )
    return RowFormat(length, vocab_size), row


@settings(max_examples=200, deadline=None)
@given(formats_and_rows())
def test_decode_gives_back_what_encode_took(format_and_row: tuple[RowFormat, Row]) -> None:
    row_format, row = format_and_row
    record = row_format.encode(row)
    assert len(record) == row_format.record_bytes
    for before, after in zip(row, row_format.decode(record), strict=True):
        assert after.dtype == before.dtype
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize(("vocab_size", "bytes_per_token"), [(2**16, 2), (2**16 + 1, 4)])
def test_ids_take_four_bytes_only_where_the_vocabulary_needs_it(vocab_size: int, bytes_per_token: int) -> None:
    assert RowFormat(16, vocab_size).record_bytes == 16 * bytes_per_token + 16 * 2 + 2


@pytest.mark.parametrize("change", [lambda record: record[:-1], lambda record: record + b"\0"])
def test_a_record_of_another_size_is_refused(change: object) -> None:
    row_format = RowFormat(8, 100)
    record = row_format.encode(Row(np.zeros(8, np.int32), np.ones(8, np.int32), np.ones(8, bool)))
    with pytest.raises(InputError, match="instead of 33: damaged rows"):
        row_format.decode(change(record))  # type: ignore[operator]


def test_an_id_beyond_the_vocabulary_is_never_written() -> None:
    with pytest.raises(AssertionError):
        RowFormat(2, 100).encode(Row(np.array([1, 100], np.int32), np.ones(2, np.int32), np.ones(2, bool)))


def test_shards_are_cut_and_named_in_order(tmp_path: Path) -> None:
    row_format = RowFormat(4, 100)
    rows = [Row(np.full(4, i, np.int32), np.ones(4, np.int32), np.ones(4, bool)) for i in range(5)]
    assert write_shards(rows, tmp_path, row_format, rows_per_shard=2) == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"rows-0000{i}.array_record" for i in range(3)]


def test_open_rows_gives_format_and_shards_and_refuses_damage(tmp_path: Path) -> None:
    path = tiny.make_rows(tmp_path / "rows")
    rows, row_format, shards = open_rows(path)
    assert (rows.counts["rows"], row_format) == (24, RowFormat(tiny.LENGTH, tiny.VOCAB))
    assert shards == [path / "rows-00000.array_record"]
    os.truncate(shards[0], 1000)
    with pytest.raises(InputError, match=r"rows-00000\.array_record: 1000 bytes.*truncated"):
        open_rows(path)
    shards[0].unlink()
    with pytest.raises(InputError, match=r"rows-00000\.array_record: missing"):
        open_rows(path)


def test_records_are_counted_over_all_shards(tmp_path: Path) -> None:
    row_format = RowFormat(4, 100)
    rows = [Row(np.full(4, i, np.int32), np.ones(4, np.int32), np.ones(4, bool)) for i in range(5)]
    write_shards(rows, tmp_path, row_format, rows_per_shard=2)
    records = Records(sorted(tmp_path.iterdir()))
    assert [int(row_format.decode(records[i]).tokens[0]) for i in range(len(records))] == list(range(5))


def test_a_damaged_record_or_shard_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    path = tiny.make_rows(tmp_path / "rows")
    _, row_format, shards = open_rows(path)
    whole = shards[0].read_bytes()
    record = Records(shards)[11]
    place = whole.index(record)
    shards[0].write_bytes(whole[:place] + bytes(len(record)) + whole[place + len(record) :])
    records = Records(shards)
    with pytest.raises(InputError, match=r"rows: damaged rows .* Copy them again, or pack them again"):
        records[11]
    assert row_format.decode(records[12]).tokens.shape == (tiny.LENGTH,)
    shards[0].write_bytes(bytes(len(whole)))
    with pytest.raises(InputError, match="damaged rows"):
        Records(shards)


def test_a_manifest_without_shards_or_sizes_is_refused(tmp_path: Path) -> None:
    manifest = tiny.make_rows(tmp_path / "rows") / "manifest.json"
    content = json.loads(manifest.read_text())
    for change in ({"files": {}}, {"config": {}}, {"config": {**content["config"], "row_length": "32"}}):
        manifest.write_text(json.dumps(content | change))
        with pytest.raises(InputError, match="names no shards, or no row_length and vocab_size"):
            open_rows(tmp_path / "rows")

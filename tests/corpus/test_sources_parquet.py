"""Parquet files, written by pyarrow."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document

from jmed_jax.corpus.config import SourceConfig
from jmed_jax.corpus.record import Problems
from jmed_jax.corpus.sources import iter_texts, read_documents
from jmed_jax.errors import InputError


def read(path: Path, **settings: Any) -> tuple[list[Document], Problems]:
    problems = Problems()
    source = SourceConfig(name="hub", paths=(str(path),), **{"license": "MIT", **settings})
    return list(read_documents(source, [path], problems)), problems


def test_rows_carry_what_their_columns_say(tmp_path: Path) -> None:
    path = tmp_path / "train-00000-of-00001.parquet"
    table = pa.table(
        {
            "id": pa.array(["q1", None, "q3"]),
            "text": pa.array(["一", "二", "三"], pa.large_string()),
            "url": ["https://example.org/1", None, ""],
            "source": ["架空", "架空", None],
            "license": pa.array(["CC0", None, None]).dictionary_encode(),
            "title": ["題", None, None],
            "provenance": [{"model": "m"}, None, None],
            "embedding": [[0.0] * 8] * 3,
        }
    )
    pq.write_table(table, path)
    documents, problems = read(path)
    assert [(document.id, document.text) for document in documents] == [
        ("hub/q1", "一"),
        ("hub/train-00000-of-00001-0000002", "二"),
        ("hub/q3", "三"),
    ]
    assert documents[0].metadata == {
        "source": "hub",
        "license": "CC0",
        "origin": "https://example.org/1",
        "title": "題",
        "provenance": {"model": "m"},
    }
    assert documents[1].metadata == {"source": "hub", "license": "MIT", "origin": "架空"}
    assert documents[2].metadata["origin"] == "train-00000-of-00001.parquet:3"
    assert not problems.counts
    assert list(iter_texts(path)) == ["一", "二", "三"]


def test_rows_without_a_text_and_texts_that_are_not_utf8_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    raw = pa.array([b"good", None, b"\xff\xfe", b"last\0"], pa.binary())
    strings = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    pq.write_table(pa.table({"text": strings}), path)
    documents, problems = read(path)
    assert [document.text for document in documents] == ["good", "last"]
    assert problems.places == {
        '"text" is not a string': ["a.parquet:2"],
        "not UTF-8": ["a.parquet:3"],
        "NUL bytes": ["a.parquet:4"],
    }


def test_a_broken_row_group_does_not_cost_the_others(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"{number:04d}" * 20 for number in range(3000)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=1000, compression="zstd", use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    start = column.data_page_offset
    content[start : start + 200] = b"\xff" * 200
    path.write_bytes(content)
    documents, problems = read(path)
    assert [document.text for document in documents] == texts[:1000] + texts[2000:]
    assert documents[-1].metadata["origin"] == "a.parquet:3000"
    assert problems.places == {"unreadable Parquet": ["a.parquet:1000"]}


def test_one_large_row_group_is_not_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [random.Random(number).randbytes(5000).hex() for number in range(4000)]
    pq.write_table(pa.table({"text": texts}), path, compression="zstd", use_dictionary=False, write_batch_size=64)
    before, peak = pa.total_allocated_bytes(), 0
    source = SourceConfig(name="hub", paths=(str(path),), license="MIT")
    for document, text in zip(read_documents(source, [path], Problems()), texts, strict=True):
        assert document.text == text
        peak = max(peak, pa.total_allocated_bytes() - before)
    assert peak < path.stat().st_size / 2


@pytest.mark.parametrize("content", [b"", b"PAR1 nonsense PAR1"])
def test_a_file_that_is_no_parquet_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.parquet:0: unreadable Parquet"):
        read(tmp_path / "a.parquet")


def test_a_column_whose_name_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["一"], "nameless": [1]}), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"nameless", b"name\xeeess"))
    with pytest.raises(InputError, match=r"a\.parquet:0: unreadable Parquet"):
        read(path)


def test_a_missing_column_is_named_with_the_likely_one(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["1"], "n": [1], "body": ["本文"]}), path)
    with pytest.raises(InputError, match=r'no "text" field \(found: id, n, body\)\. .* --text-field body\.'):
        read(path)
    with pytest.raises(InputError, match=r'"n" is a column of int64, not of strings'):
        read(path, text_field="n")
    assert [document.text for document in read(path, text_field="body")[0]] == ["本文"]

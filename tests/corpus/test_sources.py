"""Reading raw sources, with errors that say where and what to do."""

import gzip
import json
from pathlib import Path

import pytest
import zstandard

from jmed_jax.corpus.sources import read_documents
from jmed_jax.errors import InputError

ROW = {"id": "a", "text": "本文", "title": "題", "source": "架空", "license": "CC0"}


def test_every_shape_is_read(tmp_path: Path) -> None:
    line = json.dumps(ROW, ensure_ascii=False) + "\n"
    (tmp_path / "1.jsonl").write_text(line + "\n" + line, encoding="utf-8")
    (tmp_path / "2.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    (tmp_path / "3.jsonl.zst").write_bytes(zstandard.compress(line.encode()))
    (tmp_path / "4.txt").write_text("一行目\n\n三行目\n", encoding="utf-8")
    (tmp_path / "notes.md").write_text("not a source", encoding="utf-8")
    documents = list(read_documents([tmp_path]))
    assert [document.file for document in documents] == ["1", "1", "2", "3", "4", "4"]
    first, last = documents[0], documents[-1]
    assert (first.id, first.text, first.title, first.source, first.license) == ("a", "本文", "題", "架空", "CC0")
    assert (last.id, last.text, last.source, last.license) == ("4-0000003", "三行目", "4", "unknown")


def test_missing_text_names_file_line_and_the_likely_field(tmp_path: Path) -> None:
    path = tmp_path / "part-0003.jsonl"
    path.write_text('{"text": "本文"}\n{"id": "x", "body": "本文"}\n', encoding="utf-8")
    with pytest.raises(InputError) as caught:
        list(read_documents([path]))
    assert str(caught.value) == (f'{path}:2: no "text" field (found: id, body). Name the field with --text-field body.')


def test_text_field_names_another_field(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"body": "本文"}\n', encoding="utf-8")
    assert [document.text for document in read_documents([tmp_path], text_field="body")] == ["本文"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", b"[1]\n", "expected a JSON object"),
        ("a.jsonl", b'{"text": 1}\n', '"text" is not a string'),
        ("a.txt", b"\xff\xfe", "not UTF-8"),
        ("a.csv", b"x", r"expected a name that ends with \.jsonl or \.txt"),
        ("a.jsonl.gz", b"x", "broken"),
    ],
)
def test_malformed_sources_are_errors(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=problem):
        list(read_documents([tmp_path / name]))


def test_missing_and_empty_directories_are_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(read_documents([tmp_path / "none.jsonl"]))
    with pytest.raises(InputError, match=r"no \.jsonl or \.txt file"):
        list(read_documents([tmp_path]))

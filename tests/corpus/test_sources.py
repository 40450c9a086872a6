"""JSON Lines, OSCAR and text: what the documents carry, and how bad input is counted or refused."""

import gzip
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard
from datatrove.data import Document

from jmed_jax import jsonl
from jmed_jax.corpus.config import SourceConfig
from jmed_jax.corpus.record import PLACES, Problems
from jmed_jax.corpus.sources import iter_texts, list_source_files, read_documents
from jmed_jax.errors import InputError
from jmed_jax.jsonl import write_jsonl

ROW = {"id": "a", "text": "本文", "title": "題", "source": "架空", "license": "CC0"}


def read(source: SourceConfig, root: Path) -> tuple[list[Document], Problems]:
    problems = Problems()
    return list(read_documents(source, list_source_files(source, root), problems)), problems


def source(*paths: str, **settings: Any) -> SourceConfig:
    return SourceConfig(name="web", paths=paths, **{"license": "CC0", **settings})


def write(path: Path, rows: Sequence[object]) -> None:
    path.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))


def test_plain_shapes_are_read_by_name(tmp_path: Path) -> None:
    line = json.dumps(ROW, ensure_ascii=False) + "\n"
    (tmp_path / "1.jsonl").write_text('{"text": "無名"}\n\n' + line, encoding="utf-8")
    (tmp_path / "2.jsonl.gz").write_bytes(gzip.compress(line.replace('"a"', '"b"').encode()))
    (tmp_path / "3.jsonl.zst").write_bytes(zstandard.compress(line.replace('"a"', "7").encode()))
    (tmp_path / "4.txt").write_text("一行目\n\n　\n四行目\r\n", encoding="utf-8")
    (tmp_path / "notes.md").write_text("not a source", encoding="utf-8")
    documents, problems = read(source("."), tmp_path)
    assert [(document.id, document.text) for document in documents] == [
        ("web/1-0000001", "無名"),
        ("web/1/a", "本文"),
        ("web/2/b", "本文"),
        ("web/3/7", "本文"),
        ("web/4-0000001", "一行目"),
        ("web/4-0000004", "四行目"),
    ]
    assert documents[0].metadata == {"source": "web", "license": "CC0", "origin": "1.jsonl:1"}
    assert documents[1].metadata == {"source": "web", "license": "CC0", "origin": "架空", "title": "題"}
    assert documents[5].metadata["origin"] == "4.txt:4"
    assert not problems.counts


def test_ids_of_the_only_file_stand_alone_and_two_files_may_use_the_same(tmp_path: Path) -> None:
    for name in ("1", "2"):
        write(tmp_path / f"{name}.jsonl", [ROW])
    one, _ = read(source("1.jsonl"), tmp_path)
    both, _ = read(source("1.jsonl", "2.jsonl"), tmp_path)
    assert [document.id for document in one] == ["web/a"]
    assert [document.id for document in both] == ["web/1/a", "web/2/a"]


def test_license_and_origin_are_the_rows_own_first(tmp_path: Path) -> None:
    rows = [{"text": "一", "license": "CC BY 4.0", "url": "https://example.org/1", "source": "x"}, {"text": "二"}]
    write(tmp_path / "a.jsonl", rows)
    documents, problems = read(source("a.jsonl", license="MIT"), tmp_path)
    assert [document.metadata["license"] for document in documents] == ["CC BY 4.0", "MIT"]
    assert documents[0].metadata["origin"] == "https://example.org/1"
    assert not problems.counts


def test_documents_of_unknown_license_are_all_counted_at_one_place_a_file(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / f"{name}.jsonl", [{"text": "本文"}] * 30 + [{"text": "本文", "license": "MIT"}])
    documents, problems = read(source(".", license=""), tmp_path)
    assert [document.metadata["license"] for document in documents].count("unknown") == 60
    assert problems.counts == {"unknown license": 60}
    assert problems.places == {"unknown license": ["a.jsonl", "b.jsonl"]}


def test_provenance_is_kept_and_everything_can_be_written(tmp_path: Path) -> None:
    row = {"text": "a\udc00b\0", "title": "\ud800", "url": "u\udfff", "id": "\ud801", "provenance": {"model": "\ud800"}}
    write(tmp_path / "a.jsonl", [row, {"text": "💉"}])
    documents, problems = read(source("a.jsonl"), tmp_path)
    assert (documents[0].text, documents[1].text) == ("a\ufffdb", "💉")
    assert documents[0].id == "web/\ufffd"
    assert documents[0].metadata["provenance"] == {"model": "\ufffd"}
    write_jsonl(tmp_path / "out.jsonl", [{"id": d.id, "text": d.text, **d.metadata} for d in documents])
    assert problems.to_json() == {"NUL bytes": {"count": 1, "places": ["a.jsonl:1"]}}


def test_a_file_of_text_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "notes" / "ward").mkdir(parents=True)
    (tmp_path / "notes" / "1.txt").write_bytes(b"\xef\xbb\xbf" + "主訴\r\n\r\n発熱\r\n".encode())
    (tmp_path / "notes" / "ward" / "1.txt.gz").write_bytes(gzip.compress("所見".encode()))
    (tmp_path / "notes" / "ward" / "bad.txt").write_bytes("一行\n".encode() + "所見".encode("cp932"))
    documents, problems = read(source("notes", format="files"), tmp_path)
    assert [(document.id, document.text) for document in documents] == [
        ("web/1", "主訴\n\n発熱"),
        ("web/ward/1", "所見"),
    ]
    assert problems.places == {"not UTF-8": ["bad.txt:2"]}


def test_a_file_of_text_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "LONGEST_LINE", 10)
    (tmp_path / "a.txt").write_bytes(b"0123456789")
    (tmp_path / "b.txt").write_bytes(b"0123456789a")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"0123456789")[:-9])
    documents, problems = read(source(".", format="files"), tmp_path)
    assert [document.id for document in documents] == ["web/a"]
    assert problems.places == {"file too long": ["b.txt:1"], "broken compression": ["c.txt.gz:0"]}


# --- OSCAR ------------------------------------------------------------------------------------------------------------

OSCAR_ROW = {
    "content": "糖尿病の食事\n療法について",
    "warc_headers": {
        "warc-record-id": "<urn:uuid:8f3b1a52-0000-4000-8000-000000000001>",
        "warc-target-uri": "https://example.jp/diabetes",
        "warc-date": "2022-11-26T09:45:47Z",
        "warc-type": "conversion",
        "content-type": "text/plain",
        "content-length": "1086",
        "warc-identified-content-language": "jpn,eng",
        "warc-refers-to": "<urn:uuid:8f3b1a52-0000-4000-8000-000000000002>",
        "warc-block-digest": "sha1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    },
    "metadata": {
        "identification": {"label": "ja", "prob": 0.98},
        "harmful_pp": 4063.1814,
        "tlsh": "tlsh:T1",
        "quality_warnings": ["short_sentences", "footer"],
        "categories": ["blog"],
        "sentence_identifications": [{"label": "ja", "prob": 0.99}, None],
    },
}


def test_oscar_carries_its_metadata(tmp_path: Path) -> None:
    bare = {
        "content": "短い",
        "warc_headers": {},
        # No float holds so large a number.
        "metadata": {"identification": None, "harmful_pp": 10**400, "quality_warnings": None, "categories": None},
    }
    lines = [json.dumps(row).encode() + b"\n" for row in (OSCAR_ROW, bare, {"content": None}, {"id": 1})]
    (tmp_path / "ja_part_1.jsonl.zst").write_bytes(zstandard.compress(b"".join(lines)))
    documents, problems = read(source(".", format="oscar"), tmp_path)
    assert [document.id for document in documents] == ["web/ja_part_1-0000001", "web/ja_part_1-0000002"]
    assert documents[0].text == "糖尿病の食事\n療法について"
    assert documents[0].metadata == {
        "source": "web",
        "license": "CC0",
        "origin": "https://example.jp/diabetes",
        "language": "ja",
        "language_confidence": 0.98,
        "harmful_pp": 4063.1814,
        "quality_warnings": ["short_sentences", "footer"],
        "categories": ["blog"],
    }
    assert documents[1].metadata == {
        "source": "web",
        "license": "CC0",
        "origin": "ja_part_1.jsonl.zst:2",
        "language": None,
        "language_confidence": None,
        "harmful_pp": None,
        "quality_warnings": [],
        "categories": [],
    }
    assert problems.places == {
        '"content" is not a string': ["ja_part_1.jsonl.zst:3"],
        'no "content" field': ["ja_part_1.jsonl.zst:4"],
    }


def test_what_is_not_oscar_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [ROW])
    with pytest.raises(InputError, match=r'a\.jsonl:1: no "content" field \(found: id, text, .*Is this OSCAR 2301'):
        read(source("a.jsonl", format="oscar"), tmp_path)


# --- bad input --------------------------------------------------------------------------------------------------------


def test_bad_records_are_counted_and_good_ones_kept(tmp_path: Path) -> None:
    lines = [b'{"text": 1}', b'{"text": "\xff"}', b'{"text": "good"}', b"nonsense", b'{"body": "x"}', b'"text"']
    lines += [b'{"text": "NUL\0 and \\u0000"}', b'{"text": null}', b'{"text": "last"}']
    whole = zstandard.compress(b"\n".join(lines) + b"\n")
    tail = zstandard.compress(b'{"text": "lost"}\n' * 100_000)
    (tmp_path / "part-1.jsonl.zst").write_bytes(whole + tail[:20])
    documents, problems = read(source("part-1.jsonl.zst"), tmp_path)
    assert [document.text for document in documents] == ["good", "NUL and ", "last"]
    assert problems.places == {
        '"text" is not a string': ["part-1.jsonl.zst:1", "part-1.jsonl.zst:8"],
        "not UTF-8": ["part-1.jsonl.zst:2"],
        "not JSON": ["part-1.jsonl.zst:4"],
        'no "text" field': ["part-1.jsonl.zst:5"],
        "not a JSON object": ["part-1.jsonl.zst:6"],
        "NUL bytes": ["part-1.jsonl.zst:7", "part-1.jsonl.zst:7"],
        "broken compression": ["part-1.jsonl.zst:9"],
    }


def test_places_are_few_and_counts_are_all(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\n" * 500 + b"good\n")
    _, problems = read(source("a.txt"), tmp_path)
    assert problems.counts["not UTF-8"] == 500
    assert len(problems.places["not UTF-8"]) == PLACES


def test_missing_text_names_file_line_and_the_likely_field(tmp_path: Path) -> None:
    write(tmp_path / "part-0003.jsonl", [{"id": "x" * 50, "body": "本文", "page": 3}, {"text": "本文"}])
    with pytest.raises(InputError) as caught:
        read(source("part-0003.jsonl"), tmp_path)
    expected = ':1: no "text" field (found: id, body, page). Name the field with --text-field body.'
    assert str(caught.value) == str(tmp_path / "part-0003.jsonl") + expected


def test_text_field_names_another_field(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", [{"body": "本文"}])
    documents, _ = read(source("a.jsonl", text_field="body"), tmp_path)
    assert [document.text for document in documents] == ["本文"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.jsonl", b"\n[1]\nx\n", r"a\.jsonl:2: not a JSON object, and no usable record"),
        ("a.jsonl", b'{"text": 1}\n', r'a\.jsonl:1: "text" is not a string'),
        ("a.txt", b"\xff\xfe", r"a\.txt:1: not UTF-8"),
        ("a.jsonl.gz", b"x", r"a\.jsonl\.gz:0: broken compression"),
    ],
)
def test_a_file_without_a_usable_record_is_an_error(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=problem):
        read(source(name), tmp_path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.txt"])
def test_an_empty_file_is_no_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"") if name.endswith("gz") else b"")
    assert read(source(name), tmp_path)[0] == []


def test_the_real_text_is_read_without_a_fault(real_data: Path) -> None:
    documents, problems = read(source("pretrain", license=""), real_data)
    # As the data's README counts them.
    assert len(documents) == 315 + 735 + 142 + 752 + 100 + 1140
    assert len({document.id for document in documents}) == len(documents)
    assert all(document.metadata["title"] and document.metadata["origin"] for document in documents)
    assert not problems.counts


# --- texts alone ------------------------------------------------------------------------------------------------------


def test_texts_of_a_file_and_of_a_directory(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", [{"body": "二"}, {"body": "三"}])
    (tmp_path / "a.txt").write_text("一\n", encoding="utf-8")
    assert list(iter_texts(tmp_path, text_field="body")) == ["一", "二", "三"]
    assert list(iter_texts(tmp_path / "a.txt")) == ["一"]


def test_texts_alone_stop_at_the_first_bad_row(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "x"}\n{"text": \n')
    texts = iter_texts(tmp_path / "a.jsonl")
    assert next(texts) == "x"
    with pytest.raises(InputError, match=r"a\.jsonl:2: not JSON"):
        next(texts)


def test_importing_sources_is_light() -> None:
    code = "import sys, jmed_jax.corpus.sources\nprint(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"pyarrow", "tensorflow_datasets", "array_record", "trafilatura", "lxml", "warcio", "numpy"}
    assert not {module.split(".")[0] for module in modules} & heavy

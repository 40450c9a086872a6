"""WARC and WET files, written by warcio."""

import gzip
import io
import sys
from pathlib import Path

import pytest
import zstandard
from datatrove.data import Document
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from jmed_jax.corpus.config import SourceConfig
from jmed_jax.corpus.record import Problems
from jmed_jax.corpus.sources import list_source_files, read_documents, warc
from jmed_jax.corpus.sources.html import decode_page
from jmed_jax.errors import InputError

SENTENCE = (
    "高血圧は脳卒中や心臓病の原因となるため、減塩と適度な運動を続けることが大切です。髙木医師は①食事、②睡眠も挙げます。"
)
PAGE = """<!DOCTYPE html><html><head><title>血圧の
 話</title>{meta}</head><body><nav><a href="/">ホーム</a><a href="/x">一覧</a></nav>
<article><h1>血圧の話</h1><p>{sentence}</p><p>{sentence}</p></article><footer>著作権表示</footer></body></html>"""


def page(meta: str = "") -> str:
    return PAGE.format(meta=meta, sentence=SENTENCE)


class Archive:
    """A WARC file under construction."""

    def __init__(self, compressed: bool) -> None:
        self.stream = io.BytesIO()
        self.writer = WARCWriter(self.stream, gzip=compressed)
        self.ends: list[int] = []
        self.writer.write_record(self.writer.create_warcinfo_record("x.warc", {"software": "test"}))
        self.ends.append(self.stream.tell())

    def response(self, body: bytes, content_type: str = "text/html", status: str = "200 OK", **more: str) -> None:
        headers = [("Content-Type", content_type), *((k.replace("_", "-"), v) for k, v in more.items())]
        number = len(self.ends)
        record = self.writer.create_warc_record(
            f"https://example.jp/{number}",
            "response",
            payload=io.BytesIO(body),
            http_headers=StatusAndHeaders(status, headers, protocol="HTTP/1.1"),
        )
        self.writer.write_record(record)
        self.ends.append(self.stream.tell())

    def conversion(self, body: bytes) -> None:
        record = self.writer.create_warc_record(
            f"https://example.jp/{len(self.ends)}",
            "conversion",
            payload=io.BytesIO(body),
            warc_content_type="text/plain",
        )
        self.writer.write_record(record)
        self.ends.append(self.stream.tell())


def read(path: Path, content: bytes) -> tuple[list[Document], Problems]:
    path.write_bytes(content)
    source = SourceConfig(name="crawl", paths=(path.name,), license="terms of use")
    problems = Problems()
    return list(read_documents(source, list_source_files(source, path.parent), problems)), problems


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz", "a.warc.zst"])
def test_pages_become_text(tmp_path: Path, name: str) -> None:
    archive = Archive(name.endswith(".gz"))
    archive.response(page().encode(), "text/html; charset=utf-8")
    archive.response(page().encode("cp932"), "text/html; charset=Shift_JIS")
    archive.response(page('<meta charset="euc-jp">').replace("髙", "高").encode("euc_jp", "ignore"))
    archive.response(gzip.compress(page().encode()), "application/xhtml+xml", Content_Encoding="gzip")
    archive.response("ただの文字".encode(), "text/plain; charset=UTF-8")
    archive.response(b"\x89PNG", "image/png")
    archive.response(page().encode(), status="404 Not Found")
    content = archive.stream.getvalue()
    documents, problems = read(tmp_path / name, zstandard.compress(content) if name.endswith("zst") else content)
    assert [document.id for document in documents] == [f"crawl/a-{number:07d}" for number in (2, 3, 4, 5, 6)]
    assert [document.metadata["origin"] for document in documents] == [f"https://example.jp/{n}" for n in range(1, 6)]
    for document in documents[:4]:
        assert document.metadata["title"] == "血圧の 話"
        assert SENTENCE[:39] in document.text
        assert "著作権" not in document.text
        assert "一覧" not in document.text
    assert SENTENCE in documents[1].text
    assert documents[4].text == "ただの文字"
    assert documents[0].metadata["license"] == "terms of use"
    assert not problems.counts


def test_wet_is_taken_as_it_is(tmp_path: Path) -> None:
    archive = Archive(compressed=True)
    archive.conversion("題\n一行目\n<p>二行目".encode())
    documents, problems = read(tmp_path / "CC-MAIN-1.warc.wet.gz", archive.stream.getvalue())
    assert [(d.id, d.text) for d in documents] == [("crawl/CC-MAIN-1-0000002", "題\n一行目\n<p>二行目")]
    assert documents[0].metadata["origin"] == "https://example.jp/1"
    assert not problems.counts


def test_one_gzip_member_around_all_records_is_read_too(tmp_path: Path) -> None:
    archive = Archive(compressed=False)
    for number in range(3):
        archive.conversion(f"{number}\n".encode() * 30_000)
    documents, problems = read(tmp_path / "a.wet.gz", gzip.compress(archive.stream.getvalue()))
    assert [document.text[:1] for document in documents] == ["0", "1", "2"]
    assert not problems.counts


def archive_of_five(compressed: bool) -> Archive:
    archive = Archive(compressed)
    for number in range(1, 6):
        archive.conversion(f"{number} 番目の文書".encode() * 50)
    return archive


def numbers(documents: list[Document]) -> list[str]:
    return [document.text[0] for document in documents]


@pytest.mark.parametrize("name", ["a.wet", "a.wet.gz"])
def test_a_broken_record_does_not_cost_the_others(tmp_path: Path, name: str) -> None:
    archive = archive_of_five(name.endswith(".gz"))
    whole, ends = archive.stream.getvalue(), archive.ends
    # All but the last line end, where the next record begins.
    damaged = whole[: ends[2]] + b"\xff" * (ends[3] - ends[2] - 2) + whole[ends[3] - 2 :]
    documents, problems = read(tmp_path / name, damaged)
    assert numbers(documents) == ["1", "2", "4", "5"]
    assert sum(problems.counts.values()) == 1
    assert problems.places == {"broken WARC record": [f"{name}:4"]}


def test_damage_inside_a_member_costs_that_record(tmp_path: Path) -> None:
    archive = archive_of_five(compressed=True)
    content = bytearray(archive.stream.getvalue())
    middle = (archive.ends[2] + archive.ends[3]) // 2
    content[middle : middle + 20] = b"\xff" * 20
    documents, problems = read(tmp_path / "a.wet.gz", bytes(content))
    assert numbers(documents) == ["1", "2", "4", "5"]
    assert problems.counts.keys() == {"broken WARC record"}


@pytest.mark.parametrize("name", ["a.wet", "a.wet.gz", "a.wet.zst"])
def test_a_truncated_file_gives_its_whole_records(tmp_path: Path, name: str) -> None:
    archive = archive_of_five(name.endswith(".gz"))
    content = archive.stream.getvalue()
    if name.endswith(".zst"):
        content = b"".join(
            zstandard.compress(content[start:end]) for start, end in zip([0, *archive.ends], archive.ends, strict=False)
        )
    documents, problems = read(tmp_path / name, content[:-40])
    assert numbers(documents) == ["1", "2", "3", "4"]
    assert problems.places == {"broken WARC record": [f"{name}:6"]}


def test_headers_that_make_no_sense_are_passed_over(tmp_path: Path) -> None:
    good = archive_of_five(compressed=False).stream.getvalue()
    bad = [
        b"nonsense\n" * 10,
        b"WARC/1.0\r\nWARC-Type: conversion\r\n\r\nno length\r\n\r\n",
        b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: many\r\n\r\nbody\r\n\r\n",
        b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 8\r\n\r\nHTTP/1.1\r\n\r\n",
    ]
    documents, problems = read(tmp_path / "a.warc", b"".join(bad) + good)
    assert numbers(documents) == ["1", "2", "3", "4", "5"]
    assert problems.counts == {"broken WARC record": 4}


def test_a_page_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warc, "LONGEST_RECORD", 1000)
    archive = Archive(compressed=True)
    archive.response(b"x" * 1001, "text/plain")
    archive.response(gzip.compress(bytes(5_000_000)), "text/plain", Content_Encoding="gzip")
    archive.response(b"x" * 1000, "text/plain")
    documents, problems = read(tmp_path / "a.warc.gz", archive.stream.getvalue())
    assert [document.id for document in documents] == ["crawl/a-0000004"]
    assert problems.places == {"record too long": ["a.warc.gz:2", "a.warc.gz:3"]}


def test_a_file_that_is_no_archive_is_an_error(tmp_path: Path) -> None:
    for name, content in (("a.warc", b"hello\n" * 100), ("a.warc.gz", b"hello\n"), ("a.warc.zst", b"hello\n")):
        with pytest.raises(InputError, match="broken WARC record, and no usable record"):
            read(tmp_path / name, content)


@pytest.mark.parametrize("library", ["warcio", "trafilatura"])
def test_what_is_not_installed_is_named(tmp_path: Path, library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=rf"reading WARC needs {library}\. Install jmed_jax\[corpus\]"):
        read(tmp_path / "a.warc", b"")


@pytest.mark.parametrize(
    ("payload", "declared", "text"),
    [
        ("全角①".encode(), "iso-8859-1", "全角①"),
        ("全角①".encode()[:-1], "", "全角"),
        ("全角①".encode("cp932"), "Shift_JIS", "全角①"),
        ("全角文字です".encode("cp932"), "", "全角文字です"),
        ("全角文字です".encode("euc_jp"), "", "全角文字です"),
        ("全角".encode("iso2022_jp"), "ISO-2022-JP", "全角"),
        (b"<meta charset=x-sjis>" + "①".encode("cp932"), "", "<meta charset=x-sjis>①"),
        (
            b'<meta http-equiv="Content-Type" content="text/html; charset=EUC-JP">' + "例".encode("euc_jp"),
            "nonsense",
            '<meta http-equiv="Content-Type" content="text/html; charset=EUC-JP">例',
        ),
        (b"caf\xe9s", "latin1", "cafés"),
        (b"\x80\xff\x81 ", "base64", "\ufffd\ufffd\ufffd "),
    ],
)
def test_characters_of_a_page(payload: bytes, declared: str, text: str) -> None:
    assert decode_page(payload, declared) == text

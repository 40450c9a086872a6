"""Which files a source has, and what they are called."""

import os
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.corpus.config import SourceConfig
from jmed_jax.corpus.record import Problems
from jmed_jax.corpus.sources import list_source_files, plain_sources, read_documents
from jmed_jax.errors import InputError


def fill(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f'{{"text": "{name}"}}\n' if ".jsonl" in name else f"{name}\n", encoding="utf-8")


def listed(root: Path, *paths: str, **settings: Any) -> list[str]:
    source = SourceConfig(name="web", paths=paths, **settings)
    return [str(path.relative_to(root)) for path in list_source_files(source, root)]


def test_files_directories_and_patterns_are_listed_once_and_sorted(tmp_path: Path) -> None:
    fill(tmp_path, "b.jsonl", "a.txt", "x/1.jsonl.zst", "x/2.warc.wet.gz", "x/3.parquet", "x/README", "x/y/4.jsonl")
    (tmp_path / "c.jsonl").symlink_to(tmp_path / "b.jsonl")
    assert listed(tmp_path, "x", "b.jsonl", "b.jsonl", "*.jsonl", "./x/1.jsonl.zst") == [
        "b.jsonl",
        "x/1.jsonl.zst",
        "x/2.warc.wet.gz",
        "x/3.parquet",
    ]
    assert listed(tmp_path, "**/*") == [
        "a.txt",
        "b.jsonl",
        "x/1.jsonl.zst",
        "x/2.warc.wet.gz",
        "x/3.parquet",
        "x/y/4.jsonl",
    ]
    assert listed(tmp_path, str(tmp_path / "x" / "*.zst")) == ["x/1.jsonl.zst"]


def test_a_format_lists_its_own_files(tmp_path: Path) -> None:
    fill(tmp_path, "d/a.txt", "d/b.jsonl", "d/e/c.txt.gz", "d/wiki40b-train.array_record-00000-of-00002", "d/odd.json")
    assert listed(tmp_path, "d", format="files") == ["d/a.txt", "d/e/c.txt.gz"]
    assert listed(tmp_path, "d", format="lines") == ["d/a.txt"]
    assert listed(tmp_path, "d", format="jsonl") == ["d/b.jsonl"]
    assert listed(tmp_path, "d/odd.json", format="jsonl") == ["d/odd.json"]
    assert listed(tmp_path, "d", format="wiki40b") == ["d/wiki40b-train.array_record-00000-of-00002"]


@pytest.mark.parametrize(
    ("entry", "format_", "problem"),
    [
        ("none.jsonl", "auto", r"none\.jsonl: no such file or directory"),
        ("none-*.jsonl", "auto", r"none-\*\.jsonl: no such file or directory"),
        ("empty", "auto", r"empty: no file that ends with \.jsonl, \.txt"),
        ("empty", "wiki40b", r"empty: no file .* Prepare Wiki-40B once"),
        ("wiki40b/ja/1.3.0", "wiki40b", r"no such file or directory\. Prepare Wiki-40B once"),
        ("a.csv", "auto", r"a\.csv: expected a name that ends with \.jsonl, \.txt"),
        ("*.csv", "auto", r"\*\.csv: matches no file that ends with"),
        ("crawl.warc.wat.gz", "auto", "expected a name"),
    ],
)
def test_what_is_missing_or_unknown_is_named(tmp_path: Path, entry: str, format_: Any, problem: str) -> None:
    (tmp_path / "empty").mkdir()
    fill(tmp_path, "a.csv", "crawl.warc.wat.gz")
    with pytest.raises(InputError, match=problem):
        listed(tmp_path, entry, format=format_)


def test_files_of_one_name_have_different_ids_wherever_the_data_stands(tmp_path: Path) -> None:
    for place in ("here", "x/x"):
        fill(tmp_path / place, "x/2022/part.jsonl", "x/2023/part.jsonl", "x/part.jsonl")
        source = SourceConfig(name="web", paths=("x/*/part.jsonl", "x/part.jsonl"))
        files = list_source_files(source, tmp_path / place)
        ids = [document.id for path in files for document in read_documents(source, [path], Problems())]
        assert ids == ["web/2022/part-0000001", "web/2023/part-0000001", "web/part-0000001"]


def test_two_files_that_would_share_ids_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "a/1.jsonl", "b/1.jsonl", "c/1.jsonl", "c/1.jsonl.gz")
    with pytest.raises(InputError, match=r"b/1\.jsonl: documents would get the same ids as those of .*a/1\.jsonl"):
        listed(tmp_path, "a", "b")
    with pytest.raises(InputError, match=r"same ids"):
        listed(tmp_path, "c")


def test_plain_sources_are_named_by_stem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, "d/a.jsonl", "d/b.txt.gz", "e/a.jsonl.zst", "e/crawl.warc.wet.gz", "e/[x].txt")
    monkeypatch.chdir(tmp_path)
    sources = plain_sources([Path("d"), Path("e"), Path("d/a.jsonl")], text_field="body")
    assert [source.name for source in sources] == ["a", "b", "[x]", "a-2", "crawl"]
    assert {source.format for source in sources} == {"auto"}
    assert {source.text_field for source in sources} == {"body"}
    for source, file in zip(sources, ["d/a.jsonl", "d/b.txt.gz", "e/[x].txt"], strict=False):
        assert list_source_files(source, tmp_path / "elsewhere") == [tmp_path / file]


def test_a_name_that_is_not_utf8_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode("\u6240\u898b".encode("cp932") + b".txt")
    path.write_text("所見\n", encoding="utf-8")
    (source,) = plain_sources([path])
    (document,) = read_documents(source, list_source_files(source, Path()), Problems())
    f"{document.id} {document.metadata}".encode()

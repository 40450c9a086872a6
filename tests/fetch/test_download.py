"""Downloads survive what networks do, and nothing that is not whole takes a final name."""

import hashlib
from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.fetch.download import PART, download, open_client
from tests.fetch.server import Site

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def get(site: Site, path: Path, sha256: str | None = SHA256) -> None:
    site.files["/file"] = CONTENT
    with open_client() as client:
        download(client, f"{site.url}/file", path, sha256=sha256, first_wait=0.0)


def part(path: Path) -> Path:
    return path.with_name(path.name + PART)


def test_a_file_comes_whole(site: Site, tmp_path: Path) -> None:
    get(site, tmp_path / "deep" / "file")
    assert (tmp_path / "deep" / "file").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]


def test_a_broken_connection_is_resumed_where_it_broke(site: Site, tmp_path: Path) -> None:
    site.breaks = [1000, 50_000]
    get(site, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [asked for _, asked in site.requests] == [None, "bytes=1000-", "bytes=51000-"]


def test_a_later_command_resumes_too(site: Site, tmp_path: Path) -> None:
    site.breaks = [1000, 0, 0, 0, 0]
    with pytest.raises(InputError, match=r"not fetched after 5 attempts.*goes on from there"):
        get(site, tmp_path / "file")
    assert part(tmp_path / "file").stat().st_size == 1000
    assert not (tmp_path / "file").exists()
    site.requests.clear()
    get(site, tmp_path / "file")
    assert site.requests == [("/file", "bytes=1000-")]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    site.breaks = [1000]
    get(site, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_part_that_is_whole_is_taken(site: Site, tmp_path: Path) -> None:
    part(tmp_path / "file").write_bytes(CONTENT)
    get(site, tmp_path / "file")
    assert site.requests == [("/file", f"bytes={len(CONTENT)}-")]
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("stale", [b"another file's beginning", b"x" * (len(CONTENT) + 1)])
def test_a_part_of_another_file_is_not_continued(site: Site, tmp_path: Path, stale: bytes) -> None:
    part(tmp_path / "file").write_bytes(stale)
    get(site, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_another_file_than_the_pinned_one_is_refused_and_not_kept(site: Site, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"its sha256 is {SHA256}, but {'0' * 64} was expected"):
        get(site, tmp_path / "file", sha256="0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_without_a_known_hash_what_comes_is_taken(site: Site, tmp_path: Path) -> None:
    get(site, tmp_path / "file", sha256=None)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_missing_file_is_one_line_at_once(site: Site, tmp_path: Path) -> None:
    with open_client() as client, pytest.raises(InputError, match=r"/no: HTTP 404 Not Found\. .*--mirror"):
        download(client, f"{site.url}/no", tmp_path / "no")
    assert len(site.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unwell_server_is_asked_again(site: Site, tmp_path: Path) -> None:
    site.statuses = [503, 429]
    get(site, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_nobody_at_the_address_is_one_line(tmp_path: Path) -> None:
    with open_client() as client, pytest.raises(InputError, match="not fetched after 5 attempts"):
        download(client, "http://127.0.0.1:9/file", tmp_path / "file", first_wait=0.0)
    assert list(tmp_path.iterdir()) == []

"""Licences come first, what is complete is recorded, and nothing of ours or of others is lost on the way."""

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from jmed_jax.cli import main
from jmed_jax.fetch.catalogue import read_catalogue
from jmed_jax.fetch.lock import LOCK, Lock
from jmed_jax.fetch.obtain import DOWNLOADS
from tests.fetch import samples
from tests.fetch.server import Site

NAME = "medmcqa"
CONTENT = samples.medmcqa_files()["data/en/MedMCQA/medmcqa.jsonl"]
(UPSTREAM,) = read_catalogue()[NAME].upstream


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def fetch(data: Path, *options: object) -> int:
    return main([str(part) for part in ("data", "fetch", NAME, "--data", data, *options)])


def mirrored(site: Site, content: bytes = CONTENT) -> tuple[str, str, str]:
    """Options that accept the licence and take the set from a server."""
    site.files[f"/jmed/{UPSTREAM.place}"] = content
    return "--accept-licenses", "--mirror", f"{site.url}/jmed/"


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    stream = io.StringIO(answer)
    monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", stream)


def lock_of(data: Path) -> dict[str, Any]:
    return json.loads((data / LOCK).read_text(encoding="utf-8"))


def test_a_set_is_fetched_converted_and_recorded(site: Site, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(data, *mirrored(site), "--json") == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out.splitlines()[-1])["fetched"] == [NAME]
    assert "licence: MIT (LICENSE.md of medmcqa/medmcqa)" in printed.err
    assert "trust on first use" in printed.err
    assert sorted(path.name for path in data.iterdir()) == [".downloads", LOCK, NAME]
    recorded = lock_of(data)
    assert recorded["sets"][NAME]["license"] == "MIT"
    assert recorded["sets"][NAME]["files"].keys() == {"medmcqa/dev.jsonl"}
    assert recorded["downloads"].keys() == {UPSTREAM.place}
    assert main(["data", "verify", "--data", str(data)]) == 0


def test_what_is_here_is_not_asked_for_again(site: Site, data: Path) -> None:
    assert fetch(data, *mirrored(site)) == 0
    site.requests.clear()
    assert fetch(data) == 0
    assert site.requests == []


def test_without_a_terminal_nothing_is_accepted_and_nothing_written(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert fetch(data) == 2
    error = capsys.readouterr().err
    assert "licence: MIT" in error
    assert "--accept-licenses" in error.splitlines()[-1]
    assert not data.exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2), ("\n", 2), ("", 2)])
def test_a_terminal_is_asked(
    answer: str, code: int, site: Site, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_a_terminal(monkeypatch, answer)
    assert fetch(data, *mirrored(site)[1:]) == code
    assert "Do you accept" in capsys.readouterr().err
    assert data.exists() == (code == 0)
    assert bool(site.requests) == (code == 0)


def test_a_missing_file_leaves_no_set(site: Site, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(data, "--accept-licenses", "--mirror", site.url) == 2
    assert "HTTP 404" in capsys.readouterr().err.splitlines()[-1]
    assert not (data / NAME).exists()
    assert lock_of(data)["sets"] == {}


def test_a_file_in_another_layout_leaves_no_set(site: Site, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fetch(data, *mirrored(site, b"<html>\n")) == 2
    assert "medmcqa.jsonl:1" in capsys.readouterr().err.splitlines()[-1]
    assert sorted(path.name for path in data.iterdir()) == [".downloads", LOCK]


def test_a_second_place_must_get_the_same_file(site: Site, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = mirrored(site)
    assert fetch(data, *options) == 0
    other = data.with_name("other")
    other.mkdir()
    recorded = lock_of(data) | {"sets": {}}
    (other / LOCK).write_text(json.dumps(recorded), encoding="utf-8")
    mirrored(site, CONTENT + b"\n")
    assert fetch(other, *options) == 2
    assert "was expected" in capsys.readouterr().err.splitlines()[-1]
    assert not (other / NAME).exists()
    mirrored(site)
    assert fetch(other, *options) == 0


def test_files_carried_in_by_hand_need_no_network(site: Site, data: Path, tmp_path: Path) -> None:
    assert fetch(data, *mirrored(site)) == 0
    carried = shutil.copytree(data / ".downloads", tmp_path / "stick")
    site.requests.clear()
    inside = tmp_path / "inside"
    assert fetch(inside, "--accept-licenses", "--from", carried) == 0
    assert site.requests == []
    assert (inside / "medmcqa" / "dev.jsonl").read_bytes() == (data / "medmcqa" / "dev.jsonl").read_bytes()


def test_a_file_that_was_not_carried_in_is_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stick").mkdir()
    assert fetch(data, "--accept-licenses", "--from", tmp_path / "stick") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert UPSTREAM.place in line and UPSTREAM.url in line


def test_what_others_made_is_not_replaced_unless_asked(
    site: Site, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / NAME).mkdir(parents=True)
    (data / NAME / "dev.jsonl").write_text("mine", encoding="utf-8")
    assert fetch(data, *mirrored(site)) == 2
    assert "not fetched by jmed" in capsys.readouterr().err
    assert site.requests == []
    assert (data / NAME / "dev.jsonl").read_text(encoding="utf-8") == "mine"
    assert fetch(data, *mirrored(site), "--replace") == 0
    assert (data / NAME / "dev.jsonl").read_text(encoding="utf-8") != "mine"


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(path.read_bytes() + b" "), "bytes, recorded were"),
        (lambda path: path.write_bytes(path.read_bytes()[::-1]), "its sha256 is not the recorded one"),
    ],
    ids=["missing", "longer", "changed"],
)
def test_verify_names_a_damaged_file(
    damage: Any, fault: str, site: Site, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(data, *mirrored(site)) == 0
    damage(data / NAME / "dev.jsonl")
    capsys.readouterr()
    assert main(["data", "verify", "--data", str(data)]) == 2
    first, last = capsys.readouterr().err.splitlines()
    assert "dev.jsonl" in first and fault in first
    assert last.startswith(f"error: {data}: 1 of 1 files")
    assert fetch(data) == 2
    assert fetch(data, "--replace", *mirrored(site)) == 0
    assert main(["data", "verify", NAME, "--data", str(data)]) == 0


def test_verify_without_a_lock_or_of_an_unknown_set_is_one_line(
    site: Site, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "verify", "--data", str(data)]) == 2
    assert "names no set" in capsys.readouterr().err
    assert fetch(data, *mirrored(site)) == 0
    assert main(["data", "verify", "mmlu", "--data", str(data)]) == 2
    assert "has no set mmlu" in capsys.readouterr().err
    (data / LOCK).write_text("{}", encoding="utf-8")
    assert main(["data", "verify", "--data", str(data)]) == 2
    assert "not a lock" in capsys.readouterr().err


def test_list_says_what_is_here(site: Site, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def presence() -> dict[str, str]:
        assert main(["data", "list", "--data", str(data), "--json"]) == 0
        result = json.loads(capsys.readouterr().out.splitlines()[-1])
        return {entry["name"]: entry["presence"] for entry in result["sets"]}

    assert set(presence().values()) == {"not here"}
    assert fetch(data, *mirrored(site)) == 0
    (data / "mmlu").mkdir()
    capsys.readouterr()
    here = presence()
    assert (here[NAME], here["mmlu"], here["jmmlu"]) == ("here", "here, not fetched by jmed", "not here")
    (data / NAME / "dev.jsonl").unlink()
    assert presence()[NAME] == "incomplete"


def test_a_set_that_is_interrupted_while_it_is_replaced_is_not_taken_for_complete(
    site: Site, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = mirrored(site)
    assert fetch(data, *options) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Lock, "record_set", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        assert fetch(data, *options, "--replace") == 130
    assert lock_of(data)["sets"] == {}
    assert not list(data.glob(".partial-*"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--mirror", "mirror.example.org"), "begins with https"),
        (("--from", "nowhere"), "no such folder"),
        (("--mirror", "https://mirror.example.org", "--from", "."), "exclude each other"),
    ],
)
def test_a_wrong_origin_is_one_line(
    options: tuple[str, ...], message: str, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch(data, "--accept-licenses", *options) == 2
    assert message in capsys.readouterr().err
    assert not data.exists()


def test_all_sets_come_from_a_mirror_and_are_verified(site: Site, data: Path) -> None:
    # The one whose hash is known cannot be invented.
    sets = [entry for entry in read_catalogue().values() if all(file.sha256 is None for file in entry.upstream)]
    for entry in sets:
        files = samples.SAMPLES[entry.name]()
        site.files |= {f"/{upstream.place}": files[upstream.path] for upstream in entry.upstream}
    names = [entry.name for entry in sets]
    command = ["data", "fetch", *names, "--data", str(data), "--accept-licenses", "--mirror", site.url]
    assert main(command) == 0
    assert main(["data", "verify", "--data", str(data)]) == 0
    assert Lock(data).sets.keys() == set(names)


def test_two_fetches_into_one_folder_do_not_get_in_each_others_way(
    site: Site, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / DOWNLOADS).mkdir(parents=True)
    with FileLock(data / DOWNLOADS / "lock"):
        assert fetch(data, *mirrored(site)) == 2
    assert "another process is fetching into it" in capsys.readouterr().err
    assert fetch(data, *mirrored(site)) == 0

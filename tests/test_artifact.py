"""Writing that is all or nothing, and refusal of what is damaged."""

import json
import os
from pathlib import Path

import pytest

from jmed_jax import artifact
from jmed_jax.artifact import Artifact, create, open_artifact, replacing, visible_files
from jmed_jax.errors import InputError


def make(
    path: Path, text: str = "本文", *, kind: str = "corpus", overwrite: bool = False, **config: object
) -> Artifact:
    with create(path, kind, config, overwrite=overwrite) as draft:
        (draft.path / "part").mkdir()
        (draft.path / "part" / "a.txt").write_text(text, encoding="utf-8")
        (draft.path / "b.txt").write_text("b")
        draft.inputs["source"] = "abc"
        draft.counts["documents"] = 1
    return open_artifact(path, kind)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    made = make(tmp_path / "corpus", lines=3)
    assert (made.kind, made.config, made.inputs) == ("corpus", {"lines": 3}, {"source": "abc"})
    assert made.counts == {"documents": 1}
    assert set(made.files) == {"part/a.txt", "b.txt"}
    assert made.files["part/a.txt"]["bytes"] == len("本文".encode())
    manifest = json.loads((tmp_path / "corpus" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["package"].startswith("jmed_jax ")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_behind_by_a_failure(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), create(tmp_path / "deep" / "corpus", "corpus", {}) as draft:
        (draft.path / "a.txt").write_text("half")
        assert not (tmp_path / "deep" / "corpus").exists()
        raise error
    assert list((tmp_path / "deep").iterdir()) == []


def test_an_existing_directory_is_refused_before_any_work(tmp_path: Path) -> None:
    make(tmp_path / "corpus")
    with pytest.raises(InputError, match=r"corpus exists\. Give another name, or --overwrite"):  # noqa: SIM117
        with create(tmp_path / "corpus", "corpus", {}):
            pytest.fail("the block was entered")


def test_overwriting_keeps_the_old_one_until_the_new_is_complete(tmp_path: Path) -> None:
    make(tmp_path / "corpus", "old")
    with create(tmp_path / "corpus", "corpus", {}, overwrite=True) as draft:
        (draft.path / "a.txt").write_text("new")
        assert (tmp_path / "corpus" / "part" / "a.txt").read_text() == "old"
    assert set(open_artifact(tmp_path / "corpus", "corpus").files) == {"a.txt"}
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_a_failed_overwrite_leaves_the_old_one(tmp_path: Path) -> None:
    old = make(tmp_path / "corpus", "old")
    with pytest.raises(ValueError, match="no"), create(tmp_path / "corpus", "corpus", {}, overwrite=True):
        raise ValueError("no")
    assert open_artifact(tmp_path / "corpus", "corpus") == old
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (make(tmp_path / "corpus").path / "part" / "a.txt").unlink()
    with pytest.raises(InputError, match=r"part/a\.txt: missing"):
        open_artifact(tmp_path / "corpus", "corpus")


@pytest.mark.parametrize("verify_hashes", [True, False])
def test_a_truncated_file_is_named(tmp_path: Path, verify_hashes: bool) -> None:
    os.truncate(make(tmp_path / "corpus").path / "part" / "a.txt", 3)
    with pytest.raises(InputError, match=r"part/a\.txt: 3 bytes, but the manifest says 6"):
        open_artifact(tmp_path / "corpus", "corpus", verify_hashes=verify_hashes)


def test_a_changed_file_of_equal_size_is_named_where_hashes_are_compared(tmp_path: Path) -> None:
    (make(tmp_path / "corpus").path / "b.txt").write_text("c")
    open_artifact(tmp_path / "corpus", "corpus", verify_hashes=False)
    with pytest.raises(InputError, match=r"b\.txt: its sha256 is not the manifest's"):
        open_artifact(tmp_path / "corpus", "corpus")


def test_another_kind_is_named(tmp_path: Path) -> None:
    make(tmp_path / "corpus")
    with pytest.raises(InputError, match="this is a corpus directory; a rows directory is needed here"):
        open_artifact(tmp_path / "corpus", "rows")


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"kind": "corpus"}',
        "\x80",
        '{"kind": "corpus", "config": "", "inputs": {}, "counts": {}, "files": {}}',
        # More digits than Python turns into an integer.
        '{"kind": "corpus", "config": {}, "inputs": {}, "counts": {"rows": 1' + "0" * 5000 + '}, "files": {}}',
    ],
    ids=str.__len__,
)
def test_a_broken_manifest_is_named(tmp_path: Path, content: str) -> None:
    (make(tmp_path / "corpus").path / "manifest.json").write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=r"manifest\.json: not a manifest"):
        open_artifact(tmp_path / "corpus", "corpus")


def test_a_name_that_no_file_can_have_is_named(tmp_path: Path) -> None:
    manifest = make(tmp_path / "corpus").path / "manifest.json"
    manifest.write_text(manifest.read_text().replace("b.txt", "b" * 5000))
    with pytest.raises(InputError, match=r"bbb: File name too long, though the manifest lists it"):
        open_artifact(tmp_path / "corpus", "corpus")


def test_a_directory_without_a_manifest_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no manifest\.json here, so this is not a finished rows directory"):
        open_artifact(tmp_path, "rows")


def test_the_fingerprint_follows_the_content_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(tmp_path / "a", lines=3)
    monkeypatch.setattr(artifact.time, "gmtime", lambda: (2030, 1, 1, 0, 0, 0, 0, 1, 0))
    assert make(tmp_path / "b", lines=4).fingerprint == first.fingerprint
    assert make(tmp_path / "c", "別の本文").fingerprint != first.fingerprint
    with create(tmp_path / "d", "corpus", {}) as draft:
        (draft.path / "a.txt").write_text("本文", encoding="utf-8")
        (draft.path / "b.txt").write_text("b")
    assert open_artifact(tmp_path / "d", "corpus").fingerprint != first.fingerprint, "another name, other content"


def test_replacing_a_file_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "scores.json"
    with replacing(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(ValueError, match="no"), replacing(path) as temporary:
        temporary.write_text("half")
        raise ValueError("no")
    assert path.read_text() == "old"
    assert [entry.name for entry in path.parent.iterdir()] == ["scores.json"]


def test_what_a_kill_or_a_file_manager_leaves_is_not_read(tmp_path: Path) -> None:
    for name in ("b.jsonl", "below/a.jsonl", "._b.jsonl", ".ipynb_checkpoints/b.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with replacing(tmp_path / "c.jsonl") as temporary:
        temporary.touch()
        assert visible_files(tmp_path, ".jsonl") == [tmp_path / "b.jsonl", tmp_path / "below/a.jsonl"]


def test_overwrite_replaces_only_what_we_made(tmp_path: Path) -> None:
    theirs = tmp_path / "records"
    theirs.mkdir()
    artifact.check_free(theirs, overwrite=True)
    (theirs / "precious.doc").touch()
    with pytest.raises(InputError, match="not made by jmed"):
        artifact.check_free(theirs, overwrite=True)
    with pytest.raises(InputError, match="not made by jmed"), artifact.create(theirs, "corpus", {}, overwrite=True):
        pass
    assert (theirs / "precious.doc").exists()


def test_a_directory_does_not_replace_a_file(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with (
        pytest.raises(InputError, match="a file; a directory is written here"),
        artifact.create(tmp_path / "notes.txt", "corpus", {}, overwrite=True),
    ):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt"]

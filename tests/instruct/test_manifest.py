import json
from pathlib import Path

import pytest

from jmed_jax.instruct.manifest import replacing_described, write_manifest
from jmed_jax.jsonl import sidecar


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.jsonl", "a.manifest.json"),
        ("a.jsonl.gz", "a.manifest.json"),
        ("medqa.ja.jsonl.zst", "medqa.ja.manifest.json"),
        ("v1.2.json", "v1.2.manifest.json"),
        ("plain", "plain.manifest.json"),
    ],
)
def test_what_stands_beside_a_file_has_its_whole_name(name: str, expected: str) -> None:
    assert sidecar(Path("out", name), "manifest.json") == Path("out", expected)


def test_a_manifest_describes_its_own_file_alone(tmp_path: Path) -> None:
    for language in ("ja", "en"):
        out = tmp_path / f"medqa.{language}.jsonl"
        out.write_text(f"{language}\n", encoding="utf-8")
        write_manifest(out, "translation", config={}, inputs={}, counts={}, files=[out])
    for language in ("ja", "en"):
        manifest = json.loads((tmp_path / f"medqa.{language}.manifest.json").read_text(encoding="utf-8"))
        assert list(manifest["files"]) == [f"medqa.{language}.jsonl"]


def test_an_older_manifest_goes_before_the_first_new_file_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, beside, manifest = (tmp_path / name for name in ("a.jsonl", "a.rejected.jsonl", "a.manifest.json"))
    write_pair(out, beside, "old")
    replaced = []

    def replace(_: Path, target: Path) -> None:
        replaced.append(target.name)
        assert not manifest.exists()

    with replacing_described(out, beside) as temporaries:
        for temporary in temporaries:
            temporary.write_text("new", encoding="utf-8")
        assert manifest.exists()
        monkeypatch.setattr(Path, "replace", replace)
    assert sorted(replaced) == [out.name, beside.name]


def test_files_that_fail_leave_the_older_ones_and_their_manifest(tmp_path: Path) -> None:
    out, beside = tmp_path / "a.jsonl", tmp_path / "a.rejected.jsonl"
    write_pair(out, beside, "old")
    before = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="no"), replacing_described(out, beside) as (new, _):
        new.write_text("half", encoding="utf-8")
        raise ValueError("no")
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == before


def write_pair(out: Path, beside: Path, text: str) -> None:
    for path in (out, beside):
        path.write_text(text, encoding="utf-8")
    write_manifest(out, "translation", config={}, inputs={}, counts={}, files=[out, beside])

import json
from pathlib import Path

import pytest

from jmed_jax.instruct.manifest import write_manifest
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

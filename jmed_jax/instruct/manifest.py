"""The manifest of a loose JSONL file, which stands beside it: what an artefact's directory has inside."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jmed_jax.artifact import manifest_text, replacing
from jmed_jax.jsonl import sidecar


def write_manifest(
    out: Path,
    kind: str,
    *,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    counts: Mapping[str, Any],
    files: Sequence[Path],
) -> Path:
    """Write the manifest of `files`, all beside `out`, in the form that `artifact.create` gives one; returns its path.

    Args:
        inputs: file → sha256 of what it was made from.
    """
    path = sidecar(out, "manifest.json")
    with replacing(path) as temporary:
        temporary.write_text(manifest_text(kind, config, inputs, counts, files, out.parent), encoding="utf-8")
    return path

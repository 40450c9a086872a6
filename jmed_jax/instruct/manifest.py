"""The manifest of a loose JSONL file, which stands beside it: what an artefact's directory has inside."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jmed_jax import __version__
from jmed_jax.artifact import file_sha256, replacing


def sidecar(out: Path, role: str) -> Path:
    """The file beside `out` that plays a role: `a.jsonl.gz`, "manifest.json" → `a.manifest.json`."""
    return out.with_name(f"{out.name.partition('.')[0]}.{role}")


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
    manifest = {
        "kind": kind,
        "package": f"jmed_jax {__version__}",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "config": dict(config),
        "inputs": dict(inputs),
        "counts": dict(counts),
        "files": {file.name: {"bytes": file.stat().st_size, "sha256": file_sha256(file)} for file in files},
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path

"""The manifest of a loose JSONL file, which stands beside it: what an artefact's directory has inside."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from jmed_jax.artifact import manifest_text, replacing
from jmed_jax.jsonl import sidecar


@contextmanager
def replacing_described(out: Path, *beside: Path) -> Iterator[list[Path]]:
    """`artifact.replacing` for the files of one manifest: yields their temporary names, in order.

    The manifest of older ones goes before the first file comes: killed at any time, none describes what is not its own.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(replacing(file)) for file in (out, *beside)]
        _manifest_of(out).unlink(missing_ok=True)


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

    They were written under `replacing_described`.

    Args:
        inputs: file → sha256 of what it was made from.
    """
    path = _manifest_of(out)
    with replacing(path) as temporary:
        temporary.write_text(manifest_text(kind, config, inputs, counts, files, out.parent), encoding="utf-8")
    return path


def _manifest_of(out: Path) -> Path:
    return sidecar(out, "manifest.json")

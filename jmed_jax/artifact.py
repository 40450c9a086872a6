"""The directories that stages hand on: a manifest, hashes, and writing that is all or nothing.

An artefact is a directory with `manifest.json`: what made it (kind, configuration, package version, fingerprints of
its inputs), counts, and size and sha256 of every file. It appears under its name only when it is complete.
"""

import hashlib
import json
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jmed_jax import __version__
from jmed_jax.errors import InputError

MANIFEST = "manifest.json"
MADE_BY_US = (MANIFEST, "run.json", "sample.json", "quickstart.json")
"""One of these stands in every directory that a command writes: an artefact, a run, a sample, a quickstart."""


@dataclass(frozen=True)
class Artifact:
    """A complete artefact on disk.

    Attributes:
        path: the directory.
        kind: "corpus", "dictionary", "tokenizer", "rows", "evaluation", …
        config: what it was made with.
        inputs: fingerprints of the artefacts and files it was made from, by role.
        counts: how much of what is in it.
        files: relative name → {"bytes", "sha256"}.
    """

    path: Path
    kind: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    counts: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]

    @property
    def fingerprint(self) -> str:
        """sha256 over the names and hashes of the files: equal content gives an equal fingerprint."""
        lines = "".join(f"{name} {entry['sha256']}\n" for name, entry in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


@dataclass
class Draft:
    """An artefact being written: put files under `path`, fill `inputs` and `counts`."""

    path: Path
    inputs: dict[str, str] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)
    hashes: dict[Path, str] = field(default_factory=dict)
    """sha256 of files that were hashed while they were written; the others are read for it."""


def files_fingerprint(files: Sequence[Path]) -> str:
    """sha256 over the names and hashes of some files, in their order."""
    lines = "".join(f"{file.name} {file_sha256(file)}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file.

    Raises:
        InputError: there is none.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None


def check_free(path: Path, overwrite: bool) -> None:
    """Refuse an output that exists, before any work is done.

    Raises:
        InputError: `path` exists and `overwrite` is false, or it is a directory that jmed did not make.
    """
    if not path.exists():
        return
    if not overwrite:
        raise InputError(f"{path} exists. Give another name, or --overwrite to replace it.")
    if path.is_dir() and any(path.iterdir()) and not any((path / name).is_file() for name in MADE_BY_US):
        raise InputError(f"{path}: not made by jmed, so --overwrite does not replace it. Give another name.")


@contextmanager
def create(path: Path, kind: str, config: Mapping[str, Any], *, overwrite: bool = False) -> Iterator[Draft]:
    """Write an artefact beside its final name and rename it when the block ends without an error.

    Args:
        path: the final directory.
        config: JSON-serialisable description of how it was made.
        overwrite: replace an existing artefact; it stays in place until the new one is complete.

    Raises:
        InputError: `path` exists and `overwrite` is false.
    """
    check_free(path, overwrite)
    with replacing_directory(path) as temporary:
        draft = Draft(temporary)
        yield draft
        files = [file for file in sorted(temporary.rglob("*")) if file.is_file()]
        manifest = manifest_text(kind, config, draft.inputs, draft.counts, files, temporary, draft.hashes)
        (temporary / MANIFEST).write_text(manifest, encoding="utf-8")


def manifest_text(
    kind: str,
    config: Mapping[str, Any],
    inputs: Mapping[str, str],
    counts: Mapping[str, Any],
    files: Sequence[Path],
    root: Path,
    hashes: Mapping[Path, str] | None = None,
) -> str:
    """What a manifest says of files below `root`, as JSON.

    Args:
        hashes: sha256 of files where it is known.
    """
    known = hashes or {}
    manifest = {
        "kind": kind,
        "package": f"jmed_jax {__version__}",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "config": dict(config),
        "inputs": dict(inputs),
        "counts": dict(counts),
        "files": {
            str(file.relative_to(root)): {
                "bytes": file.stat().st_size,
                "sha256": known.get(file) or file_sha256(file),
            }
            for file in files
        },
    }
    return json.dumps(manifest, ensure_ascii=False, indent=1) + "\n"


@contextmanager
def replacing_directory(path: Path) -> Iterator[Path]:
    """Yield a directory beside `path` that takes its place, and that of an older one, when the block ends well."""
    if path.is_file():
        raise InputError(f"{path}: a file; a directory is written here. Give another name.")
    path.parent.mkdir(parents=True, exist_ok=True)
    # A process id alone comes again in a container, where a killed run may have left its directory.
    unique = uuid.uuid4().hex[:12]
    temporary = path.parent / f".{path.name}.partial-{unique}"
    temporary.mkdir()
    try:
        yield temporary
        if path.exists():
            # The old one stays on disk until the new one has its name.
            retired = path.parent / f".{path.name}.retired-{unique}"
            path.rename(retired)
            temporary.rename(path)
            shutil.rmtree(retired)
        else:
            temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; the file written there takes its place when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: it decides the compression.
    temporary = path.with_name(f".partial-{uuid.uuid4().hex[:12]}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def visible_files(folder: Path, endings: str | tuple[str, ...] = "") -> list[Path]:
    """The files below `folder` whose names end so, sorted, and no hidden ones.

    Hidden are what `replacing` is writing now or left when it was killed, and what editors and file managers put
    beside people's files (`.ipynb_checkpoints`, macOS' `._NAME`).
    """
    return sorted(
        file
        for file in folder.rglob("*")
        if file.name.endswith(endings)
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def open_artifact(path: Path, kind: str, *, verify_hashes: bool = True) -> Artifact:
    """Read an artefact's manifest and check the files against it.

    Args:
        verify_hashes: compare every sha256; otherwise sizes only (rows can be tens of gigabytes, and their records
            carry checksums of their own).

    Raises:
        InputError: no such artefact, another kind, or a file is missing or damaged; names the file.
    """
    manifest_path = path / MANIFEST
    if not manifest_path.is_file():
        raise InputError(f"{path}: no {MANIFEST} here, so this is not a finished {kind} directory.")
    try:
        manifest = json.loads(manifest_path.read_text(encoding="utf-8"))
        artifact = Artifact(path, *(manifest[key] for key in ("kind", "config", "inputs", "counts", "files")))
        if not all(isinstance(part, dict) for part in (artifact.config, artifact.inputs, artifact.counts)):
            raise TypeError("config, inputs and counts are objects")
        described = {name: (entry["bytes"], entry["sha256"]) for name, entry in artifact.files.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{manifest_path}: not a manifest ({error!r}). Make the {kind} directory again.") from error
    if artifact.kind != kind:
        raise InputError(f"{path}: this is a {artifact.kind} directory; a {kind} directory is needed here.")
    for name, (size, sha256) in described.items():
        _check_file(path / name, size, sha256 if verify_hashes else None)
    return artifact


def _check_file(path: Path, expected_size: int, sha256: str | None) -> None:
    try:
        there = path.is_file()
    except OSError as error:  # no name that a file could have
        raise InputError(f"{path}: {error.strerror}, though the manifest lists it.") from error
    if not there:
        raise InputError(f"{path}: missing, though the manifest lists it. Copy or make the directory again.")
    size = path.stat().st_size
    if size != expected_size:
        raise InputError(f"{path}: {size} bytes, but the manifest says {expected_size}: truncated or changed.")
    if sha256 is not None and file_sha256(path) != sha256:
        raise InputError(f"{path}: its sha256 is not the manifest's: damaged or changed since it was made.")

"""Readers with files that they read without a fault, and how damage gets into those files."""

import gzip
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import zstandard
from fuzz_damage import damage

MANIFEST = "manifest.json"


class Packed(NamedTuple):
    """Bytes that are compressed, framed or encoded into a file: damage comes before that, or behind."""

    plain: bytes
    pack: Callable[[bytes], bytes]
    """May refuse damaged bytes with a ValueError."""


Files = Mapping[str, bytes | Packed]
"""By name, which may have folders in it."""


class Manifest(NamedTuple):
    """What an artefact's manifest says beside the list of files."""

    kind: str
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    counts: Mapping[str, Any]


@dataclass(frozen=True)
class Reader:
    """A reader, and files that it reads without a fault.

    Attributes:
        read: takes the folder that holds the files.
        manifest: of an artefact; it is written by what the files are, and listed files are damaged as often before it
            is written as behind.
    """

    name: str
    files: Files
    read: Callable[[Path], object]
    manifest: Manifest | None = None
    writes: bool = False
    """Opening it is for writing, too."""

    def valid(self) -> dict[str, bytes]:
        """Name → bytes of every file."""
        files = {name: _packed(file) for name, file in self.files.items()}
        return files | ({MANIFEST: _manifest(self.manifest, files)} if self.manifest else {})

    def damaged(self, generator: random.Random) -> tuple[str, dict[str, bytes]]:
        """Which file was damaged, and name → bytes of every file."""
        files = self.valid()
        name = generator.choice(sorted(files))
        file = self.files.get(name)
        files[name] = damage(files[name], generator) if file is None else _damaged(file, generator)
        if self.manifest and name != MANIFEST and generator.random() < 0.5:
            listed = {other: data for other, data in files.items() if other != MANIFEST}
            files[MANIFEST] = _manifest(self.manifest, listed)
        return name, files


def _packed(file: bytes | Packed) -> bytes:
    return file if isinstance(file, bytes) else file.pack(file.plain)


def _damaged(file: bytes | Packed, generator: random.Random) -> bytes:
    if isinstance(file, Packed) and generator.random() < 0.6:
        try:
            return file.pack(damage(file.plain, generator))
        except ValueError:
            pass  # No such file can be written: let what was written be damaged.
    return damage(_packed(file), generator)


def _manifest(manifest: Manifest, files: Mapping[str, bytes]) -> bytes:
    listed = {name: {"bytes": len(data), "sha256": sha256(data).hexdigest()} for name, data in files.items()}
    return as_json({"package": "", "created": "", **manifest._asdict(), "files": listed})


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """Write files below an existing folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


# --- how files are made -----------------------------------------------------------------------------------------------


def lines(*rows: Mapping[str, Any]) -> bytes:
    """JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def as_json(value: Any) -> bytes:
    """JSON of a valid value."""
    return json.dumps(value, ensure_ascii=False).encode()


def gz(plain: bytes) -> Packed:
    """A gzip file, the same every time."""
    return Packed(plain, lambda data: gzip.compress(data, mtime=0))


def zst(plain: bytes) -> Packed:
    """A zstd file."""
    return Packed(plain, zstandard.compress)


def folder_files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its name from there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

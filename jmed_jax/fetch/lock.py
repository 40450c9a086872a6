"""`data.lock.json` beside the data: what was fetched, from where, which licence was accepted, and every sha256.

Most homes publish no hash of their files. A commit pins them as far as the server is honest; the sha256 of a first
download is recorded here, and every later one must equal it (trust on first use). Whoever wants two places to hold the
same files copies the lock from one to the other before fetching.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jmed_jax import __version__
from jmed_jax.artifact import file_sha256, replacing
from jmed_jax.errors import InputError
from jmed_jax.fetch.catalogue import DataSet, Upstream
from jmed_jax.jsonl import read_json

LOCK = "data.lock.json"


@dataclass(frozen=True)
class Fault:
    """A file that is not as the lock says."""

    file: Path
    what: str

    def __str__(self) -> str:
        return f"{self.file}: {self.what}"


class Lock:
    """The lock of one data folder; `save` writes it.

    Attributes:
        data: the data folder.
        downloads: place of an upstream file → {"bytes", "sha256"}.
        sets: name → {"license", "accepted", "package", "sources", "files": {name: {"bytes", "sha256"}}}; a set is here
            once it is complete.
    """

    def __init__(self, data: Path) -> None:
        """
        Raises:
            InputError: the lock is there and is none.
        """
        self.data = data
        self.downloads: dict[str, dict[str, Any]] = {}
        self.sets: dict[str, dict[str, Any]] = {}
        if not (data / LOCK).is_file():
            return
        stored = read_json(data / LOCK)
        try:
            self.downloads, self.sets = {**stored["downloads"]}, {**stored["sets"]}
            files = [entry for kept in self.sets.values() for entry in kept["files"].values()]
            _ = [(entry["bytes"], entry["sha256"]) for entry in [*files, *self.downloads.values()]]
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{data / LOCK}: not a lock of jmed data ({error!r}). Restore or remove it.") from error

    def expected_sha256(self, upstream: Upstream) -> str | None:
        """What a download must have: of the catalogue, else of an earlier download."""
        if upstream.sha256 is not None:
            return upstream.sha256
        entry = self.downloads.get(upstream.place)
        return entry["sha256"] if entry else None

    def record_download(self, upstream: Upstream, path: Path) -> None:
        """Remember a file that has come."""
        self.downloads[upstream.place] = _describe(path)

    def record_set(self, entry: DataSet, names: Iterable[str]) -> None:
        """Remember a set whose files are all in place, and that its licence was accepted."""
        self.sets[entry.name] = {
            "license": entry.license,
            "accepted": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "package": f"jmed_jax {__version__}",
            "sources": list(entry.homes),
            "files": {name: _describe(self.data / name) for name in sorted(names)},
        }

    def save(self) -> None:
        """Write the lock, whole or not at all."""
        content = {"downloads": dict(sorted(self.downloads.items())), "sets": self.sets}
        with replacing(self.data / LOCK) as temporary:
            temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    def presence(self, entry: DataSet) -> str:
        """Whether a set is in the data folder, in a word or two; sizes and hashes are not looked at."""
        if entry.name in self.sets:
            complete = all((self.data / name).is_file() for name in self.sets[entry.name]["files"])
            return "here" if complete else "incomplete"
        return "here, not fetched by jmed" if all((self.data / name).exists() for name in entry.writes) else "not here"

    def faults(self, names: Iterable[str]) -> list[Fault]:
        """What is missing from these sets or differs from the lock."""
        return [
            Fault(self.data / file, fault)
            for name in names
            for file, entry in self.sets[name]["files"].items()
            if (fault := _compare(self.data / file, entry))
        ]


def _describe(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def _compare(path: Path, entry: Mapping[str, Any]) -> str:
    """What is wrong with a file; nothing if it is as recorded."""
    if not path.is_file():
        return "missing"
    size = path.stat().st_size
    if size != entry["bytes"]:
        return f"{size} bytes, recorded were {entry['bytes']}"
    return "" if file_sha256(path) == entry["sha256"] else "its sha256 is not the recorded one"

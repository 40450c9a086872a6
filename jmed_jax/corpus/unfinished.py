"""Work that a killed command leaves behind, and the same command picks up."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from jmed_jax.errors import InputError


def key_of(settings: Mapping[str, Any]) -> str:
    """A short hash of JSON-serialisable settings."""
    return hashlib.sha256(json.dumps(settings, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:12]


def unfinished_folder(out: Path, settings: Mapping[str, Any]) -> Path:
    """Where work on `out` with these settings stands, beside it; other settings have another place."""
    return out.parent / f".{out.name}.unfinished-{key_of(settings)}"


@contextmanager
def unfinished(out: Path, settings: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a folder beside `out` that outlives an error or a kill, and is removed when the block ends well.

    Args:
        settings: JSON-serialisable; all that decides the result. Others get another folder, so nothing is mixed.

    Raises:
        InputError: another process is at work in it.
    """
    folder = unfinished_folder(out, settings)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "lock", timeout=0):
            yield folder
            # Before the lock is given up: whoever waits for it must not find a folder half removed.
            shutil.rmtree(folder)
    except Timeout as error:
        raise InputError(f"{folder}: another process is at work here. Wait for it or end it.") from error

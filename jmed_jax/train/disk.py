"""What a file system may refuse while a run writes, as one line that says what is left and what to do."""

import errno
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.train.run import CHECKPOINTS, RUN_FILE

REFUSALS = {
    errno.ENOSPC: "no space left on the device",
    errno.EDQUOT: "disk quota exceeded",
    errno.ENOENT: "the directory is gone",
    errno.ENOTDIR: "the directory is gone",
    errno.EACCES: "permission denied",
    errno.EROFS: "read-only file system",
    errno.EIO: "input/output error",
    errno.ESTALE: "stale file handle",
}


@contextmanager
def refusals_named(run: Path) -> Iterator[None]:
    """Around whatever writes into a run directory.

    Raises:
        InputError: a full disk, a directory that is gone, …
    """
    try:
        with _echoes_ignored():
            yield
    except Exception as error:
        if not (reason := refusal(error)):
            raise
        place = getattr(error, "filename", None) or run
        raise InputError(
            f"{place}: writing failed: {reason}. {_what_is_left(run)}. Once that is mended, the same command goes on."
        ) from error


@contextmanager
def _echoes_ignored() -> Iterator[None]:
    """When a save fails, TensorStore reports its other writes to an event loop that Orbax has closed by then."""
    previous = sys.unraisablehook

    def hook(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            previous(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = previous


def refusal(error: BaseException) -> str:
    """What the file system said, or nothing where `error` is of another kind.

    TensorStore has no class for it: its ValueError ends in "No space left on device [os_error_code='28']".
    """
    if isinstance(error, OSError):
        return REFUSALS.get(error.errno or 0, "")
    number = re.search(r"os_error_code='(\d+)'", str(error))
    return REFUSALS.get(int(number[1]), "") if number else ""


def check_there(run: Path) -> None:
    """Open files outlive their directory, and Orbax would make it anew: a run that is gone must be looked for.

    Raises:
        FileNotFoundError: the run directory is gone.
    """
    if not (run / RUN_FILE).is_file():
        raise FileNotFoundError(errno.ENOENT, "the run directory is gone", str(run))


def _what_is_left(run: Path) -> str:
    # The directory itself is asked: after a failure Orbax's list of steps says what it had hoped for.
    entries = (run / CHECKPOINTS).iterdir() if (run / CHECKPOINTS).is_dir() else iter(())
    steps = [int(entry.name) for entry in entries if entry.name.isdecimal()]
    return f"The checkpoint of step {max(steps)} is complete" if steps else "There is no complete checkpoint yet"

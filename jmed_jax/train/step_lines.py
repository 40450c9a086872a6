"""JSON Lines that belong to steps of a run: appended as steps finish, cut back where a run goes on from earlier."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jmed_jax.artifact import replacing


class StepLines:
    """An open file of lines with a "step" field; every line is handed to the system as soon as it is written."""

    def __init__(self, path: Path, last_step: int) -> None:
        """
        Args:
            last_step: lines of later steps are removed: those steps are computed again.
        """
        self.removed = cut_after(path, last_step)
        """How many lines were."""
        # Line-buffered: what a step reported survives a kill.
        self.stream = path.open("a", encoding="utf-8", buffering=1)

    def write(self, line: dict[str, Any]) -> None:
        self.write_all([line])

    def write_all(self, lines: Iterable[dict[str, Any]]) -> None:
        """In one piece: a kill leaves all of them or half of the last."""
        self.stream.write("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))

    def sync(self) -> None:
        """Return when the lines are on the disk itself, where a loss of power does not reach them."""
        self.stream.flush()
        os.fsync(self.stream.fileno())

    def close(self) -> None:
        self.stream.close()


def cut_after(path: Path, step: int) -> int:
    """Remove the lines of later steps and half a line at the end; return how many whole lines went."""
    if not path.exists():
        return 0
    # The last line may be half-written after a kill; only whole lines of kept steps are read.
    whole = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    kept = [line for line in whole if json.loads(line)["step"] <= step]
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join(kept))
    return len(whole) - len(kept)


def has_step(path: Path, step: int) -> bool:
    """Whether there is a whole line of this step."""
    if not path.exists():
        return False
    return any(json.loads(line)["step"] == step for line in path.read_bytes().splitlines(True) if line.endswith(b"\n"))

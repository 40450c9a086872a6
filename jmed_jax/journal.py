"""What was answered so far: a line an answer, appended and synced, so that a killed run goes on where it was."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from jmed_jax.artifact import replacing
from jmed_jax.errors import InputError
from jmed_jax.jsonl import parse_json, read_json
from jmed_jax.progress import say

SETTINGS_FILE = "settings.json"
ANSWERS_FILE = "answers.jsonl"


def unfinished_directory(out: Path) -> Path:
    """Where the answers of a run stand until `out` is complete."""
    return out.with_name(f"{out.name}.unfinished")


class Journal:
    """An append-only file of JSON lines in a directory of its own, with the settings that they were made with."""

    def __init__(self, directory: Path, settings: Mapping[str, Any]) -> None:
        """Open a journal, or start one.

        Raises:
            InputError: it was made with other settings, another process writes it, or a line is damaged.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._path = directory / ANSWERS_FILE
        try:
            self._stream = self._path.open("a+b")
        except OSError as error:
            raise InputError(f"{self._path}: {error.strerror}. Remove {directory} and start again.") from error
        try:
            self._lock()
            self._drop_torn_line()
            self._check_settings(json.loads(json.dumps(settings)))
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # What was refused before the first answer leaves nothing behind.
        if self._path.exists() and not self._path.stat().st_size:
            shutil.rmtree(self.directory)
        self._stream.close()

    def append(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write records; when this returns they are on disk."""
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        self._stream.write(lines.encode())
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (place, record) from the first to the last.

        Raises:
            InputError: a line is damaged.
        """
        place = 0
        with self._path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                record = _parse(line)
                if record is None:
                    raise InputError(f"{self._path}:{number}: damaged. Remove that line: it is asked again.")
                yield place, record
                place += len(line)

    def read(self, place: int) -> dict[str, Any]:
        """The record at a place."""
        with self._path.open("rb") as stream:
            stream.seek(place)
            record = _parse(stream.readline())
        assert record is not None, place
        return record

    def remove(self) -> None:
        """Delete the directory, once what is in it stands elsewhere."""
        self._stream.close()
        shutil.rmtree(self.directory)

    def _lock(self) -> None:
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{self.directory}: another process is writing here. Wait for it, or stop it.") from None

    def _check_settings(self, settings: Mapping[str, Any]) -> None:
        path = self.directory / SETTINGS_FILE
        if not path.exists() or not self._path.stat().st_size:
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(settings, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            return
        try:
            before = read_json(path)
            if not isinstance(before, dict):
                raise InputError(f"{path}: no object of settings.")
        except InputError as error:
            raise InputError(f"{error} Remove {self.directory} and start again.") from error
        other = sorted(name for name in {*before, *settings} if before.get(name) != settings.get(name))
        if other:
            raise InputError(
                f"{self.directory}: an unfinished run with other settings ({', '.join(other)}). Finish that one first, "
                "remove the directory, or give another --out."
            )

    def _drop_torn_line(self) -> None:
        """Cut what a kill left of the last line."""
        size = self._stream.seek(0, os.SEEK_END)
        end = size
        while end and (byte := self._byte_before(end)) != b"\n":
            end -= 1
            assert byte
        if end < size:
            say(f"{self._path}: the last answer was cut off; it is asked again.")
            self._stream.truncate(end)
            os.fsync(self._stream.fileno())

    def _byte_before(self, place: int) -> bytes:
        self._stream.seek(place - 1)
        return self._stream.read(1)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        record = parse_json(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return record if isinstance(record, dict) else None

"""What a converter reads: the files of a set's homes, where they lie on disk."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.jsonl import read_jsonl

LETTERS = "ABCDEFGHIJ"


@dataclass(frozen=True)
class Downloads:
    """The files of one set.

    Attributes:
        paths: (home, path inside it) → where it lies.
    """

    paths: dict[tuple[str, str], Path]

    def path(self, home: str, path: str) -> Path:
        """Where a file lies."""
        return self.paths[home, path]

    def rows(self, home: str, path: str) -> list[dict[str, Any]]:
        """Objects of a JSON Lines file."""
        return [row for _, row in read_jsonl(self.path(home, path))]

    def json(self, home: str, path: str) -> Any:
        """Content of a JSON file.

        Raises:
            InputError: it is none.
        """
        file = self.path(home, path)
        try:
            return json.loads(file.read_text(encoding="utf-8-sig"))
        except ValueError as error:
            raise InputError(f"{file}: not JSON ({error}). {NOT_AS_KNOWN}") from error

    def records(self, home: str, path: str, needed: Sequence[str]) -> list[dict[str, str]]:
        """Rows of a CSV file whose first line names the columns.

        Raises:
            InputError: a needed column is missing.
        """
        with self._text(home, path) as stream:
            reader = csv.DictReader(stream)
            missing = set(needed) - set(reader.fieldnames or ())
            if missing:
                raise InputError(f"{self.path(home, path)}: no column {', '.join(sorted(missing))}. {NOT_AS_KNOWN}")
            return list(reader)

    def table(self, home: str, path: str, columns: int) -> Iterator[list[str]]:
        """Rows of a CSV file without a line of names.

        Raises:
            InputError: a row has another number of columns.
        """
        with self._text(home, path) as stream:
            for row in csv.reader(stream):
                if len(row) != columns:
                    raise InputError(
                        f"{self.path(home, path)}: a row of {len(row)} columns, not {columns}. {NOT_AS_KNOWN}"
                    )
                yield row

    def _text(self, home: str, path: str) -> io.TextIOBase:
        # Line breaks inside a field are the csv module's to read.
        return self.path(home, path).open(encoding="utf-8-sig", newline="")


NOT_AS_KNOWN = "This is not the file that the converter was written for."


def by_letter(options: Sequence[str]) -> dict[str, str]:
    """Options under A, B, C, …"""
    return dict(zip(LETTERS, options, strict=False))

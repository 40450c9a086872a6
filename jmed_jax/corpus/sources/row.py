"""What every format yields, and what rows of named fields have in common, be they JSON objects or Parquet rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError

FIELDS = ("id", "title", "url", "source", "license", "provenance")
"""Looked for beside the text."""


@dataclass(frozen=True, slots=True)
class Row:
    """One document as its file has it.

    Attributes:
        number: of the line, row or record in the file, from 1.
        id: as the file says; "" if it does not, and so for `title`, `origin` and `license`.
        metadata: what the format says beyond that, under the names that filters look for.
    """

    number: int
    text: str
    id: str = ""
    title: str = ""
    origin: str = ""
    license: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)


def row_of_fields(number: int, text: str, fields: Mapping[str, Any]) -> Row:
    """The row of a mapping that may hold `FIELDS`; values of another type than expected count as absent."""
    identifier, provenance = fields.get("id"), fields.get("provenance")
    return Row(
        number,
        text,
        id=str(identifier) if isinstance(identifier, str | int) else "",
        title=_string(fields.get("title")),
        origin=_string(fields.get("url")) or _string(fields.get("source")),
        license=_string(fields.get("license")),
        metadata={"provenance": provenance} if isinstance(provenance, dict) else {},
    )


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def no_such_field(path: Path, number: int, name: str, found: Iterable[str], likely: str) -> InputError:
    """What to tell a user whose rows have no field `name`; `likely` holds the text, "" if nobody can say."""
    advice = f" Name the field with --text-field {likely}." if likely else ""
    return InputError(f'{path}:{number}: no "{name}" field (found: {", ".join(found)}).{advice}')

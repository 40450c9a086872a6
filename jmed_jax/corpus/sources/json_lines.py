"""JSON Lines: plain rows, and OSCAR 2301's."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jmed_jax.corpus.config import SourceConfig
from jmed_jax.corpus.sources.row import Row, no_such_field, row_of_fields
from jmed_jax.errors import InputError
from jmed_jax.jsonl import Report, salvage_jsonl


def read_jsonl_rows(path: Path, source: SourceConfig, report: Report) -> Iterator[Row]:
    """An object a line, its text in `source.text_field`.

    Raises:
        InputError: the file cannot be opened, or the first object has no such field.
    """
    name, first = source.text_field, True
    for number, fields in salvage_jsonl(path, report):
        text = fields.get(name)
        if isinstance(text, str):
            yield row_of_fields(number, text, fields)
        elif name in fields:
            report(f'"{name}" is not a string', number)
        elif first:
            raise no_such_field(path, number, name, fields, _likely_text(fields))
        else:
            report(f'no "{name}" field', number)
        first = False


def _likely_text(fields: dict[str, Any]) -> str:
    strings = {name: len(value) for name, value in fields.items() if isinstance(value, str) and name != "id"}
    return max(strings, key=strings.__getitem__) if strings else ""


def read_oscar_rows(path: Path, source: SourceConfig, report: Report) -> Iterator[Row]:
    """OSCAR 2301 (oscar-project.github.io/documentation/versions/oscar-2301), a web page a line.

    Metadata: language and language_confidence, as the page was identified; harmful_pp, perplexity under a model of
    harmful text, so the lower the more harmful, or None; quality_warnings and categories (UT1 block lists), lists.

    Raises:
        InputError: the file cannot be opened, or the first object is none of OSCAR's.
    """
    del source
    first = True
    for number, fields in salvage_jsonl(path, report):
        text = fields.get("content")
        if isinstance(text, str):
            origin = _mapping(fields.get("warc_headers")).get("warc-target-uri")
            metadata = _oscar_metadata(_mapping(fields.get("metadata")))
            yield Row(number, text, origin=origin if isinstance(origin, str) else "", metadata=metadata)
        elif first and "content" not in fields:
            found = ", ".join(fields)
            raise InputError(f'{path}:{number}: no "content" field (found: {found}). Is this OSCAR 2301? See format.')
        else:
            report('"content" is not a string' if "content" in fields else 'no "content" field', number)
        first = False


def _oscar_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    identification = _mapping(metadata.get("identification"))
    return {
        "language": identification.get("label"),
        "language_confidence": _number(identification.get("prob")),
        "harmful_pp": _number(metadata.get("harmful_pp")),
        "quality_warnings": _strings(metadata.get("quality_warnings")),
        "categories": _strings(metadata.get("categories")),
    }


# What has another type than OSCAR's documentation says counts as absent: the page itself is read all the same.


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:  # an integer of 400 digits
        return None


def _strings(value: object) -> list[str]:
    return [entry for entry in value if isinstance(entry, str)] if isinstance(value, list) else []


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}

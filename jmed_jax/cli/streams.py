"""Reading standard input and printing results."""

import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jmed_jax.artifact import Artifact
from jmed_jax.errors import InputError


def stdin_lines() -> Iterator[str]:
    """Yield the lines of standard input without their ends, as they come.

    Raises:
        InputError: a line is not UTF-8.
    """
    number = 0
    try:
        for line in sys.stdin:
            number += 1
            yield line.rstrip("\n")
    except UnicodeDecodeError as error:
        raise InputError(
            f"standard input: not UTF-8 after line {number} ({error.reason}). Convert it first."
        ) from error


def texts_or_stdin(texts: Sequence[str]) -> Iterator[str]:
    """The texts of the command line; without any, the lines of standard input."""
    return iter(texts) if texts else stdin_lines()


def report_artifact(artifact: Artifact) -> dict[str, Any]:
    """Print what an artefact holds, and return it."""
    print(f"{artifact.path}: {artifact.kind}, {_in_words(artifact.counts)}")
    return {
        "out": str(artifact.path),
        "kind": artifact.kind,
        "fingerprint": artifact.fingerprint,
        "counts": dict(artifact.counts),
    }


def _in_words(counts: Mapping[str, Any]) -> str:
    """`1,234 documents, 56,789 characters`: the numbers among the counts."""
    return ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in counts.items() if isinstance(n, int))


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows in columns: the first to the left, numbers to the right with four digits."""
    lines = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    for first, *others in lines:
        cells = [" " * (width - _width(cell)) + cell for cell, width in zip(others, widths[1:], strict=True)]
        print("  ".join([first + " " * (widths[0] - _width(first)), *cells]).rstrip())


def _width(text: str) -> int:
    """Columns of a terminal: Japanese characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4f}" if isinstance(value, float) else str(value)

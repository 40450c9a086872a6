"""Raw sources: JSON Lines and plain text files, read one document at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.jsonl import read_jsonl, read_lines

COMPRESSIONS = ("", ".gz", ".zst")
JSONL_SUFFIXES = tuple(".jsonl" + compression for compression in COMPRESSIONS)
TEXT_SUFFIXES = tuple(".txt" + compression for compression in COMPRESSIONS)


@dataclass(frozen=True)
class Document:
    """One document.

    Attributes:
        id: unique within its file; file name and line number where the source names none.
        source: where it comes from, as the source says, or the file's name.
        license: as the source says, or "unknown".
        file: name of the file it was read from, without suffixes.
    """

    id: str
    text: str
    source: str
    license: str
    title: str = ""
    file: str = ""


def list_source_files(paths: Sequence[Path]) -> list[Path]:
    """The files of `paths`; a directory stands for its .jsonl and .txt files, plain or compressed, sorted by name.

    Raises:
        InputError: a path is missing, is of another kind, or a directory has no such file.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            found = sorted(file for file in path.iterdir() if file.name.endswith(JSONL_SUFFIXES + TEXT_SUFFIXES))
            if not found:
                raise InputError(f"{path}: no .jsonl or .txt file (plain, .gz or .zst) in this directory.")
            files += found
        elif not path.is_file():
            raise InputError(f"{path}: no such file or directory.")
        elif not path.name.endswith(JSONL_SUFFIXES + TEXT_SUFFIXES):
            raise InputError(f"{path}: expected a name that ends with .jsonl or .txt, plain, .gz or .zst.")
        else:
            files.append(path)
    return files


def read_documents(paths: Sequence[Path], *, text_field: str = "text") -> Iterator[Document]:
    """Yield the documents of files and directories.

    A `.jsonl` file has one object a line, a `.txt` file one document a line (the shape of naika-text, arXiv 2409.11783
    §3.1); empty lines are skipped.

    Args:
        text_field: where the text of a JSON object stands.

    Raises:
        InputError: as `list_source_files`, or a line is no object or lacks the text; names file and line.
    """
    for path in list_source_files(paths):
        read = _read_json_documents(path, text_field) if path.name.endswith(JSONL_SUFFIXES) else _read_text(path)
        yield from read


def _read_json_documents(path: Path, text_field: str) -> Iterator[Document]:
    name = _stem(path)
    for number, row in read_jsonl(path):
        yield Document(
            id=str(row.get("id", _numbered(name, number))),
            text=_text(row, text_field, path, number),
            source=str(row.get("source", name)),
            license=str(row.get("license", "unknown")),
            title=str(row.get("title", "")),
            file=name,
        )


def _text(row: dict[str, Any], text_field: str, path: Path, number: int) -> str:
    value = row.get(text_field)
    if isinstance(value, str):
        return value
    strings = {name: len(value) for name, value in row.items() if isinstance(value, str) and name != "id"}
    advice = f" Name the field with --text-field {max(strings, key=strings.__getitem__)}." if strings else ""
    problem = f'no "{text_field}" field' if text_field not in row else f'"{text_field}" is not a string'
    raise InputError(f"{path}:{number}: {problem} (found: {', '.join(row)}).{advice}")


def _read_text(path: Path) -> Iterator[Document]:
    name = _stem(path)
    for number, line in read_lines(path):
        if line.strip():
            yield Document(_numbered(name, number), line, name, "unknown", file=name)


def _stem(path: Path) -> str:
    """File name without `.jsonl.gz` and the like."""
    for suffix in JSONL_SUFFIXES + TEXT_SUFFIXES:
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    raise AssertionError(path)


def _numbered(name: str, number: int) -> str:
    return f"{name}-{number:07d}"

"""Which files a source has, which format they are in, and what they are called."""

import glob
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from jmed_jax.artifact import visible_files
from jmed_jax.corpus.config import Format, SourceConfig
from jmed_jax.errors import InputError
from jmed_jax.jsonl import without_surrogates

_COMPRESSION = r"(\.gz|\.zst)?"
_SHARD = r"\.(array_record|tfrecord)(?=-\d+-of-\d+$)"
SUFFIXES: dict[Format, re.Pattern[str]] = {
    "jsonl": re.compile(rf"\.jsonl{_COMPRESSION}$"),
    "oscar": re.compile(rf"\.jsonl{_COMPRESSION}$"),
    "lines": re.compile(rf"\.txt{_COMPRESSION}$"),
    "files": re.compile(rf"\.txt{_COMPRESSION}$"),
    "parquet": re.compile(r"\.parquet$"),
    # Common Crawl's are called NAME.warc.gz and NAME.warc.wet.gz.
    "warc": re.compile(rf"(\.warc|(\.warc)?\.wet){_COMPRESSION}$"),
    "wiki40b": re.compile(_SHARD),
}
"""Format → how the names of its files end."""
BY_NAME: tuple[Format, ...] = ("jsonl", "lines", "parquet", "warc")
"""The formats that "auto" tells apart."""
EXPECTED = {
    "auto": ".jsonl, .txt, .warc or .wet (plain, .gz or .zst) or .parquet",
    "jsonl": ".jsonl (plain, .gz or .zst)",
    "oscar": ".jsonl (plain, .gz or .zst)",
    "lines": ".txt (plain, .gz or .zst)",
    "files": ".txt (plain, .gz or .zst)",
    "parquet": ".parquet",
    "warc": ".warc or .wet (plain, .gz or .zst)",
    "wiki40b": ".array_record-00000-of-00016 or .tfrecord-00000-of-00016",
}
PREPARE_WIKI40B = (
    'Prepare Wiki-40B once, where TensorFlow is installed: python -c "import tensorflow_datasets as tfds; '
    "tfds.builder('wiki40b/ja', data_dir='DIR', file_format='array_record').download_and_prepare()\", "
    "and name DIR/wiki40b/ja/1.3.0."
)


def plain_sources(paths: Sequence[Path], *, text_field: str = "text") -> tuple[SourceConfig, ...]:
    """A source for every file of `paths`, named by its stem: what `jmed corpus build FILE DIR …` means.

    A directory stands for its recognised files, sorted. Of two equal stems the second is called `stem-2`.

    Raises:
        InputError: as `list_source_files`.
    """
    sources: dict[str, SourceConfig] = {}
    seen = set()
    for path in paths:
        for file in sorted(_expand(str(path.absolute()), "auto", Path())):
            if file.resolve() in seen:
                continue
            seen.add(file.resolve())
            name = _free_name(stem(file.name) or file.name, sources)
            sources[name] = SourceConfig(name=name, paths=(str(file),), text_field=text_field)
    return tuple(sources.values())


def _free_name(name: str, taken: dict[str, SourceConfig]) -> str:
    name, number = without_surrogates(name), 1
    candidate = name
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def list_source_files(source: SourceConfig, root: Path) -> list[Path]:
    """The files of a source, sorted and without repeats; relative paths start at `root`.

    A directory stands for its files of the source's format; with format "files", for those in the folders below too.

    Raises:
        InputError: a path is missing or of an unknown kind, a directory or a pattern has no file of the format, or two
            files would give their documents the same ids.
    """
    found: dict[Path, Path] = {}
    for entry in source.paths:
        for path in sorted(_expand(entry, source.format, root)):
            found.setdefault(path.resolve(), path)
    files = sorted(found.values())
    labels: dict[str, Path] = {}
    for path in files:
        other = labels.setdefault(label(source, path), path)
        if other != path:
            raise InputError(
                f"{path}: documents would get the same ids as those of {other}. Rename one, or list it under another "
                f'source than "{source.name}".'
            )
    return files


def _expand(entry: str, kind: Format, root: Path) -> list[Path]:
    path = root / entry
    if path.is_dir():
        return _directory(path, kind)
    if path.is_file():
        # A named format is taken at its word, whatever the file is called.
        if kind == "auto" and not _recognised(path.name, kind):
            raise InputError(f"{path}: expected a name that ends with {EXPECTED[kind]}.")
        return [path]
    # `Path.glob` takes no absolute patterns.
    matches = [root / match for match in glob.glob(entry, root_dir=root, recursive=True)]  # noqa: PTH207
    if not matches:
        advice = f" {PREPARE_WIKI40B}" if kind == "wiki40b" else ""
        raise InputError(f"{path}: no such file or directory.{advice}")
    files = [file for match in matches if match.is_dir() for file in _files_below(match, kind)]
    files += [match for match in matches if match.is_file() and _recognised(match.name, kind)]
    if not files:
        raise InputError(f"{path}: matches no file that ends with {EXPECTED[kind]}.")
    return files


def _directory(path: Path, kind: Format) -> list[Path]:
    files = _files_below(path, kind)
    if not files:
        advice = f" {PREPARE_WIKI40B}" if kind == "wiki40b" else ""
        raise InputError(f"{path}: no file that ends with {EXPECTED[kind]} in this directory.{advice}")
    return files


def _files_below(path: Path, kind: Format) -> list[Path]:
    below = visible_files(path) if kind == "files" else [file for file in path.iterdir() if file.is_file()]
    return [file for file in below if _recognised(file.name, kind) and not file.name.startswith(".")]


def _recognised(name: str, kind: Format) -> bool:
    return any(SUFFIXES[one].search(name) for one in (BY_NAME if kind == "auto" else (kind,)))


def format_of(source: SourceConfig, path: Path) -> Format:
    """The format of a file of `source`: the configured one, or the one that its name tells."""
    if source.format != "auto":
        return source.format
    return next(kind for kind in BY_NAME if SUFFIXES[kind].search(path.name))


def stem(name: str) -> str:
    """File name without `.jsonl.gz` and the like."""
    for suffix in SUFFIXES.values():
        if suffix.search(name):
            return suffix.sub("", name)
    return name


def label(source: SourceConfig, path: Path) -> str:
    """What tells a file from the others of its source: the path below the entry it came from, without suffix.

    It is the same wherever the data folder stands, so that ids are too.
    """
    for entry in source.paths:
        fixed = tuple(takewhile(lambda part: not glob.has_magic(part), Path(entry).parts))
        # From the end: what stands above the data folder must not matter.
        for start in range(len(path.parts) - len(fixed) - 1, -1, -1) if fixed else ():
            if path.parts[start : start + len(fixed)] == fixed:
                return without_surrogates(stem("/".join(path.parts[start + len(fixed) :])))
    return without_surrogates(stem(path.name))

"""The public sets that are known: what they are, under which licence, from where, and what becomes of them."""

import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

from jmed_jax.errors import InputError

ALL = "all"
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True)
class Upstream:
    """One file at its home.

    Attributes:
        home: "OWNER/REPOSITORY" of GitHub, or the name of an npm package.
        path: inside the repository; the archive's name for a package.
        place: where it lies below a mirror, below a folder of files carried in by hand, and among our own downloads.
        url: its address at home.
        sha256: where it could be established; None where a first download decides (see `lock.py`).
    """

    home: str
    path: str
    place: str
    url: str
    sha256: str | None


@dataclass(frozen=True)
class DataSet:
    """One set.

    Attributes:
        title: what it is.
        good_for: what one does with it.
        rows: how many, in words.
        license: name of the licence, or what is known instead.
        license_stated: where it is stated.
        restricted: what the licence forbids that users of this package may want, e.g. commercial use.
        writes: files and folders of the data folder that the set fills.
        converter: module of `jmed_jax.fetch.convert`.
        sources: as in `sets.json`.
    """

    name: str
    title: str
    good_for: str
    rows: str
    license: str
    license_stated: str
    restricted: str
    writes: tuple[str, ...]
    converter: str
    sources: tuple[Mapping[str, Any], ...]

    @cached_property
    def upstream(self) -> tuple[Upstream, ...]:
        """Every file that is fetched."""
        return tuple(itertools.chain.from_iterable(map(_upstream_files, self.sources)))

    @property
    def homes(self) -> tuple[str, ...]:
        """Addresses for people, with the commit or the version."""
        return tuple(
            f"https://github.com/{source['github']}/tree/{source['commit']}"
            if "github" in source
            else f"https://www.npmjs.com/package/{source['npm']}/v/{source['version']}"
            for source in self.sources
        )


def read_catalogue() -> dict[str, DataSet]:
    """The sets of `sets.json` by name, in its order."""
    text = files("jmed_jax.fetch").joinpath("sets.json").read_text(encoding="utf-8")
    sets = [
        DataSet(**{**entry, "writes": tuple(entry["writes"]), "sources": tuple(entry["sources"])})
        for entry in json.loads(text)
    ]
    return {entry.name: entry for entry in sets}


def choose(names: Iterable[str]) -> list[DataSet]:
    """The named sets, each once, in the catalogue's order; "all" names every one.

    Raises:
        InputError: there is no set of that name.
    """
    catalogue = read_catalogue()
    asked = set(names)
    for name in sorted(asked - catalogue.keys() - {ALL}):
        raise InputError(f"{name}: no such set. There are {', '.join(catalogue)}, and {ALL}. See jmed data list.")
    return [entry for name, entry in catalogue.items() if name in asked or ALL in asked]


def expand(pattern: str) -> list[str]:
    """Paths of a pattern with braces, as a shell expands them: "a/{b,c}.csv" → "a/b.csv", "a/c.csv"."""
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    head, tail = pattern[: match.start()], pattern[match.end() :]
    return [path for choice in match[1].split(",") for path in expand(head + choice + tail)]


def _upstream_files(source: Mapping[str, Any]) -> Iterator[Upstream]:
    known: Mapping[str, str] = source.get("sha256", {})
    if "npm" in source:
        name = source["npm"]
        archive = f"{name.rpartition('/')[2]}-{source['version']}.tgz"
        url = f"https://registry.npmjs.org/{name}/-/{archive}"
        yield Upstream(name, archive, f"npm/{name}/{archive}", url, known.get(archive))
        return
    repository, commit = source["github"], source["commit"]
    for path in _paths(source["paths"]):
        place = f"{repository}/{commit}/{path}"
        url = f"https://raw.githubusercontent.com/{place}"
        yield Upstream(repository, path, f"github/{place}", url, known.get(path))


def _paths(patterns: Sequence[str]) -> Iterator[str]:
    return itertools.chain.from_iterable(map(expand, patterns))

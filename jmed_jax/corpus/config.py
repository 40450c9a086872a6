"""Frozen dataclasses that describe a corpus: its sources, what is dropped, and how it is mixed.

A file under `configs/` defines `config()`, which returns one complete `CorpusConfig`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from jmed_jax.errors import InputError

Format = Literal["auto", "jsonl", "oscar", "lines", "files", "parquet", "warc", "wiki40b"]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


@dataclass(frozen=True)
class SourceConfig:
    """One named source: files of one format, with a licence and a place in the mixture."""

    name: str
    paths: tuple[str, ...]
    """Files, directories or glob patterns, relative to the data folder."""
    format: Format = "auto"
    """"auto" goes by the file's name: .jsonl, .txt (a document a line), .parquet, .warc and .wet; plain, .gz or .zst.
    "oscar": OSCAR 2301's .jsonl.zst. "files": every .txt file is one document. "wiki40b": a directory that
    tensorflow-datasets prepared."""
    license: str = ""
    """Of every document that does not name its own."""
    text_field: str = "text"
    """Where the text of a JSON object or a Parquet row stands."""
    epochs: float = 1.0
    """How often a document stands in the mixture; 0.5 takes half of the documents, 0 none."""
    weight: float = 0.0
    """Share of the mixture's characters; if given, it decides the epochs. Sources without one share the rest."""
    synthetic: bool = False
    """Written by a model or by templates: counts towards `CorpusConfig.synthetic_cap`."""
    skip_filters: tuple[str, ...] = ()
    """Names of filters that this source does not go through."""

    def __post_init__(self) -> None:
        _require(bool(self.name) and "/" not in self.name, f'source name "{self.name}": empty, or it has a slash.')
        # A comma is easily forgotten: ("a.jsonl") is a string.
        listed = bool(self.paths) and not isinstance(self.paths, str)
        _require(listed, f'source "{self.name}": paths must be one or more, ("a.jsonl",), not {self.paths!r}.')
        formats = get_args(Format)
        _require(
            self.format in formats, f'source "{self.name}": no format "{self.format}". There are: {", ".join(formats)}.'
        )
        _require(
            0 <= self.epochs < math.inf, f'source "{self.name}": epochs must be a number from 0, not {self.epochs}.'
        )
        _require(0 <= self.weight < 1, f'source "{self.name}": weight must be in [0, 1), not {self.weight}.')


@dataclass(frozen=True)
class CorpusConfig:
    """All that `jmed corpus build` needs; saved with the corpus."""

    name: str
    sources: tuple[SourceConfig, ...]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Filter name → threshold, where it is not the default one."""
    personal_data: tuple[str, ...] = ()
    """Kinds that are removed beside telephone numbers and e-mail addresses, see `corpus.personal_data.KINDS`."""
    near_duplicates: bool = True
    """Drop near duplicates (MinHash); exact duplicates always go."""
    evaluation_sets: tuple[str, ...] = ()
    """Files and directories of test questions; documents that share a long span with one are dropped."""
    shared_span: int = 30
    """Characters in common, white space and punctuation aside, that make a document contaminated."""
    synthetic_cap: float = 1.0
    """Largest share of synthetic characters in the mixture; more are left out by lowering their epochs."""

    def __post_init__(self) -> None:
        names = [source.name for source in self.sources]
        _require(bool(names), f'corpus "{self.name}": no sources.')
        _require(len(set(names)) == len(names), f'corpus "{self.name}": two sources have one name: {", ".join(names)}.')
        for name, threshold in self.thresholds.items():
            _require(math.isfinite(threshold), f"threshold {name}: must be a number, not {threshold}.")
        weights = math.fsum(source.weight for source in self.sources)
        _require(weights <= 1, f'corpus "{self.name}": the weights exceed 1 together.')
        _require(
            weights < 1 or all(source.weight or not source.epochs for source in self.sources),
            f'corpus "{self.name}": the weights make 1 together and leave nothing for sources without one.',
        )
        _require(self.shared_span >= 8, f"shared_span must be at least 8 characters, not {self.shared_span}.")
        _require(0 < self.synthetic_cap <= 1, f"synthetic_cap must be in (0, 1], not {self.synthetic_cap}.")

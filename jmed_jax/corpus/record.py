"""What a corpus build saw, did and dropped: counted by source, merged over tasks, saved as `report.json`.

Nothing here depends on the order of tasks or on how documents were shared out among them.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jmed_jax.jsonl import NUL_BYTES

UNKNOWN_LICENSE = "unknown license"
NOTHING_LOST = frozenset({UNKNOWN_LICENSE, NUL_BYTES})
"""Problems of documents that are read all the same."""

PLACES = 20
"""Places of bad input that are kept of each kind."""
EXAMPLES = 5
"""Documents that are kept as examples."""
EXAMPLE_CHARACTERS = 300


@dataclass
class Tally:
    """Number and characters of documents."""

    documents: int = 0
    characters: int = 0

    def add(self, text: str) -> None:
        self.documents += 1
        self.characters += len(text)

    def merge(self, other: "Tally") -> None:
        self.documents += other.documents
        self.characters += other.characters

    def to_json(self) -> dict[str, int]:
        return {"documents": self.documents, "characters": self.characters}

    @classmethod
    def from_json(cls, value: Mapping[str, int]) -> "Tally":
        return cls(**value)


@dataclass
class Problems:
    """Bad input that was passed over: a count and the first places of each kind."""

    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, place: str) -> None:
        """Count one. `kind` is a short phrase ("not UTF-8"), `place` file and line ("part-1.jsonl.zst:17")."""
        self.counts[kind] += 1
        places = self.places.setdefault(kind, [])
        if len(places) < PLACES:
            places.append(place)

    @property
    def lost(self) -> int:
        """Records that could not be used."""
        return sum(count for kind, count in self.counts.items() if kind not in NOTHING_LOST)

    def merge(self, other: "Problems") -> None:
        self.counts.update(other.counts)
        for kind, places in other.places.items():
            self.places[kind] = sorted([*self.places.get(kind, []), *places])[:PLACES]

    def to_json(self) -> dict[str, Any]:
        return {kind: {"count": self.counts[kind], "places": self.places[kind]} for kind in sorted(self.counts)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Problems":
        counts = Counter({kind: entry["count"] for kind, entry in value.items()})
        return cls(counts, {kind: entry["places"] for kind, entry in value.items()})


@dataclass
class Examples:
    """The `EXAMPLES` documents whose ids have the smallest hashes: a random sample that merges."""

    kept: list[dict[str, str]] = field(default_factory=list)

    def add(self, identifier: str, text: str, detail: str = "") -> None:
        """Offer a document; `detail` says what a filter found in it."""
        # Most are refused, so nothing is built for them.
        if len(self.kept) < EXAMPLES or _order(identifier) < _order(self.kept[-1]["id"]):
            example = {"id": identifier, "text": text[:EXAMPLE_CHARACTERS]}
            self._keep([example | ({"detail": detail} if detail else {})])

    def merge(self, other: "Examples") -> None:
        self._keep(other.kept)

    def _keep(self, more: list[dict[str, str]]) -> None:
        self.kept = sorted([*self.kept, *more], key=lambda example: _order(example["id"]))[:EXAMPLES]

    def to_json(self) -> list[dict[str, str]]:
        return self.kept

    @classmethod
    def from_json(cls, value: list[dict[str, str]]) -> "Examples":
        return cls(value)


def _order(identifier: str) -> tuple[bytes, str]:
    return hashlib.blake2b(identifier.encode(errors="replace"), digest_size=8).digest(), identifier


@dataclass
class SourceRecord:
    """One source's way through the build.

    Attributes:
        read: documents as they came from the source.
        cleaned: the same after cleaning: its characters against those of `read` are what cleaning took away.
        kept: what stands in the corpus.
        problems: bad input passed over.
        licenses: of the documents read.
        personal_data: occurrences removed, by kind.
        dropped: filter name → what it dropped, `exact_duplicate`, `near_duplicate` and `contaminated` among them.
        examples: filter name → examples of what it dropped.
        samples: examples of what was kept.
        lengths: power of two → documents kept of at least so many characters, and fewer than twice as many.
        measures: filter name → bin of `filters.Filter.bins` → documents that the filter looked at.
    """

    read: Tally = field(default_factory=Tally)
    cleaned: Tally = field(default_factory=Tally)
    kept: Tally = field(default_factory=Tally)
    problems: Problems = field(default_factory=Problems)
    licenses: Counter[str] = field(default_factory=Counter)
    personal_data: Counter[str] = field(default_factory=Counter)
    dropped: dict[str, Tally] = field(default_factory=dict)
    examples: dict[str, Examples] = field(default_factory=dict)
    samples: Examples = field(default_factory=Examples)
    lengths: Counter[int] = field(default_factory=Counter)
    measures: dict[str, Counter[int]] = field(default_factory=dict)

    def keep(self, identifier: str, text: str) -> None:
        """Count a document that stands in the corpus."""
        self.kept.add(text)
        self.lengths[1 << (max(1, len(text)).bit_length() - 1)] += 1
        self.samples.add(identifier, text)

    def measure(self, filter_name: str, bin_: int) -> None:
        """Count a document that a filter looked at."""
        self.measures.setdefault(filter_name, Counter())[bin_] += 1

    def drop(self, reason: str, identifier: str, text: str, detail: str = "") -> None:
        """Count a document that a filter dropped."""
        self.dropped.setdefault(reason, Tally()).add(text)
        self.examples.setdefault(reason, Examples()).add(identifier, text, detail)

    def merge(self, other: "SourceRecord") -> None:
        self.read.merge(other.read)
        self.cleaned.merge(other.cleaned)
        self.kept.merge(other.kept)
        self.problems.merge(other.problems)
        self.samples.merge(other.samples)
        for counter in ("licenses", "personal_data", "lengths"):
            getattr(self, counter).update(getattr(other, counter))
        for reason, tally in other.dropped.items():
            self.dropped.setdefault(reason, Tally()).merge(tally)
        for reason, examples in other.examples.items():
            self.examples.setdefault(reason, Examples()).merge(examples)
        for name, counts in other.measures.items():
            self.measures.setdefault(name, Counter()).update(counts)

    def to_json(self) -> dict[str, Any]:
        """JSON of everything; keys of counters become strings."""
        return {
            "read": self.read.to_json(),
            "cleaned": self.cleaned.to_json(),
            "kept": self.kept.to_json(),
            "problems": self.problems.to_json(),
            "licenses": _counter_json(self.licenses),
            "personal_data": _counter_json(self.personal_data),
            "dropped": {name: self.dropped[name].to_json() for name in sorted(self.dropped)},
            "examples": {name: self.examples[name].to_json() for name in sorted(self.examples)},
            "samples": self.samples.to_json(),
            "lengths": _counter_json(self.lengths),
            "measures": {name: _counter_json(self.measures[name]) for name in sorted(self.measures)},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "SourceRecord":
        """The inverse of `to_json`."""
        return cls(
            read=Tally.from_json(value["read"]),
            cleaned=Tally.from_json(value["cleaned"]),
            kept=Tally.from_json(value["kept"]),
            problems=Problems.from_json(value["problems"]),
            licenses=Counter(value["licenses"]),
            personal_data=Counter(value["personal_data"]),
            dropped={name: Tally.from_json(tally) for name, tally in value["dropped"].items()},
            examples={name: Examples.from_json(examples) for name, examples in value["examples"].items()},
            samples=Examples.from_json(value["samples"]),
            lengths=_counter_from_json(value["lengths"]),
            measures={name: _counter_from_json(counts) for name, counts in value["measures"].items()},
        )


def _counter_from_json(value: Mapping[str, int]) -> Counter[int]:
    return Counter({int(key): count for key, count in value.items()})


def _counter_json(counts: Mapping[Any, int]) -> dict[str, int]:
    return {str(key): counts[key] for key in sorted(counts)}


class Records:
    """A `SourceRecord` for every source that was met."""

    def __init__(self) -> None:
        self.by_source: dict[str, SourceRecord] = {}

    def __getitem__(self, source: str) -> SourceRecord:
        return self.by_source.setdefault(source, SourceRecord())

    def __iter__(self) -> Iterator[tuple[str, SourceRecord]]:
        return iter(self.by_source.items())

    def merge(self, other: "Records") -> None:
        for source, record in other:
            self[source].merge(record)

    def to_json(self) -> dict[str, Any]:
        return {source: record.to_json() for source, record in self}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Records":
        records = cls()
        records.by_source = {source: SourceRecord.from_json(record) for source, record in value.items()}
        return records

"""What term lists say of the same name, and where they disagree."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from jmed_jax.tokenizer.clean import clean
from jmed_jax.tokenizer.term_lists import ListEntry


class Problem(NamedTuple):
    """A row of `conflicts.tsv`: the name, what is wrong with it, and which lists say what."""

    surface: str
    problem: str
    detail: str


@dataclass(frozen=True)
class _Claim:
    source: str
    kind: str
    standard_names: frozenset[str]
    icd10: frozenset[str]


@dataclass
class Claims:
    """Collects what every list says of every name, and names that were dropped."""

    _claims: dict[str, list[_Claim]] = field(default_factory=lambda: defaultdict(list))
    _dropped: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, surface: str, entry: ListEntry, source: str) -> None:
        """Note one row of a list for a cleaned name."""
        standard = frozenset(map(clean, entry.standard_names))
        # The codes of a compound are those of its parts together, not of each standard name.
        codes = frozenset(entry.icd10) if surface not in standard or len(standard) == 1 else frozenset()
        if surface in standard:
            standard = frozenset({surface})
        claim = _Claim(source, entry.kind, standard, codes)
        if claim not in self._claims[surface]:
            self._claims[surface].append(claim)

    def drop(self, surface: str, reason: str, source: str) -> None:
        """Note a name that does not go into the dictionary."""
        self._dropped[surface, reason].add(source)

    def problems(self) -> Iterator[Problem]:
        """Conflicts between rows, then names dropped, each sorted by name."""
        for surface, claims in sorted(self._claims.items()):
            if len(claims) > 1:
                yield from _conflicts(surface, claims)
        for (surface, reason), sources in sorted(self._dropped.items()):
            # White space and marks would break the table.
            yield Problem(" ".join(surface.split()), f"dropped: {reason}", ", ".join(sorted(sources)))


def _conflicts(surface: str, claims: Sequence[_Claim]) -> Iterator[Problem]:
    kinds = {claim.kind for claim in claims} - {"term"}
    if len(kinds) > 1:
        yield Problem(surface, "kinds differ", _told(claims, lambda claim: claim.kind))
    # A list that says nothing disagrees with none.
    named = {claim.standard_names for claim in claims if claim.standard_names}
    if len(named) > 1:
        yield Problem(surface, "standard names differ", _told(claims, lambda claim: _joined(claim.standard_names)))
    coded = [claim.icd10 for claim in claims if claim.icd10]
    if any(not _agree(coded[0], other) for other in coded[1:]):
        yield Problem(surface, "ICD-10 codes differ", _told(claims, lambda claim: _joined(claim.icd10)))


def _agree(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether a code of the one is a code of the other or stands above or below it (C71, C710)."""
    return any(a.startswith(b) or b.startswith(a) for a in one for b in other)


def _joined(names: frozenset[str]) -> str:
    return " + ".join(sorted(names))


def _told(claims: Sequence[_Claim], what: Callable[[_Claim], str]) -> str:
    """`manbyo.csv: I693; icd10_dpc.csv: I69`."""
    said = dict.fromkeys(f"{claim.source}: {what(claim)}" for claim in claims if what(claim))
    return "; ".join(said)

"""A corpus build in figures: its report read, and added up by source, by stage and by reason for dropping."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jmed_jax.artifact import Artifact
from jmed_jax.corpus.documents import REPORT_FILE
from jmed_jax.corpus.record import SourceRecord, Tally
from jmed_jax.errors import InputError


@dataclass(frozen=True)
class Source:
    """One source: what became of it, and its part in the mixture."""

    name: str
    record: SourceRecord
    format: str
    synthetic: bool
    epochs: float
    mixture_characters: int

    @property
    def unaccounted(self) -> int:
        """Documents that are neither kept nor counted as dropped; fewer than none if some are counted twice."""
        dropped = sum(tally.documents for tally in self.record.dropped.values())
        return self.record.cleaned.documents - dropped - self.record.kept.documents


@dataclass(frozen=True)
class Reason:
    """Why documents are dropped: a filter, or one of the steps before and after the filters.

    Attributes:
        threshold: None for a step that has none.
        keeps: "at least" or "at most": the side of the threshold on which documents stay.
        bins: rising edges of the bins in which the measures are counted; none if nothing is measured.
    """

    name: str
    description: str = ""
    threshold: float | None = None
    keeps: str = ""
    bins: Sequence[float] = ()


# The steps that drop documents before the filters and after them, in the order of the build.
EARLIER_STEPS = {"empty": "Nothing is left of the text after cleaning."}
LATER_STEPS = {
    "contaminated": "Shares a long span with a question of an evaluation set.",
    "exact_duplicate": "Another document has the same text.",
    "near_duplicate": "Another document has nearly the same text (MinHash over character n-grams).",
    "low_quality": "The quality classifier calls it low quality.",
}


@dataclass(frozen=True)
class Mixture:
    """What a model is trained on: every source as often as its epochs say."""

    documents: int
    characters: int
    synthetic_share: float
    notes: Sequence[str]


@dataclass(frozen=True)
class Report:
    """A `report.json`.

    Attributes:
        reasons: all for which the build drops documents, in its order, met or not.
        contaminated: id, source, evaluation_set and span of documents that were dropped for it, perhaps not all.
    """

    name: str
    sources: Sequence[Source]
    reasons: Sequence[Reason]
    mixture: Mixture | None
    contaminated: Sequence[Mapping[str, str]]

    @property
    def read(self) -> Tally:
        return add_up(source.record.read for source in self.sources)

    @property
    def cleaned(self) -> Tally:
        return add_up(source.record.cleaned for source in self.sources)

    @property
    def kept(self) -> Tally:
        return add_up(source.record.kept for source in self.sources)

    def dropped(self, reason: str) -> Tally:
        """What went for one reason, in all sources."""
        return add_up(source.record.dropped.get(reason, Tally()) for source in self.sources)

    def by_source(self, counter: str, key: str) -> list[tuple[str, int]]:
        """Sources that have a key of `SourceRecord.licenses` or `.personal_data`, by falling counts."""
        counts = ((source.name, getattr(source.record, counter)[key]) for source in self.sources)
        return sorted(((name, count) for name, count in counts if count), key=lambda entry: -entry[1])

    def total(self, counter: str) -> list[tuple[str, int]]:
        """Keys of `SourceRecord.licenses` or `.personal_data` with their counts over all sources, largest first."""
        counts: Counter[str] = Counter()
        for source in self.sources:
            counts.update(getattr(source.record, counter))
        return sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))


@dataclass(frozen=True)
class Stage:
    """One step of the way from what was read to what was kept.

    Attributes:
        gone: what the step took away; cleaning takes characters, and documents only if it leaves them empty.
        left: what went on.
    """

    name: str
    gone: Tally
    left: Tally


def add_up(tallies: Iterable[Tally]) -> Tally:
    """The sum of tallies."""
    total = Tally()
    for tally in tallies:
        total.merge(tally)
    return total


def stages(report: Report) -> list[Stage]:
    """Reading, cleaning, and every reason for which something was dropped; the last one's `left` is what was kept."""
    way = [Stage("read", Tally(), report.read), Stage("cleaned", _less(report.read, report.cleaned), report.cleaned)]
    for reason in report.reasons:
        gone = report.dropped(reason.name)
        if gone.documents:
            way.append(Stage(reason.name, gone, _less(way[-1].left, gone)))
    return way


def _less(tally: Tally, gone: Tally) -> Tally:
    return Tally(tally.documents - gone.documents, tally.characters - gone.characters)


def read_report(corpus: Artifact) -> Report:
    """The report of a finished corpus.

    Raises:
        InputError: there is none, or it is not one of this package's.
    """
    path = corpus.path / REPORT_FILE
    if REPORT_FILE not in corpus.files:
        raise InputError(f"{corpus.path}: no {REPORT_FILE} in this corpus. Build it again with `jmed corpus build`.")
    try:
        return parse_report(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a report of `jmed corpus build` ({error!r}). Build the corpus again.") from error


def parse_report(report: Mapping[str, Any]) -> Report:
    """What `report.json` says. Filters, mixture and contaminated documents may be missing.

    Raises:
        KeyError, TypeError: it has another form.
    """
    sources = [_source(name, entry) for name, entry in report["sources"].items()]
    mixture = report.get("mixture")
    return Report(
        name=report["name"],
        sources=sources,
        reasons=_reasons(report.get("filters", []), sources),
        mixture=Mixture(**mixture) if mixture else None,
        contaminated=report.get("contaminated", []),
    )


def _source(name: str, entry: Mapping[str, Any]) -> Source:
    return Source(
        name=name,
        record=SourceRecord.from_json(entry),
        format=entry.get("format", ""),
        synthetic=entry.get("synthetic", False),
        epochs=entry.get("epochs", 1.0),
        mixture_characters=entry.get("mixture_characters", 0),
    )


def _reasons(filters: Sequence[Mapping[str, Any]], sources: Sequence[Source]) -> list[Reason]:
    described = {entry["name"]: Reason(**entry) for entry in filters}
    earlier, later = (
        [described.pop(name, Reason(name, description)) for name, description in steps.items()]
        for steps in (EARLIER_STEPS, LATER_STEPS)
    )
    met = {name for source in sources for name in source.record.dropped}
    others = [Reason(name) for name in sorted(met - described.keys() - EARLIER_STEPS.keys() - LATER_STEPS.keys())]
    return [*earlier, *described.values(), *others, *later]

"""The page of a corpus build: what went in, what was dropped and why, and what is left."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

from jmed_jax.artifact import Artifact
from jmed_jax.corpus.documents import SHARD_PREFIX
from jmed_jax.corpus.record import Tally
from jmed_jax.page.corpus_attention import findings, is_unknown, lost_input
from jmed_jax.page.corpus_figures import LATER_STEPS, Reason, Report, Source, Stage, add_up, stages
from jmed_jax.page.histogram import Histogram, length_histogram, measure_histogram, number
from jmed_jax.page.numbers import change, format_bytes, percent, short_count
from jmed_jax.page.render import write_html

TEMPLATE = "corpus.html.j2"

# What keeps a page of thirty sources and twenty filters under a megabyte.
EXAMPLES_OF_A_REASON = 6
SAMPLES = 16
PLACES_SHOWN = 5
CONTAMINATED_SHOWN = 100
_SOURCES_NAMED = 3


def write_corpus_page(report: Report, corpus: Artifact, out: Path) -> None:
    """Write the page as one HTML file; the same corpus always gives the same bytes.

    Args:
        report: see `corpus_figures.read_report`.
        corpus: where the report is from; its configuration, files and fingerprint are looked at.
    """
    met = [reason for reason in report.reasons if report.dropped(reason.name).documents]
    columns = _columns(met)
    values = {
        "report": report,
        "findings": findings(report, corpus.config),
        "facts": _facts(report, corpus),
        "lost": lost_input(report),
        "problems": _problems(report),
        "flow": _flow(stages(report)),
        "columns": columns,
        "rows": [_source_row(source, columns) for source in report.sources],
        "total": _total_row(report, columns),
        "met": met,
        "mixed": sorted(report.sources, key=lambda source: -source.mixture_characters),
        "cards": [_card(reason, report) for reason in met],
        "idle": [_card(reason, report) for reason in report.reasons if reason.bins and reason not in met],
        "contaminated": report.contaminated[:CONTAMINATED_SHOWN],
        "licenses": _occurrences(report, "licenses"),
        "personal_data": _occurrences(report, "personal_data"),
        "lengths": _lengths(report),
        "samples": _samples(report),
        "fingerprint": corpus.fingerprint,
    }
    filters: dict[str, Callable[..., Any]] = {
        "change": change,
        "number": number,
        "percent": percent,
        "short": short_count,
        "thousands": "{:,}".format,
        "unknown_license": is_unknown,
    }
    write_html(out, TEMPLATE, values, filters)


def _facts(report: Report, corpus: Artifact) -> list[tuple[str, str]]:
    kept, cleaned = report.kept, report.cleaned
    synthetic = sum(source.synthetic for source in report.sources)
    shards = sum(entry["bytes"] for name, entry in corpus.files.items() if name.startswith(SHARD_PREFIX))
    dropped = (
        f"{percent(cleaned.documents - kept.documents, cleaned.documents)} of documents, "
        f"{percent(cleaned.characters - kept.characters, cleaned.characters)} of characters"
    )
    facts = [
        ("Documents", f"{kept.documents:,}"),
        ("Characters", short_count(kept.characters)),
        ("Dropped", dropped),
        ("Sources", f"{len(report.sources):,}" + (f", {synthetic:,} of them synthetic" if synthetic else "")),
        ("On disk, compressed", format_bytes(shards)),
    ]
    if report.mixture:
        facts.append(("In the mixture", f"{short_count(report.mixture.characters)} characters"))
    return facts


# --- from stage to stage, and by source -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """A stage and its bars, in per cent of the characters read."""

    stage: Stage
    left_width: float
    gone_width: float


def _flow(way: Sequence[Stage]) -> list[Step]:
    scale = 100 / max(1, *(stage.left.characters for stage in way))
    # Cleaning can add characters: NFKC spells out what was one character.
    return [Step(stage, scale * stage.left.characters, scale * max(0, stage.gone.characters)) for stage in way]


@dataclass(frozen=True)
class Column:
    """What stands in one column of the table of sources: all filters together, or one step after them."""

    name: str
    reasons: Sequence[str]


@dataclass(frozen=True)
class Row:
    """A source, or all of them.

    Attributes:
        note: its format, if one was given, and whether it is synthetic.
        dropped: one tally a column.
    """

    name: str
    note: str
    read: Tally
    cleaned: Tally
    kept: Tally
    dropped: Sequence[Tally]


def _columns(met: Sequence[Reason]) -> list[Column]:
    filters = [reason.name for reason in met if reason.name not in LATER_STEPS]
    later = [Column(reason.name.replace("_", " "), [reason.name]) for reason in met if reason.name in LATER_STEPS]
    return [Column("filters", filters), *later] if filters else later


def _source_row(source: Source, columns: Sequence[Column]) -> Row:
    record = source.record
    note = ", ".join(
        filter(None, ["" if source.format == "auto" else source.format, "synthetic" if source.synthetic else ""])
    )
    dropped = [add_up(record.dropped.get(name, Tally()) for name in column.reasons) for column in columns]
    return Row(source.name, note, record.read, record.cleaned, record.kept, dropped)


def _total_row(report: Report, columns: Sequence[Column]) -> Row:
    dropped = [add_up(report.dropped(name) for name in column.reasons) for column in columns]
    return Row("All sources", "", report.read, report.cleaned, report.kept, dropped)


# --- what was dropped, and what was found -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Occurrence:
    """Something that was counted, and in which sources."""

    name: str
    count: int
    sources: str


@dataclass(frozen=True)
class Example:
    """A document, or its beginning."""

    source: str
    id: str
    text: str
    detail: str


@dataclass(frozen=True)
class Card:
    """All about one reason for dropping documents.

    Attributes:
        looked_at: documents that came to it; 0 if it counts none.
    """

    reason: Reason
    dropped: Tally
    looked_at: int
    sources: str
    histogram: Histogram | None
    examples: Sequence[Example]


def _card(reason: Reason, report: Report) -> Card:
    counts: Counter[int] = Counter()
    for source in report.sources:
        counts.update(source.record.measures.get(reason.name, {}))
    histogram = None
    if counts and reason.bins and reason.threshold is not None:
        histogram = measure_histogram(counts, reason.bins, reason.threshold, reason.keeps)
    by_source = {source.name: source.record.dropped.get(reason.name, Tally()).documents for source in report.sources}
    ranked = sorted((source for source in report.sources if by_source[source.name]), key=lambda s: -by_source[s.name])
    examples = [
        [_example(source, kept) for kept in source.record.examples[reason.name].to_json()]
        for source in ranked
        if reason.name in source.record.examples
    ]
    return Card(
        reason=reason,
        dropped=report.dropped(reason.name),
        looked_at=counts.total(),
        sources=_named([(source.name, by_source[source.name]) for source in ranked]),
        histogram=histogram,
        examples=list(islice(_in_turn(examples), EXAMPLES_OF_A_REASON)),
    )


def _example(source: Source, kept: Mapping[str, str]) -> Example:
    return Example(source.name, kept["id"], kept["text"], kept.get("detail", ""))


def _in_turn(lists: Sequence[Sequence[Example]]) -> Iterator[Example]:
    """The first of each, the second of each, …"""
    return (example for examples in zip_longest(*lists) for example in examples if example is not None)


def _occurrences(report: Report, counter: str) -> list[Occurrence]:
    return [Occurrence(key, count, _named(report.by_source(counter, key))) for key, count in report.total(counter)]


def _named(counts: Sequence[tuple[str, int]]) -> str:
    """`web 12,000 · books 31 · and 5 more`."""
    names = [f"{name} {count:,}" for name, count in counts[:_SOURCES_NAMED]]
    more = len(counts) - _SOURCES_NAMED
    return " · ".join([*names, f"and {more} more"] if more > 0 else names)


@dataclass(frozen=True)
class Problem:
    """Bad input of one kind in one source; the first places of `count`."""

    kind: str
    source: str
    count: int
    places: Sequence[str]


def _problems(report: Report) -> list[Problem]:
    problems = [
        Problem(kind, source.name, count, source.record.problems.places[kind][:PLACES_SHOWN])
        for source in report.sources
        for kind, count in source.record.problems.counts.items()
    ]
    return sorted(problems, key=lambda problem: (problem.kind, -problem.count, problem.source))


# --- what was kept ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lengths:
    """How long the kept documents of a source are.

    Attributes:
        mean: characters.
        median: the power of two below which at most half of the documents are.
    """

    source: str
    mean: float
    median: int
    histogram: Histogram


def _lengths(report: Report) -> list[Lengths]:
    powers = {power for source in report.sources for power in source.record.lengths}
    return [
        Lengths(
            source=source.name,
            mean=source.record.kept.characters / source.record.kept.documents,
            median=_median(source.record.lengths),
            histogram=length_histogram(source.record.lengths, min(powers), max(powers)),
        )
        for source in report.sources
        if source.record.lengths
    ]


def _median(lengths: Mapping[int, int]) -> int:
    half, seen = sum(lengths.values()) / 2, 0
    for power in sorted(lengths):
        seen += lengths[power]
        if seen >= half:
            return power
    raise AssertionError("no documents")


def _samples(report: Report) -> list[Example]:
    """About `SAMPLES` documents, as many of each source, at least one."""
    each = -(-SAMPLES // len(report.sources)) if report.sources else 0
    return [_example(source, kept) for source in report.sources for kept in source.record.samples.to_json()[:each]]

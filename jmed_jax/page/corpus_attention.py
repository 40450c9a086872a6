"""What somebody should look at before training on a corpus, found in the figures of its build."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jmed_jax.corpus.record import NOTHING_LOST
from jmed_jax.page.corpus_figures import Report
from jmed_jax.page.numbers import percent

# More than this of a source's documents for one reason is rarely what was meant.
LARGE_SHARE = 0.5
# Cleaning takes a few per cent of web text; more points to a source of another kind, or to broken encoding.
LARGE_CLEANING = 0.3

_NAMES = 4


@dataclass(frozen=True)
class Finding:
    """One line of the list.

    Attributes:
        text: a sentence.
        section: the id of the section of the page that has the details.
        serious: text is missing, or may not be used; otherwise it is something to be aware of.
    """

    text: str
    section: str
    serious: bool = False


def is_unknown(license_: str) -> bool:
    """Whether a document of this licence says nothing about what may be done with it."""
    return license_ in ("", "unknown")


def lost_input(report: Report) -> int:
    """How many records, lines or files could not be read."""
    return sum(source.record.problems.lost for source in report.sources)


def findings(report: Report, config: Mapping[str, Any]) -> list[Finding]:
    """What stands out, the serious first.

    Args:
        config: the corpus' configuration, as its manifest has it.
    """
    found = [
        *_empty_sources(report),
        *_lost_input(report),
        *_lost_documents(report),
        *_unknown_licenses(report),
        *_contamination(report, config),
        *_large_drops(report),
        *_large_cleaning(report),
        *_synthetic_cap(report, config),
    ]
    return sorted(found, key=lambda finding: not finding.serious)


def _empty_sources(report: Report) -> Iterator[Finding]:
    unread = [source.name for source in report.sources if not source.record.read.documents]
    if unread:
        yield Finding(f"No document was read from {listed(unread)}.", "sources", serious=True)
    empty = [
        source.name for source in report.sources if source.record.read.documents and not source.record.kept.documents
    ]
    if empty:
        yield Finding(f"Nothing is left of {listed(empty)}: every document was dropped.", "sources", serious=True)


def _lost_input(report: Report) -> Iterator[Finding]:
    kinds = {kind for source in report.sources for kind in source.record.problems.counts}
    for kind in sorted(kinds.difference(NOTHING_LOST)):
        counts = {source.name: source.record.problems.counts[kind] for source in report.sources}
        names = [name for name, count in counts.items() if count]
        yield Finding(
            f"Input was lost in {listed(names)}: {kind}, {sum(counts.values()):,} ×.", "problems", serious=True
        )


def _lost_documents(report: Report) -> Iterator[Finding]:
    wrong = {source.name: source.unaccounted for source in report.sources if source.unaccounted}
    if wrong:
        counts = [f"{name} ({count:+,})" for name, count in wrong.items()]
        text = f"The counts do not add up for {listed(counts)}: cleaned, less dropped, is not kept. Please report this."
        yield Finding(text, "sources", serious=True)


def _unknown_licenses(report: Report) -> Iterator[Finding]:
    counts = {
        source.name: sum(count for name, count in source.record.licenses.items() if is_unknown(name))
        for source in report.sources
    }
    names = [name for name, count in counts.items() if count]
    if names:
        text = f"Documents without a known licence: {sum(counts.values()):,}, from {listed(names)}."
        yield Finding(text, "licences", serious=True)


def _contamination(report: Report, config: Mapping[str, Any]) -> Iterator[Finding]:
    dropped = report.dropped("contaminated").documents
    if dropped:
        text = f"Documents dropped for a long span in common with evaluation questions: {dropped:,}."
        yield Finding(text, "contamination")
    elif not config.get("evaluation_sets", True):
        text = "No evaluation sets were given, so nobody looked for their questions in the text."
        yield Finding(text, "contamination")


def _large_drops(report: Report) -> Iterator[Finding]:
    for reason in report.reasons:
        shares = []
        for source in report.sources:
            tally = source.record.dropped.get(reason.name)
            if tally and tally.documents > LARGE_SHARE * source.record.cleaned.documents:
                shares.append(f"{source.name} ({percent(tally.documents, source.record.cleaned.documents)})")
        if shares:
            yield Finding(f"{reason.name} dropped more than half of {listed(shares)}.", f"reason-{reason.name}")


def _large_cleaning(report: Report) -> Iterator[Finding]:
    shares = []
    for source in report.sources:
        read, cleaned = source.record.read.characters, source.record.cleaned.characters
        if read - cleaned > LARGE_CLEANING * read:
            shares.append(f"{source.name} ({percent(read - cleaned, read)})")
    if shares:
        yield Finding(f"Cleaning took much of the characters of {listed(shares)}.", "sources")


def _synthetic_cap(report: Report, config: Mapping[str, Any]) -> Iterator[Finding]:
    cap = config.get("synthetic_cap", 1.0)
    # The epochs are rounded to whole characters.
    if report.mixture and cap < 1 and report.mixture.synthetic_share > cap - 1e-4:
        text = f"Synthetic text is at its cap, {percent(cap, 1)} of the mixture: some of it was left out to stay there."
        yield Finding(text, "mixture")


def listed(names: Sequence[str]) -> str:
    """`a, b, c, d and 5 more`."""
    if len(names) > _NAMES + 1:
        return f"{', '.join(names[:_NAMES])} and {len(names) - _NAMES} more"
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]

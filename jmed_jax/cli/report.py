"""`jmed corpus report`: a finished corpus as a page, and in short as a table."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jmed_jax.cli.arguments import Commands, add_command
from jmed_jax.cli.streams import print_table
from jmed_jax.errors import InputError

if TYPE_CHECKING:
    from jmed_jax.page.corpus_attention import Finding
    from jmed_jax.page.corpus_figures import Report


def add_report(group: Commands) -> None:
    """Add `report` to the commands of `jmed corpus`."""
    parser = add_command(
        group,
        "report",
        _report,
        "Show what a build read, dropped and kept, as an HTML page",
        example="jmed corpus report out/corpus\njmed corpus report out/corpus --out report.html --overwrite",
    )
    parser.add_argument("corpus", type=Path, metavar="DIR", help="made by `jmed corpus build`")
    text = "the page to write (default: DIR-report.html, beside DIR)"
    parser.add_argument("--out", type=Path, metavar="FILE", help=text)
    parser.add_argument("--overwrite", action="store_true", help="replace what stands there already")


def _report(args: Namespace) -> dict[str, Any]:
    from jmed_jax.artifact import check_free, open_artifact
    from jmed_jax.page.corpus_attention import findings
    from jmed_jax.page.corpus_figures import read_report
    from jmed_jax.page.corpus_page import write_corpus_page

    # The shards can be tens of gigabytes, and are not read here.
    corpus = open_artifact(args.corpus, "corpus", verify_hashes=False)
    out = args.out or _beside(args.corpus)
    _check_outside(out, args.corpus)
    check_free(out, args.overwrite)
    report = read_report(corpus)
    write_corpus_page(report, corpus, out)
    found = findings(report, corpus.config)
    _print_summary(report, found)
    print(out)
    return {"out": str(out), **_totals(report, found)}


def _beside(corpus: Path) -> Path:
    directory = corpus.resolve()
    return directory.with_name(f"{directory.name}-report.html")


def _check_outside(out: Path, corpus: Path) -> None:
    if out.resolve().is_relative_to(corpus.resolve()):
        raise InputError(f"{out}: within the corpus, whose manifest lists all its files. Give a place outside.")


def _print_summary(report: "Report", found: "Sequence[Finding]") -> None:
    from jmed_jax.page.numbers import percent, short_count

    rows = [(source.name, source.record.read, source.record.kept) for source in report.sources]
    if len(rows) > 1:
        rows.append(("all sources", report.read, report.kept))
    print_table(
        ("source", "read", "kept", "share", "characters", "share"),
        [
            (
                name,
                f"{read.documents:,}",
                f"{kept.documents:,}",
                percent(kept.documents, read.documents),
                short_count(kept.characters),
                percent(kept.characters, read.characters),
            )
            for name, read, kept in rows
        ],
    )
    reasons = [(reason.name, report.dropped(reason.name)) for reason in report.reasons]
    dropped = [
        (name, f"{tally.documents:,}", percent(tally.documents, report.cleaned.documents))
        for name, tally in reasons
        if tally.documents
    ]
    if dropped:
        print()
        print_table(("dropped", "documents", "share"), dropped)
    print()
    for finding in found:
        print(f"{'!' if finding.serious else '-'} {finding.text}")


def _totals(report: "Report", found: "Sequence[Finding]") -> dict[str, Any]:
    return {
        "sources": len(report.sources),
        "read": report.read.to_json(),
        "cleaned": report.cleaned.to_json(),
        "kept": report.kept.to_json(),
        "dropped": {
            reason.name: report.dropped(reason.name).to_json()
            for reason in report.reasons
            if report.dropped(reason.name).documents
        },
        "problems": sum(source.record.problems.counts.total() for source in report.sources),
        "findings": [{"text": finding.text, "serious": finding.serious} for finding in found],
    }

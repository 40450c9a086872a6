from typing import Any

import pytest

from jmed_jax.corpus.record import Records
from jmed_jax.page.corpus_attention import Finding, findings, lost_input
from jmed_jax.page.corpus_figures import parse_report
from tests.page.corpus_reports import GOOD, add_documents, report_of, small_report

CONFIG: dict[str, Any] = {"evaluation_sets": ["exam.jsonl"], "synthetic_cap": 1.0}


def found(records: Records, **config: Any) -> list[Finding]:
    return findings(parse_report(report_of(records)), CONFIG | config)


def only(records: Records, **config: Any) -> Finding:
    (finding,) = found(records, **config)
    return finding


@pytest.fixture
def records() -> Records:
    """Nothing stands out in these."""
    records = Records()
    add_documents(records["web"], kept=6, adult=4)
    add_documents(records["synthetic_books"], kept=4)
    return records


def test_nothing_stands_out(records: Records) -> None:
    assert found(records) == []


def test_a_source_of_which_nothing_is_left(records: Records) -> None:
    add_documents(records["scans"], kept=0, too_short=1, adult=1)
    finding = only(records)
    assert finding.text == "Nothing is left of scans: every document was dropped."
    assert finding.serious


def test_a_source_of_which_nothing_was_read(records: Records) -> None:
    assert records["missing"].read.documents == 0
    assert only(records).text == "No document was read from missing."


def test_lost_input(records: Records) -> None:
    for name in ("web", "synthetic_books"):
        records[name].problems.add("broken compression", "part-3.zst:17")
    assert only(records) == Finding(
        "Input was lost in web and synthetic_books: broken compression, 2 ×.", "problems", serious=True
    )
    assert lost_input(parse_report(report_of(records))) == 2


def test_what_was_mended_is_not_lost(records: Records) -> None:
    records["web"].problems.add("NUL bytes", "part-3.zst:17")
    records["web"].problems.add("unknown license", "part-3.zst")
    assert found(records) == []
    assert lost_input(parse_report(report_of(records))) == 0


@pytest.mark.parametrize("license_", ["unknown", ""])
def test_unknown_licences(license_: str, records: Records) -> None:
    add_documents(records["notes"], kept=2, license_=license_)
    finding = only(records)
    assert finding.text == "Documents without a known licence: 2, from notes."
    assert (finding.section, finding.serious) == ("licences", True)


def test_contamination(records: Records) -> None:
    add_documents(records["web"], kept=0, contaminated=2)
    assert only(records).text == "Documents dropped for a long span in common with evaluation questions: 2."


def test_contamination_that_nobody_looked_for(records: Records) -> None:
    assert "No evaluation sets were given" in only(records, evaluation_sets=[]).text
    assert findings(parse_report(report_of(records)), {}) == []


@pytest.mark.parametrize(("kept", "expected"), [(5, []), (4, ["adult dropped more than half of crawl (56 %)."])])
def test_a_reason_that_drops_more_than_half_of_a_source(kept: int, expected: list[str], records: Records) -> None:
    add_documents(records["crawl"], kept=kept, adult=5)
    assert [finding.text for finding in found(records)] == expected


def test_many_sources_make_one_line(records: Records) -> None:
    for number in range(9):
        add_documents(records[f"crawl{number}"], kept=1, near_duplicate=3)
    finding = only(records)
    assert finding.text == (
        "near_duplicate dropped more than half of "
        "crawl0 (75 %), crawl1 (75 %), crawl2 (75 %), crawl3 (75 %) and 5 more."
    )
    assert finding.section == "reason-near_duplicate"


def test_cleaning_that_takes_much(records: Records) -> None:
    records["web"].read.characters *= 2
    assert only(records).text.startswith("Cleaning took much of the characters of web (5")


@pytest.mark.parametrize(("cap", "expected"), [(0.4, True), (0.5, False), (1.0, False)])
def test_synthetic_text_at_its_cap(cap: float, expected: bool, records: Records) -> None:
    texts = [finding.text for finding in found(records, synthetic_cap=cap)]
    assert any("Synthetic text is at its cap" in text for text in texts) == expected


def test_a_corpus_of_synthetic_text_alone_has_no_cap() -> None:
    records = Records()
    add_documents(records["synthetic_books"], kept=4)
    assert found(records) == []


def test_counts_that_do_not_add_up(records: Records) -> None:
    records["web"].cleaned.add(GOOD)
    finding = only(records)
    assert finding.text.startswith("The counts do not add up for web (+1)")
    assert finding.serious


def test_the_serious_comes_first() -> None:
    serious = [finding.serious for finding in findings(parse_report(small_report()), CONFIG)]
    assert serious == [True, True, False]

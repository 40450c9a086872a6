from pathlib import Path

import pytest

from jmed_jax.artifact import Artifact, create, open_artifact
from jmed_jax.corpus.record import Records, Tally
from jmed_jax.errors import InputError
from jmed_jax.page.corpus_figures import parse_report, read_report, stages
from tests.page.corpus_reports import BAD, FILTERS, GOOD, add_documents, report_of, small_report


def test_stages_lead_from_what_was_read_to_what_was_kept() -> None:
    report = parse_report(small_report())
    way = stages(report)
    assert [(stage.name, stage.gone.documents, stage.left.documents) for stage in way] == [
        ("read", 0, 14),
        ("cleaned", 0, 14),
        ("too_short", 2, 12),
        ("contaminated", 1, 11),
        ("near_duplicate", 1, 10),
    ]
    assert way[-1].left == report.kept
    assert way[1].gone == Tally(0, 14)


def test_reasons_stand_in_the_order_of_the_build() -> None:
    records = Records()
    add_documents(records["web"], kept=1, near_duplicate=1, exact_duplicate=1, empty=1, adult=1, another=1)
    report = parse_report(report_of(records))
    assert [reason.name for reason in report.reasons] == [
        "empty",
        "too_short",
        "adult",
        "another",
        "contaminated",
        "exact_duplicate",
        "near_duplicate",
        "low_quality",
    ]


def test_a_filter_may_describe_a_later_step() -> None:
    quality = {
        "name": "low_quality",
        "description": "Share of trees.",
        "threshold": 0.5,
        "keeps": "at least",
        "bins": [0.5],
    }
    report = parse_report(small_report() | {"filters": [quality, *FILTERS]})
    assert [reason.name for reason in report.reasons][-1] == "low_quality"
    assert report.reasons[-1].threshold == 0.5


def test_occurrences_are_added_up_and_ranked() -> None:
    records = Records()
    add_documents(records["a"], kept=1)
    add_documents(records["b"], kept=3)
    add_documents(records["c"], kept=2, license_="MIT")
    report = parse_report(report_of(records))
    assert report.total("licenses") == [("CC0", 4), ("MIT", 2)]
    assert report.by_source("licenses", "CC0") == [("b", 3), ("a", 1)]


def test_documents_that_vanished_are_noticed() -> None:
    records = Records()
    add_documents(records["web"], kept=3)
    records["web"].cleaned.add(GOOD)
    (source,) = parse_report(report_of(records)).sources
    assert source.unaccounted == 1


def test_characters_of_a_reason_are_those_of_all_sources() -> None:
    records = Records()
    add_documents(records["a"], kept=1, adult=1)
    add_documents(records["b"], kept=0, adult=2)
    assert parse_report(report_of(records)).dropped("adult") == Tally(3, 3 * len(BAD))


def corpus_with(tmp_path: Path, files: dict[str, str]) -> Artifact:
    with create(tmp_path / "corpus", "corpus", {}) as draft:
        for name, text in files.items():
            (draft.path / name).write_text(text, encoding="utf-8")
    return open_artifact(tmp_path / "corpus", "corpus")


def test_a_corpus_without_a_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"corpus: no report\.json in this corpus"):
        read_report(corpus_with(tmp_path, {"documents-00000.jsonl": ""}))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"name": "x", "sources": {"web": {"read": {}}}}', '{"name": 1}'])
def test_a_report_of_another_form(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"report\.json: not a report of `jmed corpus build`"):
        read_report(corpus_with(tmp_path, {"report.json": text}))

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from jmed_jax import __version__
from jmed_jax.corpus.record import Records
from jmed_jax.page.corpus_figures import parse_report
from jmed_jax.page.corpus_page import CONTAMINATED_SHOWN, EXAMPLES_OF_A_REASON, PLACES_SHOWN, write_corpus_page
from tests.page.corpus_reports import FILTERS, add_documents, artifact, report_of, small_report
from tests.page.outline import ATTACK, Outline

SECTIONS = {
    "attention",
    "flow",
    "sources",
    "mixture",
    "dropped",
    "contamination",
    "licences",
    "personal-data",
    "problems",
    "lengths",
    "samples",
}


def written(report: dict[str, Any], directory: Path, **config: Any) -> str:
    # As it comes from the file.
    report = json.loads(json.dumps(report))
    write_corpus_page(parse_report(report), artifact(**config), directory / "report.html")
    return (directory / "report.html").read_text(encoding="utf-8")


def section(html: str, name: str) -> str:
    """The text of a section."""
    (found,) = re.findall(rf'<section id="{name}">.*?</section>', html, re.DOTALL)
    return Outline(found).text


def ids(outline: Outline) -> list[str | None]:
    return [value for name, value in outline.attributes if name == "id"]


def test_every_section_is_there(tmp_path: Path) -> None:
    outline = Outline(written(small_report(), tmp_path))
    assert outline.faults == []
    assert set(ids(outline)) >= SECTIONS
    assert len(ids(outline)) == len(set(ids(outline)))


def test_every_link_leads_somewhere_on_the_page(tmp_path: Path) -> None:
    outline = Outline(written(small_report(), tmp_path))
    links = [value or "" for name, value in outline.attributes if name == "href"]
    assert len(links) > len(SECTIONS)
    assert {link.removeprefix("#") for link in links} <= set(ids(outline))


def test_headline_facts(tmp_path: Path) -> None:
    text = Outline(written(small_report(), tmp_path)).text
    for shown in (
        "Of 14 documents read, 71 % were kept.",
        "Documents 10",
        "29 % of documents, 14 % of characters",
        "2, 1 of them synthetic",
        "1.23 MB",
        "Some of the input was lost. 40 records, lines or files",
        f"jmed_jax {__version__}",
    ):
        assert shown in text


def test_what_to_look_at_comes_first(tmp_path: Path) -> None:
    html = written(small_report(), tmp_path)
    assert html.index('id="attention"') < html.index('id="flow"')
    assert "▲ Input was lost in web: not UTF-8, 40 ×." in section(html, "attention")
    assert "• Documents dropped for a long span" in section(html, "attention")


def test_the_way_from_read_to_kept(tmp_path: Path) -> None:
    text = section(written(small_report(), tmp_path), "flow")
    assert "too_short 86 % 2 12" in text
    assert "near_duplicate 80 % 1 10" in text
    assert "kept 80 % 4 10" in text
    assert "1 filter dropped nothing" in text


def test_sources_with_their_shares(tmp_path: Path) -> None:
    text = section(written(small_report(), tmp_path), "sources")
    assert "Source Read Cleaning characters Filters Contaminated Near duplicate Kept" in text
    assert "web jsonl 10 124 ch. −8.1 % 2 20 % 1 10 % 1 10 % 6 90 ch. 60 %, 73 %" in text
    assert "synthetic_books jsonl, synthetic" in text
    assert "All sources 14" in text


def test_mixture_with_epochs_and_notes(tmp_path: Path) -> None:
    report = small_report()
    report["sources"]["web"] |= {"epochs": 5.5, "mixture_characters": 495}
    report["mixture"]["characters"] = 555
    text = section(written(report, tmp_path), "mixture")
    assert "web 90 × 5.5 495 89 %" in text
    assert "40 % of them synthetic" in text
    assert "The epochs of synthetic_books were lowered." in text


def test_reasons_with_threshold_histogram_and_examples(tmp_path: Path) -> None:
    html = written(small_report(), tmp_path)
    text = section(html, "dropped")
    assert "Characters of the text. Keeps at least 10. 2 documents, 14 % of the 14 it looked at; 12 characters." in text
    assert "1 document, 7.1 % of all" in text
    assert "too_short-0 · 6 本日の特売品" in text
    assert 'title="5 to 10: 4 documents"' in html
    assert '<span class="out left" style="left:0.00%;width:50.00%">' in html


def test_a_filter_that_dropped_nothing_is_folded(tmp_path: Path) -> None:
    text = section(written(small_report(), tmp_path), "dropped")
    before, _, folded = text.partition("1 filter that dropped nothing")
    assert "adult" in folded and "adult" not in before


def test_the_rest(tmp_path: Path) -> None:
    html = written(small_report(), tmp_path)
    assert "web/contaminated-0 exam.jsonl 正しいのはどれか" in section(html, "contamination")
    assert "CC0 10 71 % web 10" in section(html, "licences")
    assert "▲ unknown 4" in section(html, "licences")
    assert "telephone 3 web 3" in section(html, "personal-data")
    assert "web 15 16" in section(html, "lengths")
    assert "主訴は三日前からの発熱である。" in section(html, "samples")


def test_some_places_of_a_problem_are_shown(tmp_path: Path) -> None:
    text = section(written(small_report(), tmp_path), "problems")
    assert "not UTF-8 web 40 part-1.jsonl:1 ," in text
    assert text.count("part-1.jsonl:") == PLACES_SHOWN
    assert "…" in text


def test_a_build_without_anything_remarkable(tmp_path: Path) -> None:
    records = Records()
    add_documents(records["web"], kept=3)
    html = written(report_of(records), tmp_path)
    outline = Outline(html)
    assert outline.faults == []
    assert set(ids(outline)) >= SECTIONS
    assert 'class="banner"' not in html
    assert "Nothing stands out." in section(html, "attention")
    assert "Nothing was dropped." in section(html, "dropped")
    assert "None was found." in section(html, "personal-data")
    assert "None: all of the input was read." in section(html, "problems")
    assert "All sources" not in html


@pytest.mark.parametrize("part", ["filters", "mixture", "contaminated"])
def test_a_part_that_is_missing(part: str, tmp_path: Path) -> None:
    report = small_report()
    del report[part]
    outline = Outline(written(report, tmp_path))
    assert outline.faults == []
    assert SECTIONS - set(ids(outline)) == ({"mixture"} if part == "mixture" else set())
    assert "too_short" in outline.text


def test_a_corpus_of_which_nothing_is_left(tmp_path: Path) -> None:
    records = Records()
    add_documents(records["web"], kept=0, too_short=2)
    html = written(report_of(records), tmp_path)
    assert Outline(html).faults == []
    assert html.count("No document was kept.") == 2
    assert "Nothing is left of web" in section(html, "attention")


def test_text_stays_text(tmp_path: Path) -> None:
    records = Records()
    record = records[ATTACK]
    add_documents(record, kept=1, license_=ATTACK)
    record.samples.add(ATTACK, ATTACK)
    record.read.add(ATTACK)
    record.cleaned.add(ATTACK)
    record.drop(ATTACK, ATTACK, ATTACK, ATTACK)
    record.personal_data[ATTACK] += 1
    record.problems.add(ATTACK, ATTACK)
    contaminated = {"id": ATTACK, "source": ATTACK, "evaluation_set": ATTACK, "span": ATTACK}
    filters = [{**FILTERS[0], "name": ATTACK, "description": ATTACK}]
    report = report_of(records, name=ATTACK, filters=filters, contaminated=[contaminated])
    report["mixture"]["notes"] = [ATTACK]
    report["sources"][ATTACK] |= {"format": ATTACK}
    report["sources"][ATTACK]["dropped"]["contaminated"] = {"documents": 1, "characters": 9}
    report["sources"][ATTACK]["measures"] = {ATTACK: {"1": 1}}
    outline = Outline(written(report, tmp_path))
    assert outline.faults == []
    assert not {"script", "img"} & set(outline.tags)
    assert not [name for name, _ in outline.attributes if name.startswith("on")]
    assert outline.text.count("<script>alert(1)</script>") >= 25


def test_half_a_surrogate_pair_is_no_obstacle(tmp_path: Path) -> None:
    records = Records()
    add_documents(records["web"], kept=1)
    records["web"].samples.add("half", "痛い\ud83d")
    assert "痛い?" in written(report_of(records), tmp_path)


def test_nothing_is_loaded_from_anywhere(tmp_path: Path) -> None:
    html = written(small_report(), tmp_path)
    outline = Outline(html)
    assert "default-src 'none'" in html
    assert not {"script", "link", "img", "iframe"} & set(outline.tags)
    assert "http://" not in html and "https://" not in html and "@import" not in html and "url(" not in html


def test_the_same_corpus_gives_the_same_bytes(tmp_path: Path) -> None:
    report = small_report()
    first = written(copy.deepcopy(report), tmp_path)
    assert written(report, tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_thirty_sources_and_twenty_filters_stay_small(tmp_path: Path) -> None:
    records = Records()
    edges = [edge / 20 for edge in range(1, 20)]
    filters = [{**FILTERS[0], "name": f"filter_{number}", "bins": edges} for number in range(20)]
    text = "症例の報告。" * 60
    for number in range(30):
        record = records[f"a_source_with_a_long_name_{number}"]
        for step in range(20):
            for document in range(5):
                record.drop(f"filter_{step}", f"{number}-{step}-{document}", text, "0.123")
            record.measures[f"filter_{step}"] = dict.fromkeys(range(20), 123_456)
        for document in range(5):
            record.keep(f"{number}-{document}", text)
        for kind in range(6):
            for place in range(30):
                record.problems.add(f"problem {kind}", f"a/directory/a_file_with_a_long_name.jsonl.zst:{place}")
    records["a_source_with_a_long_name_0"].drop("contaminated", "exam", text)
    spans = [{"id": f"web/{n}", "source": "web", "evaluation_set": "exam", "span": text} for n in range(1000)]
    html = written(report_of(records, filters=filters, contaminated=spans), tmp_path)
    assert len(html.encode()) < 1_000_000
    assert html.count('class="example"') == 20 * EXAMPLES_OF_A_REASON + 1
    assert html.count('class="sample"') == 30
    assert html.count("<td>exam</td>") == CONTAMINATED_SHOWN


def test_one_source_shows_all_its_samples(tmp_path: Path) -> None:
    records = Records()
    add_documents(records["web"], kept=9)
    assert written(report_of(records), tmp_path).count('class="sample"') == 5

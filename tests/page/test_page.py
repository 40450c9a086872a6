import re
from dataclasses import replace
from pathlib import Path

import pytest

from jmed_jax import __version__
from jmed_jax.page.page import QuickstartPage, Sample, format_duration, write_page
from tests.page.outline import ATTACK, Outline
from tests.page.pages import SMDIS, small_page


def written(page: QuickstartPage, directory: Path) -> str:
    write_page(directory / "index.html", page)
    return (directory / "index.html").read_text(encoding="utf-8")


def test_everything_given_is_on_the_page(tmp_path: Path) -> None:
    text = Outline(written(small_page(), tmp_path)).text
    for shown in (
        "0.77",
        "(0.88)",
        "−0.13",
        "(0.43)",
        "0.12",
        "3 of 60",
        "7 of 24",
        "(0.00)",
        "17 rows",
        "24–60 synthetic rows",
    ):
        assert shown in text
    for shown in ("6.2 s", "1 min 33 s", "1 min 39 s", "3,184 documents", "3.4 million parameters", "120 steps, 246 k"):
        assert shown in text
    for shown in ("高血圧の治療は？", "減塩と運動を行う。", "['疼痛']", "✗ wrong", 'jmed generate "糖尿病は?"'):
        assert shown in text
    for shown in ("Not a medical device", f"jmed_jax {__version__}", "bits per byte", "tokens seen"):
        assert shown in text


def test_published_rows_stand_beside_and_all_of_them_are_folded(tmp_path: Path) -> None:
    html = written(small_page(), tmp_path)
    before, _, folded = html.partition("All 16 published rows")
    assert "NCVC-slm-1-instruct (50B tokens)" in before
    assert "llama-3-youko-8b-instruct" not in before
    assert "llama-3-youko-8b-instruct" in folded
    assert "100 test rows a task" in folded


@pytest.mark.parametrize("synthetic", [True, False])
def test_only_synthetic_scores_are_called_not_comparable(tmp_path: Path, synthetic: bool) -> None:
    html = written(replace(small_page(), synthetic=synthetic), tmp_path)
    assert ('class="banner"' in html) == synthetic
    assert ("not comparable" in html) == synthetic


def test_model_output_stays_text(tmp_path: Path) -> None:
    page = replace(
        small_page(),
        prompt=ATTACK,
        answer=ATTACK,
        samples=[Sample("jmed_llm.smdis", ATTACK, ATTACK, ATTACK, right=False)],
        commands=[(ATTACK, ATTACK)],
        data_note=ATTACK,
    )
    outline = Outline(written(page, tmp_path))
    assert not {"script", "img"} & set(outline.tags)
    assert not [name for name, _ in outline.attributes if name.startswith("on")]
    assert outline.text.count("<script>alert(1)</script>") >= 7


def test_half_a_surrogate_pair_is_no_obstacle(tmp_path: Path) -> None:
    assert "痛い?" in written(replace(small_page(), answer="痛い\ud83d"), tmp_path)


def test_html_is_balanced_and_ids_are_unique(tmp_path: Path) -> None:
    outline = Outline(written(small_page(), tmp_path))
    assert outline.faults == []
    ids = [value for name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_nothing_is_loaded_from_anywhere(tmp_path: Path) -> None:
    html = written(small_page(), tmp_path)
    links = [value or "" for name, value in Outline(html).attributes if name.endswith(("href", "src"))]
    assert links  # the markers of the charts
    assert all(link.startswith("#") for link in links)
    assert "http://" not in html and "https://" not in html
    assert "@import" not in html
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", html))


def test_a_task_that_the_paper_does_not_have(tmp_path: Path) -> None:
    page = replace(small_page(), scores={"ward.triage": {**SMDIS, "protocol": "ward", "main_metric": "accuracy"}})
    text = Outline(written(page, tmp_path)).text
    assert "ward.triage" in text
    assert "88.3" in text
    assert "Published" not in text


def test_a_run_cut_short_still_has_a_page(tmp_path: Path) -> None:
    page = replace(
        small_page(), stages=[], pretraining=[], instruction=[], scores={}, samples=[], commands=[], model={}
    )
    outline = Outline(written(page, tmp_path))
    assert outline.faults == []
    assert "svg" not in outline.tags


def test_writing_replaces_the_page_and_leaves_nothing_else(tmp_path: Path) -> None:
    written(small_page(), tmp_path)
    assert "Another" in written(replace(small_page(), title="Another"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.04, "0.0 s"), (59.96, "1 min 00 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown

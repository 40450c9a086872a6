import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.jsonl import write_jsonl
from jmed_jax.page.evaluation_differences import compare_runs
from jmed_jax.page.evaluation_languages import compare_run_languages
from jmed_jax.page.evaluation_page import Report, write_evaluation_page
from jmed_jax.page.evaluation_runs import read_inputs
from jmed_jax.page.score_table import run_tables
from jmed_jax.page.script import policy, script
from tests.page.evaluations import MadeTask, exam, write_evaluation
from tests.page.outline import ATTACK, Outline

RIGHT = [True, False, True, True, False, True, True, False]
CONTAMINATION = {
    "source": "corpus/wiki",
    "n_gram": 30,
    "tasks": {
        "igakuqa": {
            "n": 1600,
            "comparable": 1500,
            "overlapping": 40,
            "share": 0.025,
            "examples": [{"id": "112A1", "where": "web/7", "span": "正しいのはどれか"}],
        }
    },
}


def two_runs(directory: Path) -> list[Path]:
    smdis = MadeTask(
        RIGHT,
        "jmed_llm",
        "ja",
        "kappa",
        rows={1: {"unparsable": True}},
        changed={"clean": {"n": 3, "kappa": 0.1, "accuracy": 0.4, "unparsable": 0}},
    )
    first = {"igakuqa": exam(RIGHT), "medqa": MadeTask(RIGHT, language="en"), "jmed_llm.smdis": smdis}
    second = {"igakuqa": exam(RIGHT[::-1]), "medqa_ja": MadeTask(RIGHT)}
    return [
        write_evaluation(directory / "a", first, name="JMedLLM"),
        write_evaluation(directory / "b", second, name="served", hardware=None, backend="openai:served"),
    ]


def training_run(path: Path) -> Path:
    path.mkdir()
    (path / "run.json").write_text("{}")
    values = [("kappa", 0.1), ("kappa", 0.3)]
    lines = [
        {"step": step, "tokens": step * 10**9, "task": "jmed_llm.crade", "metric": metric, "value": value}
        for step, (metric, value) in enumerate(values, start=1)
    ]
    write_jsonl(path / "scores.jsonl", lines)
    return path


def written(paths: Sequence[Path], directory: Path, contamination: Sequence[Mapping[str, Any]] = ()) -> str:
    inputs = read_inputs(paths, {})
    tables = run_tables({run.name: run.tasks for run in inputs.runs})
    report = Report(inputs, tables, compare_runs(inputs.runs), compare_run_languages(inputs.runs), contamination)
    write_evaluation_page(directory / "report.html", report)
    return (directory / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    directory = tmp_path_factory.mktemp("page")
    paths = [*two_runs(directory), training_run(directory / "training")]
    return written(paths, directory, [CONTAMINATION])


def section(html: str, name: str) -> str:
    """The text of a section."""
    (found,) = re.findall(rf'<section id="{name}">.*?</section>', html, re.DOTALL)
    return Outline(found).text


def without_data(html: str) -> str:
    return re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)


def test_html_is_balanced_ids_are_unique_and_links_lead_somewhere(page: str) -> None:
    outline = Outline(without_data(page))
    assert outline.faults == []
    ids = [value for name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    links = [value or "" for name, value in outline.attributes if name == "href"]
    assert links and {link.removeprefix("#") for link in links} <= set(ids)


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    outline = Outline(without_data(page))
    assert not {"link", "img", "iframe", "object"} & set(outline.tags)
    assert not [value for name, value in outline.attributes if name == "src"]
    assert "http://" not in page and "https://" not in page and "@import" not in page
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)", without_data(page)))


def test_only_the_pages_own_script_may_run(page: str) -> None:
    (code,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert code == script("evaluation.js.j2")
    assert ("content", policy(code)) in Outline(without_data(page)).attributes


def test_what_was_evaluated_stands_at_the_top(page: str) -> None:
    text = Outline(without_data(page)).text
    assert "Not a medical device." in text.partition("Models")[0]
    models = section(page, "models")
    assert "JMedLLM 7.62 B step 1,200, 50 B tokens jmed_jax 2 × NVIDIA H100" in models
    assert "served 7.62 B step 1,200, 50 B tokens openai:served –" in models
    assert "0123456789ab" in section(page, "asked")


def test_points_beside_the_papers_years(page: str) -> None:
    text = section(page, "igakuqa_points")
    assert "JMedLLM measured 3 (75 % of 4) 2 (50 % of 4)" in text
    assert "▲ 5 3 to 7 (62 % of 8)" in text
    assert "GPT-4 382 (77 % of 499)" in text
    assert "Random baseline" in text and "Published: arXiv 2412.16423" in text


def test_examinees_and_contraindicated_choices(page: str) -> None:
    text = section(page, "igakuqa_points")
    assert "JMedLLM IgakuQA 62.5 87.1 2 in 9 JMedLLM IgakuQA 2018 75.0 90.0 2 in 9" in text
    assert "JMedLLM IgakuQA 2019 50.0 84.2 –" in text


def test_scores_where_the_choices_are_turned(tmp_path: Path) -> None:
    places = [{"n": 8, "gestalt_accuracy": 0.625}, {"n": 8, "gestalt_accuracy": 0.25}]
    turned = MadeTask(RIGHT, changed={"rotations": {"questions": 8, "same_answer": 0.375, "places": places}})
    more = {"questions": 8, "same_answer": 1.0, "places": [*places, {"n": 2, "gestalt_accuracy": 1.0}]}
    tasks = {"medqa": turned, "medmcqa": MadeTask(RIGHT, changed={"rotations": more})}
    html = written([write_evaluation(tmp_path / "a", tasks, name="JMedLLM")], tmp_path)
    text = section(html, "gestalt_cot").partition("Where the choices are turned")[2]
    assert "as printed turned by 1 turned by 2 JMedLLM MedQA 8 38 % 62.5 25.0" in text
    assert "JMedLLM MedMCQA 8 100 % 62.5 25.0 100.0" in text
    assert Outline(without_data(html)).faults == []


def test_languages_stand_side_by_side(page: str) -> None:
    text = section(page, "gestalt_cot")
    assert "MedQA (en) Gestalt accuracy, % 8 rows MedQA (ja)" in text
    assert "Qwen2-7B-Instruct 36.9 30.8" in text
    assert "Trained on the MedQA test split." in text


def test_clean_and_unreadable_rows(page: str) -> None:
    text = section(page, "jmed_llm")
    assert "on clean rows only 0.10 (0.40) 3 rows" in text
    assert "unreadable answers 1 of 8" in text


def test_groups_are_folded(page: str) -> None:
    before, _, folded = section(page, "igakuqa_points").partition("By year, section, subject or tag")
    assert "2018 4 75 % 50 %" in folded and "2018 4 75 %" not in before


def test_differences_are_tested(page: str) -> None:
    text = section(page, "differences")
    assert "JMedLLM → served" in text and "IgakuQA accuracy 0.000" in text and "McNemar 1.000" in text


def test_each_model_in_both_languages(tmp_path: Path) -> None:
    tasks = {"igakuqa": MadeTask(RIGHT), "igakuqa_en": MadeTask([True] * 8, language="en")}
    text = section(written([write_evaluation(tmp_path / "a", tasks, name="a")], tmp_path), "languages")
    assert "a IgakuQA Gestalt accuracy 8 62.5 100.0 +0.375" in text and "McNemar 0.250" in text


def test_without_translations_there_is_no_such_table(page: str) -> None:
    assert 'id="languages"' not in page and "#languages" not in page


def test_speed_and_memory(page: str) -> None:
    text = section(page, "speed")
    assert (
        "JMedLLM 7.62 B parameters · 2 × NVIDIA H100 · jmed_jax 24 6 min 00 s 1.5 s · 12 s 12 k 3.6 k 10 15 GB" in text
    )


def test_contamination_beside_the_scores(page: str) -> None:
    text = section(page, "contamination")
    assert "IgakuQA corpus/wiki spans of 30 40 of 1,600 1,500 are long enough 2.5 % points 5 points 5" in text
    assert "112A1 · web/7 正しいのはどれか" in text
    assert "▲ corpus/wiki shares long spans with questions of IgakuQA (2.5 %)." in section(page, "attention")


def test_scores_against_tokens(page: str) -> None:
    text = section(page, "curves")
    assert "CRADE: kappa" in text and "0.10 → 0.30 at 2 B tokens" in text and "tokens seen" in text


def test_hostile_output_stays_data(tmp_path: Path) -> None:
    hostile = f"</script><script>alert(1)</script>{ATTACK}<!--"
    rows = {0: {"raw_output": hostile, "prediction": hostile, "gold": hostile, "groups": [hostile]}}
    path = write_evaluation(
        tmp_path / "a",
        {
            hostile.replace("/", "∕"): MadeTask(
                RIGHT, output=hostile, groups=(hostile,), rows=rows, changed={"left_out": {ATTACK: 1}}
            )
        },
        name=ATTACK,
        backend=ATTACK,
        hardware={"device": ATTACK, "count": 1},
    )
    html = written([path], tmp_path, [{**CONTAMINATION, "source": ATTACK}])
    outline = Outline(html)
    assert outline.faults == []
    # The names of the runs, the one task, and the page's own.
    assert outline.tags.count("script") == 3
    assert "img" not in outline.tags
    assert not [name for name, _ in outline.attributes if name.startswith("on")]
    (block,) = re.findall(r'<script type="application/json" id="rows-0">(.*?)</script>', html, re.DOTALL)
    assert json.loads(block)["answers"][0]["rows"][0]["o"] == hostile


def test_training_curves_alone_make_a_page(tmp_path: Path) -> None:
    html = written([training_run(tmp_path / "run")], tmp_path)
    assert Outline(html).faults == []
    assert "CRADE: kappa" in section(html, "curves")
    assert "<script" not in html


def test_thousands_of_rows_stay_small_and_out_of_the_markup(tmp_path: Path) -> None:
    many = [number % 3 == 0 for number in range(4183)]
    path = write_evaluation(tmp_path / "a", {"medmcqa": MadeTask(many, language="en")})
    html = written([path], tmp_path)
    assert len(html) < 1_000_000
    assert len(without_data(html)) < 100_000

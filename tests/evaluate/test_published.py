from collections import Counter

import pytest

from jmed_jax.evaluate.published import PublishedScore, protocol_note, published_scores
from jmed_jax.evaluate.tasks import TASKS

# Cells a model, by task; IgakuQA by points has a cell a year.
CELLS = {
    "igakuqa_points": {"igakuqa": 5},
    "jmed_llm": {name: 1 for name in TASKS if name.startswith("jmed_llm.")},
    "gestalt_cot": dict.fromkeys(("igakuqa", "igakuqa_en", "medqa", "medqa_ja", "medmcqa", "medmcqa_ja"), 1),
}


def cell(model: str, task: str, group: str | None = None, protocol: str | None = None) -> PublishedScore:
    (found,) = [
        score
        for score in published_scores()
        if (score.model, score.task, score.group) == (model, task, group) and protocol in (None, score.protocol)
    ]
    return found


@pytest.mark.parametrize(("protocol", "models"), [("igakuqa_points", 17), ("jmed_llm", 16), ("gestalt_cot", 5)])
def test_every_row_has_every_cell(protocol: str, models: int) -> None:
    scores = [score for score in published_scores() if score.protocol == protocol]
    cells = Counter((score.model, score.task) for score in scores)
    assert {model for model, _ in cells} == {score.model for score in scores}
    assert len({model for model, _ in cells}) == models
    assert cells == {(model, task): n for model, _ in cells for task, n in CELLS[protocol].items()}


def test_cells_are_what_the_papers_print() -> None:
    assert cell("GPT-4", "igakuqa", "2021").metrics == {"points": 398, "total": 500}
    assert cell("NCVC-slm-1-base (50B tokens)", "igakuqa", "2018").metrics["points"] == 62
    assert cell("Qwen2-7B-Instruct", "jmed_llm.jcsts").metrics == {"kappa": 0.37, "accuracy": 0.31}
    disease = cell("NCVC-slm-1-instruct (20B tokens)", "jmed_llm.mrner_disease")
    assert disease.metrics == {"partial_f1": 0.87, "exact_f1": 0.35}
    assert disease.source == "arXiv 2412.16423"


@pytest.mark.parametrize(
    ("model", "task", "language", "share"),
    [
        ("Qwen2-7B-Instruct", "igakuqa_en", "en", 0.464),
        ("Qwen2-7B-Instruct", "medmcqa_ja", "ja", 0.315),
        ("Llama3-8B", "igakuqa_en", "en", 0.29),
        ("MedSwallow-70B", "medqa_ja", "ja", 0.793),
        ("Llama3-70B (4-bit)", "medqa", "en", 0.577),
    ],
)
def test_gestalt_accuracy_in_both_languages(model: str, task: str, language: str, share: float) -> None:
    found = cell(model, task, protocol="gestalt_cot")
    assert (found.language, found.metrics, found.source) == (language, {"gestalt_accuracy": share}, "arXiv 2409.11783")


def test_footnotes_stand_where_the_print_contradicts_itself_or_a_model_has_seen_the_test() -> None:
    noted = {(score.model, score.task) for score in published_scores() if score.footnote}
    assert noted == {
        ("NCVC-slm-1-instruct (50B tokens)", "jmed_llm.mrner_disease"),
        ("gemma-2-2b-it", "jmed_llm.rrtnm"),
        ("MedSwallow-70B", "medqa"),
        ("MedSwallow-70B", "medqa_ja"),
    }


def test_a_protocol_without_figures_has_no_note() -> None:
    assert protocol_note("loglikelihood") == ""
    assert "4-bit" in protocol_note("gestalt_cot")


def test_metrics_have_the_scorers_names() -> None:
    own = [score for score in published_scores() if score.protocol != "gestalt_cot"]
    assert all(TASKS[score.task].main_metric in score.metrics for score in own)

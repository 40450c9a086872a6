from collections import Counter

from jmed_jax.evaluate.published import PublishedScore, published_scores
from jmed_jax.evaluate.tasks import TASKS


def cell(model: str, task: str, group: str | None = None) -> PublishedScore:
    (found,) = [s for s in published_scores() if (s.model, s.task, s.group) == (model, task, group)]
    return found


def test_every_row_has_every_cell() -> None:
    cells = Counter((score.model, score.task) for score in published_scores())
    assert {task for _, task in cells} == set(TASKS)
    assert all(count == (5 if task == "igakuqa" else 1) for (_, task), count in cells.items())
    assert sum(task == "igakuqa" for _, task in cells) == 17
    assert sum(task == "jmed_llm.crade" for _, task in cells) == 16


def test_cells_are_what_the_paper_prints() -> None:
    assert cell("GPT-4", "igakuqa", "2021").metrics == {"points": 398, "total": 500}
    assert cell("NCVC-slm-1-base (50B tokens)", "igakuqa", "2018").metrics["points"] == 62
    assert cell("Qwen2-7B-Instruct", "jmed_llm.jcsts").metrics == {"kappa": 0.37, "accuracy": 0.31}
    disease = cell("NCVC-slm-1-instruct (20B tokens)", "jmed_llm.mrner_disease")
    assert disease.metrics == {"partial_f1": 0.87, "exact_f1": 0.35}
    assert disease.source == "arXiv 2412.16423"


def test_inconsistencies_in_print_have_footnotes() -> None:
    noted = {(score.model, score.task) for score in published_scores() if score.footnote}
    assert noted == {
        ("NCVC-slm-1-instruct (50B tokens)", "jmed_llm.mrner_disease"),
        ("gemma-2-2b-it", "jmed_llm.rrtnm"),
    }


def test_metrics_have_the_scorers_names() -> None:
    assert all(TASKS[score.task].main_metric in score.metrics for score in published_scores())

import pytest

from jmed_jax.page.score_names import MISSING, benchmark, figure, heading, label, main_metric, place, span


@pytest.mark.parametrize(
    ("value", "metric", "protocol", "shown"),
    [
        (0.464, "gestalt_accuracy", "gestalt_cot", "46.4"),
        (0.464, "accuracy", "loglikelihood", "46.4"),
        # The benchmark's own table has two digits.
        (0.464, "accuracy", "jmed_llm", "0.46"),
        (-0.126, "kappa", "jmed_llm", "−0.13"),
        (1102, "points", "igakuqa_points", "1,102"),
        # A resampled sum, or a baseline's expectation.
        (398.6, "points", "igakuqa_points", "399"),
        (None, "accuracy", "loglikelihood", MISSING),
    ],
)
def test_figures_are_written_as_the_papers_do(value: float | None, metric: str, protocol: str, shown: str) -> None:
    assert figure(value, metric, protocol) == shown


def test_an_interval_of_kappa_may_be_below_nothing() -> None:
    assert span([-0.104, 0.09], "kappa", "jmed_llm") == "−0.10 to 0.09"
    assert span(None, "kappa", "jmed_llm") == ""


def test_per_cent_stands_in_the_heading() -> None:
    assert heading("gestalt_accuracy", "gestalt_cot") == "Gestalt accuracy, %"
    assert heading("points", "igakuqa_points") == "points"


def test_a_task_and_its_translation() -> None:
    assert (label("igakuqa_en"), label("medqa_ja"), label("ward.triage")) == (
        "IgakuQA (en)",
        "MedQA (ja)",
        "ward.triage",
    )
    assert benchmark("medqa_ja") == benchmark("medqa") == "medqa"
    assert place("medqa") < place("medqa_ja") < place("ward.triage")


def test_the_papers_metric_comes_first() -> None:
    assert main_metric(["accuracy", "kappa", "unparsable"]) == "kappa"
    assert main_metric(["something"]) == "something"

from pathlib import Path

import pytest

from jmed_jax.evaluate.score import score_predictions

from .rows import choice_row, exam_row, extraction_row, write_rows


def test_exam_points_by_year_and_section(tmp_path: Path) -> None:
    gold = [exam_row("112A1", points=3), exam_row("112B1", ("b",)), exam_row("113A1", ("a", "c"), year=2019, points=0)]
    rows = [("112A1", "a"), ("112B1", "c"), ("113A1", "c,a")]
    predictions = write_rows(tmp_path / "p.jsonl", [{"problem_id": i, "prediction": p} for i, p in rows])
    score = score_predictions("igakuqa", [write_rows(tmp_path / "gold.jsonl", gold)], predictions)
    assert (score["task"], score["n"], score["points"], score["total"]) == ("igakuqa", 3, 3, 4)
    # A withdrawn question gives no points and still counts in the accuracy.
    assert score["accuracy"] == pytest.approx(2 / 3)
    assert set(score["groups"]) == {"2018", "2018/A", "2018/B", "2019", "2019/A"}
    assert (score["groups"]["2018"]["points"], score["groups"]["2018"]["total"]) == (3, 4)
    assert score["groups"]["2018/B"]["accuracy"] == 0.0


def test_official_exceptions_are_scored_as_the_benchmark_does(tmp_path: Path) -> None:
    gold = write_rows(tmp_path / "gold.jsonl", [exam_row("112B30", "a or d"), exam_row("116A71", year=2022)])
    rows = [{"problem_id": "112B30", "prediction": "d"}, {"problem_id": "116A71", "prediction": "分かりません"}]
    score = score_predictions("igakuqa", [gold], write_rows(tmp_path / "p.jsonl", rows))
    assert (score["points"], score["unparsable"]) == (2, 1)


def test_relaxed_points_stand_beside_the_published_reading(tmp_path: Path) -> None:
    gold = write_rows(tmp_path / "gold.jsonl", [exam_row("112A1", ("a", "c"))])
    rows = [{"problem_id": "112A1", "prediction": "A, C"}]
    score = score_predictions("igakuqa", [gold], write_rows(tmp_path / "p.jsonl", rows))
    assert (score["points"], score["accuracy"]) == (0, 0.0)
    assert (score["relaxed_points"], score["unparsable"]) == (1, 0)


def test_choice_scores_by_tag(tmp_path: Path) -> None:
    answers = [("A", "A", "cold"), ("B", "B", "cold"), ("A", "B", "fever"), ("B", "?", "fever")]
    rows = [choice_row(f"smdis-test-{i:05d}", gold, tag=tag) for i, (gold, _, tag) in enumerate(answers)]
    outputs = [{"id": f"smdis-test-{i:05d}", "output": output} for i, (_, output, _) in enumerate(answers)]
    gold = write_rows(tmp_path / "smdis.jsonl", rows)
    score = score_predictions("jmed_llm.smdis", [gold], write_rows(tmp_path / "p.jsonl", outputs))
    assert (score["n"], score["accuracy"], score["unparsable"]) == (4, 0.5, 1)
    # Observed .5; expected (2·1 + 2·2) / 16.
    assert score["kappa"] == pytest.approx((0.5 - 0.375) / (1 - 0.375))
    assert score["groups"]["cold"] == {"n": 2, "accuracy": 1.0, "kappa": 1.0, "unparsable": 0}


# Four rows, three right, A taken for C. Linear: 1 - (2/4) / (16/16). Unweighted: expected (2·1 + 1·1 + 1·2) / 16.
@pytest.mark.parametrize(
    ("task", "kappa"),
    [
        ("crade", 0.5),
        ("jcsts", 0.5),
        ("rrtnm", (0.75 - 0.3125) / (1 - 0.3125)),
        ("smdis", (0.75 - 0.3125) / (1 - 0.3125)),
        ("jmmlu_med", (0.75 - 0.3125) / (1 - 0.3125)),
    ],
)
def test_only_scales_are_weighted(tmp_path: Path, task: str, kappa: float) -> None:
    options = {"A": "強い", "B": "ある", "C": "ない"}
    rows = [choice_row(f"x-{i}", answer, task=task, options=options) for i, answer in enumerate("ABCA")]
    outputs = [{"id": f"x-{i}", "output": output} for i, output in enumerate("ABCC")]
    gold = write_rows(tmp_path / "gold.jsonl", rows)
    score = score_predictions(f"jmed_llm.{task}", [gold], write_rows(tmp_path / "p.jsonl", outputs))
    assert score["kappa"] == pytest.approx(kappa)


def test_extraction_scores_are_averaged_over_examples_and_code_is_wrong(tmp_path: Path) -> None:
    rows = [extraction_row("n-0", ("発熱", "咳", "痰")), extraction_row("n-1", ("痛み",))]
    outputs = [{"id": "n-0", "output": "['咳']"}, {"id": "n-1", "output": "__import__('os').system('true')"}]
    gold = write_rows(tmp_path / "nrner.jsonl", rows)
    score = score_predictions("jmed_llm.nrner", [gold], write_rows(tmp_path / "p.jsonl", outputs))
    assert score["exact_f1"] == pytest.approx(0.5 / 2)
    assert score["partial_f1"] == pytest.approx(1.5 / 2)
    assert score["overlap_f1"] == pytest.approx(0.5 / 2)
    assert score["unparsable"] == 1


def test_clean_rows_share_no_source_with_training_rows_of_any_task(tmp_path: Path) -> None:
    gold = write_rows(tmp_path / "smdis.jsonl", [choice_row("s-0", "A", doc_id="d0"), choice_row("s-1", doc_id="d1")])
    write_rows(tmp_path / "train" / "nrner.jsonl.gz", [extraction_row("n-0", doc_id="d0")])
    rows = [{"id": "s-0", "output": "A"}, {"id": "s-1", "output": "B"}]
    predictions = write_rows(tmp_path / "p.jsonl", rows)
    score = score_predictions("jmed_llm.smdis", [gold], predictions, train=[tmp_path / "train"])
    assert score["accuracy"] == 0.5
    assert (score["clean"]["n"], score["clean"]["accuracy"]) == (1, 0.0)


PUBLISHED = {
    "gpt4": [382, 385, 387, 398],
    "chatgpt": [266, 250, 266, 297],
    "gpt3": [209, 210, 208, 203],
    "student-majority": [472, 470, 471, 477],
}


@pytest.mark.parametrize("system", PUBLISHED)
def test_published_igakuqa_points_are_reproduced(system: str, real_data: Path) -> None:
    folder = real_data / "igakuqa"
    score = score_predictions("igakuqa", [folder / "ja"], folder / "reference_predictions.jsonl", system=system)
    years = [score["groups"][str(year)] for year in range(2018, 2022)]
    assert [year["points"] for year in years] == PUBLISHED[system]
    assert [year["total"] for year in years] == [499, 496, 496, 500]


def test_gold_of_one_year_scores_that_year(real_data: Path) -> None:
    folder = real_data / "igakuqa"
    score = score_predictions(
        "igakuqa", [folder / "ja" / "2018.jsonl"], folder / "reference_predictions.jsonl", system="gpt4"
    )
    assert (score["n"], score["points"], score["total"], score["other_years"]) == (400, 382, 499, 1200)

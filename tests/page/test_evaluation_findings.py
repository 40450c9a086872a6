from collections.abc import Mapping
from pathlib import Path

from jmed_jax.page.corpus_attention import Finding
from jmed_jax.page.evaluation_findings import findings
from jmed_jax.page.evaluation_runs import read_inputs
from jmed_jax.page.score_table import run_tables
from tests.page.evaluations import MadeTask, write_evaluation

MANY = [number % 2 == 0 for number in range(200)]
GOOD = [True] * 200


def found(directory: Path, *runs: Mapping[str, MadeTask]) -> list[Finding]:
    paths = [write_evaluation(directory / name, tasks, name=name) for name, tasks in zip("abc", runs, strict=False)]
    read = read_inputs(paths, {}).runs
    return findings(read, run_tables({run.name: run.tasks for run in read}), [])


def texts(directory: Path, *runs: Mapping[str, MadeTask]) -> str:
    return " ".join(finding.text for finding in found(directory, *runs))


def test_nothing_stands_out(tmp_path: Path) -> None:
    assert found(tmp_path, {"medqa": MadeTask(MANY)}, {"medqa": MadeTask(GOOD)}) == []


def test_runs_that_were_not_asked_the_same(tmp_path: Path) -> None:
    first, *_ = found(tmp_path, {"medqa": MadeTask(MANY)}, {"medqa": MadeTask(MANY[:100])})
    assert first.serious
    assert "a and b were not asked the same questions of MedQA (200 and 100)" in first.text


def test_other_prompts_are_said_but_no_alarm(tmp_path: Path) -> None:
    (only,) = found(tmp_path, {"medqa": MadeTask(MANY)}, {"medqa": MadeTask(MANY, prompt_sha256="f" * 64)})
    assert not only.serious and "different prompts in MedQA" in only.text


def test_figures_of_two_protocols_are_not_compared(tmp_path: Path) -> None:
    other = MadeTask(MANY[:100], protocol="loglikelihood")
    assert found(tmp_path, {"medqa": MadeTask(MANY)}, {"medqa": other}) == []


def test_missing_and_unreadable_answers(tmp_path: Path) -> None:
    rows = {0: {"error": "503"}, **{number: {"unparsable": True} for number in range(1, 21)}}
    text = texts(tmp_path, {"medqa": MadeTask(MANY, rows=rows, changed={"truncated_prompts": 4})})
    assert "a has questions without an answer, which count as wrong: MedQA (1)" in text
    assert "prompts longer than what the model reads or was trained on: MedQA (4)" in text
    assert "many answers could not be read in MedQA (10 %)" in text


def test_answers_without_a_grade_and_choices_that_were_turned(tmp_path: Path) -> None:
    ungraded = {"metrics": {"gestalt_accuracy": 0.5, "ungraded": 20}}
    turned = {"rotations": {"questions": 40, "same_answer": 0.25}}
    text = texts(tmp_path, {"medqa": MadeTask(MANY, changed=ungraded | turned)})
    assert "a, MedQA: the judge gave 10 % of the answers no readable grade; they count 0." in text
    assert "a answers so many questions alike wherever their choices stand: MedQA 25 %." in text


def test_a_score_that_owes_something_to_the_training_rows(tmp_path: Path) -> None:
    clean = {"n": 12, "kappa": -0.2, "accuracy": 0.4, "unparsable": 0}
    task = MadeTask(GOOD, "jmed_llm", "ja", "kappa", changed={"clean": clean})
    assert "a falls on rows whose document is not in training: SMDIS (kappa 1.00 to −0.20, 12 rows)" in texts(
        tmp_path, {"jmed_llm.smdis": task}
    )


def test_a_model_below_its_baselines(tmp_path: Path) -> None:
    low = MadeTask(MANY, changed={"baselines": {"random": {"gestalt_accuracy": 0.5}}})
    assert "a is not above every baseline on MedQA" in texts(tmp_path, {"medqa": low})


def test_few_questions(tmp_path: Path) -> None:
    assert "Fewer than 100 questions, and so wide intervals: MedQA (20)." in texts(
        tmp_path, {"medqa": MadeTask(GOOD[:20])}
    )

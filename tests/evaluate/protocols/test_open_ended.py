import json
import sys
from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.evaluate.judge import read_grade
from jmed_jax.evaluate.plan import Options
from jmed_jax.evaluate.prompts import DEFAULT_PROMPTS
from jmed_jax.evaluate.protocols.open_ended import LONGEST_ANSWER, OpenTask
from jmed_jax.evaluate.questions import OpenQuestion
from jmed_jax.evaluate.run import run_tasks
from jmed_jax.evaluate.tasks import get_task

from ..models import Scripted
from ..rows import write_rows

pytest.importorskip("sacrebleu")
pytest.importorskip("rouge_score")

ROW = {"id": "o1", "question": "肺炎の治療は？", "reference": "抗菌薬を投与する"}


def test_japanese_is_compared_by_characters_and_english_by_words() -> None:
    japanese, english = OpenTask("own", "ja", ""), OpenTask("own", "en", "")
    asked = [OpenQuestion("o1", "q", "抗菌薬を投与する")]
    # Longest common subsequence 抗菌薬投与: recall 5/8, precision 5/5.
    assert japanese.score(asked, ["抗菌薬投与"])["rouge_l"] == pytest.approx(2 * 5 / 8 / (1 + 5 / 8))
    assert english.score([OpenQuestion("o1", "q", "give an antibiotic")], ["an antibiotic"])[
        "rouge_l"
    ] == pytest.approx(0.8)
    perfect = japanese.score(asked, ["抗菌薬を投与する"])
    assert (perfect["rouge_l"], perfect["chrf"]) == (pytest.approx(1.0), pytest.approx(1.0))


@pytest.mark.parametrize("output", ["", " \n", "あ" * (LONGEST_ANSWER + 1)])
def test_no_answer_and_a_runaway_score_nothing(output: str, tmp_path: Path) -> None:
    task = get_task(str(write_rows(tmp_path / "own.jsonl", [ROW])))
    (question,) = task.read_gold([tmp_path / "own.jsonl"])
    score = task.score([question], [task.read_output(question, output)])
    assert (score["rouge_l"], score["chrf"], score["unparsable"]) == (0.0, 0.0, 1)


def test_a_users_file_is_evaluated(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "own.jsonl", [ROW, {**ROW, "id": "o2"}])
    backend = Scripted("抗菌薬を投与する")
    run_tasks(backend, [str(path)], tmp_path, tmp_path / "out", model_info={})
    entry = json.loads((tmp_path / "out/scores.json").read_text(encoding="utf-8"))["tasks"]["own"]
    assert (entry["protocol"], entry["n"], entry["metrics"]["rouge_l"]) == ("open_ended", 2, pytest.approx(1.0))
    assert entry["baselines"] == {}
    write_rows(path, [ROW, ROW])
    with pytest.raises(InputError, match='id "o1" stands twice'):
        run_tasks(backend, [str(path)], tmp_path, tmp_path / "other", model_info={})


def test_without_the_libraries_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_rows(tmp_path / "own.jsonl", [ROW])
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(InputError, match=r"pip install 'jmed_jax\[scores\]'"):
        get_task(str(path)).read_gold([path])


def test_a_judge_sees_question_reference_rubric_and_answer_and_its_grade_stands_beside(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "own.jsonl", [{**ROW, "rubric": "薬の名があれば満点"}, {**ROW, "id": "o2"}])
    judge = Scripted(lambda shown: "採点: 8" if "薬の名" in shown else "分かりません")
    run_tasks(Scripted("抗菌薬"), [str(path)], tmp_path, tmp_path / "out", model_info={}, judge=judge)
    scores = json.loads((tmp_path / "out/scores.json").read_text(encoding="utf-8"))
    entry = scores["tasks"]["own"]
    assert entry["metrics"]["judge"] == pytest.approx(0.4)
    assert entry["metrics"]["ungraded"] == 1
    assert entry["judge"]["name"] == "scripted" and entry["judge"]["seconds"] >= 0
    assert scores["judge"] == "scripted"
    shown = judge.asked[-1][-1]["content"]  # type: ignore[index]
    assert all(
        text in shown for text in ("肺炎の治療は？", "抗菌薬を投与する", "薬の名があれば満点", "[Answer]\n抗菌薬")
    )
    assert (tmp_path / "out/prompts-own.judge.jsonl").is_file()


@pytest.mark.parametrize(
    ("output", "grade"), [("10", 1.0), ("7点", 0.7), ("10点満点です。\n3/10", 0.3), ("100", None), ("", None)]
)
def test_the_number_on_the_last_line_is_the_grade(output: str, grade: float | None) -> None:
    assert read_grade(output) == grade


def test_rubrics_without_references_are_graded_by_a_judge_alone(tmp_path: Path) -> None:
    rows = [{"id": f"o{number}", "question": "肺炎の治療は？", "rubric": "薬の名があれば満点"} for number in range(2)]
    path = write_rows(tmp_path / "own.jsonl", rows)
    with pytest.raises(InputError, match="Give a --judge"):
        run_tasks(Scripted("抗菌薬"), [str(path)], tmp_path, tmp_path / "out", model_info={})
    run_tasks(Scripted("抗菌薬"), [str(path)], tmp_path, tmp_path / "out", model_info={}, judge=Scripted("6"))
    entry = json.loads((tmp_path / "out/scores.json").read_text(encoding="utf-8"))["tasks"]["own"]
    assert (entry["main_metric"], entry["metrics"]["judge"]) == ("judge", pytest.approx(0.6))
    assert "rouge_l" not in entry["metrics"]


def test_references_of_some_questions_only_are_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "own.jsonl", [ROW, {"id": "o2", "question": "q", "rubric": "r"}])
    with pytest.raises(InputError, match=r"own.jsonl:2: some questions have a reference"):
        get_task(str(path)).read_gold([path])


def prompt_file(path: Path, **changed: dict[str, str] | None) -> Path:
    entries = json.loads(DEFAULT_PROMPTS.read_text(encoding="utf-8")) | changed
    path.write_text(json.dumps({name: entry for name, entry in entries.items() if entry}), encoding="utf-8")
    return path


def test_grades_of_another_wording_are_not_taken_up(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "own.jsonl", [ROW, {**ROW, "id": "o2"}])
    options = Options(prompts=prompt_file(tmp_path / "prompts.json"))

    def evaluate(judge: Scripted) -> None:
        run_tasks(
            Scripted("抗菌薬"),
            [str(path)],
            tmp_path,
            tmp_path / "out",
            model_info={},
            options=options,
            identity="weights",
            judge=judge,
        )

    grades = iter(["8", KeyboardInterrupt()])
    with pytest.raises(KeyboardInterrupt):
        evaluate(Scripted(lambda _: next(grades)))
    prompt_file(tmp_path / "prompts.json", **{"judge.ja": {"system": "厳しく採点してください。", "user": "{question}"}})
    with pytest.raises(InputError, match=r"other settings \(judge_wording\)"):
        evaluate(Scripted("2"))


def test_a_prompt_file_without_a_judges_wording_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "own.jsonl", [ROW])
    model, options = Scripted("抗菌薬"), Options(prompts=prompt_file(tmp_path / "prompts.json", **{"judge.ja": None}))
    with pytest.raises(InputError, match=r'prompt "judge\.ja" needs'):
        run_tasks(model, [str(path)], tmp_path, tmp_path / "out", model_info={}, options=options, judge=Scripted("8"))
    assert not model.asked


def test_without_the_grades_that_do_not_come_they_are_counted_as_ungraded(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "own.jsonl", [ROW, {**ROW, "id": "o2", "question": "喘息の治療は？"}])
    judge = Scripted(lambda shown: "8" if "肺炎" in shown else None)
    with pytest.raises(InputError, match="--leave-unanswered"):
        run_tasks(Scripted("薬"), [str(path)], tmp_path, tmp_path / "out", model_info={}, judge=judge)
    run_tasks(
        Scripted("薬"), [str(path)], tmp_path, tmp_path / "out", model_info={}, judge=judge, leave_unanswered=True
    )
    metrics = json.loads((tmp_path / "out/scores.json").read_text(encoding="utf-8"))["tasks"]["own"]["metrics"]
    assert (metrics["judge"], metrics["ungraded"]) == (pytest.approx(0.4), 1)

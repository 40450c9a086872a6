import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.artifact import open_artifact
from jmed_jax.backends.protocol import Completion, Likelihood
from jmed_jax.backends.replay import Replay
from jmed_jax.errors import InputError
from jmed_jax.evaluate.plan import Options
from jmed_jax.evaluate.run import run_tasks
from jmed_jax.evaluate.score import score_predictions
from jmed_jax.journal import ANSWERS_FILE, unfinished_directory
from jmed_jax.jsonl import read_jsonl

from .models import Scripted, Weigher, question_of
from .rows import choice_row, exam_row, extraction_row, write_rows


def question_row(problem_id: str, answer: tuple[str, ...] = ("a",)) -> dict[str, Any]:
    return exam_row(problem_id, answer, problem_text=f"{problem_id}で正しいのはどれか。")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    tests = [choice_row(f"smdis-test-{i:05d}", letter) for i, letter in enumerate("AB")]
    write_rows(root / "jmed_llm/test/smdis.jsonl", tests)
    train = [choice_row("smdis-train-00000", "B", doc_id="doc-smdis-test-00001"), choice_row("smdis-train-00001", "B")]
    write_rows(root / "jmed_llm/train/smdis.jsonl.gz", train)
    report = "症状は？\n「ＣＤ８陽性。」"
    write_rows(root / "jmed_llm/test/nrner.jsonl", [extraction_row(answers=("ＣＤ８陽性",), question=report)])
    write_rows(root / "igakuqa/ja/2018.jsonl", [question_row("112A1"), question_row("112A2", ("b",))])
    example = {"problem_id": "100E5", "problem_text": "例題。", "choices": ["一"], "answer": ["a"]}
    write_rows(root / "igakuqa/fewshot.jsonl", [example])
    return root


def run(backend: Any, tasks: list[str], data: Path, out: Path, **options: Any) -> dict[str, Any]:
    named = {name: options.pop(name) for name in ("identity", "leave_unanswered", "overwrite") if name in options}
    run_tasks(backend, tasks, data, out, model_info={"name": "model"}, options=Options(**options), **named)
    return json.loads((out / "scores.json").read_text(encoding="utf-8"))


def rows(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_jsonl(path)]


def test_an_evaluation_holds_prompts_predictions_and_scores(data: Path, tmp_path: Path) -> None:
    backend = Scripted("Bです")
    scores = run(backend, ["jmed_llm.smdis"], data, tmp_path / "out")
    entry = scores["tasks"]["jmed_llm.smdis"]
    assert (scores["model"], scores["backend"], scores["hardware"]) == ({"name": "model"}, "scripted", None)
    assert (entry["protocol"], entry["n"], entry["metrics"]["accuracy"]) == ("jmed_llm", 2, 0.5)
    assert entry["baselines"]["majority"]["accuracy"] == 0.5 and "kappa" in entry["baselines"]["random"]
    assert (entry["clean"]["n"], entry["clean"]["accuracy"]) == (1, 0.0)
    low, high = entry["intervals"]["accuracy"]
    assert 0 <= low <= 0.5 <= high <= 1
    prompts = rows(tmp_path / "out/prompts-jmed_llm.smdis.jsonl")
    assert [row["messages"] for row in prompts] == backend.asked[::-1]
    (first, second) = rows(tmp_path / "out/predictions-jmed_llm.smdis.jsonl")
    assert first == {
        "id": "smdis-test-00000",
        "prediction": "B",
        "output": "Bです",
        "raw_output": "Bです",
        "gold": "A",
        "scores": {"accuracy": 0, "unparsable": 0},
        "groups": ["cold"],
    }
    assert second["scores"]["accuracy"] == 1
    artifact = open_artifact(tmp_path / "out", "evaluation")
    assert artifact.counts == {"jmed_llm.smdis": 2}
    assert not unfinished_directory(tmp_path / "out").exists()


def test_time_tokens_and_latency_are_those_of_the_answers(data: Path, tmp_path: Path) -> None:
    entry = run(Scripted("a"), ["igakuqa"], data, tmp_path / "out")["tasks"]["igakuqa"]
    assert (entry["prompt_tokens"], entry["completion_tokens"]) == (20, 4)
    assert entry["seconds_a_question"] == {"median": 0.5, "p95": 0.5}
    assert entry["seconds"] >= 0 and entry["peak_memory_bytes"] is None


def test_the_predictions_file_scores_the_same_again(data: Path, tmp_path: Path) -> None:
    entry = run(Scripted("b"), ["igakuqa"], data, tmp_path / "out")["tasks"]["igakuqa"]
    again = score_predictions("igakuqa", [data / "igakuqa/ja"], tmp_path / "out/predictions-igakuqa.jsonl")
    assert (entry["protocol"], entry["metrics"]["points"], again["points"]) == ("igakuqa_points", 1, 1)
    assert entry["groups"] == again["groups"]
    replayed = run(Replay(tmp_path / "out"), ["igakuqa"], data, tmp_path / "again")["tasks"]["igakuqa"]
    assert replayed["metrics"] == entry["metrics"]


def test_writing_is_restored_only_where_the_backend_asks_for_it(data: Path, tmp_path: Path) -> None:
    plain = run(Scripted("['CD8陽性']"), ["jmed_llm.nrner"], data, tmp_path / "plain")
    restored = run(Scripted("['CD8陽性']", restores_writing=True), ["jmed_llm.nrner"], data, tmp_path / "restored")
    assert plain["tasks"]["jmed_llm.nrner"]["metrics"]["exact_f1"] == 0.0
    assert restored["tasks"]["jmed_llm.nrner"]["metrics"]["exact_f1"] == 1.0
    (row,) = rows(tmp_path / "restored/predictions-jmed_llm.nrner.jsonl")
    assert (row["raw_output"], row["output"]) == ("['CD8陽性']", "['ＣＤ８陽性']")


def test_few_shot_examples_of_a_file_reach_examinations_only(data: Path, tmp_path: Path) -> None:
    backend = Scripted("a")
    run(backend, ["jmed_llm.smdis", "igakuqa"], data, tmp_path / "out", fewshot=data / "igakuqa/fewshot.jsonl")
    assert [len(messages) for messages in backend.asked] == [2, 2, 4, 4]
    with pytest.raises(InputError, match="few-shot examples are for examinations"):
        run(backend, ["jmed_llm.smdis"], data, tmp_path / "b", fewshot=data / "igakuqa/fewshot.jsonl")


def test_shots_come_from_the_data_folder_and_never_from_a_test_document(data: Path, tmp_path: Path) -> None:
    backend = Scripted("a")
    scores = run(backend, ["igakuqa"], data, tmp_path / "out", shots=1)
    assert [len(messages) for messages in backend.asked] == [4, 4]
    assert scores["tasks"]["igakuqa"]["shots"] == 1
    with pytest.raises(InputError, match="1 solved examples for igakuqa, and --shots 3"):
        run(backend, ["igakuqa"], data, tmp_path / "b", shots=3)


def test_a_file_of_too_few_examples_is_refused_like_a_data_folder(data: Path, tmp_path: Path) -> None:
    few = data / "igakuqa/fewshot.jsonl"
    with pytest.raises(InputError, match=r"fewshot.jsonl: 1 solved examples for igakuqa, and --shots 5"):
        run(Scripted("a"), ["igakuqa"], data, tmp_path / "out", fewshot=few, shots=5)


def test_two_files_of_one_name_are_refused(data: Path, tmp_path: Path) -> None:
    row = {"id": "1", "source": "own", "language": "ja", "question": "どれか。", "choices": ["肺炎", "胃炎"]}
    row |= {"answer": ["a"], "license": "MIT"}
    paths = [str(write_rows(tmp_path / folder / "own.jsonl", [row])) for folder in "ab"]
    backend = Scripted("答え: 肺炎")
    with pytest.raises(InputError, match='2 tasks are called "own"'):
        run(backend, paths, data, tmp_path / "out")
    assert not backend.asked


def test_an_id_may_hold_whatever_it_likes(data: Path, tmp_path: Path) -> None:
    row = {"source": "own", "language": "ja", "question": "どれか。", "choices": ["肺炎", "胃炎"], "answer": ["a"]}
    own = [{**row, "id": name, "license": "MIT"} for name in ("case#A", "#", "5#1")]
    path = write_rows(tmp_path / "own.jsonl", own)
    entry = run(Scripted("答え: 肺炎"), [str(path)], data, tmp_path / "out")["tasks"]["own"]
    assert (entry["n"], entry["metrics"]["gestalt_accuracy"]) == (3, 1.0)
    turned = run(Scripted("答え: 肺炎"), [str(path)], data, tmp_path / "turned", rotate_choices=True)["tasks"]["own"]
    assert (turned["n"], turned["rotations"]["questions"], turned["rotations"]["same_answer"]) == (6, 3, 1.0)


def test_a_shot_is_never_about_the_text_that_is_asked_about(data: Path, tmp_path: Path) -> None:
    backend = Scripted("A")
    run(backend, ["jmed_llm.smdis"], data, tmp_path / "out", shots=2)
    # One of the two training rows is about the document of the second question.
    shown = {messages[-1]["content"]: [m["content"] for m in messages[1:-1:2]] for messages in backend.asked}  # type: ignore[index]
    first, second = (shown[question] for question in sorted(shown))
    assert [len(first), len(second)] == [2, 1] and "smdis-train-00001" in second[0]


def test_limit_asks_the_first_questions(data: Path, tmp_path: Path) -> None:
    scores = run(Scripted("A"), ["jmed_llm.smdis"], data, tmp_path / "out", limit=1)
    assert scores["tasks"]["jmed_llm.smdis"]["n"] == 1
    assert scores["tasks"]["jmed_llm.smdis"]["metrics"]["accuracy"] == 1.0


def test_the_prompt_hash_follows_the_wording(data: Path, tmp_path: Path) -> None:
    def prompt_hash(out: str, **options: Any) -> str:
        return str(
            run(Scripted("A"), ["igakuqa"], data, tmp_path / out, **options)["tasks"]["igakuqa"]["prompt_sha256"]
        )

    zero_shot = prompt_hash("one")
    assert prompt_hash("two") == zero_shot
    assert len({zero_shot, prompt_hash("three", shots=1), prompt_hash("four", plain=True)}) == 3


def test_absent_gold_names_the_path_and_nothing_is_asked_or_written(data: Path, tmp_path: Path) -> None:
    backend = Scripted("A")
    with pytest.raises(InputError, match=r"jmed_llm/test/crade.jsonl"):
        run(backend, ["jmed_llm.smdis", "jmed_llm.crade"], data, tmp_path / "out")
    with pytest.raises(InputError, match=r"igakuqa/ja"):
        run(backend, ["igakuqa"], tmp_path, tmp_path / "out")
    assert not backend.asked and not (tmp_path / "out").exists()


def test_an_existing_evaluation_is_kept_unless_told_otherwise(data: Path, tmp_path: Path) -> None:
    backend = Scripted("A")
    run(backend, ["jmed_llm.smdis"], data, tmp_path / "out")
    asked = len(backend.asked)
    with pytest.raises(InputError, match="exists"):
        run(backend, ["jmed_llm.smdis"], data, tmp_path / "out")
    assert len(backend.asked) == asked
    run(backend, ["jmed_llm.smdis"], data, tmp_path / "out", overwrite=True)


def test_scores_without_training_rows_have_no_majority_and_no_clean_rows(data: Path, tmp_path: Path) -> None:
    entry = run(Scripted("A"), ["jmed_llm.nrner"], data, tmp_path / "out")["tasks"]["jmed_llm.nrner"]
    assert set(entry["baselines"]) == {"random"}
    assert "clean" not in entry


@pytest.mark.parametrize("output", ["__import__('os').system('touch hacked')", "あ" * 100_000, "[" * 100_000, ""])
def test_whatever_is_written_is_scored_as_wrong_and_never_run(
    data: Path, tmp_path: Path, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = Completion(output) if output else Completion("", "an empty answer", is_final=True)
    tasks = ["jmed_llm.nrner", "igakuqa"]
    scores = run(Scripted(lambda _: answer), tasks, data, tmp_path / "out")["tasks"]
    assert scores["jmed_llm.nrner"]["metrics"]["exact_f1"] == scores["igakuqa"]["metrics"]["points"] == 0
    assert scores["jmed_llm.nrner"]["unparsable"] == 1
    assert scores["igakuqa"]["unparsable"] == 2
    gestalt = run(Scripted(lambda _: answer), ["igakuqa"], data, tmp_path / "gestalt", protocol="gestalt_cot")
    assert gestalt["tasks"]["igakuqa"]["metrics"]["exact_match"] == 0
    assert not (tmp_path / "hacked").exists()


# --- going on -----------------------------------------------------------------------------------------------------


def broken_after(count: int, error: BaseException) -> Callable[[str], Any]:
    """Answers `count` questions, then raises."""
    left = [count]

    def script(_: str) -> Any:
        left[0] -= 1
        return error if left[0] < 0 else "a"

    return script


def test_a_killed_run_asks_nothing_twice(data: Path, tmp_path: Path) -> None:
    tasks = ["jmed_llm.smdis", "igakuqa"]
    first = Scripted(broken_after(3, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        run(first, tasks, data, tmp_path / "out", identity="w")
    # Cut in the middle of a line, as a kill leaves it.
    journal = unfinished_directory(tmp_path / "out") / ANSWERS_FILE
    journal.write_bytes(journal.read_bytes() + b'{"task": "igaku')
    second = Scripted("a")
    went_on = run(second, tasks, data, tmp_path / "out", identity="w")
    at_once = run(Scripted("a"), tasks, data, tmp_path / "whole")
    asked = [question_of(prompt) for prompt in [*first.asked, *second.asked]]
    assert len(asked) == len(set(asked)) == 4
    assert len(second.asked) == 1
    for task in tasks:
        assert went_on["tasks"][task]["metrics"] == at_once["tasks"][task]["metrics"]
        one, other = (rows(tmp_path / out / f"predictions-{task}.jsonl") for out in ("out", "whole"))
        assert one == other


def test_answers_of_another_model_or_to_other_prompts_are_not_mixed(data: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(Scripted(broken_after(1, KeyboardInterrupt())), ["igakuqa"], data, tmp_path / "out", identity="w")
    with pytest.raises(InputError, match=r"other settings \(weights\)"):
        run(Scripted("a"), ["igakuqa"], data, tmp_path / "out", identity="other")
    with pytest.raises(InputError, match=r"other settings \(prompts\)"):
        run(Scripted("a"), ["igakuqa"], data, tmp_path / "out", identity="w", shots=1)
    # Parameters in memory have no identity: nothing is taken up.
    backend = Scripted("a")
    run(backend, ["igakuqa"], data, tmp_path / "out")
    assert len(backend.asked) == 2


def test_prompts_are_frozen_before_anything_is_asked(data: Path, tmp_path: Path) -> None:
    frozen: list[list[str]] = []

    def script(_: str) -> str:
        frozen.append(sorted(file.name for file in unfinished_directory(tmp_path / "out").glob("prompts-*")))
        return "a"

    run(Scripted(script), ["jmed_llm.smdis", "igakuqa"], data, tmp_path / "out")
    assert frozen[0] == ["prompts-igakuqa.jsonl", "prompts-jmed_llm.smdis.jsonl"]


def test_what_a_failing_endpoint_answered_is_kept(data: Path, tmp_path: Path) -> None:
    fails = Scripted(lambda question: None if "112A1" in question else "a")
    write_rows(data / "igakuqa/ja/2018.jsonl", [question_row(f"112A{i}") for i in range(1, 4)])
    with pytest.raises(InputError, match=r"no answer to 1 prompts \(connection refused\). 2 of 3 answers are kept in"):
        run(fails, ["igakuqa"], data, tmp_path / "out", identity="w")
    assert not (tmp_path / "out").exists()
    second = Scripted("a")
    assert run(second, ["igakuqa"], data, tmp_path / "out", identity="w")["tasks"]["igakuqa"]["metrics"]["points"] == 3
    assert len(second.asked) == 1


def test_unanswered_questions_count_as_wrong_where_the_user_says_so(data: Path, tmp_path: Path) -> None:
    scores = run(Scripted(lambda _: None), ["igakuqa"], data, tmp_path / "out", leave_unanswered=True)
    entry = scores["tasks"]["igakuqa"]
    assert (entry["unanswered"], entry["unparsable"], entry["metrics"]["points"]) == (2, 2, 0)
    assert {row["error"] for row in rows(tmp_path / "out/predictions-igakuqa.jsonl")} == {"connection refused"}


def test_a_server_that_is_gone_is_not_asked_on_and_on(data: Path, tmp_path: Path) -> None:
    write_rows(data / "igakuqa/ja/2018.jsonl", [exam_row(f"112A{i}") for i in range(1, 99)])
    backend = Scripted(lambda _: None)
    with pytest.raises(InputError, match=r"no answer to 20 prompts in a row: connection refused\. 0 of 98"):
        run(backend, ["igakuqa"], data, tmp_path / "out")
    assert len(backend.asked) == 20


def test_a_spent_budget_keeps_what_it_bought(data: Path, tmp_path: Path) -> None:
    answers = iter(["a", Completion("", "the budget is spent", over_budget=True)])
    with pytest.raises(InputError, match=r"the budget is spent; a larger one goes on\. 1 of 2 answers are kept"):
        run(Scripted(lambda _: next(answers)), ["igakuqa"], data, tmp_path / "out", identity="w")
    second = Scripted("a")
    run(second, ["igakuqa"], data, tmp_path / "out", identity="w")
    assert len(second.asked) == 1


def test_answers_that_did_not_come_are_not_said_to_be_kept(data: Path, tmp_path: Path) -> None:
    answers = iter([None, Completion("", "the budget is spent", over_budget=True)])
    with pytest.raises(InputError, match="0 of 2 answers are kept"):
        run(Scripted(lambda _: next(answers)), ["igakuqa"], data, tmp_path / "out", leave_unanswered=True)


def test_prompts_that_are_too_long_are_counted_and_said(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    too_long = Completion("", "the prompt exceeds 56 tokens", is_final=True, overlong=True)
    beyond = Completion("a", overlong=True)
    scores = run(Scripted(lambda q: too_long if "112A1" in q else beyond), ["igakuqa"], data, tmp_path / "out")
    entry = scores["tasks"]["igakuqa"]
    assert (entry["truncated_prompts"], entry["unanswered"]) == (2, 1)
    assert "2 of 2 prompts with their answers exceed" in capsys.readouterr().err


def test_prompts_that_are_too_long_are_counted_among_all_prompts(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Short(Weigher):
        def loglikelihood(self, pairs: Any) -> Iterator[tuple[int, Likelihood]]:
            return ((index, replace(found, overlong=True)) for index, found in super().loglikelihood(pairs))

    run(Short({}), ["igakuqa"], data, tmp_path / "out", protocol="loglikelihood")
    # Every question has a prompt for letters and one for texts.
    assert "4 of 4 prompts with their answers exceed" in capsys.readouterr().err


# --- other ways to ask ------------------------------------------------------------------------------------------------


def test_plain_prompts_are_texts_that_end_with_the_cue_and_stop_at_a_blank_line(data: Path, tmp_path: Path) -> None:
    backend = Scripted("a")
    run(backend, ["jmed_llm.smdis", "igakuqa"], data, tmp_path / "out", plain=True)
    assert all(isinstance(prompt, str) and prompt.endswith("答え:") for prompt in backend.asked)
    assert all(decoding.stop == ("\n\n",) for decoding in backend.decodings)
    assert "text" in rows(tmp_path / "out/prompts-igakuqa.jsonl")[0]


def test_each_protocol_has_its_longest_answer(data: Path, tmp_path: Path) -> None:
    backend = Scripted("a")
    run(backend, ["jmed_llm.smdis", "igakuqa"], data, tmp_path / "a", beams=4)
    run(backend, ["igakuqa"], data, tmp_path / "b", protocol="gestalt_cot")
    run(backend, ["igakuqa"], data, tmp_path / "c", max_new_tokens=7)
    assert [(d.max_new_tokens, d.beams) for d in backend.decodings] == [(512, 4), (512, 4), (256, 1), (7, 1)]


def test_long_questions_are_left_out_and_counted(data: Path, tmp_path: Path) -> None:
    write_rows(data / "igakuqa/ja/2018.jsonl", [exam_row("112A1"), exam_row("112A2", problem_text="長" * 1024)])
    entry = run(Scripted("a"), ["igakuqa"], data, tmp_path / "out", max_characters=True)["tasks"]["igakuqa"]
    assert (entry["n"], entry["left_out"]) == (1, {"over 1,024 characters": 1})


# --- a file of predictions --------------------------------------------------------------------------------------------


def test_a_file_of_predictions_is_a_model(data: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "gpt.jsonl", [{"id": "112A1", "output": "答え: a"}, {"id": "112A2", "output": "b"}])
    scores = run(Replay(path), ["igakuqa"], data, tmp_path / "out")
    assert (scores["backend"], scores["tasks"]["igakuqa"]["metrics"]["points"]) == ("gpt", 2)


@pytest.mark.parametrize("field", ["prediction", "output"])
def test_a_list_of_a_file_is_what_its_task_makes_of_one(data: Path, tmp_path: Path, field: str) -> None:
    numeral = exam_row("112A3", ("26",), choices=[], problem_text="何歳か。")
    write_rows(data / "igakuqa/ja/2018.jsonl", [question_row("112A1", ("a", "c")), numeral])
    report = extraction_row(answers=("咳", "痰"), question="症状は？\n「咳と痰。」")
    write_rows(data / "jmed_llm/test/nrner.jsonl", [report])
    answers = [("112A1", ["a", "c"]), ("112A3", ["26"]), (report["id"], ["咳", "痰"])]
    path = write_rows(tmp_path / "p.jsonl", [{"id": identifier, field: listed} for identifier, listed in answers])
    tasks = run(Replay(path), ["igakuqa", "jmed_llm.nrner"], data, tmp_path / "out")["tasks"]
    assert (tasks["igakuqa"]["metrics"]["points"], tasks["jmed_llm.nrner"]["metrics"]["exact_f1"]) == (2, 1.0)
    shown = [row for task in tasks for row in rows(tmp_path / f"out/predictions-{task}.jsonl")]
    assert [row["output"] for row in shown] == [row["raw_output"] for row in shown] == ["a,c", "26", "['咳', '痰']"]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["112A1"], r"no answer to 1 prompts \(.*no prediction for 112A2"),
        (["112A1", "112A1"], r'p\.jsonl:2: "112A1" is repeated'),
        (["112A1", "112A2", "999A9"], '"999A9" is unknown'),
    ],
)
def test_missing_doubled_and_unknown_ids_are_named(data: Path, tmp_path: Path, ids: list[str], message: str) -> None:
    path = write_rows(tmp_path / "p.jsonl", [{"id": identifier, "output": "a"} for identifier in ids])
    with pytest.raises(InputError, match=message):
        run(Replay(path), ["igakuqa"], data, tmp_path / "out")


def test_published_predictions_keep_their_points_as_a_model(real_data: Path, tmp_path: Path) -> None:
    replay = Replay(real_data / "igakuqa/reference_predictions.jsonl", system="gpt4")
    groups = run(replay, ["igakuqa"], real_data, tmp_path / "out")["tasks"]["igakuqa"]["groups"]
    assert [groups[str(year)]["points"] for year in range(2018, 2022)] == [382, 385, 387, 398]

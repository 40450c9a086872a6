"""Translation against a real HTTP server: one that is honest, and ones that fail, forget and change things."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import jmed_jax.instruct.translate
from jmed_jax.artifact import file_sha256
from jmed_jax.backends.endpoint import Endpoint
from jmed_jax.errors import InputError
from jmed_jax.evaluate.exams.registry import read_questions
from jmed_jax.instruct.estimate import estimate
from jmed_jax.instruct.translate import read_untranslated, translate
from jmed_jax.instruct.translation_prompts import DEFAULT_TRANSLATION_PROMPTS, load_translation_prompts
from jmed_jax.jsonl import read_jsonl
from tests.backends.test_endpoint import Serve, Server, answer, serve

__all__ = ["serve"]

COUNT = 12
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    rows = [
        {
            "id": f"q{number}",
            "question": f"Patient {number + 20} takes {number + 20} mg. Which?",
            "options": {"A": f"{number + 20} mg", "B": "none", "C": "all"},
            "answer_idx": "B",
        }
        for number in range(COUNT)
    ]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def translated(question: dict[str, Any]) -> dict[str, Any]:
    number = question["choices"]["A"].removesuffix(" mg")
    return {
        "question": f"患者{number}は{number}mgを飲む。どれか。",
        "choices": {"A": f"{number}mg", "B": "無", "C": "全"},
    }


def asked_about(text: str) -> dict[str, Any] | None:
    return json.loads(text) if text.startswith("{") else None


def translator(change: Callable[[dict[str, Any]], None] = lambda _: None) -> Callable[[str, int], Any]:
    """Translates; `change` spoils it. A retry is answered with the first question's translation, or not at all."""

    def script(text: str, _: int) -> Any:
        question = asked_about(text)
        reply = translated(question) if question else {"nothing": "new"}
        if question:
            change(reply)
        return 200, {}, answer(json.dumps(reply, ensure_ascii=False))

    return script


def run(path: Path, server: Server, out: Path, **settings: Any) -> dict[str, Any]:
    backend = Endpoint(server.url, "org/model", first_wait=0.01, timeout=5.0, attempts=1, concurrency=1)
    backend.batch_size = 4
    prompts = load_translation_prompts()
    found = read_untranslated("medqa", path, "ja")
    return translate(found, backend, out, to="ja", prompts=prompts, max_new_tokens=99, source_file=path, **settings)


def test_translations_are_questions_that_can_be_read_again(serve: Serve, questions: Path, tmp_path: Path) -> None:
    server, out = serve(translator()), tmp_path / "ja.jsonl"
    counts = run(questions, server, out)
    assert counts == {"translated": COUNT, "rejected": 0, "asked_twice": 0, "reasons": {}}
    originals, read = read_questions("medqa", questions, "en"), read_questions("questions", out, "ja")
    assert [question.answer for question in read] == [question.answer for question in originals]
    assert [question.pair for question in read] == [question.pair for question in originals]
    assert read[0].text == "患者20は20mgを飲む。どれか。" and read[0].source == "medqa"
    provenance = next(read_jsonl(out))[1]["provenance"]
    assert {"source_id": "q0", "model": "org/model", "translated_from": "en", "tries": 1}.items() <= provenance.items()
    assert {"source_sha256", "prompts", "date", "checks"} <= provenance.keys()
    manifest = json.loads((tmp_path / "ja.manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["files"]) == {"ja.jsonl", "ja.rejected.jsonl"} and manifest["counts"] == counts
    assert not (tmp_path / "ja.jsonl.unfinished").exists()
    # The key is never shown.
    assert all("answer_idx" not in body["messages"][-1]["content"] for _, _, body in server.requests)


def test_killed_before_its_manifest_a_new_file_has_no_older_one_beside_it(
    serve: Serve, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    server, out = serve(translator()), tmp_path / "ja.jsonl"
    run(questions, server, out)
    monkeypatch.setattr(jmed_jax.instruct.translate, "write_manifest", killed)
    with pytest.raises(KeyboardInterrupt):
        run(questions, server, out, overwrite=True)
    assert out.exists() and not (tmp_path / "ja.manifest.json").exists()


@pytest.mark.parametrize(
    ("change", "check"),
    [
        (lambda reply: reply["choices"].pop("C"), "choices"),
        (lambda reply: reply.update(question=reply["question"].replace("20mg", "25mg")), "numbers"),
        (lambda reply: reply.update(question=reply["question"].replace("mg", "g")), "units"),
    ],
)
def test_what_fails_a_check_twice_is_rejected_with_the_reason(
    serve: Serve, questions: Path, tmp_path: Path, change: Callable[[dict[str, Any]], None], check: str
) -> None:
    def only_the_first(reply: dict[str, Any]) -> None:
        if reply["choices"]["A"] == "20mg":
            change(reply)

    server, out = serve(translator(only_the_first)), tmp_path / "ja.jsonl"
    script = server.script
    retries = []

    def stubborn(text: str, before: int) -> Any:
        if asked_about(text):
            return script(text, before)
        # The server insists on what it said before.
        messages = server.requests[-1][2]["messages"]
        retries.append(messages)
        return 200, {}, answer(messages[2]["content"])

    server.script = stubborn
    counts = run(questions, server, out)
    assert counts["translated"] == COUNT - 1 and counts["rejected"] == counts["asked_twice"] == 1
    assert counts["reasons"] == {check: 1}
    ((_, row),) = read_jsonl(tmp_path / "ja.rejected.jsonl")
    assert (row["id"], row["check"]) == ("q0", check) and row["reason"].startswith(f"{check}: ")
    assert row["original"]["question"].startswith("Patient 20") and row["answer"]
    ((_, _, _, retry),) = retries
    assert row["reason"] in retry["content"]


def test_a_corrected_translation_is_taken(serve: Serve, questions: Path, tmp_path: Path) -> None:
    first: list[dict[str, Any]] = []

    def script(text: str, _: int) -> Any:
        question = asked_about(text)
        if question is None:
            return 200, {}, answer(json.dumps(translated(first[0])))
        reply = translated(question)
        if "Patient 23 " in question["question"]:
            first.append(question)
            reply["choices"].pop("B")
        return 200, {}, answer(json.dumps(reply))

    counts = run(questions, serve(script), tmp_path / "ja.jsonl")
    assert counts == {"translated": COUNT, "rejected": 0, "asked_twice": 1, "reasons": {}}
    assert [row["provenance"]["tries"] for _, row in read_jsonl(tmp_path / "ja.jsonl")][3] == 2


def test_a_server_that_fails_half_way_costs_nothing_that_was_answered(
    serve: Serve, questions: Path, tmp_path: Path
) -> None:
    server, out = serve(translator()), tmp_path / "ja.jsonl"
    honest = server.script
    server.script = lambda text, before: (500, {}, b"down") if len(server.requests) > 6 else honest(text, before)
    with pytest.raises(
        InputError, match=r"6 of 12 questions have no translation yet \(HTTP 500: down.*--leave-unanswered"
    ):
        run(questions, server, out)
    assert not out.exists() and not (tmp_path / "ja.manifest.json").exists()
    answered = {body["messages"][-1]["content"] for _, _, body in server.requests[:6]}
    server.script, server.requests = honest, []
    assert run(questions, server, out)["translated"] == COUNT
    again = [body["messages"][-1]["content"] for _, _, body in server.requests]
    assert len(again) == COUNT - 6 and answered.isdisjoint(again)


def test_without_the_unanswered_they_are_rejected_not_dropped(serve: Serve, questions: Path, tmp_path: Path) -> None:
    server = serve(translator())
    honest = server.script
    server.script = lambda text, before: (400, {}, b"refused") if "Patient 25 " in text else honest(text, before)
    counts = run(questions, server, tmp_path / "ja.jsonl", leave_unanswered=True)
    assert (counts["translated"], counts["rejected"], counts["reasons"]) == (COUNT - 1, 1, {"answer": 1})
    ((_, row),) = read_jsonl(tmp_path / "ja.rejected.jsonl")
    assert row["id"] == "q5" and "HTTP 400: refused" in row["reason"]


def test_a_killed_run_asks_nothing_twice(serve: Serve, questions: Path, tmp_path: Path) -> None:
    server, out = serve(translator()), tmp_path / "ja.jsonl"
    honest = server.script

    def slow(text: str, before: int) -> Any:
        time.sleep(0.2)
        return honest(text, before)

    server.script = slow
    command = ("data", "translate", str(questions), "--set", "medqa", "--to", "ja", "--concurrency", "1")
    place = ("--endpoint", server.url, "--endpoint-model", "m", "--out", str(out))
    # Batches of eight requests; the first is on disk once the ninth arrives.
    process = subprocess.Popen(
        [sys.executable, "-m", "jmed_jax", *command, *place], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while len(server.requests) < 9 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    journal = tmp_path / "ja.jsonl.unfinished/answers.jsonl"
    kept = {record["id"] for _, record in read_jsonl(journal)}
    assert len(kept) == 8
    server.script, server.requests = honest, []
    finished = subprocess.run(
        [sys.executable, "-m", "jmed_jax", *command, *place], cwd=ROOT, capture_output=True, text=True
    )
    assert finished.returncode == 0, finished.stderr
    assert len(server.requests) == COUNT - 8
    assert len(list(read_jsonl(out))) == COUNT


def test_another_run_does_not_go_on_with_these_answers(serve: Serve, questions: Path, tmp_path: Path) -> None:
    server = serve(lambda *_: (500, {}, b"down"))
    with pytest.raises(InputError, match="12 of 12"):
        run(questions, server, tmp_path / "ja.jsonl")
    # A whole batch without an answer: the others are not even asked.
    assert len(server.requests) == 4
    server.script = translator()
    run(questions, server, tmp_path / "ja.jsonl")
    with pytest.raises(InputError, match=r"ja\.jsonl exists"):
        run(questions, server, tmp_path / "ja.jsonl")


def test_what_there_is_to_translate(questions: Path) -> None:
    assert len(read_untranslated("medqa", questions, "ja")) == COUNT
    with pytest.raises(InputError, match="medqa is not in ja"):
        read_untranslated("medqa", questions, "en")
    expected = estimate(read_untranslated("medqa", questions, "ja"), load_translation_prompts(), "ja")
    assert expected.items == COUNT and expected.tokens_read > expected.tokens_written > 0
    assert "about 2.00 at that price" in expected.in_words((2e6 / expected.tokens_read, 0.0))


def test_a_prompt_file_is_checked(tmp_path: Path) -> None:
    entries = json.loads(DEFAULT_TRANSLATION_PROMPTS.read_text(encoding="utf-8"))
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(entries | {"ja": entries["ja"] | {"user": "nothing"}}), encoding="utf-8")
    with pytest.raises(InputError, match=r'prompts\.json: expected "ja" and "en"'):
        load_translation_prompts(path)
    with pytest.raises(InputError, match=r"absent\.json: No such file"):
        load_translation_prompts(tmp_path / "absent.json")


def test_the_manifest_names_every_file_of_a_folder_as_it_was_read(
    serve: Serve, questions: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "medqa"
    (folder / "US").mkdir(parents=True)
    inside = questions.rename(folder / "US/train.jsonl")
    read = file_sha256(inside)
    honest = translator()

    def meanwhile(text: str, before: int) -> Any:
        inside.write_text("{}\n", encoding="utf-8")
        return honest(text, before)

    run(folder, serve(meanwhile), tmp_path / "ja.jsonl")
    manifest = json.loads((tmp_path / "ja.manifest.json").read_text(encoding="utf-8"))
    assert manifest["inputs"] == {"US/train.jsonl": read}


def test_questions_with_a_picture_are_not_translated(tmp_path: Path) -> None:
    row = {"problem_text": "どれか。", "choices": list("あいうえお"), "answer": ["a"]}
    rows = [row | {"problem_id": "112A1"}, row | {"problem_id": "112A2", "text_only": False}]
    path = tmp_path / "2018.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    assert [question.id for question in read_untranslated("denqa", path, "en")] == ["112A1"]


def test_a_spent_budget_says_that_a_larger_one_goes_on(serve: Serve, questions: Path, tmp_path: Path) -> None:
    backend = Endpoint(serve(translator()).url, "m", max_requests=4, concurrency=1)
    backend.batch_size = 4
    found = read_untranslated("medqa", questions, "ja")
    with pytest.raises(InputError, match=r"8 of 12 questions have no translation yet .* goes on there, with a larger"):
        translate(
            found,
            backend,
            tmp_path / "ja.jsonl",
            to="ja",
            prompts=load_translation_prompts(),
            max_new_tokens=99,
            source_file=questions,
            leave_unanswered=True,
        )

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from jmed_jax import __version__
from jmed_jax.artifact import open_artifact
from jmed_jax.backends.protocol import Completion, Decoding, Message
from jmed_jax.corpus.synthetic.prompts import load_prompts
from jmed_jax.corpus.synthetic.synthesize import DOCUMENTS_FILE, SynthesisConfig, synthesize
from jmed_jax.corpus.synthetic.writers import ModelWriter
from jmed_jax.errors import InputError
from jmed_jax.journal import ANSWERS_FILE, SETTINGS_FILE, unfinished_directory
from jmed_jax.jsonl import read_jsonl
from tests.corpus.synthetic import interrupted
from tests.corpus.synthetic.lists import DISEASES
from tests.corpus.synthetic.test_failures import LATER, SECTION


def documents(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in read_jsonl(path / DOCUMENTS_FILE)]


def report(path: Path) -> dict[str, Any]:
    return json.loads((path / "report.json").read_text(encoding="utf-8"))


class Model:
    """Answers by script: topic → its answers in order, the last one again and again; an exception is an error."""

    name = "scripted"
    batch_size = 2

    def __init__(self, script: dict[str, list[str | Exception]]) -> None:
        self.script = script
        self.counts: Counter[str] = Counter()
        self.asked: list[str] = []
        self.conversations: list[Sequence[Message]] = []

    def complete(self, conversations: Sequence[Sequence[Message]], decoding: Decoding) -> list[Completion]:
        assert decoding == Decoding(100)
        self.conversations += conversations
        return [self._complete(messages) for messages in conversations]

    def _complete(self, messages: Sequence[Message]) -> Completion:
        topic = next(topic for topic in self.script if topic in messages[-1]["content"])
        answers = self.script[topic]
        answer = answers[min(self.asked.count(topic), len(answers) - 1)]
        self.asked.append(topic)
        if isinstance(answer, Exception):
            return Completion("", str(answer), over_budget=isinstance(answer, MemoryError))
        return Completion(answer)


def good(topic: str) -> str:
    return SECTION.replace("空想熱", topic)


def write(model: Model, out: Path, *, tries: int = 3, exercises: int = 0, **options: Any) -> Path:
    config = SynthesisConfig("disease", "physician_exam" if exercises else "textbook", "{topic}", "none", exercises)
    prompts = load_prompts("disease", config.task)
    writer = ModelWriter(
        model,
        prompts,
        facts=None,
        kind="disease",
        exercises=exercises,
        tries=tries,
        max_new_tokens=100,
        least_characters=60,
    )
    return synthesize(list(model.script), writer, config, out, settings={}, **options).path


# --- models -----------------------------------------------------------------------------------------------------------


def test_bad_answers_are_counted_by_kind_and_asked_for_again(tmp_path: Path) -> None:
    refusal = "申し訳ありませんが、お答えできません。" + SECTION
    model = Model(
        {
            "空想熱": [good("空想熱")],
            "砂丘病": ["This is an answer in English about dunes. " * 3, good("砂丘病")],
            "月光炎": [refusal, good("砂丘病"), good("月光炎")],
            "鉄琴痛": [good("鉄琴痛")[:-4], good("鉄琴痛") + "痛みは翌朝までに消える。" * 30, "鉄琴痛は痛い。", "遅い"],
        }
    )
    out = write(model, tmp_path / "out")
    assert [row["title"] for row in documents(out)] == ["空想熱", "砂丘病", "月光炎"]
    assert Counter(model.asked) == {"空想熱": 1, "砂丘病": 2, "月光炎": 3, "鉄琴痛": 3}
    counted = {reason: entry["documents"] for reason, entry in report(out)["answers_of_no_use"].items()}
    assert counted == {"not Japanese": 1, "off topic": 1, "refusal": 1, "repetition": 1, "too short": 1, "truncated": 1}
    example = report(out)["answers_of_no_use"]["refusal"]["examples"][0]
    assert example["id"] == "月光炎 (answer 1)" and example["detail"] == "申し訳ありません"
    counts = open_artifact(out, "synthetic").counts
    assert (counts["documents"], counts["topics"], counts["topics_failed"]) == (3, 4, 1)
    # A greedy model would say the same to the same question.
    again = [messages[-1]["content"] for messages in model.conversations if "鉄琴痛" in messages[-1]["content"]]
    assert len(set(again)) == 3


def test_malformed_exercises_are_left_out_and_counted(tmp_path: Path) -> None:
    def block(thing: str, last: str = "e. 月", answer: str = "a") -> str:
        options = f"a. {thing}\nb. 雲\nc. 星\nd. 虹\n{last}"
        return f"【問題】空想熱で見る{thing}はどれか。\n{options}\n【正解】{answer}\n【解説】{thing}を見る。"

    blocks = [block("兎"), block("亀", "e. 雲"), block("鹿", ""), block("馬", answer="x"), block("象")]
    out = write(Model({"空想熱": ["\n\n".join(blocks)]}), tmp_path / "out", exercises=5)
    (row,) = documents(out)
    assert [exercise["options"]["a"] for exercise in row["exercises"]] == ["兎", "象"]
    assert row["text"].startswith("問1 空想熱で見る兎") and "問2 空想熱で見る象" in row["text"]
    expected = {"answer not among the options": 1, "duplicate options": 1, "not five options": 1}
    assert report(out)["malformed_exercises"] == expected
    assert open_artifact(out, "synthetic").counts["exercises"] == 2


def test_a_topic_without_an_answer_is_left_for_the_next_run(tmp_path: Path) -> None:
    out = tmp_path / "out"
    model = Model({topic: [good(topic)] for topic in ("空想熱", "砂丘病", "月光炎", "鉄琴痛")})
    model.script["砂丘病"] = [TimeoutError("no answer within 2 s"), good("砂丘病")]
    with pytest.raises(InputError, match=r"1 of 4 topics have no answer yet \(no answer within 2 s\)"):
        write(model, out)
    assert not out.exists() and model.asked == list(model.script)
    write(model, out)
    assert [row["title"] for row in documents(out)] == list(model.script)
    assert model.asked == [*model.script, "砂丘病"]  # nothing that was answered is asked again
    assert report(out)["errors"] == {"no answer within 2 s": {"count": 1, "places": ["砂丘病"]}}
    assert not unfinished_directory(out).exists()


def test_a_run_stops_when_nothing_is_answered_any_more(tmp_path: Path) -> None:
    model = Model({topic: [ConnectionError("refused")] for topic in DISEASES[:8]})
    with pytest.raises(InputError, match="8 of 8"):
        write(model, tmp_path / "out")
    assert len(model.asked) == model.batch_size


def test_topics_without_an_answer_can_be_left_out(tmp_path: Path) -> None:
    script: dict[str, list[str | Exception]] = {"空想熱": [good("空想熱")], "砂丘病": [TimeoutError("late")]}
    out = write(Model(script), tmp_path / "out", leave_unanswered=True)
    assert [row["title"] for row in documents(out)] == ["空想熱"]
    assert open_artifact(out, "synthetic").counts["topics_unanswered"] == 1


def test_a_spent_budget_ends_the_run_and_is_no_error_of_a_topic(tmp_path: Path) -> None:
    out = tmp_path / "out"
    model = Model({topic: [good(topic)] for topic in ("空想熱", "砂丘病", "月光炎", "鉄琴痛")})
    model.script["砂丘病"] = [MemoryError("the budget is spent"), good("砂丘病")]
    with pytest.raises(InputError, match=r"3 of 4 topics have no answer yet \(the budget is spent\)"):
        write(model, out, leave_unanswered=True)
    write(model, out)
    assert len(documents(out)) == 4 and report(out)["errors"] == {}


def test_no_document_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no document came out of 1 topics"):
        write(Model({"空想熱": ["空想熱。"]}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_provenance(tmp_path: Path) -> None:
    model = Model({"空想熱": [SECTION + LATER]})
    (row,) = documents(write(model, tmp_path / "out"))
    prompt = row["provenance"].pop("prompt")
    assert len(prompt) == 64
    assert row.pop("id").startswith("textbook-")
    assert row == {
        "title": "空想熱",
        "text": SECTION + LATER,
        "source": "synthetic disease textbook (scripted)",
        "license": "none",
        "provenance": {
            "topic": "空想熱",
            "kind": "disease",
            "task": "textbook",
            "generator": "scripted",
            "package": f"jmed_jax {__version__}",
            "seed": 0,
        },
    }


# --- templates, killed ------------------------------------------------------------------------------------------------


def test_a_killed_run_goes_on_where_it_was(lists: Path, tmp_path: Path) -> None:
    whole, out, log = tmp_path / "whole", tmp_path / "out", tmp_path / "log"
    interrupted.run(lists, whole, tmp_path / "whole.log")
    answers = unfinished_directory(out) / ANSWERS_FILE
    command = [sys.executable, "-m", "tests.corpus.synthetic.interrupted", str(lists), str(out), str(log)]
    moments, kills = random.Random(0), 0

    def written() -> int:
        return answers.read_bytes().count(b"\n") if answers.exists() else 0

    while not out.exists():
        known, asked_before = written(), len(log.read_text("utf-8").split("\n")) - 1 if log.exists() else 0
        process = subprocess.Popen(command, cwd=Path(__file__).parents[3])
        moment = known + moments.randrange(1, 9)
        while process.poll() is None and written() < moment:
            time.sleep(moments.uniform(0.001, 0.01))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        asked = log.read_text("utf-8").split("\n")[asked_before:]
        assert not {*asked} & {*interrupted.TOPICS[:known]}  # what was on disk before this run
    assert kills >= 1
    for name in (DOCUMENTS_FILE, "report.json"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert not unfinished_directory(out).exists()


def unfinished(out: Path) -> Path:
    """The directory of a run that was interrupted right before the end."""
    model = Model({"空想熱": [good("空想熱")], "砂丘病": [TimeoutError("late"), good("砂丘病")]})
    with pytest.raises(InputError):
        write(model, out)
    return unfinished_directory(out)


def test_a_torn_line_is_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    answers = unfinished(out) / ANSWERS_FILE
    content = answers.read_bytes()
    first = content.index(b"\n") + 1
    answers.write_bytes(content[: first - 30])
    model = Model({"空想熱": [good("空想熱")], "砂丘病": [good("砂丘病")]})
    write(model, out)
    assert model.asked == ["空想熱", "砂丘病"] and len(documents(out)) == 2
    assert "the last answer was cut off" in capsys.readouterr().err


def test_a_damaged_line_is_an_error(tmp_path: Path) -> None:
    answers = unfinished(tmp_path / "out") / ANSWERS_FILE
    answers.write_bytes(b"{\x00\n" + answers.read_bytes())
    with pytest.raises(InputError, match=r"answers\.jsonl:1: damaged"):
        write(Model({"空想熱": [good("空想熱")], "砂丘病": [good("砂丘病")]}), tmp_path / "out")


def test_an_unfinished_run_with_other_settings_is_not_mixed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    unfinished(out)
    with pytest.raises(InputError, match=r"out\.unfinished: an unfinished run with other settings \(topics, tries\)"):
        write(Model({"月光炎": [good("月光炎")]}), out, tries=1)
    # One that holds no answer yet is in nobody's way.
    (unfinished_directory(out) / ANSWERS_FILE).write_bytes(b"")
    assert documents(write(Model({"月光炎": [good("月光炎")]}), out, tries=1))
    assert not (unfinished_directory(out) / SETTINGS_FILE).exists()


def test_two_processes_do_not_write_one_run(tmp_path: Path) -> None:
    class Impatient(Model):
        def _complete(self, messages: Sequence[Message]) -> Completion:
            with pytest.raises(InputError, match="another process is writing here"):
                write(Model(self.script), tmp_path / "out")
            return super()._complete(messages)

    assert documents(write(Impatient({"空想熱": [good("空想熱")]}), tmp_path / "out"))


def test_an_artefact_is_not_overwritten_unasked(tmp_path: Path) -> None:
    model = Model({"空想熱": [good("空想熱")]})
    out = write(model, tmp_path / "out")
    with pytest.raises(InputError, match="exists"):
        write(model, out)
    assert model.asked == ["空想熱"]
    assert write(model, out, overwrite=True) == out

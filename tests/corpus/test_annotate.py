import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jmed_jax import artifact
from jmed_jax.backends.protocol import Backend, Completion, Decoding, Prompt
from jmed_jax.corpus.annotate import Sampled, annotate, sample_documents
from jmed_jax.corpus.annotation_prompt import DEFAULT_PROMPT, load_prompt
from jmed_jax.errors import InputError
from jmed_jax.journal import ANSWERS_FILE
from jmed_jax.jsonl import write_jsonl

PROMPT = load_prompt()


class Scripted(Backend):
    """Answers what `script` returns for (document's text, attempt); an exception is raised."""

    batch_size = 4

    def __init__(self, script: Callable[[str, int], str | Completion | BaseException], name: str = "scripted") -> None:
        self.name = name
        self.counts: Counter[str] = Counter()
        self.asked: list[str] = []
        self._script = script

    def complete(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[Completion]:
        assert decoding == Decoding(32)
        assert len(prompts) <= self.batch_size
        answers = []
        for messages in prompts:
            assert not isinstance(messages, str)
            question = messages[-1]["content"]
            text = question.partition("<<<\n")[2].partition("\n>>>")[0]
            attempt = sum(reminder in question for reminder in PROMPT.reminders) and 1 + max(
                number for number, reminder in enumerate(PROMPT.reminders) if reminder in question
            )
            answer = self._script(text, attempt)
            if isinstance(answer, BaseException):
                raise answer
            self.asked.append(text)
            self.counts.update(requests=1, prompt_tokens=100, completion_tokens=4)
            answers.append(Completion(answer) if isinstance(answer, str) else answer)
        return answers


def documents(count: int) -> list[Sampled]:
    return [Sampled(f"web/{n}", f"文書{n}") for n in range(count)]


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run(count: int, backend: Backend, out: Path, **settings: Any) -> dict[str, Any]:
    return annotate(documents(count), backend, PROMPT, out, characters=2000, **settings)


# --- reading answers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("高品質", "high"),
        ("低品質", "low"),
        (" 「高品質」。\n", "high"),
        ("**低品質**", "low"),
        ("<think>広告ではない。低品質とは言えない。</think>\n\n高品質", "high"),
    ],
)
def test_a_label_and_nothing_else_is_taken(answer: str, label: str) -> None:
    assert PROMPT.read(answer) == (label, None)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("High quality", "not Japanese"),
        ("high", "not Japanese"),
        ("1", "not Japanese"),
        ("高品質ではありません", "chatter"),
        ("この文書は高品質です。", "chatter"),
        ("判定: 低品質", "chatter"),
        ("高品質または低品質", "both labels"),
        ("高品質\n低品質", "both labels"),
        ("判断できません。", "no label"),
        ("高", "no label"),
        ("", "no label"),
        ("<think>高品質か", "chatter"),
        ("<think>高品質か低品質か", "both labels"),
    ],
)
def test_anything_else_is_named_and_not_guessed(answer: str, kind: str) -> None:
    assert PROMPT.read(answer) == (None, kind)


# --- asking again -----------------------------------------------------------------------------------------------------


def test_malformed_answers_are_asked_again_with_firmer_reminders_and_recorded(tmp_path: Path) -> None:
    answers = {
        "文書0": ["高品質"],
        "文書1": ["It is good.", "低品質"],
        "文書2": ["高品質だと思います", "高品質と低品質", "高品質"],
        "文書3": ["Sure!", "Sure!", "わかりません"],
    }
    backend = Scripted(lambda text, attempt: answers[text][attempt])
    summary = run(4, backend, tmp_path / "labels.jsonl")
    rows = rows_of(tmp_path / "labels.jsonl")
    assert [row["label"] for row in rows] == ["high", "low", "high", None]
    assert [row["attempts"] for row in rows] == [1, 2, 3, 3]
    assert [row["answers"] for row in rows] == list(answers.values())
    assert rows[2]["malformed"] == ["chatter", "both labels"]
    assert {row["annotator"] for row in rows} == {"scripted"}
    assert summary["labels"] == {"high": 2, "low": 1, "none": 1}
    assert summary["malformed"] == {"both labels": 1, "chatter": 1, "no label": 1, "not Japanese": 3}
    assert backend.asked.count("文書0") == 1
    # Tokens of the whole batch are shared out among its documents.
    assert sum(row["prompt_tokens"] for row in rows) == pytest.approx(900)


def test_without_retries_every_question_is_asked_once(tmp_path: Path) -> None:
    backend = Scripted(lambda *_: "hm")
    run(3, backend, tmp_path / "labels.jsonl", retries=0)
    assert len(backend.asked) == 3


def test_what_the_backend_gave_up_on_is_no_label_and_not_asked_again(tmp_path: Path) -> None:
    backend = Scripted(lambda text, _: Completion("", "HTTP 400") if text == "文書1" else "高品質")
    summary = run(3, backend, tmp_path / "labels.jsonl")
    assert [row["label"] for row in rows_of(tmp_path / "labels.jsonl")] == ["high", None, "high"]
    assert summary["malformed"] == {"no answer": 1}
    assert backend.asked.count("文書1") == 1


def test_a_backend_that_answers_nothing_ends_it_before_anything_is_recorded(tmp_path: Path) -> None:
    backend = Scripted(lambda *_: Completion("", "HTTP 401: no such key"))
    with pytest.raises(InputError, match="HTTP 401"):
        run(9, backend, tmp_path / "labels.jsonl")
    assert len(backend.asked) == 4
    run(9, Scripted(lambda *_: "高品質"), tmp_path / "labels.jsonl")
    assert {row["label"] for row in rows_of(tmp_path / "labels.jsonl")} == {"high"}


def test_a_server_that_dies_on_the_way_ends_it_and_what_is_there_stays(tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    with pytest.raises(InputError, match="no answer to 4 questions"):
        run(12, Scripted(lambda text, _: "高品質" if text < "文書4" else Completion("", "connection")), out)
    backend = Scripted(lambda *_: "高品質")
    run(12, backend, out)
    # 文書10 and 文書11 sort before 文書4, but stand in a batch behind it.
    assert len(backend.asked) == 8


# --- going on ---------------------------------------------------------------------------------------------------------


def honest(text: str, _: int = 0) -> str:
    return "高品質" if int(text.removeprefix("文書")) % 3 else "低品質"


def test_interrupted_it_goes_on_and_ends_with_the_same_rows(tmp_path: Path) -> None:
    whole, resumed = tmp_path / "whole.jsonl", tmp_path / "resumed.jsonl"
    run(10, Scripted(honest), whole)

    def breaks_off(text: str, _: int) -> str | BaseException:
        return KeyboardInterrupt() if text == "文書9" else honest(text)

    first = Scripted(breaks_off)
    with pytest.raises(KeyboardInterrupt):
        run(10, first, resumed)
    assert not resumed.exists()
    # The write that a crash cut in two.
    with (tmp_path / "resumed.jsonl.unfinished" / ANSWERS_FILE).open("a") as stream:
        stream.write('{"id": "web/8", "lab')
    second = Scripted(honest)
    run(10, second, resumed)
    # Two batches of four were on disk.
    assert sorted(second.asked) == ["文書8", "文書9"]
    assert [(r["id"], r["label"]) for r in rows_of(resumed)] == [(r["id"], r["label"]) for r in rows_of(whole)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resumed.jsonl", "whole.jsonl"]


def test_answers_to_another_question_are_not_mixed_in(tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(6, Scripted(lambda text, _: "高品質" if text < "文書4" else KeyboardInterrupt(), name="a"), out)
    other = Scripted(honest, name="b")
    with pytest.raises(InputError, match=r"other settings \(annotator\)"):
        run(6, other, out)
    assert not other.asked


def test_labels_of_another_corpus_are_not_mixed_in(tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(6, Scripted(lambda text, _: "高品質" if text < "文書4" else KeyboardInterrupt()), out)
    with pytest.raises(InputError, match=r"other settings \(documents\)"):
        run(7, Scripted(honest), out)


def test_a_spent_budget_stops_it_and_nothing_is_lost_or_counted_as_malformed(tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"

    def broke(text: str, _: int) -> str | Completion:
        return honest(text) if text in ("文書0", "文書1", "文書2", "文書3", "文書5") else Completion("", "spent", True)

    with pytest.raises(InputError, match="budget is spent with 5 documents left"):
        run(10, Scripted(broke), out)
    assert not out.exists()
    backend = Scripted(honest)
    run(10, backend, out)
    assert len(backend.asked) == 5
    assert len(rows_of(out)) == 10


def test_an_existing_file_stands_until_it_may_be_replaced(tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    out.write_text("mine\n")
    backend = Scripted(honest)
    with pytest.raises(InputError, match="exists"):
        run(2, backend, out)
    assert (out.read_text(), backend.asked) == ("mine\n", [])
    run(2, backend, out, overwrite=True)
    assert len(rows_of(out)) == 2


def test_two_processes_do_not_write_one_file(tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"

    def meanwhile(_: str, __: int) -> str:
        with pytest.raises(InputError, match="another process"):
            run(1, Scripted(honest), out)
        return "高品質"

    run(1, Scripted(meanwhile), out)
    assert len(rows_of(out)) == 1


def test_more_retries_than_reminders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 reminders"):
        run(1, Scripted(honest), tmp_path / "labels.jsonl", retries=3)


# --- the sample -------------------------------------------------------------------------------------------------------


def write_corpus(path: Path, ids: Sequence[str]) -> Path:
    with artifact.create(path, "corpus", {}) as draft:
        rows = [{"id": i, "text": f"{i}の本文。" * 9, "source": i.partition("/")[0]} for i in ids]
        write_jsonl(draft.path / "documents-00000.jsonl.zst", rows[::2])
        write_jsonl(draft.path / "documents-00001.jsonl.zst", rows[1::2])
    return path


def ids(sample: Sequence[Sampled]) -> list[str]:
    return [document.id for document in sample]


def test_the_sample_is_the_same_in_any_order_and_a_larger_one_begins_with_it(tmp_path: Path) -> None:
    names = [f"web/{n}" for n in range(200)]
    corpus = write_corpus(tmp_path / "corpus", names)
    shuffled = write_corpus(tmp_path / "shuffled", names[::-1])
    small = sample_documents(corpus, 20, seed=0, characters=10)
    assert small == sample_documents(shuffled, 20, seed=0, characters=10)
    assert sample_documents(corpus, 50, seed=0, characters=10)[:20] == small
    assert ids(sample_documents(corpus, 20, seed=1, characters=10)) != ids(small)
    assert all(len(document.text) == 10 for document in small)
    assert len(sample_documents(corpus, 1000, seed=0, characters=10)) == 200


def test_a_corpus_that_grows_keeps_most_of_its_sample(tmp_path: Path) -> None:
    before = write_corpus(tmp_path / "before", [f"web/{n}" for n in range(400)])
    after = write_corpus(tmp_path / "after", [f"web/{n}" for n in range(440)])
    old, new = (set(ids(sample_documents(c, 100, seed=0, characters=1))) for c in (before, after))
    assert len(old & new) > 80


def test_only_the_sources_asked_for_are_drawn_from(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "corpus", [f"{name}/{n}" for name in ("web", "book") for n in range(20)])
    assert {i[:4] for i in ids(sample_documents(corpus, 30, seed=0, characters=1, sources=["book"]))} == {"book"}
    with pytest.raises(InputError, match="no document of wiki"):
        sample_documents(corpus, 30, seed=0, characters=1, sources=["wiki"])


# --- the prompt -------------------------------------------------------------------------------------------------------


def test_a_prompt_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "prompt.json"
    path.write_text(json.dumps({"user": "Rate: {text}", "labels": {"high": "good", "low": "bad"}}))
    prompt = load_prompt(path)
    assert prompt.messages("a {b}") == [{"role": "user", "content": "Rate: a {b}"}]
    assert prompt.read("Bad.") == (None, "not Japanese")
    assert prompt.read("bad.") == ("low", None)
    assert prompt.fingerprint != PROMPT.fingerprint


@pytest.mark.parametrize(
    "entries",
    [
        [],
        {},
        {"user": "{text}"},
        {"user": "no field", "labels": {"high": "a", "low": "b"}},
        {"user": "{text} {other}", "labels": {"high": "a", "low": "b"}},
        {"user": "{text}", "labels": {"high": "a"}},
        {"user": "{text}", "labels": {"high": "a", "low": "a"}},
        {"user": "{text}", "labels": {"high": "a", "low": 1}},
        {"user": "{text}", "labels": {"high": "a", "low": "b"}, "reminders": "again"},
    ],
)
def test_a_prompt_that_lacks_something_is_refused(tmp_path: Path, entries: Any) -> None:
    path = tmp_path / "prompt.json"
    path.write_text(json.dumps(entries))
    with pytest.raises(InputError, match=r"prompt\.json"):
        load_prompt(path)


def test_the_packages_prompt_is_whole() -> None:
    assert {"system", "user", "labels", "reminders"} == json.loads(DEFAULT_PROMPT.read_text(encoding="utf-8")).keys()

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from jmed_jax.backends.protocol import Completion, Decoding, Message
from jmed_jax.cli import main
from jmed_jax.corpus.documents import iter_documents
from jmed_jax.jsonl import read_jsonl
from tests.cli.conftest import Ask, Refuse
from tests.corpus.synthetic.lists import DRUGS, write_lists
from tests.corpus.synthetic.test_synthesize import Model, good

BASE = ("corpus", "synthesize", "--license", "CC0")
TEMPLATE = (*BASE, "--kind", "disease", "--task", "textbook")


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lists(tmp_path_factory.mktemp("dictionary") / "lists")


def test_templates_write_what_corpus_build_reads(ask: Ask, lists: Path, tmp_path: Path) -> None:
    out = tmp_path / "textbook"
    result = ask(*TEMPLATE, "--topics", lists / "topics_diseases.txt", "--dictionary", lists, "--out", out)
    assert result["kind"] == "synthetic"
    counts = result["counts"]
    assert counts["topics"] == counts["documents"] + counts["topics_skipped"] and counts["topics_skipped"] > 0
    assert main(["corpus", "build", str(out), "--out", str(tmp_path / "corpus"), "--threshold", "too_short=0"]) == 0
    built = {row["title"]: row for row in iter_documents(tmp_path / "corpus")}
    assert built["鏡像失調症"]["license"] == "CC0"
    assert built["鏡像失調症"]["provenance"]["generator"] == "template"


def test_exercises_about_drugs(ask: Ask, lists: Path, tmp_path: Path) -> None:
    command = (*BASE, "--kind", "drug", "--task", "pharmacist_exam", "--exercises", "2", "--dictionary", lists)
    result = ask(*command, "--topics", lists / "prices.csv", "--out", tmp_path / "all")
    assert result["counts"]["documents"] == len(DRUGS)
    assert result["counts"]["exercises"] == 2 * len(DRUGS)
    shares = [
        ask(*command, "--topics", lists / "prices.csv", "--share", f"{share}/2", "--out", tmp_path / str(share))
        for share in (1, 2)
    ]
    assert sum(share["counts"]["documents"] for share in shares) == len(DRUGS)
    whole = {row["id"]: row for _, row in read_jsonl(tmp_path / "all/documents.jsonl.zst")}
    for share in ("1", "2"):
        for _, row in read_jsonl(tmp_path / share / "documents.jsonl.zst"):
            assert row == whole[row["id"]]


def test_a_model_is_asked_with_the_options_of_the_command(
    ask: Ask, refuse: Refuse, lists: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Curt(Model):
        def complete(self, conversations: Sequence[Sequence[Message]], decoding: Decoding) -> list[Completion]:
            assert decoding == Decoding(99)
            return super().complete(conversations, Decoding(100))

    topics = tmp_path / "topics.txt"
    topics.write_text("鏡像失調症\n砂丘病\n", encoding="utf-8")
    model = Curt({"鏡像失調症": ["短い。", good("鏡面病")], "砂丘病": [TimeoutError("late"), good("砂丘病")]})
    monkeypatch.setattr("jmed_jax.cli.synthesize.open_backend", lambda _: model)
    asked = ("--max-new-tokens", "99", "--least-characters", "50", "--tries", "2", "--dictionary", lists)
    command = (*TEMPLATE, "--topics", topics, "--generator", "model", *asked, "--out", tmp_path / "out")
    assert "1 of 2 topics have no answer yet (late)" in refuse(*command)
    assert ask(*command)["counts"]["documents"] == 2  # 鏡面病 is another name of 鏡像失調症
    report = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))
    assert report["answers_of_no_use"]["too short"]["documents"] == 1


def test_bad_input(refuse: Refuse, lists: Path, tmp_path: Path) -> None:
    topics, out = lists / "topics_diseases.txt", tmp_path / "out"
    empty, other = tmp_path / "empty.txt", tmp_path / "other.csv"
    empty.write_text("\n")
    other.write_text("colour,number\nred,1\n")
    command = (*TEMPLATE, "--dictionary", lists, "--out", out)
    assert "no topics" in refuse(*command, "--topics", empty)
    assert "unknown columns" in refuse(*command, "--topics", other)
    assert "absent.txt" in refuse(*command, "--topics", tmp_path / "absent.txt")
    assert "is not I/N" in refuse(*command, "--topics", topics, "--share", "3/2")
    assert "for --generator model" in refuse(*command, "--topics", topics, "--endpoint", "http://localhost:1")
    assert "needs --dictionary" in refuse(*TEMPLATE, "--topics", topics, "--out", out)
    assert "says anything" in refuse(*TEMPLATE, "--topics", topics, "--dictionary", topics, "--out", out)
    assert "no model" in refuse(*command, "--topics", topics, "--generator", "model")
    assert not out.exists()
    empty.write_text("誰も知らない病\n", encoding="utf-8")
    assert "no document came out of 1 topics" in refuse(*command, "--topics", empty)
    (tmp_path / "file").write_text("")
    assert "file" in refuse(*TEMPLATE, "--dictionary", lists, "--topics", topics, "--out", tmp_path / "file/out")

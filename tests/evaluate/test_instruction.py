import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from jmed_jax.errors import InputError
from jmed_jax.evaluate.instruction import training_conversations, write_conversations
from jmed_jax.evaluate.prompts import load_prompts
from jmed_jax.evaluate.tasks import expand_tasks, get_task
from jmed_jax.jsonl import read_jsonl

from .rows import choice, choice_row, extraction_row, write_rows


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    answers = "B" * 12 + "A" * 2
    train = [choice_row(f"smdis-train-{i:05d}", letter) for i, letter in enumerate(answers)]
    train += [choice_row(f"smdis-train-{i:05d}", letter, tag="flu") for i, letter in enumerate("AAAB", start=50)]
    write_rows(root / "jmed_llm/train/smdis.jsonl.gz", train)
    own = extraction_row("nrner-train-00000", ("発熱",), doc_in_test=True)
    shared = extraction_row("nrner-train-00001", ("咳", "痰"), doc_id="doc-9")
    write_rows(root / "jmed_llm/train/nrner.jsonl.gz", [own, shared, extraction_row("nrner-train-00002")])
    write_rows(root / "jmed_llm/test/crade.jsonl", [choice_row("crade-test-00000", task="crade", doc_id="doc-9")])
    return root


def written(tasks: list[str], data: Path, out: Path, **options: Any) -> list[dict[str, Any]]:
    write_conversations(tasks, data, out, **options)
    return [row for _, row in read_jsonl(out)]


def test_the_prompt_is_the_evaluations_own_and_the_answer_is_the_assistants() -> None:
    task, prompts = get_task("jmed_llm.smdis"), load_prompts()
    (conversation,) = training_conversations(task, [choice(answer="B")], prompts)
    assert conversation["task"] == "jmed_llm.smdis"
    assert conversation["messages"][:2] == task.messages(choice(), prompts)
    assert conversation["messages"][2] == {"role": "assistant", "content": "B"}


def test_a_tasks_own_wording_in_a_prompt_file_wins_over_that_of_its_kind(tmp_path: Path) -> None:
    file = tmp_path / "prompts.json"
    wording = {"jmed_llm.choice": "選ぶ: {question}", "jmed_llm.smdis": "{question}"}
    file.write_text(json.dumps({name: {"system": "", "user": user} for name, user in wording.items()}))

    def asked(task: str) -> str:
        chosen = get_task(task)
        return chosen.messages(choice(), chosen.load_wording(file))[1]["content"]

    assert asked("jmed_llm.crade") == "選ぶ: " + asked("jmed_llm.smdis")


def test_rows_keep_their_order_and_extraction_answers_are_printed_lists(data: Path, tmp_path: Path) -> None:
    rows = written(["jmed_llm.nrner", "jmed_llm.smdis"], data, tmp_path / "out.jsonl.gz")
    assert len(rows) == 3 + 18
    assert [row["id"] for row in rows[:3]] == ["nrner-train-00000", "nrner-train-00001", "nrner-train-00002"]
    assert rows[1]["messages"][2]["content"] == "['咳', '痰']"


def test_rows_about_test_documents_are_left_out(data: Path, tmp_path: Path) -> None:
    rows = written(["jmed_llm.nrner"], data, tmp_path / "out.jsonl", exclude_test_documents=True)
    assert [row["id"] for row in rows] == ["nrner-train-00002"]


def test_balancing_evens_the_answers_of_every_tag(data: Path, tmp_path: Path) -> None:
    rows = written(["jmed_llm.smdis"], data, tmp_path / "out.jsonl", balance=True)
    flu = {f"smdis-train-{i:05d}" for i in range(50, 54)}
    answers = Counter((row["id"].split("#")[0] in flu, row["messages"][2]["content"]) for row in rows)
    assert answers == {(False, "A"): 7, (False, "B"): 7, (True, "A"): 2, (True, "B"): 2}
    assert len({row["id"] for row in rows}) == len(rows)


def test_limit_draws_that_many_rows_of_each_task(data: Path, tmp_path: Path) -> None:
    tasks = ["jmed_llm.smdis", "jmed_llm.nrner"]
    counts = write_conversations(tasks, data, tmp_path / "out.jsonl", limit_per_task=2)
    assert counts == {"jmed_llm.smdis": 2, "jmed_llm.nrner": 2}


def test_the_same_seed_gives_the_same_file(data: Path, tmp_path: Path) -> None:
    options = {"balance": True, "limit_per_task": 5}
    first = written(["jmed_llm.smdis"], data, tmp_path / "1.jsonl", seed=1, **options)
    with_others = written(["jmed_llm.nrner", "jmed_llm.smdis"], data, tmp_path / "2.jsonl", seed=1, **options)
    assert with_others[3:] == first
    assert written(["jmed_llm.smdis"], data, tmp_path / "3.jsonl", seed=2, **options) != first


def test_missing_training_rows_are_named_and_nothing_is_written(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"jmed_llm/train/crade.jsonl.gz"):
        write_conversations(["jmed_llm.crade"], data, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_as_many_real_rows_stay_as_the_data_says(real_data: Path, tmp_path: Path) -> None:
    counts = write_conversations(
        expand_tasks("jmed_llm"), real_data, tmp_path / "out.jsonl.gz", exclude_test_documents=True
    )
    assert counts == {
        "jmed_llm.jmmlu_med": 405,
        "jmed_llm.crade": 370,
        "jmed_llm.rrtnm": 96,
        "jmed_llm.smdis": 14568,
        "jmed_llm.jcsts": 3537 - 372,
        "jmed_llm.mrner_disease": 62,
        "jmed_llm.mrner_medicine": 3,
        "jmed_llm.nrner": 1348,
    }

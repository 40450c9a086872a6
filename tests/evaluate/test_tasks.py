import json
from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.evaluate.prompts import DEFAULT_PROMPTS, load_prompts
from jmed_jax.evaluate.tasks import TASKS, expand_tasks, get_task

from .rows import choice, exam, extraction

PROMPTS = load_prompts()


def test_groups_expand_and_nothing_is_doubled() -> None:
    names = expand_tasks("jmed_llm, igakuqa,jmed_llm.crade")
    assert len(names) == 9
    assert names == list(TASKS)
    assert expand_tasks("jmed_llm.nrner,jmed_llm.crade") == ["jmed_llm.nrner", "jmed_llm.crade"]


@pytest.mark.parametrize("names", ["jmed", "crade", "igakuqa,nothing", "", " , "])
def test_unknown_names_list_what_exists(names: str) -> None:
    with pytest.raises(InputError, match=r"jmed_llm\.crade.*igakuqa"):
        expand_tasks(names)


def test_choice_prompt_has_the_benchmarks_shape() -> None:
    system, user = get_task("jmed_llm.smdis").messages(choice(), PROMPTS)
    assert system["role"] == "system" and "記号" in system["content"]
    options = "選択肢:\nA. 風邪である\nB. 風邪でない\n"
    assert user == {"role": "user", "content": f"質問: この人は風邪ですか？\n「鼻がつまる。」\n{options}"}


def test_extraction_prompt_is_the_question() -> None:
    _, user = get_task("jmed_llm.nrner").messages(extraction(), PROMPTS)
    assert user["content"] == extraction().question


def test_exam_prompt_lists_choices_and_a_number_has_a_prompt_of_its_own() -> None:
    task = get_task("igakuqa")
    _, user = task.messages(exam(), PROMPTS)
    assert "a. 一\nb. 二\n" in user["content"]
    system, user = task.messages(exam(answer=("26",), choices=()), PROMPTS)
    assert "数値" in system["content"] and "a." not in user["content"]


def test_solved_examples_stand_before_the_question() -> None:
    messages = get_task("igakuqa").messages(exam(), PROMPTS, [exam("100A1", ("b", "c"), text="例題。")])
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "user"]
    assert "例題。" in messages[1]["content"] and messages[2]["content"] == "b,c"


def test_braces_in_a_question_are_text() -> None:
    _, user = get_task("jmed_llm.nrner").messages(extraction(question="{options} {0} {"), PROMPTS)
    assert user["content"] == "{options} {0} {"


@pytest.mark.parametrize(
    ("name", "question"),
    [
        ("jmed_llm.smdis", choice(answer="B")),
        ("jmed_llm.nrner", extraction(answers=("発熱", "「痛い」と'咳'"))),
        ("igakuqa", exam(answer=("a", "c"))),
        ("igakuqa", exam(answer=("26",), choices=())),
    ],
)
def test_the_expected_output_scores_full_marks(name: str, question: object) -> None:
    task = get_task(name)
    prediction = task.read_output(question, task.expected_output(question))
    score = task.score([question], [prediction])
    assert score.get("accuracy", score.get("exact_f1")) == 1.0
    assert score["unparsable"] == 0


def test_another_prompt_file_of_the_same_shape_is_taken(tmp_path: Path) -> None:
    entries = json.loads(DEFAULT_PROMPTS.read_text(encoding="utf-8"))
    entries["igakuqa.choice"] = {"system": "解いてください。", "user": "{question}|{options}|{count}個"}
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps(entries), encoding="utf-8")
    system, user = get_task("igakuqa").messages(exam(answer=("a", "c"), choices=("一",)), load_prompts(path))
    assert system["content"] == "解いてください。"
    assert user["content"] == "正しいのはどれか。|a. 一\n|2個"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", '"jmed_llm.choice" needs'),
        ("[]", "expected an object"),
        ("not json", "not JSON"),
        ('{"jmed_llm.choice": {"system": "s", "user": "{unknown}"}}', "unknown"),
        ('{"jmed_llm.choice": {"system": "s", "user": "{"}}', '"jmed_llm.choice" needs'),
    ],
)
def test_a_damaged_prompt_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        load_prompts(path)

import json
from pathlib import Path

import pytest

from jmed_jax.errors import InputError
from jmed_jax.evaluate.prompts import DEFAULT_PROMPTS, load_prompts
from jmed_jax.evaluate.tasks import TASKS, expand_tasks, get_task

from .rows import choice, exam, extraction, write_rows

PROMPTS = load_prompts()


def test_groups_expand_and_nothing_is_doubled() -> None:
    names = expand_tasks("jmed_llm, igakuqa,jmed_llm.crade")
    assert names == list(TASKS)[:9]
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


def test_a_task_is_put_under_the_protocols_that_it_knows() -> None:
    assert get_task("igakuqa").protocol == "igakuqa_points"
    assert get_task("igakuqa", "gestalt_cot").main_metric == "gestalt_accuracy"
    assert {task.protocol for task in TASKS.values()} == {"jmed_llm", "igakuqa_points", "gestalt_cot"}
    with pytest.raises(InputError, match=r'jmed_llm\.crade: not under protocol "gestalt_cot", only jmed_llm'):
        get_task("jmed_llm.crade", "gestalt_cot")


def test_a_file_of_questions_is_a_task(tmp_path: Path) -> None:
    row = {"id": "q1", "source": "medqa", "language": "ja", "question": "どれか。", "choices": ["肺炎", "胃炎"]}
    row |= {"answer": ["a"], "license": "MIT"}
    path = write_rows(tmp_path / "medqa_ja.jsonl", [row])
    assert expand_tasks(f"igakuqa,{path}") == ["igakuqa", str(path)]
    task = get_task(str(path))
    assert (task.name, task.language, task.protocol) == ("medqa_ja", "ja", "gestalt_cot")
    assert [question.id for question in task.read_gold([task.gold_path(tmp_path / "elsewhere")])] == ["q1"]
    with pytest.raises(InputError, match="a task's name already"):
        get_task(str(write_rows(tmp_path / "medqa.jsonl", [row])))
    with pytest.raises(InputError, match="neither a multiple-choice question"):
        get_task(str(write_rows(tmp_path / "other.jsonl", [{"id": "q1"}])))


def test_rows_of_another_language_are_not_passed_over(tmp_path: Path) -> None:
    chosen = {"source": "own", "question": "どれか。", "choices": ["肺炎", "胃炎"], "answer": ["a"], "license": "MIT"}
    for name, row in (("choices", chosen), ("open", {"question": "治療は？", "reference": "抗菌薬"})):
        rows = [{**row, "id": language, "language": language} for language in ("ja", "en")]
        path = write_rows(tmp_path / f"{name}.jsonl", rows)
        with pytest.raises(InputError, match=rf'{name}.jsonl:2: language "en", and "ja" before'):
            get_task(str(path))


def test_every_task_reads_the_real_rows_and_a_perfect_answer_scores_full_marks(real_data: Path) -> None:
    for name in TASKS:
        task = get_task(name)
        questions = task.asked(task.read_gold([task.gold_path(real_data)]))
        predictions = [task.read_output(question, task.expected_output(question)) for question in questions[::10]]
        score = task.score(questions[::10], predictions)
        assert score["unparsable"] == 0, name
        # Several right choices in one line can be more like a third one (arXiv 2409.11783's similarity).
        perfect = {"points": score.get("total"), "gestalt_accuracy": 0.95}.get(task.main_metric, 1.0)
        assert score[task.main_metric] >= perfect, name


def test_the_common_subset_of_igakuqa_is_text_with_five_choices(real_data: Path) -> None:
    for name in ("igakuqa", "igakuqa_en"):
        task = get_task(name, "gestalt_cot")
        assert len(task.asked(task.read_gold([task.gold_path(real_data)]))) == 1158


def test_rows_of_both_languages_share_their_pair(real_data: Path) -> None:
    for one, other in (("mmlu", "jmmlu"), ("igakuqa", "igakuqa_en")):
        pairs = []
        for name in (one, other):
            task = get_task(name, "gestalt_cot")
            pairs.append({question.pair for question in task.read_gold([task.gold_path(real_data)])})
        assert pairs[1] <= pairs[0]

import json
from pathlib import Path

import pytest

from jmed_jax.corpus.synthetic.prompts import KINDS, TASKS, load_prompts
from jmed_jax.errors import InputError

OWN = Path(__file__).resolve().parents[3] / "jmed_jax/corpus/synthetic/prompts.json"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("task", TASKS)
def test_every_prompt_names_the_topic(kind: str, task: str) -> None:
    prompts = load_prompts(kind, task)
    system, user = prompts.messages("空想熱", count=5)
    assert (system["role"], user["role"]) == ("system", "user")
    assert "空想熱" in user["content"] and "空想熱" in prompts.title.format(topic="空想熱")
    assert ("5問" in user["content"]) == ("【正解】" in user["content"]) == (task != "textbook")


def test_a_topic_is_asked_again_in_other_words() -> None:
    prompts = load_prompts("disease", "textbook")
    first, again = (prompts.messages("空想熱", count=0, failed=failed)[1]["content"] for failed in ("", "off topic"))
    assert again.startswith(first) and "「空想熱」を主題とし" in again[len(first) :]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"system"', '"sytem"'),
        ("「{topic}」を解説", "「{subject}」を解説"),
        ('"refusal"', '"denial"'),
        ("{format}", "{format"),
    ],
)
def test_a_file_of_another_shape_is_refused(old: str, new: str, tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    text = OWN.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError, match=r"prompts\.json: needs tasks"):
        load_prompts("disease", "physician_exam" if "format" in old else "textbook", path)


def test_a_file_of_other_wording(tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    entries = json.loads(OWN.read_text(encoding="utf-8"))
    entries["tasks"]["textbook"]["user"]["disease"] = "{topic}とは。"
    path.write_text(json.dumps(entries), encoding="utf-8")
    assert load_prompts("disease", "textbook", path).messages("空想熱", count=0)[1]["content"] == "空想熱とは。"
    with pytest.raises(InputError, match=r"absent\.json"):
        load_prompts("disease", "textbook", tmp_path / "absent.json")

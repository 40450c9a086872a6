import json
from pathlib import Path

import pytest

from jmed_jax.backends.protocol import Likelihood
from jmed_jax.errors import InputError
from jmed_jax.evaluate.plan import Options
from jmed_jax.evaluate.protocols.loglikelihood import LikelihoodTask
from jmed_jax.evaluate.run import run_tasks
from jmed_jax.jsonl import read_jsonl

from ..models import Scripted, Weigher
from ..rows import multiple_choice, write_rows

TASK = LikelihoodTask("medqa", "ja", "medqa/test.jsonl", source="medqa")
WORDING = TASK.load_wording(None)


def weighed(values: list[float], tokens: list[int]) -> list[Likelihood]:
    return [Likelihood(value, count, is_greedy=False) for value, count in zip(values, tokens, strict=True)]


def test_letters_are_weighed_behind_lettered_choices_and_texts_behind_the_question_alone() -> None:
    letters, texts = TASK.weighed(multiple_choice(), WORDING)
    assert letters.continuations == ("A", "B", "C", "D")
    assert "B. 胸膜炎" in letters.conversation[-1]["content"]
    assert texts.continuations == ("肺炎", "胸膜炎", "気胸", "肺血栓塞栓症")
    assert [message["role"] for message in texts.conversation] == ["user"]
    assert "胸膜炎" not in texts.conversation[-1]["content"]


def test_solved_examples_are_answered_as_the_continuations_are() -> None:
    letters, texts = TASK.weighed(multiple_choice(), WORDING, [multiple_choice("q0", ("c",))])
    assert [message["content"] for message in letters.conversation if message["role"] == "assistant"] == ["C"]
    assert [message["content"] for message in texts.conversation if message["role"] == "assistant"] == ["気胸"]


def test_sums_favour_short_texts_and_means_do_not() -> None:
    found = {
        "letter": weighed([-3, -1, -2, -4], [1] * 4),
        # Per token −2, −1.5, −3, −1; per character −1, −1, −1.5, −0.667.
        "text": weighed([-2, -3, -3, -4], [1, 2, 1, 4]),
    }
    prediction = TASK.choose(multiple_choice(), found)
    assert prediction == "b a d d"
    score = TASK.score([multiple_choice(answer=("d",))], [prediction])
    assert {name: score[name] for name in score if name.startswith("accuracy")} == {
        "accuracy": 0.0,
        "accuracy_text": 0.0,
        "accuracy_text_per_token": 1.0,
        "accuracy_text_per_character": 1.0,
    }


def test_a_question_with_two_right_choices_gets_two() -> None:
    question = multiple_choice(answer=("b", "c"))
    found = {kind: weighed([-3, -1, -2, -4], [1] * 4) for kind in ("letter", "text")}
    prediction = TASK.choose(question, found)
    assert prediction.split(" ")[0] == "b,c"
    assert TASK.score([question], [prediction])["accuracy"] == 1.0
    # A baseline answers once.
    assert TASK.score([question], ["b,c"])["accuracy_text"] == 1.0


ROW = {"id": "q1", "question": "Which?", "options": {"A": "asthma", "B": "gout"}, "answer_idx": "B", "answer": "gout"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_rows(tmp_path / "data/medqa/test.jsonl", [ROW, {**ROW, "id": "q2", "answer_idx": "A"}])
    return tmp_path / "data"


def test_an_evaluation_weighs_every_choice_once_and_goes_on_after_a_kill(data: Path, tmp_path: Path) -> None:
    class Dying(Weigher):
        def loglikelihood(self, pairs):  # type: ignore[no-untyped-def]
            for count, found in enumerate(super().loglikelihood(pairs)):
                if count == 5:
                    raise KeyboardInterrupt
                yield found

    def evaluate(backend: Weigher) -> dict[str, object]:
        options = Options(protocol="loglikelihood", plain=True)
        run_tasks(backend, ["medqa"], data, tmp_path / "out", model_info={}, options=options, identity="w")
        return json.loads((tmp_path / "out/scores.json").read_text())["tasks"]["medqa"]

    weights = {"A": -2.0, "B": -1.0, "asthma": -1.0, "gout": -2.0}
    first = Dying(weights)
    with pytest.raises(KeyboardInterrupt):
        evaluate(first)
    second = Weigher(weights)
    entry = evaluate(second)
    # q2 was weighed whole before; the fifth pair was only half of a prompt.
    assert len(second.pairs) == 4
    assert entry["metrics"] == {
        "accuracy": 0.5,
        "accuracy_text": 0.5,
        "accuracy_text_per_token": 0.5,
        "accuracy_text_per_character": 0.5,
    }
    # Four prompts of ten tokens, and each question's continuations " A", " B", " asthma" and " gout" once.
    assert (entry["prompt_tokens"], entry["completion_tokens"]) == (4 * 10 + 2 * 16, None)
    prompts = [row for _, row in read_jsonl(tmp_path / "out/prompts-medqa.jsonl")]
    assert [row["id"] for row in prompts] == ["q1/letter", "q1/text", "q2/letter", "q2/text"]
    assert prompts[0]["continuations"] == [" A", " B"] and prompts[0]["text"].endswith("Answer:")


def test_a_model_that_weighs_nothing_says_so(data: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scripted: says nothing of how likely a given answer is"):
        run_tasks(
            Scripted("a"),
            ["medqa"],
            data,
            tmp_path / "out",
            model_info={},
            options=Options(protocol="loglikelihood"),
        )

"""`jmed generate` and `jmed chat` with a stand-in for the model; with a real one: `test_commands.py`."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from jmed_jax.cli import main
from jmed_jax.generate.sampling import Sampling


@dataclass
class FakeModel:
    """One token a character and one a message; the answer counts the questions."""

    config: Any = field(default_factory=lambda: SimpleNamespace(context_length=40))
    read: list[list[str]] = field(default_factory=list)
    asked: dict[str, Any] = field(default_factory=dict)
    interrupted: bool = False

    def chat_prompt(self, messages: Sequence[dict[str, str]]) -> list[int]:
        return [0] * sum(len(message["content"]) + 1 for message in messages)

    def stream_chat(self, messages: Sequence[dict[str, str]], **options: Any) -> Iterator[str]:
        self.read.append([message["content"] for message in messages])
        self.asked = options
        yield "答え"
        if self.interrupted:
            raise KeyboardInterrupt
        yield "です"

    def generate(self, prompts: Sequence[str], **options: Any) -> list[str]:
        self.asked = options
        return ["続き"] * len(prompts)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> FakeModel:
    made = FakeModel()
    monkeypatch.setattr("jmed_jax.language_model.load", lambda _path: made)
    return made


def chat(monkeypatch: pytest.MonkeyPatch, lines: str, *options: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    return main(["chat", "--model", "m", "--max-new-tokens", "10", *options])


def test_options_reach_the_model(model: FakeModel) -> None:
    options = "--temperature 0.7 --top-k 5 --top-p 0.9 --repetition-penalty 1.1 --seed 3 --stop 。 --stop END"
    assert main(["generate", "--model", "m", "--max-new-tokens", "7", *options.split(), "熱"]) == 0
    sampling = Sampling(temperature=0.7, top_k=5, top_p=0.9, repetition_penalty=1.1, seed=3, stop=("。", "END"))
    assert model.asked == {"max_new_tokens": 7, "sampling": sampling}
    assert main(["generate", "--model", "m", "--beams", "4", "--length-penalty", "0.5", "熱"]) == 0
    assert model.asked["sampling"] == Sampling(beams=4, length_penalty=0.5)


def test_options_that_make_no_sense_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "--model", "m", "--top-k", "5", "熱"]) == 2
    assert "greedy draws nothing" in capsys.readouterr().err


def test_the_oldest_turns_are_dropped_and_that_is_said(
    model: FakeModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chat(monkeypatch, "一一一一一一\n二二二二二二\n三三三三三三\n", "--system", "頼") == 0
    assert model.read[1] == ["頼", "一一一一一一", "答えです", "二二二二二二"]
    assert model.read[2] == ["頼", "二二二二二二", "答えです", "三三三三三三"]
    captured = capsys.readouterr()
    assert captured.err.count("oldest 1 turn(s) are dropped") == 1
    assert captured.out == "答えです\n" * 3


def test_a_message_longer_than_the_context_is_not_read(
    model: FakeModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chat(monkeypatch, "長" * 60 + "\n短\n" + "中" * 34 + "\n") == 0
    assert model.read == [["短"], ["中" * 34]]
    assert model.asked["max_new_tokens"] == 5
    errors = capsys.readouterr().err
    assert "longer than the model's context of 40 tokens" in errors and "leaves 5 tokens" in errors


def test_an_interrupt_stops_the_answer_and_not_the_program(
    model: FakeModel, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model.interrupted = True
    assert chat(monkeypatch, "一\n二\n") == 0
    assert model.read == [["一"], ["一", "答え", "二"]]
    assert capsys.readouterr().out == "答え\n答え\n"

import json

import pytest

from jmed_jax.backends.protocol import Completion, Likelihood
from jmed_jax.evaluate.answers import Answer


@pytest.mark.parametrize(
    "answer",
    [
        Answer(0.5, Completion("a", prompt_tokens=9, completion_tokens=1, seconds=0.25)),
        Answer(0.5, Completion("", "an empty answer", is_final=True, completion_tokens=0, seconds=0.0)),
        Answer(0.5, likelihoods=(Likelihood(-1.25, 2, is_greedy=True), Likelihood(-9.0, 3, is_greedy=False))),
    ],
)
def test_an_answer_comes_back_from_the_journal_as_it_was(answer: Answer) -> None:
    assert Answer.read(json.loads(json.dumps(answer.record("task", "id")))) == answer

"""Models that answer by script, for the tests of evaluations."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from jmed_jax.backends.protocol import Backend, Completion, Decoding, Likelihood, Prompt


def question_of(prompt: Prompt) -> str:
    """What was asked last."""
    return prompt if isinstance(prompt, str) else prompt[-1]["content"]


class Scripted(Backend):
    """Answers what `script` returns for the last message; remembers all that it was asked, and how.

    An exception is raised; None is a request that failed.
    """

    name = "scripted"
    batch_size = 4

    def __init__(
        self, script: str | Callable[[str], str | Completion | BaseException | None], *, restores_writing: bool = False
    ) -> None:
        self.script = (lambda _: script) if isinstance(script, str) else script
        self.restores_writing = restores_writing
        self.counts: Counter[str] = Counter()
        self.asked: list[Prompt] = []
        self.decodings: list[Decoding] = []

    def answers(
        self, prompts: Sequence[Prompt], decoding: Decoding, *, ids: Sequence[str] | None = None
    ) -> Iterator[tuple[int, Completion]]:
        assert ids is not None and len(ids) == len(prompts)
        self.decodings.append(decoding)
        # The last ones come first: nobody may count on the order.
        for index in reversed(range(len(prompts))):
            answer = self.script(question_of(prompts[index]))
            if isinstance(answer, BaseException):
                raise answer
            self.asked.append(prompts[index])
            self.counts["requests"] += 1
            if answer is None:
                yield index, Completion("", "connection refused")
            elif isinstance(answer, Completion):
                yield index, answer
            else:
                yield index, Completion(answer, prompt_tokens=10, completion_tokens=2, seconds=0.5)


class Weigher(Scripted):
    """Weighs continuations by `weights`; what is not there weighs −9."""

    def __init__(self, weights: dict[str, float]) -> None:
        super().__init__("")
        self.weights = weights
        self.pairs: list[tuple[Prompt, str]] = []

    def loglikelihood(self, pairs: Sequence[tuple[Prompt, str]]) -> Iterator[tuple[int, Likelihood]]:
        for index in reversed(range(len(pairs))):
            self.pairs.append(pairs[index])
            text = pairs[index][1]
            yield index, Likelihood(self.weights.get(text.strip(), -9.0), len(text), is_greedy=False, prompt_tokens=10)

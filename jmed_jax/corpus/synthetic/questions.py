"""Exercises whose right answer follows from the lists, and whose four wrong answers are wrong by the same lists."""

from collections.abc import Callable, Sequence
from random import Random

from jmed_jax.corpus.synthetic.exercises import LETTERS, Exercise
from jmed_jax.corpus.synthetic.names import fold
from jmed_jax.corpus.synthetic.wording import sentence

Question = Callable[[], Exercise | None]

WRONG = len(LETTERS) - 1
CANDIDATES = 400
"""Names of the lists that are looked at for wrong answers; where four cannot be found, there is no such exercise."""


class Questions:
    """What questions about any topic have in common."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def kinds(self) -> list[Question]:
        """What can be asked, whether or not the lists hold enough for it."""
        raise NotImplementedError

    def take(self, count: int) -> list[Exercise]:
        """So many exercises of different kinds, in random order; fewer where the facts give no more."""
        kinds = self.kinds()
        made = (question() for question in self.random.sample(kinds, len(kinds)))
        return [exercise for _, exercise in zip(range(count), filter(None, made), strict=False)]

    def compose(self, question: str, right: str, wrong: Sequence[str], explanation: str) -> Exercise | None:
        """The exercise with its options in random order; None if they are not five different ones."""
        options = [right, *wrong[:WRONG]]
        if len({fold(option) for option in options}) < len(LETTERS):
            return None
        options = self.random.sample(options, len(LETTERS))
        return Exercise(question, tuple(options), LETTERS[options.index(right)], explanation)

    def question(self, kind: str, /, **values: str) -> str:
        """The wording of a question."""
        return sentence(self.random, "exercises", kind, **values)

    def explain(self, template: str, /, **values: str) -> str:
        """A sentence of an explanation."""
        return sentence(self.random, "explanations", template, **values)

"""Asking: every answer is on disk when it comes, and what stands there is not asked again."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from typing import Any

from jmed_jax.backends.protocol import Backend, Completion, Decoding, Likelihood, Scorer
from jmed_jax.errors import InputError
from jmed_jax.evaluate.plan import Asked, Plan
from jmed_jax.journal import Journal
from jmed_jax.progress import say, track

# So many in a row without an answer are no accident: the server is gone, or the key is wrong.
HOPELESS = 20


@dataclass(frozen=True)
class Answer:
    """What came back for one prompt.

    Attributes:
        completion: where the model wrote.
        likelihoods: of the continuations, where it weighed.
        waited: seconds since the answer before, or since asking began; their sum is the time of a task, over all
            runs that asked for a part of it.
    """

    waited: float
    completion: Completion = field(default_factory=lambda: Completion(""))
    likelihoods: tuple[Likelihood, ...] = ()

    @property
    def overlong(self) -> bool:
        return self.completion.overlong or any(found.overlong for found in self.likelihoods)

    @property
    def prompt_tokens(self) -> int | None:
        """Tokens read: of the prompt; and where continuations are weighed, of them too, the prompt counted once."""
        if not self.likelihoods:
            return self.completion.prompt_tokens
        prompt = self.likelihoods[0].prompt_tokens
        return None if prompt is None else prompt + sum(found.tokens for found in self.likelihoods)

    def record(self, task: str, identifier: str) -> dict[str, Any]:
        """As the journal has it: fields that say nothing are left out."""
        # A zero says something, though Python takes it for False.
        completion = {name: v for name, v in asdict(self.completion).items() if v not in (None, "") and v is not False}
        likelihoods = [asdict(found) for found in self.likelihoods]
        return {
            "task": task,
            "id": identifier,
            "waited": round(self.waited, 6),
            **({"likelihoods": likelihoods} if likelihoods else {"completion": completion}),
        }

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> "Answer":
        completion = Completion(**{"text": "", **record.get("completion", {})})
        likelihoods = tuple(Likelihood(**found) for found in record.get("likelihoods", ()))
        return cls(record["waited"], completion, likelihoods)


Answers = dict[tuple[str, str], Answer]
"""By task, and id of the prompt."""


def decoding(plan: Plan, max_new_tokens: int | None, beams: int) -> Decoding:
    """How the answers of a task are written."""
    stop = plan.task.plain_stop if plan.plain else ()
    return Decoding(max_new_tokens or plan.task.max_new_tokens, beams, stop)


def collect(
    plans: Sequence[Plan],
    backend: Backend,
    journal: Journal,
    *,
    max_new_tokens: int | None = None,
    beams: int = 1,
    leave_unanswered: bool = False,
) -> Answers:
    """Every prompt's answer: those of the journal, and the others from the model.

    Args:
        leave_unanswered: go without the answers that the model does not give.

    Raises:
        InputError: the model takes no such prompts; prompts have no answer, or the budget is spent. What was answered
            is in the journal.
    """
    wanted = {(plan.task.name, asked.id) for plan in plans for asked in plan.asked}
    records = (((record["task"], record["id"]), record) for _, record in journal.records())
    answers = {key: Answer.read(record) for key, record in records if key in wanted}
    total = len(wanted)
    if answers:
        say(f"{len(answers):,} of {total:,} prompts are answered already")
    keeper = _Keeper(journal, answers, total, patient=leave_unanswered)
    for plan in plans:
        left = [asked for asked in plan.asked if (plan.task.name, asked.id) not in answers]
        for asked, answer in track(
            _ask(plan, left, backend, decoding(plan, max_new_tokens, beams)),
            plan.task.name,
            total=len(left),
            unit="answers",
        ):
            keeper.keep(plan.task.name, asked.id, answer)
    keeper.check()
    return answers


class _Keeper:
    """Writes answers down, and says when it is no use to go on."""

    def __init__(self, journal: Journal, answers: Answers, total: int, *, patient: bool) -> None:
        self.journal = journal
        self.answers = answers
        self.total = total
        self.patient = patient
        self.failed: dict[tuple[str, str], str] = {}
        self._in_a_row = 0

    def keep(self, task: str, identifier: str, answer: Answer) -> None:
        completion = answer.completion
        if completion.over_budget:
            raise InputError(f"the budget is spent; a larger one goes on. {self._kept()}")
        if not completion.error or completion.is_final:
            self.journal.append([answer.record(task, identifier)])
            self.answers[task, identifier] = answer
            self._in_a_row = 0
            return
        self.failed[task, identifier] = completion.error
        self._in_a_row += 1
        if self.patient:
            self.answers[task, identifier] = answer
        elif self._in_a_row >= HOPELESS:
            raise InputError(f"no answer to {self._in_a_row} prompts in a row: {completion.error}. {self._kept()}")

    def check(self) -> None:
        if self.failed and not self.patient:
            raise InputError(
                f"no answer to {len(self.failed):,} prompts ({next(iter(self.failed.values()))}). {self._kept()} "
                "--leave-unanswered counts them as wrong."
            )

    def _kept(self) -> str:
        kept = len(self.answers.keys() - self.failed.keys())
        return (
            f"{kept:,} of {self.total:,} answers are kept in {self.journal.directory}: the same command goes on there."
        )


def _ask(plan: Plan, asked: Sequence[Asked], backend: Backend, how: Decoding) -> Iterator[tuple[Asked, Answer]]:
    """Prompts with their answers, as they come."""
    if not asked:
        return
    last = time.monotonic()
    for one, content in _weigh(asked, backend) if asked[0].continuations else _write(plan, asked, backend, how):
        now = time.monotonic()
        yield one, Answer(now - last, **content)
        # Writing an answer down is no time of the model.
        last = time.monotonic()


def _write(
    plan: Plan, asked: Sequence[Asked], backend: Backend, how: Decoding
) -> Iterator[tuple[Asked, dict[str, Any]]]:
    names = [f"{plan.task.name}/{one.id}" for one in asked]
    for index, completion in backend.answers([one.prompt for one in asked], how, ids=names):
        yield asked[index], {"completion": completion}


def _weigh(asked: Sequence[Asked], backend: Backend) -> Iterator[tuple[Asked, dict[str, Any]]]:
    if not isinstance(backend, Scorer):
        raise InputError(
            f"{backend.name}: says nothing of how likely a given answer is, which protocol loglikelihood needs. Take a "
            "model of a directory, or another protocol."
        )
    pairs = [(one.prompt, continuation) for one in asked for continuation in one.continuations]
    owners = [place for place, one in enumerate(asked) for _ in one.continuations]
    first = list(accumulate((len(one.continuations) for one in asked), initial=0))
    found: dict[int, dict[int, Likelihood]] = {}
    for index, likelihood in backend.loglikelihood(pairs):
        place = owners[index]
        mine = found.setdefault(place, {})
        mine[index - first[place]] = likelihood
        if len(mine) == len(asked[place].continuations):
            yield asked[place], {"likelihoods": tuple(mine[i] for i in range(len(mine)))}

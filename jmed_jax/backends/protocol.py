"""What models look like that answer prompts, weigh continuations, or encode texts: ours, a Hugging Face one, …"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Message = Mapping[str, str]
"""{"role": "system" | "user" | "assistant", "content": …}"""
Prompt = Sequence[Message] | str
"""A conversation, put through the model's chat template; or a text to go on with, for base models that have none."""


@dataclass(frozen=True)
class Decoding:
    """How answers are written. Nothing is drawn: the same prompt gets the same answer."""

    max_new_tokens: int
    beams: int = 1
    """Above 1: beam search."""
    stop: tuple[str, ...] = ()
    """Texts before which an answer ends."""


@dataclass(frozen=True)
class Completion:
    """One answer.

    Attributes:
        text: what the model wrote; empty where it gave no answer.
        error: why there is no answer, after all retries; empty where there is one.
        over_budget: there is no answer because the budget is spent: ask again another time, do not record it.
        is_final: asked again, the model would give no answer again (it wrote nothing, or the prompt is too long).
        is_prediction: an examination's answer that somebody has read out already: it is taken to the last blank.
        is_list: `text` is a printed list of strings, for a reader that knows what the task makes of one.
        overlong: prompt and answer exceed what the model reads, or was trained on.
        prompt_tokens: of this prompt; None where nobody says.
        seconds: from asking to the answer; None where answers are written together.
    """

    text: str
    error: str = ""
    over_budget: bool = False
    is_final: bool = False
    is_prediction: bool = False
    is_list: bool = False
    overlong: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Likelihood:
    """What a model thinks of a continuation.

    Attributes:
        log_probability: natural, of the whole continuation after its prompt.
        tokens: of the continuation.
        is_greedy: greedy decoding would write it.
        overlong, prompt_tokens: as in `Completion`.
    """

    log_probability: float
    tokens: int
    is_greedy: bool
    overlong: bool = False
    prompt_tokens: int | None = None


@dataclass(frozen=True)
class Machine:
    """What a model runs on.

    Attributes:
        device: e.g. "NVIDIA H100 80GB HBM3", or "cpu".
        peak_memory_bytes: the accelerator's, or the process's where the model runs on a CPU.
    """

    device: str
    count: int
    peak_memory_bytes: int | None


class Backend(Protocol):
    """Answers prompts. Whoever subclasses it writes `answers`."""

    name: str
    """The model, for provenance: never a path or an address."""

    batch_size: int
    """How many prompts at a time make good use of it, for those who go on from the answers."""

    restores_writing: bool = False
    """Reads and writes cleaned text, so that extracted strings are mapped back to the question's own writing."""

    counts: Counter[str]
    """What happened so far: `requests`, `answers`, `prompt_tokens`, `completion_tokens`, and what failed, by kind."""

    def answers(
        self, prompts: Sequence[Prompt], decoding: Decoding, *, ids: Sequence[str] | None = None
    ) -> Iterator[tuple[int, Completion]]:
        """Every prompt's index and completion, as they end. What went wrong with one of them is in its `error`.

        Args:
            ids: what the prompts are called; only those who look answers up need it.

        Raises:
            InputError: the model takes no such prompts, or cannot decode so.
        """
        ...

    def complete(self, prompts: Sequence[Prompt], decoding: Decoding) -> list[Completion]:
        """One completion a prompt, in their order; raises as `answers`."""
        found = dict(self.answers(prompts, decoding))
        return [found[index] for index in range(len(prompts))]

    def machine(self) -> Machine | None:
        """Where the model runs, and what it took so far; None where that cannot be known."""
        return None


@runtime_checkable
class Scorer(Protocol):
    """Weighs continuations."""

    def loglikelihood(self, pairs: Sequence[tuple[Prompt, str]]) -> Iterator[tuple[int, Likelihood]]:
        """Every pair's index and likelihood: of a continuation (an assistant's message, or text) after a prompt.

        Raises:
            InputError: the model takes no such prompts, or a pair exceeds what it reads.
        """
        ...


class Encoder(Protocol):
    """Turns texts into vectors of D numbers."""

    name: str
    """The model, for provenance: never a path."""

    fingerprint: str
    """Of all that decides the vectors."""

    max_length: int
    """Tokens of a text that are looked at."""

    tokens: int
    """Read so far."""

    def encode(self, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Vectors float32 [N, D] of N texts, in their order."""
        ...

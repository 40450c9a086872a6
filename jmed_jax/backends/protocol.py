"""What models look like that answer conversations, or that encode texts: ours, a Hugging Face one, an endpoint."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Message = Mapping[str, str]
"""{"role": "system" | "user" | "assistant", "content": …}"""


@dataclass(frozen=True)
class Completion:
    """One answer.

    Attributes:
        text: what the model wrote; empty where it gave no answer.
        error: why there is no answer, after all retries; empty where there is one.
        over_budget: there is no answer because the budget is spent: ask again another time, do not record it.
    """

    text: str
    error: str = ""
    over_budget: bool = False


class ChatBackend(Protocol):
    """Answers conversations, each with one assistant message."""

    name: str
    """The model, for provenance: never a path or an address."""

    batch_size: int
    """How many conversations at a time make good use of it; their answers are lost together in a crash."""

    counts: Counter[str]
    """What happened so far: `requests`, `answers`, `prompt_tokens`, `completion_tokens`, and what failed, by kind."""

    def complete(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Completion]:
        """One completion a conversation, in their order. What went wrong with one of them is in its `error`."""
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

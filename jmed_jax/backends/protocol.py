"""What every model that answers conversations looks like: ours, a Hugging Face one, an endpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Message = Mapping[str, str]
"""{"role": "system" | "user" | "assistant", "content": …}"""


@dataclass(frozen=True)
class Completion:
    """One answer.

    Attributes:
        text: what the model wrote; empty where it gave no answer.
        error: why there is no answer, after all retries; empty where there is one.
    """

    text: str
    error: str = ""


class ChatBackend(Protocol):
    """Answers conversations, each with one assistant message."""

    name: str
    """The model, for provenance: never a path or an address."""

    def complete(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Completion]:
        """One completion a conversation, in their order. What went wrong with one of them is in its `error`."""
        ...

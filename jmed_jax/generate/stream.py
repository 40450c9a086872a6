"""Text out of tokens as they come: whole characters, and nothing of a text that ends the answer."""

from collections.abc import Callable, Iterable, Sequence

Decode = Callable[[Sequence[int]], str]
"""Text of ids; bytes that are no UTF-8 become U+FFFD, and ids that end at a character's end join to its text."""

REPLACEMENT = "\ufffd"


class TextStream:
    """Pieces of one answer's text. Their sum is the text of all tokens, cut before the first stop text.

    Attributes:
        stopped: a stop text was written.
    """

    def __init__(self, decode: Decode, stop: Sequence[str] = ()) -> None:
        self.stopped = False
        self._decode = decode
        self._stop = tuple(stop)
        self._ids: list[int] = []
        """Whose text ends within a character, perhaps."""
        self._held = ""
        """May be the beginning of a stop text."""

    def feed(self, ids: Iterable[int]) -> str:
        """What of the text is certain with some more tokens; nothing more once it has stopped."""
        if self.stopped:
            return ""
        self._ids += ids
        text = self._decode(self._ids)
        # A character of several bytes may have its last ones in the next token.
        if text.endswith(REPLACEMENT):
            return ""
        self._ids = []
        return self._until_stop(text, last=False)

    def finish(self) -> str:
        """The rest, once no more tokens come."""
        if self.stopped:
            return ""
        text, self._ids = self._decode(self._ids), []
        return self._until_stop(text, last=True)

    def _until_stop(self, text: str, *, last: bool) -> str:
        text = self._held + text
        found = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if found:
            self.stopped, self._held = True, ""
            return text[: min(found)]
        keep = 0 if last else _beginning(text, self._stop)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _beginning(text: str, stop: Sequence[str]) -> int:
    """Characters at the end of `text` with which one of `stop` may begin."""
    longest = min(len(text), max((len(words) - 1 for words in stop), default=0))
    return next((n for n in range(longest, 0, -1) if any(words.startswith(text[-n:]) for words in stop)), 0)


def until_stop(text: str, stop: Sequence[str]) -> str:
    """The text before the first of some texts."""
    return text[: min((place for s in stop if (place := text.find(s)) >= 0), default=len(text))]

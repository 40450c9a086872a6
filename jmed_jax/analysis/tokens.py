"""What the ids of a vocabulary stand for, and which of them are worth looking at."""

import re
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from jmed_jax.errors import InputError
from jmed_jax.tokenizer.load import TextTokenizer
from jmed_jax.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    from jmed_jax.language_model import LanguageModel

# What bytes that are no character decode to.
REPLACEMENT = "\ufffd"
# A character has at most four bytes, so it lies in at most four tokens.
_PARTS = "₁₂₃₄"
# Stands for a space at the beginning of a token, which would not be seen.
SPACE = "␣"


class Writing(StrEnum):
    """How a token is written."""

    KANJI = "kanji"
    KANA = "kana"
    MIXED = "mixed"
    """Kanji or kana with each other, or with letters, digits and signs."""
    LATIN = "latin"
    OTHER = "other"


# Half-width katakana among them: byte-level BPE may have been trained on such text.
_KANJI, _KANA = "㐀-䶿一-鿿豈-﫿\U00020000-\U000323af々〆〇", "ぁ-ゖゝゞァ-ヺー・ヽヾㇰ-ㇿｦ-ﾟ"
_LETTER = "A-Za-zÀ-ÖØ-öø-ɏΑ-ω"
_WRITINGS = (
    (Writing.KANJI, re.compile(f"[{_KANJI}]+")),
    (Writing.KANA, re.compile(f"[{_KANA}]+")),
    (Writing.LATIN, re.compile(f"[{_LETTER}][{_LETTER}'’.-]*")),
)
_JAPANESE = re.compile(f"[{_KANJI}{_KANA}]")


def writing(text: str) -> Writing:
    """How a token's text is written; white space around it does not count."""
    text = text.strip()
    for kind, pattern in _WRITINGS:
        if pattern.fullmatch(text):
            return kind
    return Writing.MIXED if _JAPANESE.search(text) else Writing.OTHER


def tokenizer_of(model: "LanguageModel") -> TextTokenizer:
    """
    Raises:
        InputError: the model has no tokenizer.
    """
    if model.tokenizer is None:
        raise InputError(f"{model.name}: this model has no tokenizer, so its tokens have no names.")
    return model.tokenizer


def text_tokens(tokenizer: TextTokenizer, size: int) -> dict[str, int]:
    """Text → id of the ids below `size` that stand for text: neither special ones, nor parts of a character, white
    space or control codes."""
    written = {index: tokenizer.decode([index]) for index, count in enumerate(tokenizer.byte_counts()[:size]) if count}
    # Of a character's byte and its piece the later one, the piece, is what text is encoded with.
    return {text: index for index, text in written.items() if _is_text(text)}


def _is_text(token: str) -> bool:
    return bool(token.strip()) and token.isprintable() and REPLACEMENT not in token


def word_test(tokenizer: TextTokenizer) -> Callable[[str], bool]:
    """Tells whole words from the pieces of words, by MeCab and the disease names where the tokenizer has them.

    Byte-level BPE knows no words: there every token is one.
    """
    if not isinstance(tokenizer, Tokenizer):
        return lambda _token: True
    words = tokenizer.core.segmenter.words
    return lambda token: len(words(token)) == 1


def shown(token: str) -> str:
    """A token for people: a space at its beginning is seen."""
    return SPACE + token[1:] if token.startswith(" ") else token


def token_labels(tokenizer: TextTokenizer, ids: Sequence[int]) -> list[str]:
    """The text of each token of a row; of a part of a character, the character and which part: `脳₁`, `脳₂`."""
    labels: list[str] = []
    while len(labels) < len(ids):
        start = len(labels)
        labels += _next_labels(tokenizer, ids[start : start + len(_PARTS)])
    return labels


def _next_labels(tokenizer: TextTokenizer, ids: Sequence[int]) -> list[str]:
    """Of the fewest of the first tokens that are text together; of the first alone if none are."""
    for count in range(1, len(ids) + 1):
        text = tokenizer.decode(ids[:count], skip_special=False)
        if REPLACEMENT not in text:
            return [text] if count == 1 else [text + part for part in _PARTS[:count]]
    return [REPLACEMENT]

"""Text to ids and back: words from MeCab, pieces of each word from a sentencepiece Unigram model.

The part that `Tokenizer` and the exported Hugging Face class share. Imports only the standard library, sentencepiece
and its two neighbours: a copy of this file travels with every exported Hugging Face tokenizer.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sentencepiece

from .clean import RULES_VERSION, clean
from .morphology import Segmenter

MODEL_FILE = "tokenizer.model"
USER_DICTIONARY_FILE = "user.dic"
SETTINGS_FILE = "jmed_tokenizer.json"

BEGIN_OF_TEXT = "<|begin_of_text|>"
END_OF_TEXT = "<|end_of_text|>"
ROLES = ("system", "user", "assistant")
CHAT_TOKENS = tuple(f"<|{role}|>" for role in ROLES)

META_SPACE = "\u2581"
# Words in the cache before it is emptied: about 100 MB. Text repeats its words, so it fills slowly.
CACHE_SIZE = 500_000

# The same as `Tokenizer.encode_chat`. Content is escaped as `clean` does it, before the control tokens are looked for.
CHAT_TEMPLATE = """\
{%- set control_tokens = {'system': '<|system|>', 'user': '<|user|>', 'assistant': '<|assistant|>'} -%}
{{- '<|begin_of_text|>' -}}
{%- for message in messages -%}
{%- if message['role'] not in control_tokens -%}
{{- raise_exception('unknown role ' + message['role'] + ': use system, user or assistant') -}}
{%- endif -%}
{{- control_tokens[message['role']] -}}
{{- message['content'] | replace('<|', '< |') | replace('|>', '| >') -}}
{%- if message['role'] == 'assistant' -%}{{- '<|end_of_text|>' -}}{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}
"""


class TokenizerCore:
    """Encodes and decodes with the files of one tokenizer.

    Args:
        model: the sentencepiece model.
        user_dictionary: compiled MeCab dictionary, or None.
        settings: the tokenizer's settings file.

    Raises:
        ValueError: the model is not one of ours, or the cleaning rules have changed since it was made.
    """

    def __init__(self, model: Path, user_dictionary: Path | None, settings: Path) -> None:
        _check_settings(settings)
        self.segmenter = Segmenter(user_dictionary)
        self._processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
        self.base_size: int = self._processor.vocab_size()
        self.tokens: list[str] = [*self._processor.id_to_piece(list(range(self.base_size))), *CHAT_TOKENS]
        self.ids: dict[str, int] = {token: index for index, token in enumerate(self.tokens)}
        if missing := [token for token in (BEGIN_OF_TEXT, END_OF_TEXT, "\n") if token not in self.ids]:
            raise ValueError(f"{model} has no piece {missing[0]!r}: not a tokenizer of jmed_jax")
        self.control_ids = {token: self.ids[token] for token in (BEGIN_OF_TEXT, END_OF_TEXT, *CHAT_TOKENS)}
        self._bytes = [self._bytes_of(index) for index in range(len(self.tokens))]
        self._cache: dict[str, list[int]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_cache": {}}

    def _bytes_of(self, index: int) -> bytes:
        token = self.tokens[index]
        if index >= self.base_size or self._processor.is_control(index):
            return token.encode()
        if self._processor.is_byte(index):
            return bytes([int(token[3:5], 16)])
        return token.replace(META_SPACE, " ").encode()

    def encode(self, text: str) -> list[int]:
        """Clean `text` and return its ids; none is a control token. No piece crosses a boundary between words."""
        return self.encode_cleaned(clean(text))

    def encode_cleaned(self, text: str) -> list[int]:
        """As `encode`, for a text that `clean` has been through."""
        return self.encode_words(self.segmenter.words(text))

    def encode_words(self, words: Iterable[str]) -> list[int]:
        """Return the ids of the words of a cleaned text."""
        cache = self._cache
        ids: list[int] = []
        for word in words:
            known = cache.get(word)
            if known is None:
                known = self._remember(word)
            ids += known
        return ids

    def _remember(self, word: str) -> list[int]:
        if len(self._cache) >= CACHE_SIZE:
            self._cache.clear()
        # sentencepiece writes a space as the meta-space (step 10 of the paper).
        ids: list[int] = self._processor.encode(word)
        self._cache[word] = ids
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Join the pieces; bytes that are no UTF-8, as a model may write them, become U+FFFD."""
        table = self._bytes
        return b"".join([table[index] for index in ids]).decode("utf-8", errors="replace")

    def byte_count(self, index: int) -> int:
        """Bytes that an id decodes to; none for the unknown piece, which no text has: it falls back to bytes."""
        unknown = index < self.base_size and self._processor.is_unknown(index)
        return 0 if unknown else len(self._bytes[index])

    def is_byte(self, index: int) -> bool:
        """Whether an id is one byte of a character that has no piece."""
        return index < self.base_size and bool(self._processor.is_byte(index))


def settings() -> dict[str, object]:
    """What a tokenizer's settings file holds."""
    return {"format": 1, "cleaning_rules": RULES_VERSION, "morphology": "ipadic", "chat_tokens": list(CHAT_TOKENS)}


def _check_settings(path: Path) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    expected = settings()
    for name, value in expected.items():
        if found.get(name) != value:
            raise ValueError(
                f'{path}: "{name}" is {found.get(name)!r} and this code needs {value!r}: another version made it'
            )

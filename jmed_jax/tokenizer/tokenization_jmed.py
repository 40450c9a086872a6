"""`JmedTokenizer`: the tokenizer of jmed_jax for `transformers.AutoTokenizer`, without jmed_jax installed.

Needs fugashi, ipadic and sentencepiece. Travels with the exported tokenizer, beside clean.py, contacts.py, core.py and
morphology.py. Text is cleaned, segmented by MeCab and cut into Unigram pieces (arXiv 2412.16423 §2.2). As everywhere
in transformers, control tokens that stand in a text are read as such; the chat template escapes them in what people
write.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizer

from .core import (
    BEGIN_OF_TEXT,
    CHAT_TEMPLATE,
    CHAT_TOKENS,
    END_OF_TEXT,
    MODEL_FILE,
    SETTINGS_FILE,
    USER_DICTIONARY_FILE,
    TokenizerCore,
)

__all__ = ["JmedTokenizer"]


class JmedTokenizer(PreTrainedTokenizer):
    """Ids and decoded text equal those of `jmed_jax.tokenizer.tokenizer.Tokenizer`.

    Args:
        vocab_file: the sentencepiece model.
        user_dictionary_file: compiled MeCab dictionary, or None.
        settings_file: the tokenizer's settings.
    """

    vocab_files_names = {  # noqa: RUF012  (the name and its type are those of transformers)
        "vocab_file": MODEL_FILE,
        "user_dictionary_file": USER_DICTIONARY_FILE,
        "settings_file": SETTINGS_FILE,
    }
    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012
    # `save_pretrained` then copies the code as well.
    _auto_class = "AutoTokenizer"

    def __init__(
        self,
        vocab_file: str,
        user_dictionary_file: str | None = None,
        settings_file: str | None = None,
        **kwargs: Any,
    ) -> None:
        files = (vocab_file, user_dictionary_file, settings_file)
        self._files = [Path(file) for file in files if file is not None]
        settings = Path(settings_file) if settings_file else Path(vocab_file).with_name(SETTINGS_FILE)
        dictionary = Path(user_dictionary_file) if user_dictionary_file else None
        self.core = TokenizerCore(Path(vocab_file), dictionary, settings)
        kwargs.setdefault("bos_token", BEGIN_OF_TEXT)
        kwargs.setdefault("eos_token", END_OF_TEXT)
        kwargs.setdefault("pad_token", END_OF_TEXT)
        kwargs.setdefault("extra_special_tokens", list(CHAT_TOKENS))
        kwargs.setdefault("chat_template", CHAT_TEMPLATE)
        # No control token is added to a text by itself, as in `Tokenizer.encode`.
        kwargs["special_tokens_pattern"] = "none"
        super().__init__(**kwargs)

    @property
    def vocab_size(self) -> int:
        """Number of Unigram pieces; `len(tokenizer)` counts the chat tokens too."""
        return self.core.base_size

    def get_vocab(self) -> dict[str, int]:
        """Every token and its id."""
        return {**self.core.ids, **self.added_tokens_encoder}

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        tokens = self.core.tokens
        return [tokens[index] for index in self.core.encode(text)]

    def _convert_token_to_id(self, token: str) -> int:
        return self.core.ids.get(token, 0)

    def _convert_id_to_token(self, index: int) -> str:
        return self.core.tokens[index]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Join pieces to text; bytes that are no UTF-8 become U+FFFD."""
        return self.core.decode(self.convert_tokens_to_ids(list(tokens)))

    def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
        """Copy the model, the dictionary and the settings."""
        prefix = f"{filename_prefix}-" if filename_prefix else ""
        saved = []
        for file in self._files:
            target = Path(save_directory) / (prefix + file.name)
            if file.resolve() != target.resolve():
                shutil.copyfile(file, target)
            saved.append(str(target))
        return tuple(saved)

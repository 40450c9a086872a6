"""The tokenizer of NCVC-slm-1: cleaning, MeCab words, Unigram pieces, chat (arXiv 2412.16423 §2.2, §2.4.2)."""

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jmed_jax import artifact
from jmed_jax.artifact import Artifact
from jmed_jax.config import TokenizerConfig, to_dict
from jmed_jax.errors import InputError
from jmed_jax.progress import say, track
from jmed_jax.tokenizer.clean import clean, escape_control_tokens
from jmed_jax.tokenizer.core import (
    BEGIN_OF_TEXT,
    CHAT_TEMPLATE,
    END_OF_TEXT,
    MODEL_FILE,
    SETTINGS_FILE,
    USER_DICTIONARY_FILE,
    TokenizerCore,
    settings,
)
from jmed_jax.tokenizer.messages import Message, check_message
from jmed_jax.tokenizer.morphology import Segmenter
from jmed_jax.tokenizer.unigram import train_unigram

__all__ = ["CHAT_TEMPLATE", "Message", "Tokenizer", "train_tokenizer"]


class Tokenizer:
    """Text to ids and back. `Tokenizer.load` makes one.

    Attributes:
        path: the directory it was loaded from.
        core: what the exported Hugging Face class shares with it.
        fingerprint: sha256 over its files; equal for a tokenizer and its Hugging Face export.
    """

    def __init__(self, path: Path, core: TokenizerCore) -> None:
        self.path = path
        self.core = core
        self.fingerprint = artifact.files_fingerprint(_files(path))
        self._control_token = re.compile("(" + "|".join(map(re.escape, core.control_ids)) + ")")

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Load a tokenizer artefact, or a Hugging Face directory that `jmed export` wrote.

        Raises:
            InputError: there is no tokenizer of ours in `path`, a file is damaged, or another version made it.
        """
        path = Path(path)
        # A Hugging Face directory has a configuration and checks of its own.
        if (path / artifact.MANIFEST).is_file() and not (path / "tokenizer_config.json").is_file():
            artifact.open_artifact(path, "tokenizer")
        for name in (MODEL_FILE, SETTINGS_FILE):
            if not (path / name).is_file():
                raise InputError(f"{path}: no {name} here, so this is no tokenizer of jmed_jax.")
        dictionary = path / USER_DICTIONARY_FILE
        try:
            core = TokenizerCore(path / MODEL_FILE, dictionary if dictionary.is_file() else None, path / SETTINGS_FILE)
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{path}: this tokenizer cannot be used: {error}.") from error
        return cls(path, core)

    def copy_files(self, out: Path) -> None:
        """Copy what `load` needs into the existing directory `out`, and nothing else that lies beside it."""
        for file in _files(self.path):
            shutil.copyfile(file, out / file.name)

    @property
    def vocab_size(self) -> int:
        """Number of ids: the Unigram pieces and the three chat tokens."""
        return len(self.core.tokens)

    @property
    def base_vocab_size(self) -> int:
        """Number of Unigram pieces, control and byte pieces included; the chat tokens follow."""
        return self.core.base_size

    @property
    def document_vocab_size(self) -> int:
        """Pre-training never meets the chat tokens: its vocabulary is the Unigram pieces alone."""
        return self.base_vocab_size

    @property
    def stop_ids(self) -> frozenset[int]:
        """`<|end_of_text|>` ends answers and documents."""
        return frozenset({self.eos_id})

    def has_chat(self, model_vocab_size: int) -> bool:
        """Whether a model of so many ids knows the chat tokens."""
        return model_vocab_size >= self.vocab_size

    @property
    def bos_id(self) -> int:
        return self.core.control_ids[BEGIN_OF_TEXT]

    @property
    def eos_id(self) -> int:
        return self.core.control_ids[END_OF_TEXT]

    @property
    def pad_id(self) -> int:
        """`<|end_of_text|>` also pads (arXiv 2412.16423 §2.2)."""
        return self.eos_id

    @property
    def newline_id(self) -> int:
        return self.core.ids["\n"]

    @property
    def system_id(self) -> int:
        return self.core.control_ids["<|system|>"]

    @property
    def user_id(self) -> int:
        return self.core.control_ids["<|user|>"]

    @property
    def assistant_id(self) -> int:
        return self.core.control_ids["<|assistant|>"]

    def encode(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Clean `text` and return its ids.

        `decode(encode(text)) == clean(text)` for every text without `parse_special`.

        Args:
            parse_special: read `<|begin_of_text|>` and the like as control tokens. Never for text of unknown origin.
        """
        if not parse_special:
            return self.core.encode(text)
        ids: list[int] = []
        for part in self._control_token.split(text):
            control = self.core.control_ids.get(part)
            ids += self.core.encode(part) if control is None else [control]
        return ids

    def encode_batch(self, texts: Iterable[str]) -> list[list[int]]:
        """Encode each text."""
        return [self.core.encode(text) for text in texts]

    def document_ids(self, text: str) -> list[int]:
        """`<|begin_of_text|>`, the ids of a text, `<|end_of_text|>`."""
        return [self.bos_id, *self.encode(text), self.eos_id]

    def encode_documents(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        """`document_ids` of texts that `clean` has been through, and their UTF-8 bytes: decoding gives them back."""
        ids = [[self.bos_id, *self.core.encode_cleaned(text), self.eos_id] for text in texts]
        return ids, sum(len(text.encode()) for text in texts)

    def byte_counts(self) -> list[int]:
        """Bytes of text that each id stands for [vocab_size]; 0 for a control token."""
        control = set(self.core.control_ids.values())
        return [0 if index in control else self.core.byte_count(index) for index in range(self.vocab_size)]

    def token(self, index: int) -> str:
        """A piece as sentencepiece writes it."""
        return self.core.tokens[index]

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """Join pieces to text; bytes that are no UTF-8, as a model may write them, become U+FFFD.

        Args:
            skip_special: leave control tokens out.
        """
        if skip_special:
            control = set(self.core.control_ids.values())
            ids = [index for index in ids if index not in control]
        return self.core.decode(ids)

    def encode_chat(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> list[int]:
        """Ids of a conversation: `<|begin_of_text|>`, then role token and content of each message.

        Every assistant message ends with `<|end_of_text|>` (arXiv 2412.16423 §2.4.2).

        Args:
            messages: mappings with "role" (system, user or assistant) and "content".
            add_generation_prompt: end with `<|assistant|>`, for the model to answer.

        Raises:
            InputError: a message has another role or lacks a field.
        """
        ids, _ = self.encode_chat_with_mask(messages)
        return [*ids, self.assistant_id] if add_generation_prompt else ids

    def encode_chat_with_mask(self, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
        """Ids of a conversation, and 1 for each id that is learned.

        These are the ids from right after `<|assistant|>` through `<|end_of_text|>`.

        Raises:
            InputError: as `encode_chat`.
        """
        ids, mask = [self.bos_id], [0]
        for message in messages:
            role, content = check_message(message)
            content_ids = self.core.encode(content)
            learned = role == "assistant"
            if learned:
                content_ids.append(self.eos_id)
            ids += [self.core.control_ids[f"<|{role}|>"], *content_ids]
            mask += [0, *[int(learned)] * len(content_ids)]
        return ids, mask

    def render_chat(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """The conversation as text for people, as the chat template renders it.

        Raises:
            InputError: as `encode_chat`.
        """
        parts = [BEGIN_OF_TEXT]
        for message in messages:
            role, content = check_message(message)
            parts += [f"<|{role}|>", escape_control_tokens(content), END_OF_TEXT if role == "assistant" else ""]
        return "".join(parts) + ("<|assistant|>" if add_generation_prompt else "")


def _files(path: Path) -> list[Path]:
    return [path / name for name in (MODEL_FILE, SETTINGS_FILE, USER_DICTIONARY_FILE) if (path / name).is_file()]


# --- training ---------------------------------------------------------------------------------------------------------


def train_tokenizer(
    texts: Iterable[str],
    config: TokenizerConfig,
    out: Path,
    *,
    dictionary: Path | None,
    inputs: Mapping[str, str] = {},
    overwrite: bool = False,
) -> Artifact:
    """Train a tokenizer on texts and write a "tokenizer" artefact (arXiv 2412.16423 §2.2).

    Args:
        texts: documents; they are cleaned here, so both raw and clean text will do.
        dictionary: a "dictionary" artefact, or None for ipadic alone.
        inputs: fingerprints of what the texts come from, for the manifest.

    Raises:
        InputError: the texts are empty or too small for `config.vocab_size`, the dictionary is none, or `out` exists.
    """
    artifact.check_free(out, overwrite)
    with artifact.create(out, "tokenizer", to_dict(config), overwrite=overwrite) as draft:
        draft.inputs.update(inputs)
        user_dictionary = None
        if dictionary is not None:
            draft.inputs["dictionary"] = artifact.open_artifact(dictionary, "dictionary").fingerprint
            user_dictionary = draft.path / USER_DICTIONARY_FILE
            shutil.copyfile(dictionary / USER_DICTIONARY_FILE, user_dictionary)
        words, counts = _count_words(texts, user_dictionary)
        say(f"Training {config.vocab_size:,} pieces on {len(words):,} distinct words")
        train_unigram(words, config, draft.path / MODEL_FILE)
        (draft.path / SETTINGS_FILE).write_text(json.dumps(settings(), indent=1) + "\n", encoding="utf-8")
        draft.counts.update(counts, distinct_words=len(words), pieces=config.vocab_size)
    return artifact.open_artifact(out, "tokenizer")


def _count_words(texts: Iterable[str], user_dictionary: Path | None) -> tuple[Counter[str], dict[str, int]]:
    segmenter = Segmenter(user_dictionary)
    words: Counter[str] = Counter()
    documents = characters = 0
    for text in track(texts, "Counting words", unit="documents"):
        cleaned = clean(text)
        words.update(segmenter.words(cleaned))
        documents += 1
        characters += len(cleaned)
    # The newline has its own piece.
    del words["\n"]
    if not words:
        raise InputError(f"no text to train a tokenizer on: {documents:,} documents are empty after cleaning.")
    return words, {"documents": documents, "characters": characters, "words": words.total()}

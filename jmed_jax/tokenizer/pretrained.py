"""The tokenizer of a Hugging Face model directory as it is: byte-level BPE (Qwen2, Qwen2.5, Llama 3), read offline.

Text never turns into special tokens here, other than in transformers: `<|im_end|>` in a document or a message is
encoded as the characters that it is. Special ids come only from the chat template's own text and from `document_ids`.
"""

import json
import re
import shutil
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from jmed_jax import artifact
from jmed_jax.errors import InputError
from jmed_jax.tokenizer.messages import Message, check_message

MODEL_FILES = ("tokenizer.json", "vocab.json", "merges.txt")
SETTINGS_FILES = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
)

# What ends a document, by family: Qwen2 (whose instruction models name <|im_end|> as their end token), Llama 3.
DOCUMENT_ENDS = ("<|endoftext|>", "<|end_of_text|>")
# What ends a message, by family.
MESSAGE_ENDS = ("<|im_end|>", "<|eot_id|>")

# Noncharacters (Unicode 23.7): valid in a string, in no text. One that a conversation does not hold marks its breaks.
NONCHARACTERS = tuple(chr(code) for code in range(0xFDD0, 0xFDF0))


def is_pretrained(path: Path) -> bool:
    """Whether a directory holds the files of a byte-level BPE tokenizer of Hugging Face."""
    return any(all((path / name).is_file() for name in names) for names in (MODEL_FILES[:1], MODEL_FILES[1:]))


class PretrainedTokenizer:
    """Text to ids and back. `PretrainedTokenizer.load` makes one.

    `decode(encode(text)) == NFC(text)` for Qwen2's, which normalises; ids are those of transformers with
    `split_special_tokens=True`. There is no chat template but the directory's own: a base model must be given one.

    Attributes:
        path: the directory it was loaded from.
        fingerprint: sha256 over the files that define it; equal for a copy.
        vocab_size: 1 + the largest id; the rows that pad a model's embedding beyond are no ids.
        bos_id: what the tokenizer puts before a text; None for Qwen2.
        eos_id: the end token that the directory names: `<|im_end|>` for Qwen2's instruction models.
        document_end_id: what ends a document: `<|endoftext|>` for all of Qwen2's.
        pad_id: the padding token that the directory names, else `document_end_id`.
        stop_ids: ids that end an answer or a document.
    """

    def __init__(self, path: Path, tokenizer: Any) -> None:
        """
        Args:
            tokenizer: a fast tokenizer of transformers, whose settings are changed here.

        Raises:
            InputError: no byte-level BPE, or it has no end token.
        """
        self.path = path
        self.fingerprint = artifact.files_fingerprint(_files(path))
        self._tokenizer = tokenizer
        self._backend = tokenizer.backend_tokenizer
        pieces = json.loads(self._backend.decoder.__getstate__()) if self._backend.decoder else {}
        if pieces.get("type") != "ByteLevel":
            raise InputError(f"{path}: no byte-level BPE tokenizer (decoder: {pieces.get('type')}); use Qwen2's kind.")
        # The text of special tokens is text. (`encode_batch` sees to those that are added without being special.)
        self._backend.encode_special_tokens = True
        self._added = {index: token.content for index, token in self._backend.get_added_tokens_decoder().items()}
        self._special = {content: index for index, content in self._added.items()}
        if any(len(content) < 2 for content in self._special):
            raise InputError(f"{path}: an added token of one character cannot be told from text; none is supported.")
        ordinary = {index: token for token, index in self._backend.get_vocab(with_added_tokens=False).items()}
        if twice := [token for index, token in self._added.items() if ordinary.get(index, token) != token]:
            raise InputError(f"{path}: {twice[0]} has the id of another token: damaged. Fetch the model again.")
        self.vocab_size: int = 1 + max(self._backend.get_vocab(with_added_tokens=True).values())
        begin = self._backend.encode("", add_special_tokens=True).ids
        self.bos_id: int | None = begin[0] if begin and begin[0] == tokenizer.bos_token_id else None
        if tokenizer.eos_token_id is None:
            raise InputError(f'{path}: no end token. Name it as "eos_token" in tokenizer_config.json.')
        self.eos_id: int = tokenizer.eos_token_id
        self.document_end_id = next((self._special[e] for e in DOCUMENT_ENDS if e in self._special), self.eos_id)
        self.pad_id: int = self.document_end_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
        ends = {self._special[end] for end in (*DOCUMENT_ENDS, *MESSAGE_ENDS) if end in self._special}
        self.stop_ids = frozenset(ends | {self.eos_id})

    @classmethod
    def load(cls, path: Path) -> "PretrainedTokenizer":
        """Load the tokenizer of a Hugging Face directory. Nothing is downloaded and no code of it is run.

        Raises:
            InputError: there is none in `path`, a file is damaged, or it is no byte-level BPE.
        """
        path = Path(path)
        if not is_pretrained(path):
            raise InputError(
                f"{path}: no tokenizer.json, and no vocab.json with merges.txt: no Hugging Face tokenizer."
            )
        if not (path / "tokenizer_config.json").is_file():
            raise InputError(f"{path}: no tokenizer_config.json here. Copy it from the model's directory.")
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # the library's own exceptions are of no common class
            raise InputError(f"{path}: this tokenizer cannot be used: {error}") from error
        if not tokenizer.is_fast:
            raise InputError(f"{path}: {type(tokenizer).__name__} is no fast tokenizer. Save it with a tokenizer.json.")
        return cls(path, tokenizer)

    def copy_files(self, out: Path) -> None:
        """Copy the files that define it into the existing directory `out`, byte by byte."""
        for file in _files(self.path):
            shutil.copyfile(file, out / file.name)

    @property
    def document_vocab_size(self) -> int:
        """All ids: what ends a document stands among the special ones."""
        return self.vocab_size

    def has_chat(self, model_vocab_size: int) -> bool:
        """Whether a model of so many ids can be talked to: there is a chat template, and the ids are the model's."""
        return self._tokenizer.chat_template is not None and model_vocab_size >= self.vocab_size

    # --- text ---------------------------------------------------------------------------------------------------------

    def encode(self, text: str) -> list[int]:
        """Ids of a text; none is special or added, whatever the text is."""
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text, on all cores."""
        encodings = self._backend.encode_batch_fast(list(texts), add_special_tokens=False)
        ids = [encoding.ids for encoding in encodings]
        for place, found in enumerate(ids):
            # Added tokens that are not marked special (<tool_call>) are found in text all the same.
            if not self._added.keys().isdisjoint(found):
                ids[place] = self._plain.encode(texts[place], add_special_tokens=False).ids
                assert self._added.keys().isdisjoint(ids[place])
        return ids

    @cached_property
    def _plain(self) -> Any:
        """The same BPE without any added token. Rarely needed, and it takes a second to make."""
        from tokenizers import Tokenizer as Backend

        description = json.loads(self._backend.to_str()) | {"added_tokens": [], "post_processor": None}
        return Backend.from_str(json.dumps(description))

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """Join tokens to text; bytes that are no UTF-8, as a model may write them, become U+FFFD.

        Args:
            skip_special: leave special tokens out.
        """
        # Ids of a padded embedding's extra rows stand for nothing.
        known = [int(index) for index in ids if index < self.vocab_size]
        text: str = self._backend.decode(known, skip_special_tokens=skip_special)
        return text

    def token(self, index: int) -> str:
        """A token as people read it; a part of a character shows as U+FFFD."""
        return self.decode([index], skip_special=False)

    def document_ids(self, text: str) -> list[int]:
        """A document: `<|begin_of_text|>` before it in Llama 3 (nothing in Qwen2), and its end token behind it."""
        return self._around(self.encode(text))

    def encode_documents(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        """`document_ids` of each text, and the UTF-8 bytes of the normalised texts."""
        normalizer = self._backend.normalizer
        text_bytes = sum(len((normalizer.normalize_str(text) if normalizer else text).encode()) for text in texts)
        return [self._around(ids) for ids in self.encode_batch(texts)], text_bytes

    def _around(self, ids: list[int]) -> list[int]:
        begin = [] if self.bos_id is None else [self.bos_id]
        return [*begin, *ids, self.document_end_id]

    def byte_counts(self) -> list[int]:
        """Bytes of text that each id stands for [vocab_size]; 0 for an added one."""
        counts = [0] * self.vocab_size
        # In byte-level BPE a token is spelled with one character a byte.
        for token, index in self._backend.get_vocab(with_added_tokens=False).items():
            counts[index] = len(token)
        for index in self._added:
            counts[index] = 0
        return counts

    # --- chat ---------------------------------------------------------------------------------------------------------

    def encode_chat(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> list[int]:
        """Ids of a conversation by the directory's chat template, a default system message of it included.

        The ids of transformers, but for two things. Special tokens in a message's content are text. And no token
        reaches over the place where an answer begins, because none does when the model answers: only an answer that
        begins with a line break differs.

        Args:
            messages: mappings with "role" (system, user or assistant) and "content".
            add_generation_prompt: end with the tokens that open an answer.

        Raises:
            InputError: a message is malformed, or the template is missing, refuses the messages, or writes a
                conversation's beginning otherwise once it goes on.
        """
        sentinel = _free_character(messages)
        text = self._render(messages, sentinel, add_generation_prompt=add_generation_prompt)
        ids, _ = self._encode_rendered(text, self._answers(messages, text, sentinel), sentinel)
        return ids

    def encode_chat_with_mask(self, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
        """Ids of a conversation, and 1 for each id that is learned: an answer through the token that ends it.

        Where an answer begins and ends is found by rendering the conversation up to it with the generation prompt, and
        up to its end.

        Raises:
            InputError: as `encode_chat`; or the template puts no end token behind an answer.
        """
        sentinel = _free_character(messages)
        text = self._render(messages, sentinel)
        return self._encode_rendered(text, self._answers(messages, text, sentinel), sentinel)

    def render_chat(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """The conversation as text for people; a space breaks special tokens in a message's content.

        Raises:
            InputError: as `encode_chat`.
        """
        sentinel = _free_character(messages)
        return self._render(messages, sentinel, add_generation_prompt=add_generation_prompt).replace(sentinel, " ")

    def _render(self, messages: Sequence[Message], sentinel: str, *, add_generation_prompt: bool = False) -> str:
        """The template's text, where `sentinel` breaks every added token that stands in a message's content."""
        if self._tokenizer.chat_template is None:
            raise InputError(
                f'{self.path}: no chat template. Put the model\'s chat_template.jinja beside it, or "chat_template" '
                "into tokenizer_config.json."
            )
        checked = [
            {"role": role, "content": self._added_text.sub(lambda m: m[0][0] + sentinel + m[0][1:], content)}
            for role, content in map(check_message, messages)
        ]
        try:
            text: str = self._tokenizer.apply_chat_template(
                checked, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except Exception as error:  # whatever the template raises
            raise InputError(f"{self.path}: its chat template refuses the conversation: {error}") from error
        return text

    @cached_property
    def _added_token(self) -> re.Pattern[str]:
        """Finds added tokens, the longest first, with the white space that they swallow."""
        return re.compile(
            "|".join(
                (r"\s*" if token.lstrip else "") + re.escape(token.content) + (r"\s*" if token.rstrip else "")
                for token in sorted(self._backend.get_added_tokens_decoder().values(), key=_length, reverse=True)
            )
        )

    @cached_property
    def _added_text(self) -> re.Pattern[str]:
        """Finds the characters of added tokens."""
        return re.compile("|".join(map(re.escape, sorted(self._special, key=len, reverse=True))))

    def _answers(self, messages: Sequence[Message], text: str, sentinel: str) -> list[tuple[int, int]]:
        """Where in the rendered `text` each assistant message begins and ends (what follows it not included)."""
        spans = []
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            if index == 0:
                raise InputError(f"{self.path}: a conversation cannot open with an answer. Begin with a user message.")
            before = self._render(messages[:index], sentinel, add_generation_prompt=True)
            through = self._render(messages[: index + 1], sentinel)
            if not (through.startswith(before) and text.startswith(through)):
                raise InputError(
                    f"{self.path}: its chat template writes the conversation up to message {index + 1} otherwise than "
                    "alone, so where that answer begins is unknown. Use another template, or one answer a conversation."
                )
            ends = [m.end() for m in self._added_token.finditer(through, len(before)) if self._is_stop(m[0])]
            if not ends:
                raise InputError(f"{self.path}: its chat template puts no end token behind an answer.")
            spans.append((len(before), ends[-1]))
        return spans

    def _is_stop(self, token: str) -> bool:
        return self._special.get(token.strip()) in self.stop_ids

    def _encode_rendered(
        self, text: str, answers: Sequence[tuple[int, int]], sentinel: str
    ) -> tuple[list[int], list[int]]:
        """Ids of rendered text, whose added tokens are the template's own, and 1 for those within `answers`."""
        ids: list[int] = []
        mask: list[int] = []
        cuts = [0, *(cut for span in answers for cut in span), len(text)]
        for number, (start, stop) in enumerate(pairwise(cuts)):
            part = self._encode_part(text[start:stop], sentinel)
            ids += part
            # Outside and inside take turns.
            mask += [number % 2] * len(part)
        return ids, mask

    def _encode_part(self, text: str, sentinel: str) -> list[int]:
        ids: list[int] = []
        position = 0
        for match in self._added_token.finditer(text):
            ids += self.encode(text[position : match.start()].replace(sentinel, ""))
            token = match[0] if match[0] in self._special else match[0].strip()
            ids.append(self._special[token])
            position = match.end()
        return ids + self.encode(text[position:].replace(sentinel, ""))


def _length(token: Any) -> int:
    return len(token.content)


def _free_character(messages: Sequence[Message]) -> str:
    """A noncharacter that stands in none of the messages."""
    contents = [check_message(message)[1] for message in messages]
    for character in NONCHARACTERS:
        if not any(character in content for content in contents):
            return character
    raise InputError("a conversation holds every noncharacter from U+FDD0 to U+FDEF: no text does. Clean it.")


def _files(path: Path) -> list[Path]:
    return [path / name for name in (*MODEL_FILES, *SETTINGS_FILES) if (path / name).is_file()]

"""Either kind of tokenizer by what lies in a directory, and the interface that both have."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from jmed_jax.errors import InputError
from jmed_jax.tokenizer.core import SETTINGS_FILE
from jmed_jax.tokenizer.messages import Message
from jmed_jax.tokenizer.pretrained import PretrainedTokenizer, is_pretrained
from jmed_jax.tokenizer.tokenizer import Tokenizer


class TextTokenizer(Protocol):
    """What training, generation and export need of a tokenizer: `Tokenizer` and `PretrainedTokenizer` have it."""

    @property
    def path(self) -> Path:
        """The directory it was loaded from."""

    @property
    def fingerprint(self) -> str:
        """sha256 over the files that define it."""

    @property
    def vocab_size(self) -> int:
        """Number of ids; a model's may be larger (padded) or smaller (before instruction tuning)."""

    @property
    def document_vocab_size(self) -> int:
        """Number of ids that documents need: the chat tokens that follow them are left out."""

    @property
    def bos_id(self) -> int | None:
        """What stands before a document, None where nothing does."""

    @property
    def eos_id(self) -> int: ...

    @property
    def pad_id(self) -> int: ...

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end an answer or a document."""

    def has_chat(self, model_vocab_size: int) -> bool:
        """Whether a model of so many ids can be talked to."""

    def encode(self, text: str) -> list[int]:
        """Ids of a text, none of which is special whatever the text is."""

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """Text of ids; bytes that are no UTF-8 become U+FFFD."""

    def document_ids(self, text: str) -> list[int]:
        """A document with the tokens that this family puts around it."""

    def encode_documents(self, texts: Sequence[str]) -> tuple[list[list[int]], int]:
        """`document_ids` of documents of a corpus, and the UTF-8 bytes of text that the ids stand for."""

    def byte_counts(self) -> list[int]:
        """Bytes of text that each id stands for; 0 for a special one."""

    def encode_chat(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> list[int]:
        """Ids of a conversation."""

    def encode_chat_with_mask(self, messages: Sequence[Message]) -> tuple[list[int], list[int]]:
        """Ids of a conversation, and 1 for those that are learned: the answers with the token that ends them."""

    def render_chat(self, messages: Sequence[Message], *, add_generation_prompt: bool = False) -> str:
        """The conversation as text for people."""

    def copy_files(self, out: Path) -> None:
        """Copy the files that define it into an existing directory."""


def load_tokenizer(path: Path) -> Tokenizer | PretrainedTokenizer:
    """The tokenizer of a directory: ours (an artefact or an export), else a Hugging Face one.

    Raises:
        InputError: there is no tokenizer in `path`, or it is damaged or of a kind that is not supported.
    """
    path = Path(path)
    if (path / SETTINGS_FILE).is_file():
        return Tokenizer.load(path)
    if is_pretrained(path):
        return PretrainedTokenizer.load(path)
    raise InputError(
        f"{path}: no tokenizer here: neither {SETTINGS_FILE} (of `jmed tokenizer train`) nor tokenizer.json, or "
        "vocab.json with merges.txt (of a Hugging Face model)."
    )

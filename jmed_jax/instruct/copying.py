"""Exercises in copying: random pieces of the vocabulary, to be written as they stand.

A small model learns from text which words are frequent long before it learns to look back. Where nothing else helps,
as here, the heads that copy form within some hundred steps, and extraction tasks can build on them (EXPERIMENTS.md).
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jmed_jax.artifact import check_free, replacing
from jmed_jax.errors import InputError
from jmed_jax.jsonl import write_jsonl
from jmed_jax.tokenizer.load import TextTokenizer, load_tokenizer

SYSTEM = "写してください。"
PIECES = (10, 60)
"""Fewest and most pieces of a text. The distance between a piece and its copy must vary: of a fixed one a model learns
the distance instead of copying."""


def write_copy_exercises(tokenizer: Path, out: Path, *, count: int, seed: int = 0, overwrite: bool = False) -> int:
    """Write `count` conversations to a JSONL file (`.gz` and `.zst` by name), and return their number.

    Args:
        tokenizer: a directory, whose pieces the texts are made of.

    Raises:
        InputError: no such tokenizer, or `out` exists.
    """
    check_free(out, overwrite)
    pieces = whole_pieces(load_tokenizer(tokenizer))
    with replacing(out) as temporary:
        write_jsonl(temporary, copy_exercises(pieces, count, seed))
    return count


def copy_exercises(pieces: list[str], count: int, seed: int) -> Iterator[dict[str, Any]]:
    """Yield {"id", "messages": [system, user, assistant]}; the assistant says what the user said."""
    generator = random.Random(seed)
    for number in range(count):
        text = "".join(generator.choices(pieces, k=generator.randint(*PIECES)))
        roles = {"system": SYSTEM, "user": text, "assistant": text}
        messages = [{"role": role, "content": content} for role, content in roles.items()]
        yield {"id": f"copy-{number:06d}", "messages": messages}


def whole_pieces(tokenizer: TextTokenizer) -> list[str]:
    """The texts of the ids that stand for whole characters, without blanks and special tokens.

    Raises:
        InputError: there is none.
    """
    texts = (tokenizer.decode([index]) for index in range(tokenizer.document_vocab_size))
    pieces = [text for text in texts if text.strip() == text and text and "\ufffd" not in text]
    if not pieces:
        raise InputError("the tokenizer has no piece of whole characters.")
    return pieces

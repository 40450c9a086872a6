"""Topic lists: a topic a line, or the names of a published term list."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from jmed_jax.corpus.synthetic.names import fold
from jmed_jax.errors import InputError
from jmed_jax.tokenizer.term_lists import read_list

_PLAIN = (".txt", ".txt.gz")


def read_topics(paths: Sequence[Path], kind: str) -> list[str]:
    """The topics of files, in order, each once whatever its width and spaces.

    Of a `.txt` file every line is a topic; of a published list the names of that kind: of MANBYO the standard names, of
    the drug price list the ingredients.

    Raises:
        InputError: a file is missing, broken or has unknown columns, or there is no topic.
    """
    topics: dict[str, str] = {}
    for path in paths:
        for topic in _names(path, kind):
            if fold(topic):
                topics.setdefault(fold(topic), topic)
    if not topics:
        raise InputError(f"{', '.join(map(str, paths))}: no topics of the kind {kind}.")
    return list(topics.values())


def _names(path: Path, kind: str) -> Iterator[str]:
    for entry in read_list(path):
        if path.name.endswith(_PLAIN):
            yield entry.name
        elif entry.kind == kind:
            yield from entry.standard_names or (entry.ingredient or entry.name,)


def share_topics(topics: Sequence[str], share: int, shares: int) -> list[str]:
    """The topics of one of several shares. Where a topic goes depends on its name alone, not on the others."""
    assert 1 <= share <= shares
    return [topic for topic in topics if _number(topic) % shares == share - 1]


def _number(topic: str) -> int:
    return int.from_bytes(hashlib.blake2b(fold(topic).encode(), digest_size=8).digest(), "big")

"""Token ids into packed rows: `concat` and `documents` for pre-training, `fit` for instruction data."""

import hashlib
import json
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from jmed_jax import artifact
from jmed_jax.artifact import Artifact
from jmed_jax.corpus.mixture import iter_mixture
from jmed_jax.data.row_sources import Sources, conversation_sources, corpus_sources
from jmed_jax.data.rows import Row, RowFormat, write_shards
from jmed_jax.errors import InputError
from jmed_jax.jsonl import field, read_jsonl
from jmed_jax.progress import track
from jmed_jax.tokenizer.clean import RULES_VERSION
from jmed_jax.tokenizer.load import TextTokenizer, load_tokenizer
from jmed_jax.tokenizer.messages import Message
from jmed_jax.tokenizer.tokenizer import Tokenizer

# Open rows among which best-fit looks for the tightest place.
PACKING_BINS = 128
# What a worker gets at one time: some hundred thousand characters.
DOCUMENTS_A_BATCH = 128

Overlong = Literal["drop", "truncate"]
CorpusMode = Literal["concat", "documents"]


class Example(NamedTuple):
    """One conversation, or one document or piece of it, as ids; both of shape [length]."""

    tokens: np.ndarray
    loss_mask: np.ndarray


@dataclass(frozen=True)
class Holdout:
    """Rows that are kept out of training, for `data.validation_rows`.

    Attributes:
        share: of the documents or conversations, by the hash of their ids, so in whatever order and company they come.
        out: where they are written.
    """

    share: float
    out: Path

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(f"--holdout-share {self.share}: a share between 0 and 1 is needed, such as 0.01.")

    def takes(self, identifier: str) -> bool:
        """Whether the document of this id is held out. Its hash has nothing to do with that of partial epochs."""
        digest = hashlib.blake2b(identifier.encode(), digest_size=7, person=b"jmed holdout").digest()
        return int.from_bytes(digest) / 256**7 < self.share


@dataclass
class PackCounts:
    """What went into the rows; ends up in the manifest."""

    documents: int = 0
    tokens: int = 0
    target_tokens: int = 0
    target_bytes: int = 0
    """UTF-8 bytes of the text that the targets stand for: turns a loss a token into bits a byte."""
    dropped: int = 0
    truncated: int = 0


def pack_concat(
    documents: Iterable[Sequence[int] | np.ndarray], row_length: int, pad_id: int, counts: PackCounts
) -> Iterator[Row]:
    """Join documents end to end and cut every `row_length` tokens (arXiv 2412.16423 §2.4.1).

    A document cut in two goes on in the next row under a segment id of its own; only the last row is padded.
    """
    tokens, segments = _empty_row(row_length, pad_id)
    filled = segment = 0
    for document in documents:
        counts.documents += 1
        counts.tokens += len(document)
        position = 0
        while position < len(document):
            segment += 1
            size = min(len(document) - position, row_length - filled)
            tokens[filled : filled + size] = document[position : position + size]
            segments[filled : filled + size] = segment
            position += size
            filled += size
            if filled == row_length:
                yield _pretraining_row(tokens, segments, counts)
                tokens, segments = _empty_row(row_length, pad_id)
                filled = segment = 0
    if filled:
        yield _pretraining_row(tokens, segments, counts)


def _empty_row(row_length: int, pad_id: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full(row_length, pad_id, np.int32), np.zeros(row_length, np.int32)


def _pretraining_row(tokens: np.ndarray, segments: np.ndarray, counts: PackCounts) -> Row:
    # The first token of a row is nobody's target.
    counts.target_tokens += int((segments > 0).sum()) - 1
    return Row(tokens, segments, segments > 0)


def pack_documents(
    documents: Iterable[Sequence[int] | np.ndarray],
    row_length: int,
    pad_id: int,
    counts: PackCounts,
    byte_counts: np.ndarray,
) -> Iterator[Row]:
    """Best-fit packing of whole documents; one longer than a row is cut into pieces, all but the last as long as a row.

    Every piece has a segment of its own, so it never sees another, and its first token, which nothing precedes, is no
    target. `counts.target_bytes` is exactly what the targets stand for.

    Args:
        byte_counts: bytes of text of each id, int [V].
    """

    def pieces() -> Iterator[Example]:
        for document in documents:
            counts.documents += 1
            ids = np.asarray(document, np.int32)
            for start in range(0, len(ids), row_length):
                piece = ids[start : start + row_length]
                yield Example(piece, np.arange(len(piece)) > 0)

    for row in pack_fit(pieces(), row_length, pad_id, counts):
        counts.target_bytes += int(byte_counts[row.tokens[row.loss_mask]].sum())
        yield row


def pack_fit(examples: Iterable[Example], row_length: int, pad_id: int, counts: PackCounts) -> Iterator[Row]:
    """Best-fit packing of whole examples into rows; the rest of a row is padding."""
    for members in _best_fit(examples, row_length):
        tokens, segments = _empty_row(row_length, pad_id)
        loss_mask = np.zeros(row_length, bool)
        filled = 0
        for segment, example in enumerate(members, start=1):
            place = slice(filled, filled + len(example.tokens))
            tokens[place], segments[place], loss_mask[place] = example.tokens, segment, example.loss_mask
            filled = place.stop
        counts.tokens += filled
        counts.target_tokens += int(loss_mask.sum())
        yield Row(tokens, segments, loss_mask)


def _best_fit(examples: Iterable[Example], row_length: int) -> Iterator[list[Example]]:
    """Put each example into the open row that it fills best; the fullest row goes when too many are open."""
    # (free places, number of the row), least free first.
    free: list[tuple[int, int]] = []
    rows: dict[int, list[Example]] = {}
    for number, example in enumerate(examples):
        size = len(example.tokens)
        assert 0 < size <= row_length
        place = bisect_left(free, (size, -1))
        if place < len(free):
            left, row = free.pop(place)
        else:
            left, row = row_length, number
            rows[row] = []
        rows[row].append(example)
        if left == size:
            yield rows.pop(row)
            continue
        insort(free, (left - size, row))
        if len(free) > PACKING_BINS:
            yield rows.pop(free.pop(0)[1])
    yield from rows.values()


def encode_documents(
    tokenizer: TextTokenizer, texts: Iterable[str], counts: PackCounts, *, workers: int = 1
) -> Iterator[np.ndarray]:
    """Documents of a corpus with the tokens that the tokenizer puts around them, int32 [length], in their order.

    Args:
        texts: cleaned by the rules of the tokenizer, if it is ours.
        workers: processes that encode; the ids are the same.
    """
    iterator = iter(texts)
    batches = iter(lambda: list(islice(iterator, DOCUMENTS_A_BATCH)), [])
    if workers == 1:
        encoded = (_encode_batch(tokenizer, batch) for batch in batches)
    else:
        from joblib import Parallel, delayed

        # Only so many batches are read ahead: a corpus does not fit into memory.
        parallel = Parallel(n_jobs=workers, return_as="generator", pre_dispatch="3 * n_jobs", batch_size=1)
        encoded = parallel(delayed(_encode_batch)(tokenizer.path, batch) for batch in batches)
    for documents, text_bytes in encoded:
        counts.target_bytes += text_bytes
        yield from documents


def _encode_batch(tokenizer: TextTokenizer | Path, texts: Sequence[str]) -> tuple[list[np.ndarray], int]:
    """Ids of the texts, and the UTF-8 bytes that they decode to."""
    if isinstance(tokenizer, Path):
        tokenizer = _load_tokenizer(tokenizer)
    documents, text_bytes = tokenizer.encode_documents(texts)
    return [np.array(ids, np.int32) for ids in documents], text_bytes


# Once a worker, with its cache of words.
@lru_cache(maxsize=1)
def _load_tokenizer(path: Path) -> TextTokenizer:
    return load_tokenizer(path)


def read_conversations(paths: Sequence[Path]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Yield (place, messages) of JSON Lines with `{"messages": [{"role", "content"}, …]}`.

    Raises:
        InputError: a line without messages, with a malformed one, or without an assistant message to learn from.
    """
    for place, row in _read_conversation_rows(paths):
        yield place, row["messages"]


def _read_conversation_rows(paths: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in paths:
        for number, row in read_jsonl(path):
            messages = field(row, "messages", list, path, number)
            for index, message in enumerate(messages, start=1):
                if not isinstance(message, dict):
                    raise InputError(
                        f"{path}:{number}: message {index} is {type(message).__name__}, expected an object."
                    )
                for name in ("role", "content"):
                    field(message, name, str, path, number)
            if not any(message["role"] == "assistant" for message in messages):
                raise InputError(f"{path}:{number}: no assistant message, so there is nothing to learn from.")
            yield f"{path}:{number}", row


def _conversation_id(row: Mapping[str, Any]) -> str:
    """The id of a conversation without the "#2" of a repetition, so that all stand on one side; else its messages."""
    identifier = row.get("id")
    if isinstance(identifier, str | int):
        return str(identifier).split("#", maxsplit=1)[0]
    return json.dumps(row["messages"], ensure_ascii=False, sort_keys=True)


def encode_conversations(
    tokenizer: TextTokenizer,
    paths: Sequence[Path],
    row_length: int,
    overlong: Overlong,
    counts: PackCounts,
    *,
    holdout: Holdout | None = None,
    held_out: bool = False,
) -> list[Example]:
    """Conversations as ids with the answer mask; those longer than a row are dropped or truncated, and counted.

    "truncate" cuts the end of the message before the first answer, so that the whole answer stays; a conversation
    that is too long without any of that message is dropped.

    Args:
        holdout: take only those that it does not take, or with `held_out` only those that it does.
    """
    examples = []
    for place, row in track(_read_conversation_rows(paths), "encode", unit="conversations"):
        if holdout and holdout.takes(_conversation_id(row)) != held_out:
            continue
        messages = row["messages"]
        try:
            ids, mask = tokenizer.encode_chat_with_mask(messages)
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
        counts.documents += 1
        example = Example(np.array(ids, np.int32), np.array(mask, bool))
        if len(ids) > row_length:
            shorter = _truncate_prompt(tokenizer, messages, example, row_length) if overlong == "truncate" else None
            if shorter is None:
                counts.dropped += 1
                continue
            counts.truncated += 1
            example = shorter
        counts.target_bytes += sum(len(m["content"].encode()) for m in messages if m["role"] == "assistant")
        examples.append(example)
    return examples


def _truncate_prompt(
    tokenizer: TextTokenizer, messages: Sequence[Message], example: Example, row_length: int
) -> Example | None:
    """Drop tokens from the end of the message before the first answer; None where that is not enough."""
    answer = next(index for index, message in enumerate(messages) if message["role"] == "assistant")
    if answer == 0:
        return None
    emptied = [*messages[: answer - 1], {**messages[answer - 1], "content": ""}]
    frame = tokenizer.encode_chat(emptied, add_generation_prompt=True)
    start = int(np.argmax(example.loss_mask))
    # What stands between the message and the answer: `<|assistant|>`, or `<|im_end|>` with all that follows it.
    ends = np.flatnonzero(np.isin(example.tokens[:start], list(tokenizer.stop_ids)))
    closed = ends.size > 0 and start - ends[-1] <= len(frame) and frame[ends[-1] - start] == example.tokens[ends[-1]]
    header = int(ends[-1]) if closed else start - 1
    excess = len(example.tokens) - row_length
    if excess > start - len(frame):
        return None
    keep = np.r_[0 : header - excess, header : len(example.tokens)]
    return Example(example.tokens[keep], example.loss_mask[keep])


def pack_corpus(
    tokenizer_path: Path,
    corpus: Path,
    out: Path,
    *,
    row_length: int,
    mode: CorpusMode = "concat",
    workers: int = 1,
    holdout: Holdout | None = None,
    overwrite: bool = False,
) -> Artifact:
    """Write a corpus artefact as pre-training rows, every source as often as the mixture says.

    Args:
        mode: "concat" (`pack_concat`) or "documents" (`pack_documents`).
        workers: processes that encode; the rows are the same.
        holdout: documents that go to rows of their own, each once.

    Raises:
        InputError: an input artefact is damaged or made by other cleaning rules (than our tokenizer's), an output
            exists, or nothing is left for one. Then nothing is written.
    """
    _check_outputs(out, holdout, overwrite)
    source = artifact.open_artifact(corpus, "corpus")
    tokenizer = load_tokenizer(tokenizer_path)
    if isinstance(tokenizer, Tokenizer) and source.config["cleaning_rules"] != RULES_VERSION:
        rules = source.config["cleaning_rules"]
        raise InputError(f"{corpus}: cleaned by rules {rules}, not by today's, {RULES_VERSION}. Build it again.")
    epochs = source.config["epochs"]
    if not any(epochs.values()):
        raise InputError(f"{corpus}: every source has 0 epochs, so there is nothing to pack.")
    total = round(sum(epochs[name] * entry["documents"] for name, entry in source.counts["sources"].items()))
    byte_counts = np.array(tokenizer.byte_counts())
    row_format = RowFormat(row_length, tokenizer.document_vocab_size)

    def rows(counts: PackCounts, held_out: bool) -> Iterator[Row]:
        read = track(iter_mixture(corpus), "pack held-out" if held_out else "pack", total=total, unit="documents")
        texts = _texts(read, holdout, held_out)
        if mode == "concat":
            documents = encode_documents(tokenizer, texts, counts, workers=workers)
            return pack_concat(documents, row_length, tokenizer.pad_id, counts)
        # These count the bytes of their targets themselves.
        documents = encode_documents(tokenizer, texts, PackCounts(), workers=workers)
        return pack_documents(documents, row_length, tokenizer.pad_id, counts, byte_counts)

    sources = corpus_sources(corpus)
    return _write(rows, out, mode, row_format, tokenizer, source.fingerprint, sources, holdout, overwrite)


def _texts(rows: Iterable[Mapping[str, Any]], holdout: Holdout | None, held_out: bool) -> Iterator[str]:
    """Texts of one side of the hold-out; on the held-out one, a document of several epochs stands once."""
    seen = set()
    for row in rows:
        if holdout and holdout.takes(row["id"]) != held_out:
            continue
        if held_out:
            if row["id"] in seen:
                continue
            seen.add(row["id"])
        yield row["text"]


def pack_conversations(
    tokenizer_path: Path,
    conversations: Sequence[Path],
    out: Path,
    *,
    row_length: int,
    overlong: Overlong = "drop",
    holdout: Holdout | None = None,
    overwrite: bool = False,
) -> Artifact:
    """Write conversations as instruction-tuning rows (mode `fit`).

    Args:
        holdout: conversations that go to rows of their own.

    Raises:
        InputError: a bad line (with its place), no conversation that fits, or an output exists. Then nothing is
            written.
    """
    _check_outputs(out, holdout, overwrite)
    tokenizer = load_tokenizer(tokenizer_path)

    def rows(counts: PackCounts, held_out: bool) -> Iterator[Row]:
        examples = encode_conversations(
            tokenizer, conversations, row_length, overlong, counts, holdout=holdout, held_out=held_out
        )
        if not examples:
            side = " held-out" if held_out else ""
            names = ", ".join(map(str, conversations))
            raise InputError(f"{names}: none of {counts.documents}{side} conversations fits {row_length} tokens.")
        return pack_fit(examples, row_length, tokenizer.pad_id, counts)

    inputs = json.dumps({str(path): artifact.file_sha256(path) for path in conversations})
    row_format = RowFormat(row_length, tokenizer.vocab_size)
    sources = conversation_sources(conversations)
    return _write(rows, out, "fit", row_format, tokenizer, inputs, sources, holdout, overwrite)


def _check_outputs(out: Path, holdout: Holdout | None, overwrite: bool) -> None:
    artifact.check_free(out, overwrite)
    if holdout:
        artifact.check_free(holdout.out, overwrite)
        if holdout.out.resolve() == out.resolve():
            raise InputError(f"{out}: --out and --holdout-out are the same. Give two names.")


def _write(
    rows: Callable[[PackCounts, bool], Iterator[Row]],
    out: Path,
    mode: str,
    row_format: RowFormat,
    tokenizer: TextTokenizer,
    source: str,
    sources: Sources,
    holdout: Holdout | None,
    overwrite: bool,
) -> Artifact:
    """Write the rows, and the held-out ones; they take their names when both are complete.

    Args:
        rows: from (counts to fill, whether the held-out rows are meant).
    """
    config = {
        "mode": mode,
        "row_length": row_format.row_length,
        "vocab_size": row_format.vocab_size,
        "sources": sources,
    }
    sides = [(out, config)]
    if holdout:
        sides = [
            (out, config | {"without_share": holdout.share}),
            (holdout.out, config | {"held_out_share": holdout.share}),
        ]
    with ExitStack() as drafts:
        for held_out, (path, side_config) in enumerate(sides):
            draft = drafts.enter_context(artifact.create(path, "rows", side_config, overwrite=overwrite))
            # The rows carry their tokenizer, and a run copies it on: nothing downstream can pair the wrong two.
            (draft.path / "tokenizer").mkdir()
            tokenizer.copy_files(draft.path / "tokenizer")
            counts = PackCounts()
            count = write_shards(rows(counts, bool(held_out)), draft.path, row_format)
            if count == 0:
                raise InputError("no text to pack." if not held_out else "no document is held out. Raise the share.")
            draft.inputs |= {"tokenizer": tokenizer.fingerprint, "source": source}
            draft.counts |= {"rows": count, **vars(counts)}
    return artifact.open_artifact(out, "rows", verify_hashes=False)

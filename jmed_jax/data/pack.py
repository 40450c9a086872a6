"""Token ids into packed rows: `concat` for pre-training, `fit` for instruction data."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from jmed_jax import artifact
from jmed_jax.artifact import Artifact
from jmed_jax.corpus.documents import iter_corpus
from jmed_jax.data.rows import Row, RowFormat, write_shards
from jmed_jax.errors import InputError
from jmed_jax.jsonl import field, read_jsonl
from jmed_jax.progress import track
from jmed_jax.tokenizer.tokenizer import Tokenizer

# Open rows among which best-fit looks for the tightest place.
PACKING_BINS = 128

Overlong = Literal["drop", "truncate"]


class Example(NamedTuple):
    """One conversation as ids; both of shape [length]."""

    tokens: np.ndarray
    loss_mask: np.ndarray


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


def pack_concat(documents: Iterable[Sequence[int]], row_length: int, pad_id: int, counts: PackCounts) -> Iterator[Row]:
    """Join documents end to end and cut every `row_length` tokens (arXiv 2412.16423 §2.4.1).

    A document cut in two goes on in the next row under a segment id of its own; only the last row is padded.
    """
    tokens: list[int] = []
    segments: list[int] = []
    segment = 0
    for document in documents:
        counts.documents += 1
        counts.tokens += len(document)
        position = 0
        while position < len(document):
            if not tokens:
                segment = 0
            segment += 1
            piece = document[position : position + row_length - len(tokens)]
            position += len(piece)
            tokens.extend(piece)
            segments.extend([segment] * len(piece))
            if len(tokens) == row_length:
                yield _pretraining_row(tokens, segments, row_length, pad_id, counts)
                tokens, segments = [], []
    if tokens:
        yield _pretraining_row(tokens, segments, row_length, pad_id, counts)


def _pretraining_row(
    tokens: Sequence[int], segments: Sequence[int], row_length: int, pad_id: int, counts: PackCounts
) -> Row:
    padding = row_length - len(tokens)
    row = Row(
        np.pad(np.array(tokens, np.int32), (0, padding), constant_values=pad_id),
        np.pad(np.array(segments, np.int32), (0, padding)),
        np.pad(np.ones(len(tokens), bool), (0, padding)),
    )
    # The first token of a row is nobody's target.
    counts.target_tokens += len(tokens) - 1
    return row


def pack_fit(examples: Sequence[Example], row_length: int, pad_id: int, counts: PackCounts) -> Iterator[Row]:
    """Best-fit packing of whole examples into rows; the rest of a row is padding."""
    import grain

    source = grain.MapDataset.source(
        [{"tokens": e.tokens, "loss_mask": e.loss_mask.astype(np.int32)} for e in examples]
    ).to_iter_dataset(grain.ReadOptions(num_threads=0))
    packed = grain.experimental.BestFitPackIterDataset(
        source,
        length_struct={"tokens": row_length, "loss_mask": row_length},
        num_packing_bins=PACKING_BINS,
        shuffle_bins=False,
    )
    for row in packed:
        segment_ids = row["tokens_segment_ids"].astype(np.int32)
        loss_mask = row["loss_mask"].astype(bool)
        counts.tokens += int((segment_ids > 0).sum())
        counts.target_tokens += int(loss_mask.sum())
        yield Row(np.where(segment_ids > 0, row["tokens"], pad_id).astype(np.int32), segment_ids, loss_mask)


def encode_documents(tokenizer: Tokenizer, texts: Iterable[str], counts: PackCounts) -> Iterator[list[int]]:
    """Documents as `<|begin_of_text|>` + text + `<|end_of_text|>`."""
    for text in texts:
        ids = tokenizer.encode(text)
        counts.target_bytes += len(tokenizer.decode(ids).encode())
        yield [tokenizer.bos_id, *ids, tokenizer.eos_id]


def read_conversations(paths: Sequence[Path]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Yield (place, messages) of JSON Lines with `{"messages": [{"role", "content"}, …]}`.

    Raises:
        InputError: a line without messages, with a malformed one, or without an assistant message to learn from.
    """
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
            yield f"{path}:{number}", messages


def encode_conversations(
    tokenizer: Tokenizer, paths: Sequence[Path], row_length: int, overlong: Overlong, counts: PackCounts
) -> list[Example]:
    """Conversations as ids with the answer mask; those longer than a row are dropped or truncated, and counted.

    "truncate" cuts the end of the prompt before the first answer token, so that the whole answer stays; a conversation
    whose targets alone leave no room is dropped.
    """
    examples = []
    for place, messages in track(read_conversations(paths), "encode", unit="conversations"):
        try:
            ids, mask = tokenizer.encode_chat_with_mask(messages)
        except InputError as error:
            raise InputError(f"{place}: {error}") from error
        counts.documents += 1
        example = Example(np.array(ids, np.int32), np.array(mask, bool))
        if len(ids) > row_length:
            shorter = _truncate_prompt(example, row_length) if overlong == "truncate" else None
            if shorter is None:
                counts.dropped += 1
                continue
            counts.truncated += 1
            example = shorter
        counts.target_bytes += sum(len(m["content"].encode()) for m in messages if m["role"] == "assistant")
        examples.append(example)
    return examples


def _truncate_prompt(example: Example, row_length: int) -> Example | None:
    """Drop tokens just before the `<|assistant|>` that opens the first answer."""
    header = int(np.argmax(example.loss_mask)) - 1
    excess = len(example.tokens) - row_length
    if excess >= header:
        return None
    keep = np.r_[0 : header - excess, header : len(example.tokens)]
    return Example(example.tokens[keep], example.loss_mask[keep])


def pack_corpus(tokenizer_path: Path, corpus: Path, out: Path, *, row_length: int, overwrite: bool = False) -> Artifact:
    """Write a corpus artefact as pre-training rows (mode `concat`).

    Raises:
        InputError: an input artefact is damaged, or `out` exists.
    """
    artifact.check_free(out, overwrite)
    source = artifact.open_artifact(corpus, "corpus")
    tokenizer = Tokenizer.load(tokenizer_path)
    counts = PackCounts()
    total = source.counts.get("documents")
    texts = track(iter_corpus(corpus), "pack", total=total, unit="documents")
    rows = pack_concat(encode_documents(tokenizer, texts, counts), row_length, tokenizer.pad_id, counts)
    # Pre-training never meets the chat tokens: its vocabulary is the Unigram pieces alone.
    return _write(
        rows,
        out,
        "concat",
        RowFormat(row_length, tokenizer.base_vocab_size),
        tokenizer,
        source.fingerprint,
        counts,
        overwrite,
    )


def pack_conversations(
    tokenizer_path: Path,
    conversations: Sequence[Path],
    out: Path,
    *,
    row_length: int,
    overlong: Overlong = "drop",
    overwrite: bool = False,
) -> Artifact:
    """Write conversations as instruction-tuning rows (mode `fit`).

    Raises:
        InputError: a bad line (with its place), no conversation that fits, or `out` exists.
    """
    artifact.check_free(out, overwrite)
    tokenizer = Tokenizer.load(tokenizer_path)
    counts = PackCounts()
    examples = encode_conversations(tokenizer, conversations, row_length, overlong, counts)
    if not examples:
        raise InputError(
            f"{', '.join(map(str, conversations))}: none of {counts.documents} conversations fits {row_length} tokens."
        )
    rows = pack_fit(examples, row_length, tokenizer.pad_id, counts)
    inputs = json.dumps({str(path): artifact.file_sha256(path) for path in conversations})
    return _write(rows, out, "fit", RowFormat(row_length, tokenizer.vocab_size), tokenizer, inputs, counts, overwrite)


def _write(
    rows: Iterable[Row],
    out: Path,
    mode: str,
    row_format: RowFormat,
    tokenizer: Tokenizer,
    source: str,
    counts: PackCounts,
    overwrite: bool,
) -> Artifact:
    config = {"mode": mode, "row_length": row_format.row_length, "vocab_size": row_format.vocab_size}
    with artifact.create(out, "rows", config, overwrite=overwrite) as draft:
        # The rows carry their tokenizer, and a run copies it on: nothing downstream can pair the wrong two.
        (draft.path / "tokenizer").mkdir()
        tokenizer.copy_files(draft.path / "tokenizer")
        count = write_shards(rows, draft.path, row_format)
        if count == 0:
            raise InputError("no text to pack.")
        draft.inputs |= {"tokenizer": tokenizer.fingerprint, "source": source}
        draft.counts |= {"rows": count, **vars(counts)}
    return artifact.open_artifact(out, "rows", verify_hashes=False)

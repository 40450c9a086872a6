"""Token ids into packed rows: `concat` for pre-training, `fit` for instruction data."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from jmed_jax import artifact
from jmed_jax.artifact import Artifact
from jmed_jax.corpus.mixture import iter_mixture
from jmed_jax.data.rows import Row, RowFormat, write_shards
from jmed_jax.errors import InputError
from jmed_jax.jsonl import field, read_jsonl
from jmed_jax.progress import track
from jmed_jax.tokenizer.clean import RULES_VERSION
from jmed_jax.tokenizer.tokenizer import Tokenizer

# Open rows among which best-fit looks for the tightest place.
PACKING_BINS = 128
# What a worker gets at one time: some hundred thousand characters.
DOCUMENTS_A_BATCH = 128

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


def encode_documents(
    tokenizer: Tokenizer, texts: Iterable[str], counts: PackCounts, *, workers: int = 1
) -> Iterator[np.ndarray]:
    """Documents of a corpus as `<|begin_of_text|>` + text + `<|end_of_text|>`, int32 [length], in their order.

    Args:
        texts: cleaned by the rules of the tokenizer.
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


def _encode_batch(tokenizer: Tokenizer | Path, texts: Sequence[str]) -> tuple[list[np.ndarray], int]:
    """Ids of the texts, and their UTF-8 bytes: decoding gives a cleaned text back as it was."""
    if isinstance(tokenizer, Path):
        tokenizer = _load_tokenizer(tokenizer)
    bos, eos, core = tokenizer.bos_id, tokenizer.eos_id, tokenizer.core
    documents = [np.array([bos, *core.encode_cleaned(text), eos], np.int32) for text in texts]
    return documents, sum(len(text.encode()) for text in texts)


# Once a worker, with its cache of words.
@lru_cache(maxsize=1)
def _load_tokenizer(path: Path) -> Tokenizer:
    return Tokenizer.load(path)


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


def pack_corpus(
    tokenizer_path: Path, corpus: Path, out: Path, *, row_length: int, workers: int = 1, overwrite: bool = False
) -> Artifact:
    """Write a corpus artefact as pre-training rows (mode `concat`), every source as often as the mixture says.

    Args:
        workers: processes that encode; the rows are the same.

    Raises:
        InputError: an input artefact is damaged or made by other cleaning rules, or `out` exists.
    """
    artifact.check_free(out, overwrite)
    source = artifact.open_artifact(corpus, "corpus")
    if source.config["cleaning_rules"] != RULES_VERSION:
        rules = source.config["cleaning_rules"]
        raise InputError(f"{corpus}: cleaned by rules {rules}, not by today's, {RULES_VERSION}. Build it again.")
    tokenizer = Tokenizer.load(tokenizer_path)
    counts = PackCounts()
    epochs = source.config["epochs"]
    if not any(epochs.values()):
        raise InputError(f"{corpus}: every source has 0 epochs, so there is nothing to pack.")
    total = round(sum(epochs[name] * entry["documents"] for name, entry in source.counts["sources"].items()))
    texts = (row["text"] for row in track(iter_mixture(corpus), "pack", total=total, unit="documents"))
    documents = encode_documents(tokenizer, texts, counts, workers=workers)
    rows = pack_concat(documents, row_length, tokenizer.pad_id, counts)
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

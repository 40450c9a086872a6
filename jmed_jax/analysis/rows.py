"""A packed row to look at: out of a rows artefact, or made of the documents of a text file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jmed_jax.analysis.tokens import token_labels, tokenizer_of
from jmed_jax.data.rows import Records, open_rows
from jmed_jax.errors import InputError
from jmed_jax.jsonl import read_lines
from jmed_jax.tokenizer.load import TextTokenizer

if TYPE_CHECKING:
    from jmed_jax.language_model import LanguageModel


@dataclass(frozen=True)
class LookedAt:
    """One row without its padding.

    Attributes:
        tokens: int32 ids [T].
        segment_ids: int32 [T], documents from 1.
        labels: what each token stands for, for people.
        end_id: the token that ends a document.
        end_label: its name.
    """

    tokens: np.ndarray
    segment_ids: np.ndarray
    labels: Sequence[str]
    end_id: int
    end_label: str


def row_of_rows(model: "LanguageModel", rows: Path, number: int) -> LookedAt:
    """Row `number`, counted from 0 over all shards.

    Raises:
        InputError: there is no such row, or the rows were packed with another tokenizer than the model's.
    """
    tokenizer = tokenizer_of(model)
    artifact, row_format, shards = open_rows(rows)
    if artifact.inputs["tokenizer"] != tokenizer.fingerprint:
        raise InputError(f"{rows}: packed with another tokenizer than that of {model.name}. Use the rows it learned.")
    records = Records(shards)
    if number >= len(records):
        raise InputError(f"{rows}: no row {number}; there are {len(records)}, counted from 0.")
    row = row_format.decode(records[number])
    real_T = row.segment_ids > 0
    return _looked_at(tokenizer, row.tokens[real_T], row.segment_ids[real_T])


def row_of_text(model: "LanguageModel", file: Path) -> LookedAt:
    """The documents of a file, one a line, joined as they are packed, up to the model's context length.

    Raises:
        InputError: the file is missing or holds no text.
    """
    tokenizer = tokenizer_of(model)
    documents = [tokenizer.document_ids(line) for _, line in read_lines(file) if line.strip()]
    if not documents:
        raise InputError(f"{file}: no text in it. One document a line is expected.")
    tokens = np.concatenate([np.array(ids, np.int32) for ids in documents])
    segments = np.repeat(np.arange(1, len(documents) + 1, dtype=np.int32), [len(ids) for ids in documents])
    length = model.config.context_length
    return _looked_at(tokenizer, tokens[:length], segments[:length])


def _looked_at(tokenizer: TextTokenizer, tokens_T: np.ndarray, segment_ids_T: np.ndarray) -> LookedAt:
    end_id = tokenizer.document_ids("")[-1]
    labels = token_labels(tokenizer, tokens_T.tolist())
    return LookedAt(tokens_T, segment_ids_T, labels, end_id, tokenizer.decode([end_id], skip_special=False))

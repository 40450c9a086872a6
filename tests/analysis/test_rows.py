from pathlib import Path

import numpy as np
import pytest

from jmed_jax import artifact
from jmed_jax.analysis.rows import row_of_rows, row_of_text
from jmed_jax.data.rows import Row, RowFormat, write_shards
from jmed_jax.errors import InputError
from jmed_jax.language_model import LanguageModel
from jmed_jax.tokenizer.tokenizer import Tokenizer
from tests.analysis.models import random_model


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> LanguageModel:
    return random_model(tokenizer)


def write_rows(path: Path, model: LanguageModel, fingerprint: str) -> Path:
    """Two rows: the second holds two documents and padding."""
    assert model.tokenizer is not None
    row_format = RowFormat(32, model.config.vocab_size)
    first = model.tokenizer.document_ids("発熱と咳嗽。")
    second = model.tokenizer.document_ids("心電図。")
    padding = 32 - len(first) - len(second)
    tokens = np.array([*first, *second, *[model.tokenizer.pad_id] * padding], np.int32)
    segments = np.repeat([1, 2, 0], [len(first), len(second), padding]).astype(np.int32)
    rows = [
        Row(np.full(32, 9, np.int32), np.ones(32, np.int32), np.ones(32, bool)),
        Row(tokens, segments, segments > 0),
    ]
    with artifact.create(path, "rows", {"row_length": 32, "vocab_size": model.config.vocab_size}) as draft:
        draft.inputs["tokenizer"] = fingerprint
        draft.counts["rows"] = write_shards(rows, draft.path, row_format)
    return path


def test_a_row_comes_without_its_padding(model: LanguageModel, tmp_path: Path) -> None:
    assert model.tokenizer is not None
    row = row_of_rows(model, write_rows(tmp_path / "rows", model, model.tokenizer.fingerprint), 1)
    assert "".join(row.labels) == "<|begin_of_text|>発熱と咳嗽。<|end_of_text|><|begin_of_text|>心電図。<|end_of_text|>"
    assert len(row.labels) == len(row.tokens) == len(row.segment_ids)
    assert row.segment_ids.max() == 2
    assert [row.labels[place] for place in np.flatnonzero(row.tokens == row.end_id)] == [row.end_label] * 2
    assert row.end_label == "<|end_of_text|>"


def test_rows_of_another_tokenizer_and_rows_that_are_not_there(model: LanguageModel, tmp_path: Path) -> None:
    assert model.tokenizer is not None
    with pytest.raises(InputError, match="packed with another tokenizer"):
        row_of_rows(model, write_rows(tmp_path / "other", model, "0" * 64), 0)
    rows = write_rows(tmp_path / "rows", model, model.tokenizer.fingerprint)
    with pytest.raises(InputError, match="no row 2; there are 2"):
        row_of_rows(model, rows, 2)


def test_documents_of_a_file_are_joined_up_to_the_context(model: LanguageModel, tmp_path: Path) -> None:
    file = tmp_path / "documents.txt"
    file.write_text("発熱と咳嗽。\n\n心電図。\n" + "血圧。" * 30 + "\n", encoding="utf-8")
    row = row_of_text(model, file)
    assert "".join(row.labels).startswith("<|begin_of_text|>発熱と咳嗽。<|end_of_text|><|begin_of_text|>心電図。")
    assert len(row.tokens) == model.config.context_length
    assert sorted(set(row.segment_ids.tolist())) == [1, 2, 3]


def test_an_empty_file_and_a_model_without_a_tokenizer(model: LanguageModel, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    with pytest.raises(InputError, match="no text in it"):
        row_of_text(model, tmp_path / "empty.txt")
    with pytest.raises(InputError, match="no tokenizer"):
        row_of_text(random_model(None), tmp_path / "empty.txt")

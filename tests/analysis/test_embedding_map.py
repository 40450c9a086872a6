import importlib.util
from pathlib import Path

import numpy as np
import pytest

from jmed_jax.analysis import embedding_map
from jmed_jax.analysis.embedding_map import choose_terms, choose_tokens, count_tokens, nearest_of_each, project
from jmed_jax.analysis.embeddings import TokenEmbeddings
from jmed_jax.analysis.tokens import Writing, word_test, writing
from jmed_jax.errors import InputError
from jmed_jax.tokenizer.tokenizer import Tokenizer
from tests import tiny

ALL = list(Writing)


@pytest.fixture
def embeddings(tokenizer: Tokenizer) -> TokenEmbeddings:
    return TokenEmbeddings(tokenizer, np.random.default_rng(0).normal(size=(tokenizer.base_vocab_size, 16)))


def test_whole_words_of_the_wanted_writing_by_id(embeddings: TokenEmbeddings) -> None:
    chosen = choose_tokens(embeddings, limit=60, writings=[Writing.KANJI, Writing.KANA])
    assert len(chosen.texts) == 60
    assert {writing(text) for text in chosen.texts} == {Writing.KANJI, Writing.KANA}
    assert all(map(word_test(embeddings.tokenizer), chosen.texts))
    ids = [index for index in chosen.ids if index is not None]
    assert ids == sorted(ids)
    assert chosen.counts is None
    np.testing.assert_array_equal(chosen.vectors, embeddings.matrix_VD[ids])


def test_counts_decide_and_what_never_occurs_is_left_out(embeddings: TokenEmbeddings) -> None:
    counts_V = np.zeros(len(embeddings.matrix_VD), int)
    counts_V[200:] = np.arange(len(counts_V) - 200)
    chosen = choose_tokens(embeddings, limit=1000, writings=ALL, counts_V=counts_V)
    assert chosen.counts == sorted(chosen.counts or [], reverse=True)
    assert min(index for index in chosen.ids if index is not None) > 200


def test_preferred_words_take_at_most_half(embeddings: TokenEmbeddings) -> None:
    everything = choose_tokens(embeddings, limit=1000, writings=ALL).texts
    assert len(everything) > 100
    few = choose_tokens(embeddings, limit=60, writings=ALL, preferred=set(everything[-5:])).texts
    assert list(few) == [*everything[:55], *everything[-5:]]
    many = choose_tokens(embeddings, limit=60, writings=ALL, preferred=set(everything[40:])).texts
    assert list(many) == list(everything[:30]) + list(everything[40:70])


def test_terms_are_means_and_come_once(embeddings: TokenEmbeddings) -> None:
    terms = (
        [f"{first}{second}" for first in "発熱咳嗽血圧" for second in "性症後前型的感"]
        + ["発熱"] * 5
        + ["咳嗽", "頭痛", "胃癌"]
    )
    chosen = choose_terms(embeddings, terms)
    assert len(chosen.texts) == len(set(terms))
    assert set(chosen.ids) == {None}
    np.testing.assert_allclose(chosen.vectors[-1], embeddings.vector("胃癌"))


def test_too_few_for_a_map(embeddings: TokenEmbeddings) -> None:
    with pytest.raises(InputError, match="only 3 different terms"):
        choose_terms(embeddings, ["発熱", "咳嗽", "頭痛", "発熱"])
    with pytest.raises(InputError, match=r"only 0 tokens to show.*--writing"):
        choose_tokens(embeddings, limit=1000, writings=[])


def test_tokens_are_counted_without_padding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tiny.make_rows(tmp_path / "rows", count=12)
    counts_V = count_tokens(rows, tiny.VOCAB)
    assert counts_V.sum() == 12 * 28
    monkeypatch.setattr(embedding_map, "MOST_ROWS_COUNTED", 4)
    assert count_tokens(rows, tiny.VOCAB).sum() == 4 * 28
    with pytest.raises(InputError, match="packed for 96 ids, and the model has 50"):
        count_tokens(rows, 50)


def two_clouds() -> np.ndarray:
    generator = np.random.default_rng(0)
    return np.concatenate([generator.normal(size=(40, 8)), 20 + generator.normal(size=(40, 8))]).astype(np.float32)


def test_tsne_keeps_groups_apart_and_is_the_same_twice() -> None:
    places_C2 = project(two_clouds(), "tsne", seed=1)
    assert places_C2.shape == (80, 2)
    first, second = places_C2[:40], places_C2[40:]
    spread = max(np.linalg.norm(group - group.mean(axis=0), axis=1).max() for group in (first, second))
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > 2 * spread
    np.testing.assert_array_equal(places_C2, project(two_clouds(), "tsne", seed=1))


def test_umap_without_its_library_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "umap" else find(name))
    with pytest.raises(InputError, match=r"pip install 'jmed_jax\[analysis\]'"):
        project(two_clouds(), "umap")


@pytest.mark.slow
def test_umap_is_the_same_twice() -> None:
    pytest.importorskip("umap")
    places_C2 = project(two_clouds(), "umap", seed=1)
    assert places_C2.shape == (80, 2)
    np.testing.assert_array_equal(places_C2, project(two_clouds(), "umap", seed=1))


def test_neighbours_are_by_cosine_and_never_oneself() -> None:
    vectors_CD = np.array([[1, 0], [5, 0.1], [0, 1], [0.1, 9], [0, 0]], np.float32)
    nearest = nearest_of_each(vectors_CD, 2)
    assert [row[0] for row in nearest[:4].tolist()] == [1, 0, 3, 2]
    assert all(place not in row for place, row in enumerate(nearest.tolist()))

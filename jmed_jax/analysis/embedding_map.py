"""Token embeddings in the plane, by t-SNE and UMAP (arXiv 2412.16423, Appendix A.7).

Axes: C tokens or terms that are shown, D hidden, V vocabulary.
"""

import importlib.util
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from jmed_jax.analysis.embeddings import TokenEmbeddings
from jmed_jax.analysis.tokens import Writing, text_tokens, word_test, writing
from jmed_jax.data.rows import Records, open_rows
from jmed_jax.errors import InputError

Method = Literal["tsne", "umap"]
METHODS: tuple[Method, ...] = ("tsne", "umap")
METHOD_NAMES: dict[Method, str] = {"tsne": "t-SNE, perplexity 15", "umap": "UMAP, 15 neighbours"}

PERPLEXITY = 15
NEIGHBOURS = 15
# t-SNE looks at three times as many neighbours as its perplexity.
FEWEST = 3 * PERPLEXITY + 1
# Enough for the order of the frequent tokens.
MOST_ROWS_COUNTED = 5000


@dataclass(frozen=True)
class Chosen:
    """What is shown; one entry, or row of the matrix, each.

    Attributes:
        texts: of tokens as they are decoded, or terms.
        ids: of tokens; None for terms, which may be several tokens.
        counts: how often they were met, if rows were counted.
        vectors: float32 [C, D].
    """

    texts: Sequence[str]
    ids: Sequence[int | None]
    counts: Sequence[int] | None
    vectors: np.ndarray


def choose_tokens(
    embeddings: TokenEmbeddings,
    *,
    limit: int,
    writings: Collection[Writing],
    counts_V: np.ndarray | None = None,
    preferred: Collection[str] = (),
) -> Chosen:
    """The first `limit` whole words among the tokens: by `counts_V`, else by id.

    Ids rise with rarity in either family: sentencepiece orders pieces by their score, BPE by when it learned them.

    Args:
        writings: tokens written otherwise are left out.
        counts_V: how often each id was met; ids that never were are left out.
        preferred: words that are taken before others, for at most half of the places.

    Raises:
        InputError: too few are left to draw a map of.
    """
    is_word = word_test(embeddings.tokenizer)
    ids = text_tokens(embeddings.tokenizer, len(embeddings.matrix_VD))
    texts = [text for text in ids if writing(text) in writings]
    if counts_V is not None:
        texts = sorted((text for text in texts if counts_V[ids[text]]), key=lambda text: -counts_V[ids[text]])
    else:
        texts.sort(key=ids.__getitem__)
    texts = _first([text for text in texts if is_word(text)], limit, preferred)
    if len(texts) < FEWEST:
        raise InputError(f"only {len(texts)} tokens to show; a map needs {FEWEST}. Take more kinds with --writing.")
    shown_ids = [ids[text] for text in texts]
    counts = None if counts_V is None else [int(counts_V[index]) for index in shown_ids]
    return Chosen(texts, shown_ids, counts, embeddings.matrix_VD[shown_ids])


def _first(texts: Sequence[str], limit: int, preferred: Collection[str]) -> list[str]:
    """`limit` of the texts in their order, half of the places for the preferred as far as there are any."""
    kept = set([text for text in texts if text.strip() in preferred][: limit // 2])
    others = set([text for text in texts if text not in kept][: limit - len(kept)])
    return [text for text in texts if text in kept or text in others]


def choose_terms(embeddings: TokenEmbeddings, terms: Sequence[str]) -> Chosen:
    """Terms, by the mean over their tokens.

    Raises:
        InputError: there are too few, or nothing is left of one after cleaning.
    """
    terms = list(dict.fromkeys(terms))
    if len(terms) < FEWEST:
        raise InputError(f"only {len(terms)} different terms; a map needs {FEWEST}.")
    return Chosen(terms, [None] * len(terms), None, np.stack([embeddings.vector(term) for term in terms]))


def count_tokens(rows: Path, vocab_size: int) -> np.ndarray:
    """How often each id [V] stands in packed rows: in all, or in `MOST_ROWS_COUNTED` at equal distances.

    Raises:
        InputError: no rows artefact, or one of a larger vocabulary.
    """
    _, row_format, shards = open_rows(rows)
    if row_format.vocab_size > vocab_size:
        raise InputError(f"{rows}: packed for {row_format.vocab_size} ids, and the model has {vocab_size}.")
    records = Records(shards)
    counts_V = np.zeros(vocab_size, np.int64)
    for place in np.unique(np.linspace(0, len(records) - 1, min(len(records), MOST_ROWS_COUNTED)).astype(int)):
        row = row_format.decode(records[int(place)])
        counts_V += np.bincount(row.tokens[row.segment_ids > 0], minlength=vocab_size)
    return counts_V


def check_method(method: Method) -> None:
    """
    Raises:
        InputError: its library is not installed.
    """
    if method == "umap" and importlib.util.find_spec("umap") is None:
        raise InputError("UMAP needs umap-learn: pip install 'jmed_jax[analysis]', or use --method tsne.")


def project(vectors_CD: np.ndarray, method: Method, seed: int = 0) -> np.ndarray:
    """Places [C, 2] in the plane; the same vectors and seed give the same places on the same machine.

    The paper names the perplexity and the number of neighbours; all else is as the libraries have it.

    Raises:
        InputError: the method's library is not installed.
    """
    check_method(method)
    if method == "tsne":
        from sklearn.manifold import TSNE

        return np.asarray(TSNE(perplexity=PERPLEXITY, random_state=seed).fit_transform(vectors_CD))
    from umap import UMAP

    # One thread, which a seed costs, is what it would choose itself, with a warning.
    return np.asarray(UMAP(n_neighbors=NEIGHBOURS, random_state=seed, n_jobs=1).fit_transform(vectors_CD))


def nearest_of_each(vectors_CD: np.ndarray, count: int) -> np.ndarray:
    """The `count` others [C, count] whose vectors have the largest cosine with each, best first."""
    lengths_C1 = np.linalg.norm(vectors_CD, axis=1, keepdims=True)
    unit_CD = vectors_CD / np.maximum(lengths_C1, np.finfo(np.float32).tiny)
    cosines_CC = unit_CD @ unit_CD.T
    np.fill_diagonal(cosines_CC, -np.inf)
    return np.argsort(-cosines_CC, axis=1, kind="stable")[:, :count]

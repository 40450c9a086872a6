"""Token embeddings: nearest neighbours and analogies by cosine similarity (arXiv 2412.16423, Appendix)."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jmed_jax.analysis.tokens import shown, text_tokens, tokenizer_of
from jmed_jax.errors import InputError
from jmed_jax.tokenizer.load import TextTokenizer

if TYPE_CHECKING:
    from jmed_jax.language_model import LanguageModel

SIGNS = {"+": 1, "-": -1, "−": -1}


class Neighbour(NamedTuple):
    """A text and the cosine of its vector with the one asked for."""

    text: str
    similarity: float


class Term(NamedTuple):
    """One part of an analogy."""

    sign: int
    text: str


class TokenEmbeddings:
    """The input embeddings of a model. The vector of a text is the mean over its tokens.

    Args:
        matrix_VD: a row a token id.
    """

    def __init__(self, tokenizer: TextTokenizer, matrix_VD: Any) -> None:
        self.tokenizer = tokenizer
        self.matrix_VD = np.asarray(matrix_VD, np.float32)

    @classmethod
    def of(cls, model: "LanguageModel") -> "TokenEmbeddings":
        """
        Raises:
            InputError: the model has no tokenizer.
        """
        return cls(tokenizer_of(model), model.parameters["embedding"]["embedding"])

    def vector(self, text: str) -> np.ndarray:
        """Mean embedding [D] of a text, with a space before it if that takes fewer tokens.

        Byte-level BPE knows a word of Latin letters as it stands within a sentence: ` cancer`, but `c`, `ancer`.

        Raises:
            InputError: nothing is left of it after cleaning.
        """
        ids = min(self.tokenizer.encode(text), self.tokenizer.encode(" " + text), key=len)
        if not ids:
            raise InputError(f"{text!r}: nothing is left of this term after cleaning.")
        return self.matrix_VD[ids].mean(axis=0)

    def combine(self, terms: Sequence[Term]) -> np.ndarray:
        """Sum of the vectors of signed terms."""
        return np.sum([term.sign * self.vector(term.text) for term in terms], axis=0)

    def nearest(
        self, vector_D: np.ndarray, count: int, *, exclude: Collection[str] = (), among: Sequence[str] | None = None
    ) -> list[Neighbour]:
        """The `count` texts whose vectors have the largest cosine with `vector_D`, best first.

        Args:
            exclude: texts that are not shown, such as those asked with; with a space before them neither.
            among: terms to choose from; None is the vocabulary's tokens.

        Raises:
            InputError: `among` is empty, or one of its terms is after cleaning.
        """
        texts, vectors_CD = self._tokens() if among is None else self._terms(among)
        lengths_C = np.linalg.norm(vectors_CD, axis=1) * np.linalg.norm(vector_D)
        cosines_C = (vectors_CD @ vector_D) / np.maximum(lengths_C, np.finfo(np.float32).tiny)
        order = (index for index in np.argsort(-cosines_C, kind="stable") if texts[index].strip() not in exclude)
        return [
            Neighbour(shown(texts[index]), float(cosines_C[index]))
            for _, index in zip(range(count), order, strict=False)
        ]

    def _tokens(self) -> tuple[list[str], np.ndarray]:
        ids = text_tokens(self.tokenizer, len(self.matrix_VD))
        return list(ids), self.matrix_VD[list(ids.values())]

    def _terms(self, terms: Sequence[str]) -> tuple[list[str], np.ndarray]:
        if not terms:
            raise InputError("no terms to choose from: the list of candidates is empty.")
        return list(terms), np.stack([self.vector(term) for term in terms])


def parse_analogy(expression: str) -> list[Term]:
    """`脳出血 - 脳 + 消化管` → signed terms; signs stand between spaces, because names hold hyphens.

    Raises:
        InputError: terms and signs do not alternate, or there are fewer than two terms.
    """
    first, *others = expression.split() or [""]
    signs, texts = others[0::2], others[1::2]
    well_formed = texts and len(signs) == len(texts) and SIGNS.keys() >= set(signs)
    if not well_formed or not SIGNS.keys().isdisjoint([first, *texts]):
        raise InputError(f"{expression!r}: expected terms with + or - between them, as in: 脳出血 - 脳 + 消化管.")
    return [Term(1, first), *(Term(SIGNS[sign], text) for sign, text in zip(signs, texts, strict=True))]

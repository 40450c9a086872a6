"""Models of this package behind the protocols of `backends`, which knows no JAX.

Axes: B texts of a batch, T positions, D hidden.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from jmed_jax.backends.protocol import ChatBackend, Completion, Encoder, Message
from jmed_jax.errors import InputError
from jmed_jax.language_model import LanguageModel
from jmed_jax.models.decoder import abstract_parameters
from jmed_jax.tokenizer.load import TextTokenizer

# Lengths are rounded up to a power of two from here, so that few programs are compiled.
SHORTEST = 64


class OurModel(ChatBackend):
    """An instruction-tuned model."""

    batch_size = 64

    def __init__(self, model: LanguageModel) -> None:
        """
        Raises:
            InputError: the model has no tokenizer.
        """
        self.name = model.name
        self.counts: Counter[str] = Counter()
        self._model = model
        self._tokenizer = _tokenizer(model)

    def complete(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Completion]:
        """One greedy completion a conversation.

        Raises:
            InputError: the model is not instruction-tuned.
        """
        answers = self._model.chat(conversations, max_new_tokens=max_new_tokens)
        prompts = (self._tokenizer.encode_chat(messages, add_generation_prompt=True) for messages in conversations)
        self.counts["requests"] += len(conversations)
        self.counts["prompt_tokens"] += sum(map(len, prompts))
        self.counts["completion_tokens"] += sum(len(self._tokenizer.encode(answer)) for answer in answers)
        for answer in answers:
            self.counts["answers" if answer.strip() else "empty answer"] += 1
        return [Completion(answer) if answer.strip() else Completion("", "an empty answer") for answer in answers]


class OurEncoder(Encoder):
    """The mean of the last hidden states (behind the final norm) over a text's tokens, in float32."""

    def __init__(self, model: LanguageModel, *, max_length: int, batch_size: int = 32) -> None:
        """
        Args:
            max_length: tokens of a text that are looked at, the begin token (if the tokenizer has one) included.

        Raises:
            InputError: the model has no tokenizer.
        """
        self.name = model.name
        self.max_length = min(max_length, model.config.context_length)
        self.tokens = 0
        self._model = model
        self._tokenizer = _tokenizer(model)
        self._batch_size = batch_size

    @cached_property
    def fingerprint(self) -> str:  # type: ignore[override]  # the protocol has a variable
        """sha256 over configuration, tokenizer and parameters."""
        digest = hashlib.sha256(f"{self._model.config} {self._tokenizer.fingerprint}".encode())
        for path, array in jax.tree_util.tree_leaves_with_path(self._model.parameters):
            digest.update(jax.tree_util.keystr(path).encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors float32 [N, D] of N texts, in their order."""
        # As a document without its end; an empty text, which has no token where no begin token is, is that end.
        documents = map(self._tokenizer.document_ids, texts)
        encoded = [(ids[:-1] or ids)[: self.max_length] for ids in documents]
        vectors_ND = np.zeros((len(texts), self._model.config.hidden_size), np.float32)
        # The longest first: they need most memory.
        order = sorted(range(len(texts)), key=lambda i: -len(encoded[i]))
        for start in range(0, len(order), self._batch_size):
            indices = order[start : start + self._batch_size]
            vectors_ND[indices] = self._encode_batch([encoded[i] for i in indices])
        self.tokens += sum(map(len, encoded))
        return vectors_ND

    def _encode_batch(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        longest = max(SHORTEST, *map(len, ids))
        # Full batches of few lengths: few programs. What stands behind a text's end does not reach it: causal.
        ids_BT = np.zeros((self._batch_size, 1 << (longest - 1).bit_length()), np.int32)
        lengths_B = np.ones(self._batch_size, np.int32)
        for row, text in enumerate(ids):
            ids_BT[row, : len(text)] = text
            lengths_B[row] = len(text)
        return np.asarray(self._mean_hidden(self._model.parameters, ids_BT, lengths_B))[: len(ids)]

    @cached_property
    def _mean_hidden(self) -> Any:
        graphdef, _ = abstract_parameters(self._model.config)

        def mean_hidden(parameters: Any, ids_BT: jax.Array, lengths_B: jax.Array) -> jax.Array:
            decoder = nnx.merge(graphdef, parameters)
            hidden_BTD = decoder.transform(decoder.embed(ids_BT, jnp.float32))
            is_text_BT = jnp.arange(ids_BT.shape[1])[None] < lengths_B[:, None]
            return jnp.sum(hidden_BTD * is_text_BT[..., None], axis=1) / lengths_B[:, None]

        return jax.jit(mean_hidden)


def _tokenizer(model: LanguageModel) -> TextTokenizer:
    if model.tokenizer is None:
        raise InputError(f"{model.name}: this model has no tokenizer, so it reads no text.")
    return model.tokenizer

"""Models of this package behind the protocols of `backends`, which knows no JAX.

Axes: B texts of a batch, T positions, D hidden.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from jmed_jax.backends.machine import peak_process_bytes
from jmed_jax.backends.protocol import Backend, Completion, Decoding, Encoder, Likelihood, Machine, Prompt, Scorer
from jmed_jax.errors import InputError
from jmed_jax.generate.sampling import Sampling
from jmed_jax.generate.stream import until_stop
from jmed_jax.language_model import LanguageModel
from jmed_jax.models.decoder import abstract_parameters
from jmed_jax.tokenizer.load import TextTokenizer

# Lengths are rounded up to a power of two from here, so that few programs are compiled.
SHORTEST = 64
PAIRS_AT_ONCE = 256
"""That the engine weighs before any of them is handed on: enough to fill its packs."""


class OurModel(Backend, Scorer):
    """A model of this package: an instruction-tuned one takes conversations, every one takes texts."""

    batch_size = 64

    def __init__(self, model: LanguageModel) -> None:
        """
        Raises:
            InputError: the model has no tokenizer.
        """
        self.name = model.name
        self.restores_writing = model.restores_writing
        self.counts: Counter[str] = Counter()
        self._model = model
        self._tokenizer = _tokenizer(model)

    def answers(
        self,
        prompts: Sequence[Prompt],
        decoding: Decoding,
        *,
        ids: Sequence[str] | None = None,  # noqa: ARG002 (prompts need no names)
    ) -> Iterator[tuple[int, Completion]]:
        """Every prompt's index and completion, as the engine ends them.

        A prompt that leaves too little of the context that the model was trained on is read whole, beyond that, and
        its completion is marked.

        Raises:
            InputError: there are conversations, and the model is not instruction-tuned.
        """
        encoded = [self._encode(prompt) for prompt in prompts]
        sampling = Sampling(beams=decoding.beams, stop=decoding.stop)
        found = self._model.generator.answers(encoded, max_new_tokens=decoding.max_new_tokens, sampling=sampling)
        self.counts["requests"] += len(encoded)
        for index, answer in found:
            text = until_stop(self._tokenizer.decode(answer.ids), decoding.stop)
            used, written = len(encoded[index]), len(answer.ids)
            self.counts.update(prompt_tokens=used, completion_tokens=written)
            self.counts["answers" if text.strip() else "empty answer"] += 1
            yield (
                index,
                Completion(
                    text if text.strip() else "",
                    "" if text.strip() else "an empty answer",
                    is_final=not text.strip(),
                    overlong=used + decoding.max_new_tokens > self._model.config.context_length,
                    prompt_tokens=used,
                    completion_tokens=written,
                ),
            )

    def loglikelihood(self, pairs: Sequence[tuple[Prompt, str]]) -> Iterator[tuple[int, Likelihood]]:
        """Every pair's index and likelihood, a block of pairs at a time.

        Raises:
            InputError: as `answers`.
        """
        for start in range(0, len(pairs), PAIRS_AT_ONCE):
            block = pairs[start : start + PAIRS_AT_ONCE]
            prompts = [self._encode(prompt) for prompt, _ in block]
            continuations = [self._tokenizer.encode(text) for _, text in block]
            scores = self._model.generator.score(prompts, continuations)
            self.counts.update(requests=len(block), prompt_tokens=sum(map(len, prompts)))
            for place, score in enumerate(scores):
                length = len(prompts[place]) + len(continuations[place])
                overlong = length > self._model.config.context_length
                likelihood = Likelihood(
                    score.log_probability, len(continuations[place]), score.greedy, overlong, len(prompts[place])
                )
                yield start + place, likelihood

    def machine(self) -> Machine:
        """JAX's devices, or the process on a CPU."""
        device = jax.devices()[0]
        peak = (device.memory_stats() or {}).get("peak_bytes_in_use")
        return Machine(device.device_kind, jax.device_count(), peak or peak_process_bytes())

    def _encode(self, prompt: Prompt) -> list[int]:
        if isinstance(prompt, str):
            # A document without its end; what ends the one before it stands for nothing.
            return self._tokenizer.document_ids(prompt)[:-1] or [self._tokenizer.eos_id]
        return self._model.chat_prompt(prompt)


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

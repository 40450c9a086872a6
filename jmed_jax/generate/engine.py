"""Batched generation with a static-shape KV cache.

Axes: B rows, P prompt positions, M new positions, S cache positions, K KV heads, H head dim, D hidden, V vocabulary.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from jmed_jax.config import ModelConfig
from jmed_jax.models.attention import attend, causal_attention
from jmed_jax.models.decoder import Decoder, abstract_parameters
from jmed_jax.progress import track

# Prompts are padded to a multiple of this, so that few programs are compiled.
PROMPT_BUCKET = 128
# Key and value cache of one batch; longer prompts go in smaller batches.
CACHE_TOKENS = 32_768
MAX_BATCH = 64


class LayerCache(NamedTuple):
    """Keys and values of one layer, [B, S, K, H]."""

    k: Array
    v: Array


class Generator:
    """Greedy decoding of many prompts of one model."""

    def __init__(self, config: ModelConfig, parameters: Any, eos_id: int | None, dtype: Any = jnp.float32) -> None:
        """
        Args:
            parameters: plain nested dictionaries, blocks stacked.
            eos_id: ends an answer; None always generates the full length.
            dtype: of activations, products and cache.
        """
        self.config = config
        self.eos_id = eos_id
        self.dtype = jnp.dtype(dtype)
        self.graphdef, _ = abstract_parameters(config)
        parameters = jax.tree.map(lambda a: jnp.asarray(a, self.dtype), parameters)
        # Unstacked once: slicing layer i out of a stacked array copies its weights for every token.
        blocks = [jax.tree.map(lambda a, i=i: a[i], parameters["blocks"]) for i in range(config.num_layers)]
        self.parameters = {**parameters, "blocks": blocks}

    def generate(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int, progress: str | None = None
    ) -> list[list[int]]:
        """Greedy continuations, without the end token, in the order of the prompts.

        Args:
            progress: label of a progress display on standard error; None shows nothing.

        Raises:
            ValueError: a prompt is empty.
        """
        if any(len(prompt) == 0 for prompt in prompts):
            raise ValueError("a prompt is empty: begin it with the <|begin_of_text|> token at least.")
        answers: dict[int, list[int]] = {}
        batches = _batches([len(prompt) for prompt in prompts], max_new_tokens)
        for indices in track(batches, progress, unit="batches") if progress else batches:
            outputs = self._generate_batch([prompts[i] for i in indices], max_new_tokens)
            answers |= zip(indices, outputs, strict=True)
        return [answers[i] for i in range(len(prompts))]

    def _generate_batch(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> list[list[int]]:
        length = -(-max(map(len, prompts)) // PROMPT_BUCKET) * PROMPT_BUCKET
        # The number of rows is rounded up to a power of two: one program for many batch sizes.
        rows = 1 << (len(prompts) - 1).bit_length()
        tokens_BP = np.zeros((rows, length), np.int32)
        starts_B = np.full((rows,), length - 1, np.int32)
        for i, prompt in enumerate(prompts):
            starts_B[i] = length - len(prompt)
            tokens_BP[i, starts_B[i] :] = prompt
        finished_B = np.arange(rows) >= len(prompts)
        outputs_BM = np.asarray(self._decode(self.parameters, tokens_BP, starts_B, finished_B, max_new_tokens))
        return [self._until_end(outputs_BM[i]) for i in range(len(prompts))]

    def _until_end(self, tokens: np.ndarray) -> list[int]:
        ends = np.flatnonzero(tokens == self.eos_id) if self.eos_id is not None else np.zeros(0, int)
        return tokens[: ends[0] if ends.size else len(tokens)].tolist()

    @partial(jax.jit, static_argnames=("self", "max_new_tokens"))
    def _decode(
        self, parameters: Any, tokens_BP: Array, starts_B: Array, finished_B: Array, max_new_tokens: int
    ) -> Array:
        """Prefill, then one token a turn until every row has ended; returns [B, max_new_tokens].

        Prompts are left-padded: all rows write the cache at one position, and rotary positions, being relative, do
        not mind the offset.
        """
        P = tokens_BP.shape[1]
        segment_ids_BP = (jnp.arange(P)[None] >= starts_B[:, None]).astype(jnp.int32)
        logits_BV, caches = self._prefill(parameters, tokens_BP, segment_ids_BP, P + max_new_tokens)
        end = -1 if self.eos_id is None else self.eos_id
        token_B = jnp.argmax(logits_BV, axis=-1).astype(jnp.int32)
        outputs_BM = jnp.full((tokens_BP.shape[0], max_new_tokens), end, jnp.int32).at[:, 0].set(token_B)

        def unfinished(carry: tuple) -> Array:
            index, _, finished_B, _, _ = carry
            return (index < max_new_tokens) & ~jnp.all(finished_B)

        def add_token(carry: tuple) -> tuple:
            index, token_B, finished_B, outputs_BM, caches = carry
            logits_BV, caches = self._decode_one(parameters, token_B, caches, starts_B, P + index - 1)
            token_B = jnp.where(finished_B, end, jnp.argmax(logits_BV, axis=-1).astype(jnp.int32))
            outputs_BM = jax.lax.dynamic_update_slice(outputs_BM, token_B[:, None], (0, index))
            return index + 1, token_B, finished_B | (token_B == end), outputs_BM, caches

        start = (jnp.ones((), jnp.int32), token_B, finished_B | (token_B == end), outputs_BM, caches)
        return jax.lax.while_loop(unfinished, add_token, start)[3]

    def _prefill(
        self, parameters: Any, tokens_BP: Array, segment_ids_BP: Array, capacity: int
    ) -> tuple[Array, list[LayerCache]]:
        """Logits [B, V] after the prompts, and caches of `capacity` positions that hold them."""
        padding = ((0, 0), (0, capacity - tokens_BP.shape[1]), (0, 0), (0, 0))
        caches = []

        def attend_to_prompt(_layer: int, q: Array, k: Array, v: Array) -> Array:
            caches.append(LayerCache(jnp.pad(k, padding), jnp.pad(v, padding)))
            return causal_attention(q, k, v, segment_ids_BP)

        logits_BV = self._forward(parameters, tokens_BP, jnp.arange(tokens_BP.shape[1]), attend_to_prompt)
        return logits_BV, caches

    def _decode_one(
        self, parameters: Any, token_B: Array, caches: list[LayerCache], starts_B: Array, position: Array
    ) -> tuple[Array, list[LayerCache]]:
        """Logits [B, V] after one more token, which stands at `position`, and the caches with it."""
        slots_S = jnp.arange(caches[0].k.shape[1])
        mask_B1S = ((slots_S[None] <= position) & (slots_S[None] >= starts_B[:, None]))[:, None]
        updated = []

        def attend_to_cache(layer: int, q: Array, k: Array, v: Array) -> Array:
            pairs = zip(caches[layer], (k, v), strict=True)
            cache = LayerCache(*(jax.lax.dynamic_update_slice(old, new, (0, position, 0, 0)) for old, new in pairs))
            updated.append(cache)
            return attend(q, cache.k, cache.v, mask_B1S)

        return self._forward(parameters, token_B[:, None], position[None], attend_to_cache), updated

    def _forward(
        self,
        parameters: Any,
        tokens_BT: Array,
        positions_T: Array,
        attention: Callable[[int, Array, Array, Array], Array],
    ) -> Array:
        """Logits [B, V] after the last token; `attention(layer, q, k, v)` decides what is looked at and kept."""
        decoder: Decoder = nnx.merge(self.graphdef, {**parameters, "blocks": parameters["blocks"][0]})
        block_graphdef = nnx.split(decoder.blocks)[0]
        rope = decoder.rope(positions_T[None])
        x_BTD = decoder.embed(tokens_BT, self.dtype)
        for index, layer in enumerate(parameters["blocks"]):
            block = nnx.merge(block_graphdef, layer)
            x_BTD = block.finish(x_BTD, attention(index, *block.qkv(x_BTD, rope)))
        return decoder.logits(decoder.final_norm(x_BTD[:, -1:]))[:, 0]


def _batches(lengths: Sequence[int], max_new_tokens: int) -> list[list[int]]:
    """Indices grouped by similar length, longest first, within the cache's size."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batches: list[list[int]] = []
    while order:
        longest = -(-lengths[order[0]] // PROMPT_BUCKET) * PROMPT_BUCKET + max_new_tokens
        # A power of two, so that few programs are compiled.
        size = min(MAX_BATCH, 1 << (max(1, CACHE_TOKENS // longest).bit_length() - 1))
        batches.append(order[:size])
        order = order[size:]
    return batches

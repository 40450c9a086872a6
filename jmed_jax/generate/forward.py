"""The decoder as the engine runs it: layer after layer, with an attention that looks into a cache.

Axes: B rows, W beams, T positions, S cache positions, C tail positions, K KV heads, H head dim, D hidden, V vocabulary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.sharding import NamedSharding

from jmed_jax.config import LoraConfig, ModelConfig
from jmed_jax.generate.cache import Cache, LayerCache, attend_to_both, with_token
from jmed_jax.models.attention import causal_attention
from jmed_jax.models.decoder import Decoder, abstract_parameters

Attention = Callable[[int, Array, Array, Array], Array]
"""`attention(layer, q_BTNH, k_BTKH, v_BTKH)` decides what is looked at and kept."""

# Leaves that products in the engine's dtype are made with. Norms, adapters and the scales of quantised kernels stay as
# they are: the modules cast them where they use them.
_CAST = ("kernel", "bias", "embedding")


def unstacked(parameters: Any, num_layers: int, dtype: jnp.dtype) -> Any:
    """Parameters with a list of layers as `blocks`, whatever leaves a layer has.

    Once before all decoding: slicing layer i out of a stacked array copies its weights for every token.
    """

    def cast(path: tuple, leaf: Array) -> Array:
        return jnp.asarray(leaf, dtype if path[-1].key in _CAST else None)

    parameters = jax.tree_util.tree_map_with_path(cast, parameters)
    blocks = [jax.tree.map(lambda a, i=i: a[i], parameters["blocks"]) for i in range(num_layers)]
    return {**parameters, "blocks": blocks}


@dataclass(frozen=True)
class CachedDecoder:
    """A model without its parameters, which are arguments, unstacked: equal ones share their compiled programs.

    Attributes:
        lora: as the parameters were attached or quantised, if they were.
        dtype: of activations, products and caches.
        sharding: of a cache's rows, where there is a mesh.
    """

    config: ModelConfig
    lora: LoraConfig | None
    dtype: jnp.dtype
    sharding: NamedSharding | None = None

    @cached_property
    def graphdef(self) -> nnx.GraphDef:
        return abstract_parameters(self.config, self.lora)[0]

    def keep(self, cache: Cache) -> Cache:
        """The cache, sharded as caches are: left to the compiler, every program might have its own opinion."""
        return cache if self.sharding is None else jax.lax.with_sharding_constraint(cache, self.sharding)

    def transform(
        self, parameters: Any, tokens_BT: Array, positions_BT: Array, segment_ids_BT: Array
    ) -> tuple[Array, Cache]:
        """Hidden states [B, T, D] behind the final norm, and keys and values [B, K, T, H], of packed sequences."""
        layers = []

        def attend_to_prompt(_layer: int, q: Array, k: Array, v: Array) -> Array:
            layers.append(LayerCache(k.swapaxes(1, 2), v.swapaxes(1, 2)))
            return causal_attention(q, k, v, segment_ids_BT)

        hidden_BTD = self._run(parameters, tokens_BT, positions_BT, attend_to_prompt)
        return hidden_BTD, tuple(layers)

    def decode(
        self, parameters: Any, tokens_BW: Array, cache: Cache, lengths_B: Array, tail: Cache, position: Array
    ) -> tuple[Array, Cache]:
        """Logits [B, W, V] after one more token a beam, and the tail with it.

        Args:
            lengths_B: tokens of each row in the cache.
            position: of the new token in the tail.
        """
        seen_BS = jnp.arange(cache[0].k.shape[2])[None] < lengths_B[:, None]
        seen_C = jnp.arange(tail[0].k.shape[3]) <= position
        longer = []

        def attend_to_cache(layer: int, q: Array, k: Array, v: Array) -> Array:
            longer.append(with_token(tail[layer], k, v, position))
            return attend_to_both(q, cache[layer], seen_BS, longer[-1], seen_C)

        hidden_BWD = self._run(parameters, tokens_BW, (lengths_B + position)[:, None], attend_to_cache)
        return self.logits(parameters, hidden_BWD), tuple(longer)

    def logits(self, parameters: Any, hidden_BTD: Array) -> Array:
        """Logits [B, T, V] in float32."""
        return self._decoder(parameters).logits(hidden_BTD)

    def _run(self, parameters: Any, tokens_BT: Array, positions_BT: Array, attention: Attention) -> Array:
        decoder = self._decoder(parameters)
        block_graphdef = nnx.split(decoder.blocks)[0]
        rope = decoder.rope(positions_BT)
        x_BTD = decoder.embed(tokens_BT, self.dtype)
        for index, layer in enumerate(parameters["blocks"]):
            block = nnx.merge(block_graphdef, layer)
            x_BTD = block.finish(x_BTD, attention(index, *block.qkv(x_BTD, rope)))
        return decoder.final_norm(x_BTD)

    def _decoder(self, parameters: Any) -> Decoder:
        # Its own blocks are not used: one layer's leaves fit the graph as well as stacked ones.
        return nnx.merge(self.graphdef, {**parameters, "blocks": parameters["blocks"][0]})

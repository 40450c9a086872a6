"""Where the attention of a packed row goes: maps at chosen layers, and how much of it leaves the document.

arXiv 2412.16423, Appendix A.6, looks at rows packed with plain causal attention over the whole window.

Axes: B batch (always 1), T query positions, S key positions, N query heads, K KV heads, G = N // K, H head dim,
D hidden, L layers, M chosen heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from jmed_jax.errors import InputError
from jmed_jax.models.attention import NEGATIVE, reference_attention, visible
from jmed_jax.models.decoder import abstract_parameters
from jmed_jax.models.rope import Rope

if TYPE_CHECKING:
    from jmed_jax.language_model import LanguageModel

Mask = Literal["causal", "document"]

MEAN = 0
"""Stands for the mean over heads, where heads are numbered from 1."""


@dataclass(frozen=True)
class Shares:
    """Of the attention of one layer, in the mean over its heads and over the queries behind the first document.

    Attributes:
        earlier: what goes to keys of earlier documents.
        first: what goes to the first token of the row, which is a part of `earlier`.
        ends: what goes to the tokens that end a document.
    """

    earlier: float
    first: float
    ends: float


@dataclass(frozen=True)
class RowAttention:
    """The attention of one row.

    Attributes:
        maps: weights float32 [T, S] by layer and head, both from 1; head `MEAN` is the mean over all.
        shares: of every layer, from the first; None where the row has only one document.
        even: the share of `Shares.earlier` that attention would have if it were spread evenly; None as above.
        largest_difference: between weights times values and what a layer itself computes, in parts of the largest
            number that it computes; over all layers.
    """

    maps: dict[tuple[int, int], np.ndarray]
    shares: list[Shares] | None
    even: float | None
    largest_difference: float


def row_attention(
    model: "LanguageModel",
    tokens_T: np.ndarray,
    segment_ids_T: np.ndarray,
    *,
    layers: Sequence[int],
    heads: Sequence[int] = (MEAN,),
    mask: Mask = "causal",
    end_id: int,
) -> RowAttention:
    """The attention of the model's own layers to one row without padding.

    Args:
        segment_ids_T: documents from 1, in the order of the row.
        layers: whose maps are kept, from 1.
        heads: whose maps are kept, from 1, or `MEAN`.
        mask: "document" keeps a query within its own document; "causal" is the whole window.
        end_id: the token that ends a document.

    Raises:
        InputError: the model has no such layer or head.
    """
    config = model.config
    _check_numbers(layers, config.num_layers, "layer")
    _check_numbers([head for head in heads if head != MEAN], config.num_heads, "head")
    decoder = nnx.merge(abstract_parameters(config)[0], model.merged)
    graphdef, blocks = nnx.split(decoder.blocks)
    segment_ids_BT = jnp.asarray(segment_ids_T, jnp.int32)[None]
    row = _Row(
        rope=decoder.rope(jnp.arange(len(tokens_T))[None]),
        segment_ids=segment_ids_BT,
        masked=segment_ids_BT if mask == "document" else None,
        ends=jnp.asarray(tokens_T == end_id),
    )
    x_BTD = decoder.embed(jnp.asarray(tokens_T, jnp.int32)[None], jnp.float32)
    maps: dict[tuple[int, int], np.ndarray] = {}
    shares, differences = [], []
    for layer in range(1, config.num_layers + 1):
        kept = tuple(heads) if layer in layers else ()
        x_BTD, seen = _layer(graphdef, kept, jax.tree.map(lambda leaf, i=layer - 1: leaf[i], blocks), x_BTD, row)
        maps |= {(layer, head): np.asarray(weights_TS) for head, weights_TS in zip(kept, seen.maps, strict=True)}
        shares.append(Shares(*(float(share) for share in seen.shares)))
        differences.append(float(seen.difference))
    later_T = segment_ids_T > segment_ids_T[0]
    return RowAttention(
        maps=maps,
        shares=shares if later_T.any() else None,
        even=_even_share(segment_ids_T, later_T, mask) if later_T.any() else None,
        largest_difference=max(differences),
    )


def attention_weights(q_BTNH: Array, k_BSKH: Array, segment_ids_BT: Array | None) -> Array:
    """The weights float32 [B, N, T, S] that `reference_attention` multiplies the values with.

    It never has them in one piece: there the softmax divides after the product with the values.
    """
    B, T, N, H = q_BTNH.shape
    K = k_BSKH.shape[2]
    q_BTKGH = q_BTNH.reshape(B, T, K, N // K, H)
    scores_BKGTS = jnp.einsum("BTKGH,BSKH->BKGTS", q_BTKGH, k_BSKH, preferred_element_type=jnp.float32) * H**-0.5
    scores_BKGTS = scores_BKGTS + jnp.where(visible(0, T, segment_ids_BT), 0.0, NEGATIVE)[:, None, None]
    return jax.nn.softmax(scores_BKGTS).reshape(B, N, T, -1)


class _Row(NamedTuple):
    """What all layers are given."""

    rope: Rope
    segment_ids: Array
    """[B, T]."""
    masked: Array | None
    """The same where attention stays within a segment."""
    ends: Array
    """bool [S], tokens that end a document."""


class _Seen(NamedTuple):
    """What is kept of a layer."""

    maps: tuple[Array, ...]
    shares: tuple[Array, Array, Array]
    """In the order of `Shares`."""
    difference: Array


@partial(jax.jit, static_argnums=(0, 1))
def _layer(graphdef: Any, heads: tuple[int, ...], state: Any, x_BTD: Array, row: _Row) -> tuple[Array, _Seen]:
    block = nnx.merge(graphdef, state)
    q_BTNH, k_BTKH, v_BTKH = block.qkv(x_BTD, row.rope)
    attended_BTNH = reference_attention(q_BTNH, k_BTKH, v_BTKH, row.masked)
    weights_BNTS = attention_weights(q_BTNH, k_BTKH, row.masked)
    group = q_BTNH.shape[2] // k_BTKH.shape[2]
    product_BTNH = jnp.einsum("BNTS,BSNH->BTNH", weights_BNTS, jnp.repeat(v_BTKH, group, axis=2))
    mean_TS = weights_BNTS[0].mean(axis=0)
    maps = tuple(mean_TS if head == MEAN else weights_BNTS[0, head - 1] for head in heads)
    difference = jnp.max(jnp.abs(product_BTNH - attended_BTNH)) / jnp.max(jnp.abs(attended_BTNH))
    seen = _Seen(maps, _shares(mean_TS, row), difference)
    return block.finish(x_BTD, attended_BTNH), seen


def _shares(mean_TS: Array, row: _Row) -> tuple[Array, Array, Array]:
    segments_T = row.segment_ids[0]
    later_T = segments_T > segments_T[0]
    keys = (segments_T[:, None] != segments_T[None], jnp.arange(len(segments_T))[None] == 0, row.ends[None])
    earlier, first, ends = (
        jnp.sum(mean_TS * chosen * later_T[:, None]) / jnp.maximum(1, later_T.sum()) for chosen in keys
    )
    return earlier, first, ends


def _even_share(segment_ids_T: np.ndarray, later_T: np.ndarray, mask: Mask) -> float:
    if mask == "document":
        return 0.0
    starts_T = np.searchsorted(segment_ids_T, segment_ids_T)
    return float((starts_T / (1 + np.arange(len(segment_ids_T))))[later_T].mean())


def _check_numbers(numbers: Sequence[int], count: int, what: str) -> None:
    for number in numbers:
        if not 1 <= number <= count:
            raise InputError(f"{what} {number}: this model has {what}s 1 to {count}.")

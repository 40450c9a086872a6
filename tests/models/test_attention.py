"""Rotary positions and attention against plain readings of the papers, torch and transformers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jmed_jax.models import attention
from jmed_jax.models.attention import apply_rope, attend, causal_attention, rope_table

HEADS, KV_HEADS, HEAD_DIM = 4, 2, 8


def random_qkv(length: int, batch: int = 2, seed: int = 0) -> tuple[Array, Array, Array]:
    keys = jax.random.split(jax.random.key(seed), 3)
    heads = (HEADS, KV_HEADS, KV_HEADS)
    q, k, v = (
        jax.random.normal(key, (batch, length, n, HEAD_DIM), jnp.float32) for key, n in zip(keys, heads, strict=True)
    )
    return q, k, v


def run(q: Array, k: Array, v: Array, segment_ids_BT: Array | None = None, **dropout: Any) -> np.ndarray:
    """`causal_attention`, compiled as a whole."""
    return np.array(jax.jit(lambda *arrays: causal_attention(*arrays, **dropout))(q, k, v, segment_ids_BT))


def full_mask_attention(q: Array, k: Array, v: Array, segment_ids_BT: Array | None) -> Array:
    """What `causal_attention` is a faster form of."""
    mask_BTS = jnp.tril(jnp.ones((q.shape[1], q.shape[1]), bool))[None]
    if segment_ids_BT is not None:
        mask_BTS = mask_BTS & (segment_ids_BT[:, :, None] == segment_ids_BT[:, None])
    return attend(q, k, v, mask_BTS)


def segments(length: int) -> Array:
    """Two rows: documents of 1, 2, 3, … tokens; and one document with padding behind it."""
    growing = np.repeat(np.arange(1, length + 1), np.arange(1, length + 1))[:length]
    padded = np.where(np.arange(length) < length // 2 + 1, 1, 0)
    return jnp.array(np.stack([growing, padded]), jnp.int32)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "QUERY_CHUNK", 8)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("length", [1, 8, 21])
@pytest.mark.parametrize("by_document", [False, True])
def test_chunks_give_the_values_and_gradients_of_the_full_mask(length: int, by_document: bool) -> None:
    qkv = random_qkv(length)
    segment_ids_BT = segments(length) if by_document else None
    # A weighted sum, so that every output has a gradient of its own.
    weights = jax.random.normal(jax.random.key(9), qkv[0].shape, jnp.float32)

    def values_and_gradients(attention_function: object) -> object:
        def total(qkv: tuple[Array, Array, Array]) -> tuple[Array, Array]:
            out = attention_function(*qkv, segment_ids_BT)  # type: ignore[operator]
            return jnp.sum(out * weights), out

        return jax.jit(jax.grad(total, has_aux=True))(qkv)

    jax.tree.map(
        lambda ours, plain: np.testing.assert_allclose(ours, plain, atol=2e-6),
        values_and_gradients(causal_attention),
        values_and_gradients(full_mask_attention),
    )


@pytest.mark.usefixtures("small_chunks")
def test_the_future_does_not_influence_the_past() -> None:
    q, k, v = random_qkv(20)
    before = run(q, k, v)
    after = run(q.at[:, 13:].add(1), k.at[:, 13:].add(1), v.at[:, 13:].add(1))
    np.testing.assert_array_equal(before[:, :13], after[:, :13])
    assert not np.allclose(before[:, 13:], after[:, 13:])


@pytest.mark.usefixtures("small_chunks")
def test_only_the_document_mask_isolates_documents() -> None:
    q, k, v = random_qkv(20, batch=1)
    changed = v.at[:, :9].add(1)
    segment_ids_BT = jnp.array([[1] * 9 + [2] * 11])
    masked, masked_changed = (run(q, k, values, segment_ids_BT) for values in (v, changed))
    np.testing.assert_array_equal(masked[:, 9:], masked_changed[:, 9:])
    assert not np.allclose(run(q, k, v)[:, 9:], run(q, k, changed)[:, 9:])


def test_a_document_of_one_token_sees_itself_alone() -> None:
    q, k, v = random_qkv(5, batch=1)
    out = run(q, k, v, jnp.array([[1, 1, 2, 3, 3]]))
    np.testing.assert_allclose(out[:, 2], np.repeat(v[:, 2], HEADS // KV_HEADS, axis=1), rtol=1e-6)


def test_attention_dropout_acts_on_the_weights_and_only_with_a_key() -> None:
    q, k, _ = random_qkv(12)
    # With values of one, the output is the sum of the kept weights.
    ones = jnp.ones_like(k)
    without = run(q, k, ones, dropout_rate=0.5)
    np.testing.assert_allclose(without, 1, rtol=1e-5)
    sums = np.array(run(q, k, ones, dropout_rate=0.5, dropout_key=jax.random.key(0)))
    assert set(np.round(sums[:, 0], 5).ravel()) == {0.0, 2.0}
    assert sums.std() > 0.1
    assert abs(sums.mean() - 1) < 0.1


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_grouped_queries_match_torch(kv_heads: int) -> None:
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    q, k, v = (generator.normal(size=(2, 11, n, HEAD_DIM)).astype(np.float32) for n in (HEADS, kv_heads, kv_heads))
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *(torch.tensor(a).transpose(1, 2) for a in (q, k, v)), is_causal=True, enable_gqa=True
    )
    ours = run(jnp.array(q), jnp.array(k), jnp.array(v))
    np.testing.assert_allclose(ours, theirs.transpose(1, 2).numpy(), atol=1e-6)


def test_rotated_products_depend_on_the_distance_alone() -> None:
    q, k, _ = random_qkv(6)
    k = jnp.repeat(k, HEADS // KV_HEADS, axis=2)

    def scores(first_position: int) -> Array:
        rope = rope_table(jnp.arange(6)[None] + first_position, HEAD_DIM, 10_000.0)
        return jnp.einsum("BTNH,BSNH->BNTS", apply_rope(q, rope), apply_rope(k, rope))

    np.testing.assert_allclose(scores(0), scores(1000), atol=1e-3)
    unrotated = jnp.einsum("BTNH,BSNH->BNTS", q, k)
    assert np.abs(scores(0) - unrotated).max() > 0.5


@pytest.mark.parametrize("theta", [10_000.0, 1e6])
def test_rotation_matches_transformers(theta: float) -> None:
    torch = pytest.importorskip("torch")
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

    q, k, _ = random_qkv(300)
    config = LlamaConfig(
        hidden_size=HEADS * HEAD_DIM,
        num_attention_heads=HEADS,
        head_dim=HEAD_DIM,
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": theta},
    )
    q_torch, k_torch = (torch.tensor(np.array(a)).transpose(1, 2) for a in (q, k))
    cos, sin = LlamaRotaryEmbedding(config)(q_torch, torch.arange(300)[None])
    theirs = [a.transpose(1, 2).numpy() for a in apply_rotary_pos_emb(q_torch, k_torch, cos, sin)]
    rope = rope_table(jnp.arange(300)[None], HEAD_DIM, theta)
    for ours, their in zip((apply_rope(q, rope), apply_rope(k, rope)), theirs, strict=True):
        np.testing.assert_allclose(ours, their, atol=1e-4)


def test_angles_keep_float32_under_bfloat16_activations() -> None:
    x = jnp.ones((1, 2, 1, HEAD_DIM), jnp.bfloat16)
    # bfloat16 has no 257.
    rope = rope_table(jnp.array([[256, 257]]), HEAD_DIM, 10_000.0)
    assert rope.cos.dtype == jnp.float32
    np.testing.assert_allclose(rope.cos[0, :, 0, 0], np.cos([256, 257]), atol=1e-5)
    rotated = apply_rope(x, rope)
    assert rotated.dtype == jnp.bfloat16
    assert (rotated[0, 0] != rotated[0, 1]).any()

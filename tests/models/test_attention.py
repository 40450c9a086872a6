"""Attention in plain XLA: chunks against the whole mask, and the whole mask against torch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jmed_jax.models import attention as attention_module
from jmed_jax.models.attention import CausalAttention, causal_attention, reference_attention

HEADS, KV_HEADS, HEAD_DIM = 4, 2, 8
IMPLEMENTATIONS = [causal_attention, reference_attention]


def random_qkv(length: int, batch: int = 2, seed: int = 0, kv_heads: int = KV_HEADS) -> tuple[Array, Array, Array]:
    keys = jax.random.split(jax.random.key(seed), 3)
    heads = (HEADS, kv_heads, kv_heads)
    q, k, v = (
        jax.random.normal(key, (batch, length, n, HEAD_DIM), jnp.float32) for key, n in zip(keys, heads, strict=True)
    )
    return q, k, v


def run(
    attention: CausalAttention, q: Array, k: Array, v: Array, segment_ids_BT: Array | None = None, **dropout: Any
) -> np.ndarray:
    """Compiled as a whole."""
    return np.array(jax.jit(lambda *arrays: attention(*arrays, **dropout))(q, k, v, segment_ids_BT))


def segments(length: int) -> Array:
    """Two rows: documents of 1, 2, 3, … tokens; and one document with padding behind it."""
    growing = np.repeat(np.arange(1, length + 1), np.arange(1, length + 1))[:length]
    padded = np.where(np.arange(length) < length // 2 + 1, 1, 0)
    return jnp.array(np.stack([growing, padded]), jnp.int32)


def assert_same_values_and_gradients(
    ours: CausalAttention, qkv: tuple[Array, Array, Array], segment_ids_BT: Array | None, atol: float = 2e-6
) -> None:
    """As those of the whole mask."""
    # A weighted sum, so that every output has a gradient of its own.
    weights = jax.random.normal(jax.random.key(9), qkv[0].shape, jnp.float32)

    def values_and_gradients(attention: CausalAttention) -> Any:
        def total(qkv: tuple[Array, Array, Array]) -> tuple[Array, Array]:
            out = attention(*qkv, segment_ids_BT)
            return jnp.sum(out * weights), out

        return jax.jit(jax.grad(total, has_aux=True))(qkv)

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=atol),
        values_and_gradients(ours),
        values_and_gradients(reference_attention),
    )


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_module, "QUERY_CHUNK", 8)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("length", [1, 8, 21])
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("by_document", [False, True])
def test_chunks_give_the_values_and_gradients_of_the_whole_mask(length: int, kv_heads: int, by_document: bool) -> None:
    qkv = random_qkv(length, kv_heads=kv_heads)
    assert_same_values_and_gradients(causal_attention, qkv, segments(length) if by_document else None)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
def test_the_future_does_not_influence_the_past(attention: CausalAttention) -> None:
    q, k, v = random_qkv(20)
    before = run(attention, q, k, v)
    after = run(attention, q.at[:, 13:].add(1), k.at[:, 13:].add(1), v.at[:, 13:].add(1))
    np.testing.assert_array_equal(before[:, :13], after[:, :13])
    assert not np.allclose(before[:, 13:], after[:, 13:])


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
def test_only_the_document_mask_isolates_documents(attention: CausalAttention) -> None:
    q, k, v = random_qkv(20, batch=1)
    changed = v.at[:, :9].add(1)
    segment_ids_BT = jnp.array([[1] * 9 + [2] * 11])
    masked, masked_changed = (run(attention, q, k, values, segment_ids_BT) for values in (v, changed))
    np.testing.assert_array_equal(masked[:, 9:], masked_changed[:, 9:])
    assert not np.allclose(run(attention, q, k, v)[:, 9:], run(attention, q, k, changed)[:, 9:])


@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
def test_a_document_of_one_token_sees_itself_alone(attention: CausalAttention) -> None:
    q, k, v = random_qkv(5, batch=1)
    out = run(attention, q, k, v, jnp.array([[1, 1, 2, 3, 3]]))
    np.testing.assert_allclose(out[:, 2], np.repeat(v[:, 2], HEADS // KV_HEADS, axis=1), rtol=1e-6)


@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
def test_dropout_acts_on_the_weights_and_only_with_a_key(attention: CausalAttention) -> None:
    q, k, _ = random_qkv(12, batch=16)
    # With values of one, the output is the sum of the kept weights.
    ones = jnp.ones_like(k)
    without = run(attention, q, k, ones, dropout_rate=0.5)
    np.testing.assert_allclose(without, 1, rtol=1e-5)
    sums = np.array(run(attention, q, k, ones, dropout_rate=0.5, dropout_key=jax.random.key(0)))
    assert set(np.round(sums[:, 0], 5).ravel()) == {0.0, 2.0}
    assert sums.std() > 0.1
    assert abs(sums.mean() - 1) < 0.1


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("attention", IMPLEMENTATIONS)
def test_grouped_queries_match_torch(kv_heads: int, attention: CausalAttention) -> None:
    torch = pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    q, k, v = (generator.normal(size=(2, 11, n, HEAD_DIM)).astype(np.float32) for n in (HEADS, kv_heads, kv_heads))
    theirs = torch.nn.functional.scaled_dot_product_attention(
        *(torch.tensor(a).transpose(1, 2) for a in (q, k, v)), is_causal=True, enable_gqa=True
    )
    ours = run(attention, jnp.array(q), jnp.array(k), jnp.array(v))
    np.testing.assert_allclose(ours, theirs.transpose(1, 2).numpy(), atol=1e-6)

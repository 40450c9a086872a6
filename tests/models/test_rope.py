"""Rotary positions against the paper and transformers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from jmed_jax.models.rope import apply_rope, rope_table

HEAD_DIM = 8


def random_heads(length: int, heads: int = 4, seed: int = 0) -> Array:
    return jax.random.normal(jax.random.key(seed), (2, length, heads, HEAD_DIM), jnp.float32)


def test_rotated_products_depend_on_the_distance_alone() -> None:
    q, k = random_heads(6), random_heads(6, seed=1)

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

    q, k = random_heads(300), random_heads(300, heads=2, seed=1)
    config = LlamaConfig(
        hidden_size=4 * HEAD_DIM,
        num_attention_heads=4,
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

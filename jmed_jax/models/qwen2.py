"""Sizes of Qwen2 and Qwen2.5 as configurations of the one decoder (arXiv 2407.10671, Table 1).

The numbers are those of the published `config.json` files of Qwen2-0.5B-Instruct and its larger sisters; Qwen2.5 has
the same. The padded vocabulary is kept: 151,646 ids are real, no text reaches the other rows.
"""

from dataclasses import replace
from typing import Literal

from jmed_jax.config import ModelConfig

Size = Literal["0.5B", "1.5B", "7B", "72B"]

_7B = ModelConfig(
    vocab_size=152_064,
    num_layers=28,
    hidden_size=3584,
    mlp_size=18_944,
    num_heads=28,
    num_kv_heads=4,
    head_dim=128,
    # max_position_embeddings of the instruction-tuned models.
    context_length=32_768,
    gated_mlp=True,
    qkv_bias=True,
    tie_embeddings=False,
    scale_embeddings=False,
    # That of Qwen2-72B and Qwen2.5-72B before instruction tuning is 1e-5.
    norm_eps=1e-6,
    rope_theta=1_000_000.0,
    attention_dropout=0.0,
    residual_dropout=0.0,
)
_SMALL = replace(_7B, vocab_size=151_936, num_kv_heads=2, tie_embeddings=True)
_SIZES: dict[Size, ModelConfig] = {
    "0.5B": replace(_SMALL, num_layers=24, hidden_size=896, mlp_size=4864, num_heads=14, head_dim=64),
    "1.5B": replace(_SMALL, hidden_size=1536, mlp_size=8960, num_heads=12),
    "7B": _7B,
    "72B": replace(_7B, num_layers=80, hidden_size=8192, mlp_size=29_568, num_heads=64, num_kv_heads=8),
}


def qwen2(size: Size, *, context_length: int = _7B.context_length) -> ModelConfig:
    """The architecture of one size.

    Args:
        context_length: tokens of a row. Positions are rotary: no parameter depends on it.
    """
    return replace(_SIZES[size], context_length=context_length)

"""Small random models of both families, beside transformers' with the same weights."""

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import numpy as np
from flax import nnx

from jmed_jax.config import ModelConfig
from jmed_jax.models.decoder import initialize_parameters
from tests.tiny import MODEL

NCVC = MODEL
QWEN2 = replace(
    MODEL, num_layers=3, gated_mlp=True, qkv_bias=True, tie_embeddings=True, scale_embeddings=False, rope_theta=1e6
)
FAMILIES = {"ncvc": NCVC, "qwen2": QWEN2}
ENDS = (2, 20, 40)
"""More than one, as Qwen2 has: answers of random models end somewhere."""


@cache
def parameters_of(config: ModelConfig, width: float = 6.0) -> Any:
    """Wider than usual, so that choices are far from ties; biases and norms are not what they start as."""
    fresh = nnx.to_pure_dict(initialize_parameters(config, seed=3))
    generator = np.random.default_rng(0)

    def change(path: tuple, leaf: jax.Array) -> jax.Array:
        if path[-1].key in ("bias", "scale"):
            return leaf + 0.3 * generator.normal(size=leaf.shape).astype(np.float32)
        return leaf * (1.3 * width if path[-1].key == "embedding" and config.tie_embeddings else width)

    return jax.tree_util.tree_map_with_path(change, fresh)


@cache
def torch_model(config: ModelConfig, width: float = 6.0) -> Any:
    """The same model in transformers."""
    import torch
    from transformers import ArceeConfig, ArceeForCausalLM, Qwen2Config, Qwen2ForCausalLM

    common = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.mlp_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "hidden_act": "silu",
        "tie_word_embeddings": config.tie_embeddings,
        "max_position_embeddings": 512,
        "rms_norm_eps": config.norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "bos_token_id": 1,
        "eos_token_id": list(ENDS),
        "pad_token_id": 0,
    }
    if config.gated_mlp:
        model: Any = Qwen2ForCausalLM(Qwen2Config(**common))
    else:
        model = ArceeForCausalLM(ArceeConfig(**common, head_dim=config.head_dim, mlp_bias=False, attention_bias=False))
    missing, unexpected = model.load_state_dict(
        {name: torch.tensor(array) for name, array in _state_dict(config, width).items()}, strict=False
    )
    assert not unexpected and set(missing) <= {"lm_head.weight"}
    model.tie_weights()
    return model.eval()


def _state_dict(config: ModelConfig, width: float) -> dict[str, np.ndarray]:
    tree = jax.tree.map(np.asarray, parameters_of(config, width))
    blocks = tree["blocks"]
    scale = config.hidden_size**0.5 if config.scale_embeddings else 1.0
    named = {"model.embed_tokens.weight": tree["embedding"]["embedding"] * np.float32(scale)}
    named["model.norm.weight"] = tree["final_norm"]["scale"]
    if not config.tie_embeddings:
        named["lm_head.weight"] = tree["head"]["kernel"].T
    linears = {
        "self_attn.q_proj": blocks["attention"]["query"],
        "self_attn.k_proj": blocks["attention"]["key"],
        "self_attn.v_proj": blocks["attention"]["value"],
        "self_attn.o_proj": blocks["attention"]["output"],
        **{f"mlp.{name}_proj": leaves for name, leaves in blocks["mlp"].items()},
    }
    for layer in range(config.num_layers):
        prefix = f"model.layers.{layer}"
        named[f"{prefix}.input_layernorm.weight"] = blocks["attention_norm"]["scale"][layer]
        named[f"{prefix}.post_attention_layernorm.weight"] = blocks["mlp_norm"]["scale"][layer]
        for name, leaves in linears.items():
            named[f"{prefix}.{name}.weight"] = leaves["kernel"][layer].T
            if "bias" in leaves:
                named[f"{prefix}.{name}.bias"] = leaves["bias"][layer]
    return named


def random_prompts(lengths: list[int], config: ModelConfig = MODEL) -> list[list[int]]:
    """Ids without the special ones."""
    return [np.random.default_rng(i).integers(3, config.vocab_size, n).tolist() for i, n in enumerate(lengths)]

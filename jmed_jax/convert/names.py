"""Which Hugging Face tensor holds which of our parameters.

Hugging Face keeps a linear layer's weight as (out, in), one tensor a layer; ours are (in, out), stacked over layers.
"""

from typing import NamedTuple

from jmed_jax.config import ModelConfig

EMBEDDING = "model.embed_tokens.weight"
HEAD = "lm_head.weight"


class Tensor(NamedTuple):
    """One Hugging Face tensor and where its numbers are in our tree."""

    name: str
    path: tuple[str, ...]
    """Keys of our nested dictionaries."""
    layer: int | None
    """Index on the leading layer axis; None for parameters outside the blocks."""
    transpose: bool


# The head of a model that ties it to an embedding with a scale, which Hugging Face's classes lack.
SCALED_TIED_HEAD = Tensor(HEAD, ("embedding", "embedding"), None, False)

_BLOCK = {
    "self_attn.q_proj": ("attention", "query"),
    "self_attn.k_proj": ("attention", "key"),
    "self_attn.v_proj": ("attention", "value"),
    "self_attn.o_proj": ("attention", "output"),
    "mlp.gate_proj": ("mlp", "gate"),
    "mlp.up_proj": ("mlp", "up"),
    "mlp.down_proj": ("mlp", "down"),
}
_NORMS = {"input_layernorm": "attention_norm", "post_attention_layernorm": "mlp_norm"}
_BIASED = ("q_proj", "k_proj", "v_proj")


def tensors(config: ModelConfig) -> list[Tensor]:
    """Every tensor of a checkpoint in the order of the forward pass (Arcee, Llama and Qwen2 share these names)."""
    found = [Tensor(EMBEDDING, ("embedding", "embedding"), None, False)]
    for layer in range(config.num_layers):
        found += _block_tensors(config, layer)
    found.append(Tensor("model.norm.weight", ("final_norm", "scale"), None, False))
    if not config.tie_embeddings:
        found.append(Tensor(HEAD, ("head", "kernel"), None, True))
    return found


def _block_tensors(config: ModelConfig, layer: int) -> list[Tensor]:
    prefix = f"model.layers.{layer}"
    found = [
        Tensor(f"{prefix}.{name}.weight", ("blocks", ours, "scale"), layer, False) for name, ours in _NORMS.items()
    ]
    for name, path in _BLOCK.items():
        if name == "mlp.gate_proj" and not config.gated_mlp:
            continue
        found.append(Tensor(f"{prefix}.{name}.weight", ("blocks", *path, "kernel"), layer, True))
        if config.qkv_bias and name.endswith(_BIASED):
            found.append(Tensor(f"{prefix}.{name}.bias", ("blocks", *path, "bias"), layer, False))
    return found

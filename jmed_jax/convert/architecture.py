"""`config.json` of a Hugging Face directory as our ModelConfig: Qwen2, Llama, and Arcee as we export it."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jmed_jax import jsonl
from jmed_jax.config import ModelConfig
from jmed_jax.errors import InputError

MODEL_TYPES = ("arcee", "llama", "qwen2")
_KINDS: dict[type, tuple[str, ...]] = {
    int: (
        "vocab_size",
        "num_hidden_layers",
        "hidden_size",
        "intermediate_size",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "max_position_embeddings",
    ),
    float: ("rms_norm_eps", "rope_theta"),
    bool: ("tie_word_embeddings",),
    dict: ("rope_parameters", "rope_scaling"),
}


def read_model_config(path: Path) -> ModelConfig:
    """Architecture of a Hugging Face directory, written by transformers 4 or 5.

    Raises:
        InputError: no such directory, or an architecture that this version cannot read.
    """
    file = path / "config.json"
    if not file.is_file():
        raise InputError(f"{path}: neither a run (run.json) nor a Hugging Face directory (config.json).")
    # What is null counts as left out.
    content = {name: value for name, value in read_json(file).items() if value is not None}
    check_kinds(file, content, _KINDS)
    _check_readable(file, content)
    try:
        return _model_config(content)
    except KeyError as error:
        raise InputError(f"{file}: no {error} in it. Export or fetch the model again.") from error
    except ValueError as error:
        raise InputError(f"{file}: {error}") from error


def read_json(path: Path) -> dict[str, Any]:
    """
    Raises:
        InputError: the file is no JSON object.
    """
    try:
        content = jsonl.read_json(path)
    except InputError as error:
        raise InputError(f"{error} Export or fetch the model again.") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a JSON object. Export or fetch the model again.")
    return content


def check_kinds(file: Path, content: Mapping[str, Any], kinds: Mapping[type, Sequence[str]]) -> None:
    """Fields of a JSON object are of the kinds that they must be, or absent, or null; a whole number is a float, too.

    Whole numbers count things, of which there are fewer than 2³¹.

    Raises:
        InputError: one is not.
    """
    for kind, names in kinds.items():
        for name in names:
            value = content.get(name)
            # JSON's whole numbers may be longer than any float.
            limit = sys.float_info.max if kind is float else 2**31
            fits = abs(value) < limit if type(value) is int and kind in (int, float) else type(value) is kind
            if value is not None and not fits:
                raise InputError(f"{file}: {name} is {value!r}, expected {kind.__name__}. Fetch the model again.")


def _check_readable(file: Path, content: Mapping[str, Any]) -> None:
    model_type, activation = content.get("model_type"), content.get("hidden_act", "silu")
    if model_type not in MODEL_TYPES or activation != "silu":
        raise InputError(
            f'{file}: model_type "{model_type}" with activation "{activation}" cannot be read; expected '
            f'{", ".join(MODEL_TYPES)} with "silu".'
        )
    if content.get("quantization_config"):
        raise InputError(f"{file}: a quantised checkpoint (quantization_config). Fetch the one in bfloat16.")
    if content.get("use_sliding_window"):
        raise InputError(f"{file}: use_sliding_window is true, and attention here has no sliding window.")
    scaling = (content.get("rope_scaling") or {}) | (content.get("rope_parameters") or {})
    kind = scaling.get("rope_type", scaling.get("type", "default"))
    if kind != "default":
        raise InputError(f'{file}: rotary positions are scaled ("{kind}"); only "default" can be read.')
    if model_type != "qwen2" and content.get("mlp_bias"):
        raise InputError(
            f"{file}: the MLP has biases, as has the llama twin of `jmed export hf`. Import the export of format arcee."
        )
    if model_type != "qwen2" and content.get("attention_bias"):
        raise InputError(f"{file}: attention_bias is true; a {model_type} model with biases cannot be read.")


def _model_config(content: Mapping[str, Any]) -> ModelConfig:
    ours = content["model_type"] == "arcee"
    heads = content["num_attention_heads"]
    # transformers 4 writes rope_theta, transformers 5 rope_parameters.
    rope = content.get("rope_parameters") or {}
    return ModelConfig(
        vocab_size=content["vocab_size"],
        num_layers=content["num_hidden_layers"],
        hidden_size=content["hidden_size"],
        mlp_size=content["intermediate_size"],
        num_heads=heads,
        num_kv_heads=content.get("num_key_value_heads") or heads,
        head_dim=content.get("head_dim") or content["hidden_size"] // heads,
        context_length=content["max_position_embeddings"],
        gated_mlp=not ours,
        qkv_bias=content["model_type"] == "qwen2",
        # What a file leaves out is transformers' default.
        tie_embeddings=content.get("tie_word_embeddings", False),
        scale_embeddings=False,
        norm_eps=content.get("rms_norm_eps", 1e-6),
        rope_theta=rope.get("rope_theta", content.get("rope_theta", 10_000.0)),
        # The papers' own dropout is for training from scratch.
        **({} if ours else {"attention_dropout": 0.0, "residual_dropout": 0.0}),
    )

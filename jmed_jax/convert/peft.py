"""An adapter as a PEFT directory, and back: `adapter_config.json` with `adapter_model.safetensors`.

PEFT keeps a matrix a layer, as (out, in); ours are (in, out), stacked over layers (`models/lora.py`).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jmed_jax.config import LORA_TARGETS, LoraConfig, ModelConfig
from jmed_jax.convert.architecture import check_kinds, read_json
from jmed_jax.convert.tensor_files import Slot, file_slots, read_into
from jmed_jax.errors import InputError
from jmed_jax.models.lora import LINEARS, abstract_adapter

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_LEAVES = {"a": "lora_A.weight", "b": "lora_B.weight", "magnitude": "lora_magnitude_vector"}
_MUST_BE_UNSET = (
    "rank_pattern",
    "alpha_pattern",
    "modules_to_save",
    "layers_to_transform",
    "layers_pattern",
    "exclude_modules",
    "target_parameters",
    "trainable_token_indices",
    "layer_replication",
    "fan_in_fan_out",
    "lora_bias",
    "use_qalora",
)
"""Settings that mean another computation than ours."""
_KINDS = {
    int: ("r",),
    float: ("lora_alpha", "lora_dropout"),
    bool: ("use_rslora", "use_dora"),
    str: ("base_model_name_or_path",),
}


class _Tensor(NamedTuple):
    name: str
    target: str
    leaf: str
    layer: int


def is_adapter(path: Path) -> bool:
    """Whether a PEFT directory lies there."""
    return (path / CONFIG).is_file()


def base_name(path: Path) -> str:
    """What a PEFT directory says that it belongs to: a directory, or a name of the Hugging Face Hub."""
    return read_json(path / CONFIG).get("base_model_name_or_path") or ""


def read_adapter(path: Path, config: ModelConfig) -> tuple[dict[str, Any], LoraConfig]:
    """An adapter of a model of the architecture `config`, float32 arrays in host memory.

    Raises:
        InputError: there is none, it is pickled, of another kind than LoRA on the blocks' linear layers, or it does
            not fit the model.
    """
    lora = read_config(path)
    if not (path / WEIGHTS).is_file() and (path / "adapter_model.bin").is_file():
        raise InputError(
            f"{path}: a pickled adapter (.bin), which can run code and is not read. Save it again with PEFT where you "
            "trust it: model.save_pretrained(OUT)."
        )
    slots = file_slots(path / WEIGHTS)
    abstract = abstract_adapter(config, lora)
    expected = list(_tensors(config, lora))
    _check_tensors(path, expected, abstract, slots)
    adapter = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), abstract)
    for tensor in expected:
        target = _leaves(adapter, tensor.target)[tensor.leaf][tensor.layer]
        read_into(target, slots[tensor.name], (slice(None),) * target.ndim, transpose=target.ndim == 2)
    return adapter, lora


def write_adapter(out: Path, config: ModelConfig, lora: LoraConfig, adapter: Mapping[str, Any], base: str) -> None:
    """Write the two files of an adapter into the existing directory `out`.

    Args:
        base: `base_model_name_or_path`, a directory or a name of the Hub.
    """
    from safetensors.numpy import save_file

    content = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": list(lora.targets),
        "use_rslora": lora.rank_stabilized,
        "use_dora": lora.dora,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
    }
    arrays = {
        tensor.name: np.ascontiguousarray(np.asarray(_leaves(adapter, tensor.target)[tensor.leaf][tensor.layer]).T)
        for tensor in _tensors(config, lora)
    }
    save_file(arrays, out / WEIGHTS, metadata={"format": "pt"})
    (out / CONFIG).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def read_config(path: Path) -> LoraConfig:
    """Rank, targets and what else `adapter_config.json` says.

    Raises:
        InputError: it is missing, or says what cannot be read here.
    """
    file = path / CONFIG
    if not file.is_file():
        raise InputError(f"{path}: no {CONFIG} here, so this is not a PEFT adapter.")
    content = read_json(file)
    check_kinds(file, content, _KINDS)
    if content.get("peft_type") != "LORA":
        raise InputError(f"{file}: peft_type {content.get('peft_type')} cannot be read; expected LORA.")
    if used := [name for name in _MUST_BE_UNSET if content.get(name)]:
        raise InputError(f"{file}: {', '.join(used)} cannot be read; expected one rank and alpha for all layers.")
    if content.get("bias", "none") != "none":
        raise InputError(f'{file}: bias "{content["bias"]}" cannot be read; expected "none".')
    targets = content.get("target_modules")
    if targets == "all-linear":
        targets = list(LORA_TARGETS)
    # One name may be a pattern, which is not read here.
    unknown = [t for t in targets if t not in LORA_TARGETS] if isinstance(targets, list) else [targets]
    if unknown or not targets:
        raise InputError(
            f"{file}: target module {', '.join(map(str, unknown)) or '(none)'} matches nothing here; there are "
            f"{', '.join(LORA_TARGETS)}."
        )
    if missing := [name for name in ("r", "lora_alpha") if content.get(name) is None]:
        raise InputError(f"{file}: no {' and no '.join(missing)} in it. Save the adapter again.")
    return LoraConfig(
        rank=content["r"],
        alpha=float(content["lora_alpha"]),
        dropout=content.get("lora_dropout") or 0.0,
        targets=tuple(name for name in LORA_TARGETS if name in targets),
        rank_stabilized=content.get("use_rslora") or False,
        dora=content.get("use_dora") or False,
    )


def _tensors(config: ModelConfig, lora: LoraConfig) -> Iterator[_Tensor]:
    leaves = [leaf for leaf in _LEAVES if leaf != "magnitude" or lora.dora]
    for layer in range(config.num_layers):
        for target in lora.targets:
            module = "self_attn" if LINEARS[target][0] == "attention" else "mlp"
            for leaf in leaves:
                name = f"base_model.model.model.layers.{layer}.{module}.{target}.{_LEAVES[leaf]}"
                yield _Tensor(name, target, leaf, layer)


def _check_tensors(path: Path, expected: list[_Tensor], abstract: Any, slots: Mapping[str, Slot]) -> None:
    names = {tensor.name for tensor in expected}
    if odd := sorted(names ^ set(slots)):
        raise InputError(
            f"{path}: not an adapter of this model: {', '.join(odd[:3])} {'is' if len(odd) == 1 else 'are'} in one and "
            f"not in the other ({len(odd)} in all). It was trained beside {base_name(path) or 'another base'}."
        )
    for tensor in expected:
        wanted = _leaves(abstract, tensor.target)[tensor.leaf].shape[1:][::-1]
        if slots[tensor.name].shape != wanted:
            raise InputError(
                f"{path}: not an adapter of this model: {tensor.name} is {slots[tensor.name].shape}, not {wanted}. It "
                f"was trained beside {base_name(path) or 'another base'}."
            )


def _leaves(adapter: Mapping[str, Any], target: str) -> Any:
    module, linear = LINEARS[target]
    return adapter["blocks"][module][linear]["lora"]

"""Our parameters as a Hugging Face directory, and back: Qwen2, Llama, and NCVC-slm-1.

NCVC-slm-1's decoder is `ArceeForCausalLM` with `hidden_act="silu"`: no custom modelling code. Servers that know only
Llama take the twin: a gated MLP whose gate is our up projection and whose up projection is the constant one.
"""

import json
import math
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
import ml_dtypes
import numpy as np
from flax import nnx

from jmed_jax.config import ModelConfig
from jmed_jax.convert.architecture import read_json
from jmed_jax.convert.names import EMBEDDING, HEAD, SCALED_TIED_HEAD, Tensor, tensors
from jmed_jax.convert.tensor_files import Slot, converted, empty, model_slots, read_into, transposed
from jmed_jax.convert.tensor_writer import Planned, write_shards
from jmed_jax.errors import InputError
from jmed_jax.models.decoder import abstract_parameters

Format = Literal["arcee", "llama", "qwen2"]
Dtype = Literal["float32", "bfloat16"]

GENERATION = "generation_config.json"
# Tensors that are read at a time: numpy and the system let go of the interpreter meanwhile.
_READERS = min(4, os.cpu_count() or 1)
_NUMPY_DTYPES = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(ml_dtypes.bfloat16)}


def formats(config: ModelConfig) -> tuple[Format, ...]:
    """What a model can be written as, the natural one first.

    Raises:
        InputError: no class of Hugging Face's has this architecture.
    """
    if config.gated_mlp:
        return ("qwen2",) if config.qkv_bias else ("llama",)
    if config.qkv_bias:
        raise InputError("no Hugging Face class has biases of the attention beside a plain MLP; it cannot be exported.")
    return ("arcee", "llama")


def default_dtype(config: ModelConfig) -> Dtype:
    """Qwen2 and Llama as they are published, NCVC-slm-1 as it is trained."""
    return "bfloat16" if config.gated_mlp else "float32"


def config_json(
    config: ModelConfig, token_ids: Mapping[str, int | None], *, format: Format, dtype: Dtype
) -> dict[str, Any]:
    """`config.json`, readable by transformers 4 and 5.

    Args:
        token_ids: bos_token_id, eos_token_id, pad_token_id; the classes' defaults exceed small vocabularies.
    """
    common: dict[str, Any] = {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.mlp_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.context_length,
        "hidden_act": "silu",
        "rms_norm_eps": config.norm_eps,
        # transformers 4 reads rope_theta, transformers 5 rope_parameters.
        "rope_theta": config.rope_theta,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rope_theta},
        "attention_dropout": 0.0,
        "initializer_range": math.sqrt(2 / (5 * config.hidden_size)),
        "tie_word_embeddings": config.tie_embeddings and not config.scale_embeddings,
        "use_cache": True,
        "torch_dtype": dtype,
        "dtype": dtype,
        **token_ids,
    }
    if format == "qwen2":
        return {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": False, **common}
    common["attention_bias"] = False
    if format == "arcee":
        return {"architectures": ["ArceeForCausalLM"], "model_type": "arcee", "mlp_bias": False, **common}
    # The twin of a plain MLP is made of biases.
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "mlp_bias": not config.gated_mlp, **common}


def hf_tensors(config: ModelConfig, parameters: Any, *, format: Format, dtype: Dtype) -> list[Planned]:
    """Every tensor of the export; its numbers are made when they are asked for.

    The embedding scale is folded into the embedding: Hugging Face's classes have none. A head tied to a scaled
    embedding becomes a tensor of its own, the unscaled one.
    """
    parameters = jax.tree.map(_on_host, parameters)
    untied = config.tie_embeddings and config.scale_embeddings
    planned: list[Planned] = []
    for tensor in [*tensors(config), *([SCALED_TIED_HEAD] if untied else [])]:
        shape = _at(parameters, tensor.path).shape[0 if tensor.layer is None else 1 :]
        make = partial(_made, config, parameters, tensor, _NUMPY_DTYPES[dtype])
        whole = Planned(tensor.name, _NUMPY_DTYPES[dtype], shape[::-1] if tensor.transpose else shape, make)
        twin = format == "llama" and not config.gated_mlp and ".mlp." in tensor.name
        planned += _gated_twin(config, whole) if twin else [whole]
    return planned


def _on_host(array: Any) -> Any:
    """A view of what lies in the host's memory anyway; on an accelerator the array, of which slices are fetched."""
    on_host = isinstance(array, jax.Array) and all(device.platform == "cpu" for device in array.devices())
    return np.asarray(array) if on_host else array


def _made(config: ModelConfig, parameters: Any, tensor: Tensor, dtype: np.dtype) -> np.ndarray:
    node = _at(parameters, tensor.path)
    array = np.asarray(node if tensor.layer is None else node[tensor.layer])
    if tensor.name == EMBEDDING and config.scale_embeddings:
        array = array.astype(np.float32) * np.float32(math.sqrt(config.hidden_size))
    return transposed(array, dtype) if tensor.transpose else converted(array, dtype)


def _gated_twin(config: ModelConfig, tensor: Planned) -> list[Planned]:
    """`down(silu(up x))` as `down(silu(gate x) · (0 x + 1))`, bit-exact in any dtype."""
    prefix = tensor.name.rsplit(".", 2)[0]
    F, D, dtype = config.mlp_size, config.hidden_size, tensor.dtype
    if tensor.name.endswith("down_proj.weight"):
        return [tensor, Planned(f"{prefix}.down_proj.bias", dtype, (D,), lambda: np.zeros(D, dtype))]
    return [
        tensor._replace(name=f"{prefix}.gate_proj.weight"),
        Planned(f"{prefix}.gate_proj.bias", dtype, (F,), lambda: np.zeros(F, dtype)),
        Planned(f"{prefix}.up_proj.weight", dtype, (F, D), lambda: np.zeros((F, D), dtype)),
        Planned(f"{prefix}.up_proj.bias", dtype, (F,), lambda: np.ones(F, dtype)),
    ]


def write_weights(
    out: Path,
    config: ModelConfig,
    parameters: Any,
    *,
    token_ids: Mapping[str, int | None],
    format: Format | None = None,
    dtype: Dtype = "float32",
    source: Path | None = None,
) -> dict[Path, str]:
    """Write config, generation config and sharded safetensors into the existing directory `out`.

    Args:
        format: None is the natural one.
        source: a directory with `config.json` of the model this one comes from, whose further fields are kept, and
            perhaps its `generation_config.json`, which is kept byte for byte.

    Returns:
        sha256 of the safetensors.

    Raises:
        InputError: the architecture has no such format.
    """
    format = format or formats(config)[0]
    if format not in formats(config):
        raise InputError(f"this model cannot be written as {format}. Use --format {' or '.join(formats(config))}.")
    content = config_json(config, token_ids, format=format, dtype=dtype)
    generation = json.dumps({"do_sample": False, **token_ids}, indent=2).encode() + b"\n"
    if source is not None:
        content |= read_json(source / "config.json") | {"vocab_size": config.vocab_size}
        content |= {"dtype": dtype, "torch_dtype": dtype}
        if (source / GENERATION).is_file():
            generation = (source / GENERATION).read_bytes()
    (out / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (out / GENERATION).write_bytes(generation)
    return write_shards(out, hf_tensors(config, parameters, format=format, dtype=dtype))


def stored_dtype(path: Path) -> np.dtype:
    """The dtype a model directory keeps its parameters in: the widest, float16 as float32, which holds all of it.

    Raises:
        InputError: there are no tensors, or they are damaged.
    """
    dtypes = {slot.dtype for slot in model_slots(path).values()}
    return _NUMPY_DTYPES["bfloat16" if dtypes == {_NUMPY_DTYPES["bfloat16"]} else "float32"]


def read_parameters(
    path: Path, config: ModelConfig, *, shardings: Any = None, dtype: Any = np.float32
) -> dict[str, Any]:
    """Parameters of a Hugging Face directory as our nested dictionaries.

    Every array is read straight into its shards, a few tensors at a time: the host holds, beside what lives on it, one
    array's shard and those tensors.

    Args:
        shardings: of the same nesting; None puts everything on the first device.
        dtype: of the parameters.

    Raises:
        InputError: tensors are missing, unknown or of another shape (it lists them), or a file is damaged. Nothing of
            the numbers has been read then.
    """
    slots = model_slots(path)
    expected = tensors(config)
    _check_names(path, config, {tensor.name for tensor in expected}, set(slots))
    abstract = nnx.to_pure_dict(abstract_parameters(config)[1])
    _check_shapes(path, expected, abstract, slots)
    groups: dict[tuple[str, ...], list[Tensor]] = {}
    for tensor in expected:
        groups.setdefault(tensor.path, []).append(tensor)
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    parameters: dict[str, Any] = {}
    for keys, group in groups.items():
        shape = _at(abstract, keys).shape
        sharding = here if shardings is None else _at(shardings, keys)
        shard = partial(_shard, group, slots, shape, np.dtype(dtype))
        # Done before the next begins: transfers that wait would each hold their shard.
        _store(parameters, keys, jax.block_until_ready(jax.make_array_from_callback(shape, sharding, shard)))
    return parameters


def _shard(
    group: list[Tensor], slots: Mapping[str, Slot], shape: tuple[int, ...], dtype: np.dtype, index: tuple[slice, ...]
) -> np.ndarray:
    """The part `index` of one of our arrays, which is one tensor, or one a layer."""
    target = empty([len(range(*part.indices(n))) for part, n in zip(index, shape, strict=True)], dtype)
    if group[0].layer is None:
        read_into(target, slots[group[0].name], index, transpose=group[0].transpose)
        return target

    def read_layer(place: int, tensor: Tensor) -> None:
        read_into(target[place], slots[tensor.name], index[1:], transpose=tensor.transpose)

    layers = group[index[0]]
    with ThreadPoolExecutor(_READERS) as readers:
        list(readers.map(read_layer, range(len(layers)), layers))
    return target


def _check_names(path: Path, config: ModelConfig, wanted: set[str], found: set[str]) -> None:
    if config.tie_embeddings and HEAD in found:
        raise InputError(f"{path}: tie_word_embeddings is true in config.json, but there is a tensor {HEAD}.")
    if wanted - found == {HEAD}:
        raise InputError(f"{path}: tie_word_embeddings is false in config.json, but there is no tensor {HEAD}.")
    if missing := sorted(wanted - found):
        raise InputError(f"{path}: tensors are missing: {', '.join(missing[:5])} ({len(missing)} in all).")
    if unknown := sorted(found - wanted):
        raise InputError(f"{path}: tensors of another architecture: {', '.join(unknown[:5])} ({len(unknown)} in all).")


def _check_shapes(path: Path, expected: list[Tensor], abstract: Any, slots: Mapping[str, Slot]) -> None:
    wrong = []
    for tensor in expected:
        shape = _at(abstract, tensor.path).shape[0 if tensor.layer is None else 1 :]
        wanted, found = shape[::-1] if tensor.transpose else shape, slots[tensor.name].shape
        if found != wanted:
            wrong.append(f"{tensor.name} is {found}, not {wanted}")
    if wrong:
        raise InputError(
            f"{path}: tensors do not have the shape that config.json gives them: {'; '.join(wrong[:5])} "
            f"({len(wrong)} in all)."
        )


def _at(tree: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def _store(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value

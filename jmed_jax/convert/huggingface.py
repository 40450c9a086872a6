"""Our parameters as a Hugging Face directory, and back: Qwen2, Llama, and NCVC-slm-1.

NCVC-slm-1's decoder is `ArceeForCausalLM` with `hidden_act="silu"`: no custom modelling code. Servers that know only
Llama take the twin: a gated MLP whose gate is our up projection and whose up projection is the constant one.
"""

import json
import math
from collections.abc import Iterator, Mapping
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
from jmed_jax.convert.tensor_files import INDEX, WEIGHTS, Slot, model_slots, read_into, transposed
from jmed_jax.errors import InputError
from jmed_jax.models.decoder import abstract_parameters

Format = Literal["arcee", "llama", "qwen2"]
Dtype = Literal["float32", "bfloat16"]

GENERATION = "generation_config.json"
MAX_SHARD_BYTES = 4 * 2**30
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


def hf_tensors(
    config: ModelConfig, parameters: Any, *, format: Format, dtype: Dtype
) -> Iterator[tuple[str, np.ndarray]]:
    """Name and array of every tensor of the export.

    The embedding scale is folded into the embedding: Hugging Face's classes have none. A head tied to a scaled
    embedding becomes a tensor of its own, the unscaled one.
    """
    numpy_dtype = _NUMPY_DTYPES[dtype]
    untied = config.tie_embeddings and config.scale_embeddings
    for tensor in [*tensors(config), *([SCALED_TIED_HEAD] if untied else [])]:
        array = _lookup(parameters, tensor)
        if tensor.name == EMBEDDING and config.scale_embeddings:
            array = array.astype(np.float32) * np.float32(math.sqrt(config.hidden_size))
        array = array.astype(numpy_dtype, copy=False)
        array = transposed(array) if tensor.transpose else np.ascontiguousarray(array)
        if format == "llama" and not config.gated_mlp and ".mlp." in tensor.name:
            yield from _gated_twin(config, tensor.name, array)
        else:
            yield tensor.name, array


def _gated_twin(config: ModelConfig, name: str, array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """`down(silu(up x))` as `down(silu(gate x) · (0 x + 1))`, bit-exact in any dtype."""
    prefix = name.rsplit(".", 2)[0]
    F, D, dtype = config.mlp_size, config.hidden_size, array.dtype
    if name.endswith("down_proj.weight"):
        yield name, array
        yield f"{prefix}.down_proj.bias", np.zeros(D, dtype)
        return
    yield f"{prefix}.gate_proj.weight", array
    yield f"{prefix}.gate_proj.bias", np.zeros(F, dtype)
    yield f"{prefix}.up_proj.weight", np.zeros((F, D), dtype)
    yield f"{prefix}.up_proj.bias", np.ones(F, dtype)


def _lookup(parameters: Any, tensor: Tensor) -> np.ndarray:
    node = _at(parameters, tensor.path)
    return np.asarray(node if tensor.layer is None else node[tensor.layer])


def write_weights(
    out: Path,
    config: ModelConfig,
    parameters: Any,
    *,
    token_ids: Mapping[str, int | None],
    format: Format | None = None,
    dtype: Dtype = "float32",
    source: Path | None = None,
) -> None:
    """Write config, generation config and sharded safetensors into the existing directory `out`.

    Args:
        format: None is the natural one.
        source: a directory with `config.json` of the model this one comes from, whose further fields are kept, and
            perhaps its `generation_config.json`, which is kept byte for byte.

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
    _write_shards(out, hf_tensors(config, parameters, format=format, dtype=dtype))


def _write_shards(out: Path, named: Iterator[tuple[str, np.ndarray]]) -> None:
    """Files of at most MAX_SHARD_BYTES, one in memory at a time; an index where there are several."""
    from safetensors.numpy import save_file

    shards: list[list[str]] = []
    shard: dict[str, np.ndarray] = {}
    total = size = 0

    def flush() -> None:
        save_file(shard, out / f"shard-{len(shards)}", metadata={"format": "pt"})
        shards.append(list(shard))
        shard.clear()

    for name, array in named:
        if shard and size + array.nbytes > MAX_SHARD_BYTES:
            flush()
            size = 0
        shard[name] = array
        size += array.nbytes
        total += array.nbytes
    flush()
    if len(shards) == 1:
        (out / "shard-0").rename(out / WEIGHTS)
        return
    weight_map: dict[str, str] = {}
    for index, names in enumerate(shards):
        file_name = f"model-{index + 1:05d}-of-{len(shards):05d}.safetensors"
        (out / f"shard-{index}").rename(out / file_name)
        weight_map |= dict.fromkeys(names, file_name)
    content = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (out / INDEX).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


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

    Every array is read straight into its shards, a tensor at a time: the host holds, beside what lives on it, one
    array's shard and one tensor.

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
    target = np.empty([len(range(*part.indices(n))) for part, n in zip(index, shape, strict=True)], dtype)
    if group[0].layer is None:
        read_into(target, slots[group[0].name], index, transpose=group[0].transpose)
        return target
    for place, tensor in enumerate(group[index[0]]):
        read_into(target[place], slots[tensor.name], index[1:], transpose=tensor.transpose)
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

"""Our parameters as a Hugging Face directory, and back.

NCVC-slm-1's decoder is `ArceeForCausalLM` with `hidden_act="silu"`: no custom modelling code. Servers that know only
Llama take the twin: a gated MLP whose gate is our up projection and whose up projection is the constant one.
"""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import ml_dtypes
import numpy as np
from flax import nnx

from jmed_jax.config import ModelConfig
from jmed_jax.convert.names import EMBEDDING, SCALED_TIED_HEAD, Tensor, tensors
from jmed_jax.errors import InputError
from jmed_jax.models.decoder import abstract_parameters

Format = Literal["arcee", "llama"]
Dtype = Literal["float32", "bfloat16"]

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
MAX_SHARD_BYTES = 4 * 2**30
_NUMPY_DTYPES = {"float32": np.dtype(np.float32), "bfloat16": np.dtype(ml_dtypes.bfloat16)}


def config_json(config: ModelConfig, token_ids: Mapping[str, int], *, format: Format, dtype: Dtype) -> dict[str, Any]:
    """`config.json`, readable by transformers 4 and 5.

    Args:
        token_ids: bos_token_id, eos_token_id, pad_token_id; the classes' defaults exceed small vocabularies.
    """
    common = {
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
        "attention_bias": False,
        "attention_dropout": 0.0,
        "initializer_range": math.sqrt(2 / (5 * config.hidden_size)),
        "tie_word_embeddings": config.tie_embeddings and not config.scale_embeddings,
        "use_cache": True,
        "torch_dtype": dtype,
        "dtype": dtype,
        **token_ids,
    }
    if format == "arcee":
        return {"architectures": ["ArceeForCausalLM"], "model_type": "arcee", "mlp_bias": False, **common}
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "mlp_bias": True, **common}


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
            array = array * np.float32(math.sqrt(config.hidden_size))
        array = np.ascontiguousarray(array.T if tensor.transpose else array).astype(numpy_dtype)
        if format == "llama" and ".mlp." in tensor.name:
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
    node = parameters
    for key in tensor.path:
        node = node[key]
    return np.asarray(node if tensor.layer is None else node[tensor.layer])


def write_weights(
    out: Path,
    config: ModelConfig,
    parameters: Any,
    *,
    token_ids: Mapping[str, int],
    format: Format = "arcee",
    dtype: Dtype = "float32",
) -> None:
    """Write config, generation config and sharded safetensors into the existing directory `out`.

    Raises:
        InputError: the architecture has no such twin.
    """
    _check_exportable(config)
    content = config_json(config, token_ids, format=format, dtype=dtype)
    (out / "config.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    generation = {"do_sample": False, **token_ids}
    (out / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n", encoding="utf-8")
    _write_shards(out, hf_tensors(config, parameters, format=format, dtype=dtype))


def _check_exportable(config: ModelConfig) -> None:
    if config.gated_mlp or config.qkv_bias:
        raise InputError("only the NCVC-slm-1 family (plain MLP, no biases) can be exported as arcee or llama.")


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


def read_model_config(path: Path) -> ModelConfig:
    """Architecture of a Hugging Face directory that we exported (the embedding scale is in its weights).

    Raises:
        InputError: no such directory, or an architecture that this version cannot read.
    """
    config_path = path / "config.json"
    if not config_path.is_file():
        raise InputError(f"{path}: neither a run (run.json) nor a Hugging Face directory (config.json).")
    content = _read_json(config_path)
    if content.get("model_type") != "arcee" or content.get("hidden_act") != "silu":
        raise InputError(
            f'{config_path}: model_type "{content.get("model_type")}" with activation "{content.get("hidden_act")}" '
            'cannot be read; expected "arcee" with "silu", as `jmed export hf` writes.'
        )
    try:
        return _model_config(content)
    except KeyError as error:
        raise InputError(f"{config_path}: no {error} in it. Export or fetch the model again.") from error


def _model_config(content: Mapping[str, Any]) -> ModelConfig:
    rope = content.get("rope_parameters") or {}
    return ModelConfig(
        vocab_size=content["vocab_size"],
        num_layers=content["num_hidden_layers"],
        hidden_size=content["hidden_size"],
        mlp_size=content["intermediate_size"],
        num_heads=content["num_attention_heads"],
        num_kv_heads=content["num_key_value_heads"],
        head_dim=content["head_dim"],
        context_length=content["max_position_embeddings"],
        tie_embeddings=content["tie_word_embeddings"],
        scale_embeddings=False,
        norm_eps=content["rms_norm_eps"],
        rope_theta=rope.get("rope_theta", content.get("rope_theta", 10_000.0)),
    )


def read_weights(path: Path, config: ModelConfig) -> dict[str, Any]:
    """Parameters of a Hugging Face directory as our nested dictionaries of float32 arrays.

    Raises:
        InputError: tensors are missing, unknown or of another shape; lists them.
    """
    files = _tensor_files(path)
    expected = tensors(config)
    names = {tensor.name for tensor in expected}
    if missing := sorted(names - files.keys()):
        raise InputError(f"{path}: tensors are missing: {', '.join(missing[:5])} ({len(missing)} in all).")
    if unknown := sorted(files.keys() - names):
        raise InputError(f"{path}: tensors of another architecture: {', '.join(unknown[:5])} ({len(unknown)} in all).")
    abstract = nnx.to_pure_dict(abstract_parameters(config)[1])
    parameters: dict[str, Any] = {}
    layers: dict[tuple[str, ...], list[np.ndarray]] = {}
    for tensor in expected:
        array = _read_tensor(files[tensor.name], tensor)
        _check_shape(array, tensor, abstract, files[tensor.name])
        if tensor.layer is None:
            _store(parameters, tensor.path, array)
        else:
            layers.setdefault(tensor.path, []).append(array)
    for tree_path, arrays in layers.items():
        _store(parameters, tree_path, np.stack(arrays))
    return parameters


def _check_shape(array: np.ndarray, tensor: Tensor, expected: Any, file: Path) -> None:
    for key in tensor.path:
        expected = expected[key]
    shape = expected.shape if tensor.layer is None else expected.shape[1:]
    if array.shape != shape:
        raise InputError(f"{file}: {tensor.name} does not have the shape that config.json gives it.")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not JSON ({error}). Export or fetch the model again.") from error


def _tensor_files(path: Path) -> dict[str, Path]:
    """Tensor name → safetensors file, as the files themselves say."""
    from safetensors import SafetensorError, safe_open

    names = [WEIGHTS]
    if (path / INDEX).is_file():
        names = sorted(set(_read_json(path / INDEX).get("weight_map", {}).values()))
    elif not (path / WEIGHTS).is_file():
        raise InputError(f"{path}: no {WEIGHTS} here. Pickled .bin checkpoints are not read: convert to safetensors.")
    files: dict[str, Path] = {}
    for file in (path / name for name in names):
        try:
            with safe_open(file, framework="numpy") as weights:
                files |= dict.fromkeys(weights.keys(), file)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{file}: missing or damaged ({error}). Export or fetch the model again.") from error
    return files


def _read_tensor(file: Path, tensor: Tensor) -> np.ndarray:
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as weights:
        array = weights.get_tensor(tensor.name).astype(np.float32)
    return array.T if tensor.transpose else array


def _store(tree: dict[str, Any], path: tuple[str, ...], array: np.ndarray) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = array

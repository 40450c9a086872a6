"""Models and adapters from runs, Hugging Face directories and PEFT directories."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jmed_jax import artifact
from jmed_jax.config import ModelConfig
from jmed_jax.convert import huggingface, peft
from jmed_jax.convert.architecture import read_model_config
from jmed_jax.errors import InputError
from jmed_jax.language_model.model import Adapter, LanguageModel
from jmed_jax.models.decoder import abstract_parameters
from jmed_jax.models.lora import abstract_adapter, base_dtype, merge_in_place
from jmed_jax.tokenizer.load import load_tokenizer
from jmed_jax.train.base import BASE, fingerprint
from jmed_jax.train.checkpoint import Checkpoints
from jmed_jax.train.provenance import Origin
from jmed_jax.train.run import RUN_FILE, Run, open_run
from jmed_jax.train.source import unfold_scale

ADAPTER = "adapter"
"""Kind of artefact: a PEFT directory that `export_adapter` wrote."""


def load(
    path: str | Path,
    *,
    step: int | None = None,
    adapters: Mapping[str, str | Path] | None = None,
    base: str | Path | None = None,
    dtype: Any = jnp.float32,
) -> LanguageModel:
    """Load a run (its newest checkpoint, or that of `step`), a Hugging Face directory or a PEFT directory.

    A run that trained an adapter, and a PEFT directory, are found their base and merged with it.

    Args:
        adapters: runs and PEFT directories of this base, by the names that `LanguageModel.with_adapter` takes.
        base: where the base of an adapter is; None where the adapter says.
        dtype: of the parameters; None is the one they are stored in.

    Raises:
        InputError: there is nothing of the kind, it is damaged, or an adapter belongs to another base.
    """
    path = Path(path)
    if is_adapter(path):
        return _load_merged(path, step, None if base is None else Path(base), dtype)
    if base is not None:
        raise InputError(f"{path}: not an adapter, so it has no base beside it.")
    config, parameters = _read_model(path, step, dtype)
    found = {name: _read_checked(Path(place), config, parameters, path) for name, place in (adapters or {}).items()}
    if (path / RUN_FILE).is_file():
        run = open_run(path)
        tokenizer, name = load_tokenizer(run.tokenizer_path), f"{path.name} (run)"
    else:
        tokenizer, name = load_tokenizer(path), path.name
    return LanguageModel(config, parameters, tokenizer, name, origin=Origin(path, step=step), adapters=found)


def is_adapter(path: Path) -> bool:
    """Whether a directory is a PEFT one, or a run that trained an adapter.

    Raises:
        InputError: a run that this version cannot read.
    """
    return peft.is_adapter(path) or ((path / RUN_FILE).is_file() and bool(open_run(path).config.lora.rank))


def read_adapter(path: Path, config: ModelConfig, step: int | None = None) -> Adapter:
    """The adapter of a run or of a PEFT directory, for a base of the architecture `config`.

    Raises:
        InputError: there is none, or it does not fit the architecture.
    """
    if peft.is_adapter(path):
        if step is not None:
            raise InputError(f"{path}: not a run, so it has no checkpoint of step {step}.")
        parameters, lora = peft.read_adapter(path, config)
        if not (path / artifact.MANIFEST).is_file():
            return Adapter(parameters, lora, peft.base_name(path), None, path)
        ours = artifact.open_artifact(path, ADAPTER)
        lora = replace(lora, base=ours.config["base"])
        return Adapter(parameters, lora, peft.base_name(path), ours.inputs[BASE], path)
    run = open_run(path)
    if not run.config.lora.rank:
        raise InputError(f"{path}: this run trained all parameters; it has no adapter.")
    abstract = abstract_adapter(run.config.model, run.config.lora)
    if abstract != abstract_adapter(config, run.config.lora):
        raise InputError(f"{path}: not an adapter of this model: its base, {_named_base(path)}, has other sizes.")
    checkpoints = Checkpoints(path)
    try:
        parameters = checkpoints.restore_parameters(abstract, _here(abstract), step)
        inputs = checkpoints.inputs(step)
    finally:
        checkpoints.close()
    return Adapter(parameters, run.config.lora, run.config.train.initialize_from, inputs[BASE], path)


def base_of(path: Path, given: Path | None = None) -> Path:
    """The directory of an adapter's base: the one that is given, else the one that the adapter names.

    Raises:
        InputError: it is not there, or an adapter itself.
    """
    base = given or Path(_named_base(path))
    if not base.is_dir():
        raise InputError(f"{path}: its base {base} is not there. Say where it is: --base DIR, or load(…, base=DIR).")
    if is_adapter(base):
        raise InputError(f"{base}: an adapter, which is no base. Export it merged and take that.")
    return base


def _named_base(path: Path) -> str:
    return peft.base_name(path) if peft.is_adapter(path) else open_run(path).config.train.initialize_from


def _load_merged(path: Path, step: int | None, base: Path | None, dtype: Any) -> LanguageModel:
    base = base_of(path, base)
    model = load(base, dtype=dtype)
    adapter = _read_checked(path, model.config, model.parameters, base, step)
    # In place: both trees would not fit where one does.
    merged = merge_in_place(model.parameters, adapter.parameters, adapter.lora)
    name = f"{path.name} ({'adapter' if peft.is_adapter(path) else 'run'})"
    return LanguageModel(model.config, merged, model.tokenizer, name, origin=Origin(path, base, step))


def _read_checked(
    path: Path, config: ModelConfig, parameters: Any, base_path: Path, step: int | None = None
) -> Adapter:
    """The adapter `path` for the base `parameters`, which were read from `base_path`.

    Raises:
        InputError: the adapter was trained beside other values, or another architecture.
    """
    adapter = read_adapter(path, config, step)
    if adapter.base_fingerprint not in (None, *_fingerprints(config, parameters, base_path, base_dtype(adapter.lora))):
        raise InputError(
            f"{path}: an adapter of another base than {base_path}. It was trained beside {adapter.base or 'another'}."
        )
    return adapter


def _fingerprints(config: ModelConfig, parameters: Any, path: Path, dtype: jnp.dtype) -> list[str]:
    """What training beside the model `path` in `dtype` may have taken down of it.

    Args:
        parameters: of the model, in any dtype.
    """
    narrowed = jax.tree.leaves(parameters)[0].dtype.itemsize < dtype.itemsize
    if narrowed and _stored_dtype(path, None).itemsize >= dtype.itemsize:
        # They have lost the bits that count.
        parameters = _read_model(path, None, dtype)[1]
    as_trained = jax.tree.map(lambda a: a.astype(dtype), parameters)
    found = [fingerprint(as_trained)]
    if not config.gated_mlp and not config.scale_embeddings:
        # NCVC-slm-1 from a Hugging Face directory: training takes the factor of the embedding apart.
        found.append(fingerprint(unfold_scale(config, as_trained)[1]))
    return found


def _read_model(path: Path, step: int | None, dtype: Any) -> tuple[ModelConfig, Any]:
    """Architecture and parameters of a run that trains all of them, or of a Hugging Face directory."""
    if (path / RUN_FILE).is_file():
        return _read_run(open_run(path), step, dtype)
    if step is not None:
        raise InputError(f"{path}: not a run, so it has no checkpoint of step {step}.")
    config = read_model_config(path)
    return config, huggingface.read_parameters(path, config, dtype=dtype or huggingface.stored_dtype(path))


def _read_run(run: Run, step: int | None, dtype: Any) -> tuple[ModelConfig, Any]:
    dtype = jnp.dtype(dtype or _stored_dtype(run.path, step))
    abstract = nnx.to_pure_dict(abstract_parameters(run.config.model)[1])
    abstract = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, dtype), abstract)
    checkpoints = Checkpoints(run.path)
    try:
        return run.config.model, checkpoints.restore_parameters(abstract, _here(abstract), step)
    finally:
        checkpoints.close()


def _stored_dtype(path: Path, step: int | None) -> Any:
    if not (path / RUN_FILE).is_file():
        return huggingface.stored_dtype(path)
    checkpoints = Checkpoints(path)
    try:
        return checkpoints.stored_dtype(step)
    finally:
        checkpoints.close()


def _here(tree: Any) -> Any:
    """Everything on the first device."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda _: here, tree)

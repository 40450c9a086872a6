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
from jmed_jax.models.lora import abstract_adapter, base_dtype, merge
from jmed_jax.tokenizer.load import load_tokenizer
from jmed_jax.train.base import BASE, fingerprint
from jmed_jax.train.checkpoint import Checkpoints
from jmed_jax.train.run import RUN_FILE, Run, open_run

ADAPTER = "adapter"
"""Kind of artefact: a PEFT directory that `export_adapter` wrote."""


def load(
    path: str | Path,
    *,
    step: int | None = None,
    adapters: Mapping[str, str | Path] | None = None,
    dtype: Any = jnp.float32,
) -> LanguageModel:
    """Load a run (its newest checkpoint, or that of `step`), a Hugging Face directory or a PEFT directory.

    A run that trained an adapter, and a PEFT directory, are found their base and merged with it.

    Args:
        adapters: runs and PEFT directories of this base, by the names that `LanguageModel.with_adapter` takes.
        dtype: of the parameters.

    Raises:
        InputError: there is nothing of the kind, it is damaged, or an adapter belongs to another base.
    """
    path = Path(path)
    if peft.is_adapter(path) or ((path / RUN_FILE).is_file() and open_run(path).config.lora.rank):
        return _load_merged(path, step, dtype)
    config, parameters = _read_model(path, step, dtype)
    found = {name: _read_checked(Path(place), config, parameters, path) for name, place in (adapters or {}).items()}
    if (path / RUN_FILE).is_file():
        run = open_run(path)
        tokenizer, name = load_tokenizer(run.tokenizer_path), f"{path.name} (run)"
    else:
        tokenizer, name = load_tokenizer(path), path.name
    return LanguageModel(config, parameters, tokenizer, name, path=path, adapters=found)


def read_adapter(path: Path, config: ModelConfig, step: int | None = None) -> Adapter:
    """The adapter of a run or of a PEFT directory, for a base of the architecture `config`.

    Raises:
        InputError: there is none, or it does not fit the architecture.
    """
    if peft.is_adapter(path):
        parameters, lora = peft.read_adapter(path, config)
        if not (path / artifact.MANIFEST).is_file():
            return Adapter(parameters, lora, peft.base_name(path), None)
        ours = artifact.open_artifact(path, ADAPTER)
        return Adapter(parameters, replace(lora, base=ours.config["base"]), peft.base_name(path), ours.inputs[BASE])
    run = open_run(path)
    if not run.config.lora.rank:
        raise InputError(f"{path}: this run trained all parameters; it has no adapter.")
    abstract = abstract_adapter(run.config.model, run.config.lora)
    checkpoints = Checkpoints(path)
    try:
        parameters = checkpoints.restore_parameters(abstract, _here(abstract), step)
        inputs = checkpoints.inputs(step)
    finally:
        checkpoints.close()
    return Adapter(parameters, run.config.lora, run.config.train.initialize_from, inputs[BASE])


def export_adapter(run: Path, out: Path, *, step: int | None = None, overwrite: bool = False) -> Adapter:
    """Write the adapter of a LoRA run as a PEFT directory, which PEFT and vLLM load beside the base.

    Raises:
        InputError: the run trained all parameters, or `out` exists.
    """
    artifact.check_free(out, overwrite)
    config = open_run(run).config
    adapter = read_adapter(run, config.model, step)
    # The manifest says what PEFT's files cannot: in which dtype the base was, and which values it had.
    with artifact.create(out, ADAPTER, {"base": config.lora.base}, overwrite=overwrite) as draft:
        peft.write_adapter(draft.path, config.model, adapter.lora, adapter.parameters, adapter.base)
        assert adapter.base_fingerprint is not None
        draft.inputs[BASE] = adapter.base_fingerprint
        draft.counts["parameters"] = sum(leaf.size for leaf in jax.tree.leaves(adapter.parameters))
    return adapter


def _load_merged(path: Path, step: int | None, dtype: Any) -> LanguageModel:
    is_run = (path / RUN_FILE).is_file()
    base = Path(open_run(path).config.train.initialize_from if is_run else peft.base_name(path))
    if not base.is_dir():
        raise InputError(f"{path}: its base {base} is not there. Give load the base, and this as one of its adapters.")
    model = load(base, adapters={path.name: path}, dtype=dtype)
    adapter = model.adapters[path.name] if step is None else read_adapter(path, model.config, step)
    merged = merge(model.parameters, adapter.parameters, adapter.lora)
    name = f"{path.name} ({'run' if is_run else 'adapter'})"
    return LanguageModel(model.config, merged, model.tokenizer, name, path=path)


def _read_checked(path: Path, config: ModelConfig, base: Any, base_path: Path) -> Adapter:
    """
    Raises:
        InputError: the adapter was trained beside other values, or another architecture.
    """
    adapter = read_adapter(path, config)
    as_trained = jax.tree.map(lambda a: a.astype(base_dtype(adapter.lora)), base)
    if adapter.base_fingerprint not in (None, fingerprint(as_trained)):
        raise InputError(
            f"{path}: an adapter of another base than {base_path}. It was trained beside {adapter.base or 'another'}."
        )
    return adapter


def _read_model(path: Path, step: int | None, dtype: Any) -> tuple[ModelConfig, Any]:
    """Architecture and parameters of a run that trains all of them, or of a Hugging Face directory."""
    if (path / RUN_FILE).is_file():
        return _read_run(open_run(path), step, dtype)
    if step is not None:
        raise InputError(f"{path}: not a run, so it has no checkpoint of step {step}.")
    config = read_model_config(path)
    return config, huggingface.read_parameters(path, config, dtype=dtype)


def _read_run(run: Run, step: int | None, dtype: Any) -> tuple[ModelConfig, Any]:
    abstract = nnx.to_pure_dict(abstract_parameters(run.config.model)[1])
    abstract = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, jnp.dtype(dtype)), abstract)
    checkpoints = Checkpoints(run.path)
    try:
        return run.config.model, checkpoints.restore_parameters(abstract, _here(abstract), step)
    finally:
        checkpoints.close()


def _here(tree: Any) -> Any:
    """Everything on the first device."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(lambda _: here, tree)

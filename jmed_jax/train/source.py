"""Parameters of another run or of a Hugging Face directory, to start from or to train an adapter beside."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jmed_jax.config import ModelConfig
from jmed_jax.convert import huggingface
from jmed_jax.convert.architecture import read_model_config
from jmed_jax.errors import InputError
from jmed_jax.models.decoder import abstract_parameters
from jmed_jax.parallel import sharding
from jmed_jax.tokenizer.load import load_tokenizer
from jmed_jax.train.checkpoint import Checkpoints
from jmed_jax.train.run import RUN_FILE, open_run
from jmed_jax.train.step import Parameters, Trainer


def read_source(path: Path, trainer: Trainer, tokenizer: str, dtype: jnp.dtype) -> Parameters:
    """Parameters in `dtype`, sharded as the trainer's mode says; their vocabulary may end before the trainer's.

    Args:
        path: a run, of which the newest checkpoint counts, or a Hugging Face directory.
        tokenizer: fingerprint of the rows' tokenizer.

    Raises:
        InputError: the source is damaged, or of another tokenizer or architecture.
    """
    read = _run_parameters if (path / RUN_FILE).is_file() else _huggingface_parameters
    return read(path, trainer, tokenizer, dtype)


def _run_parameters(path: Path, trainer: Trainer, tokenizer: str, dtype: jnp.dtype) -> Parameters:
    """Parameters of a run's newest checkpoint."""
    source = open_run(path)
    if source.config.lora.rank:
        raise InputError(
            f"{path}: a run that trains an adapter, which is no model without its base. Export the two merged and "
            "start from that."
        )
    _check_tokenizer(path, source.inputs["tokenizer"], tokenizer)
    _check_extendable(path, source.config.model, trainer.config.model)
    abstract = nnx.to_pure_dict(abstract_parameters(source.config.model)[1])
    abstract = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, dtype), abstract)
    checkpoints = Checkpoints(path)
    try:
        return checkpoints.restore_parameters(abstract, _shardings(abstract, trainer))
    finally:
        checkpoints.close()


def _huggingface_parameters(path: Path, trainer: Trainer, tokenizer: str, dtype: jnp.dtype) -> Parameters:
    """Parameters of a Hugging Face directory, each device's shards read straight onto it."""
    model = read_model_config(path)
    _check_tokenizer(path, load_tokenizer(path).fingerprint, tokenizer)
    has_scale = trainer.config.model.scale_embeddings and not model.tie_embeddings
    _check_extendable(path, replace(model, scale_embeddings=has_scale), trainer.config.model)
    abstract = nnx.to_pure_dict(abstract_parameters(model)[1])
    parameters = huggingface.read_parameters(path, model, shardings=_shardings(abstract, trainer), dtype=dtype)
    return unfold_scale(model, parameters)[1] if has_scale else parameters


def unfold_scale(config: ModelConfig, parameters: Any) -> tuple[ModelConfig, Any]:
    """Take the factor sqrt(D) that the export folded into the embedding out again.

    So the parameters are what our configurations train, with learning rates that mean the same. A tied head shares the
    embedding, which is then left as it is.
    """
    if config.tie_embeddings:
        return config, parameters
    embedding = parameters["embedding"]["embedding"]
    unscaled = (embedding.astype("float32") / np.float32(math.sqrt(config.hidden_size))).astype(embedding.dtype)
    unfolded = {**parameters, "embedding": {"embedding": unscaled}}
    return replace(config, scale_embeddings=True), unfolded


def _shardings(tree: Any, trainer: Trainer) -> Any:
    return sharding.tree_shardings(tree, sharding.parameter_rules(trainer.config.mesh), trainer.mesh)


def _check_tokenizer(path: Path, theirs: str, ours: str) -> None:
    if theirs != ours:
        raise InputError(f"{path}: trained with another tokenizer than the one these rows were packed with.")


def _check_extendable(path: Path, old: ModelConfig, config: ModelConfig) -> None:
    # Rotary positions have no parameters: rows may be shorter than what the source was trained on.
    free = ("vocab_size", "context_length", "attention_dropout", "residual_dropout")
    differing = [name for name, value in vars(old).items() if name not in free and getattr(config, name) != value]
    if old.vocab_size > config.vocab_size:
        differing.append("vocab_size")
    if differing:
        values = "; ".join(
            f"model.{name} is {getattr(old, name)} there, {getattr(config, name)} here" for name in differing
        )
        raise InputError(
            f"{path}: its model does not fit this configuration's: {values}. Dropout and context length may "
            "differ, and the vocabulary may be larger here."
        )

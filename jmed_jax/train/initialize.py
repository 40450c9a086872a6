"""What a run begins with: one written order, the first that applies.

1. The run's own newest checkpoint: it goes on where it was.
2. The newest checkpoint of another run (`train.initialize_from` names a run directory): its parameters.
3. Hugging Face weights (`train.initialize_from` names such a directory): their parameters.
4. Scratch, from `train.seed`.

2 and 3 take parameters alone: the optimiser is fresh, steps count from 0, data begin at the first batch. Rows of the
vocabulary that the source lacks (the chat tokens) are freshly initialised.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from jmed_jax.config import ModelConfig
from jmed_jax.convert import huggingface
from jmed_jax.errors import InputError
from jmed_jax.models.decoder import abstract_parameters
from jmed_jax.parallel import sharding
from jmed_jax.tokenizer.tokenizer import Tokenizer
from jmed_jax.train.announce import announce
from jmed_jax.train.checkpoint import Checkpoints, LoopState
from jmed_jax.train.run import RUN_FILE, Run, open_run
from jmed_jax.train.step import Parameters, Trainer, TrainState


def initial_state(trainer: Trainer, run: Run, checkpoints: Checkpoints) -> tuple[TrainState, LoopState]:
    """State and loop state to begin with, in the order that the module docstring gives.

    Raises:
        InputError: the source is damaged, or of another tokenizer or architecture.
    """
    if (step := checkpoints.latest_step()) is not None:
        announce(f"going on from step {step} of {run.path}")
        return checkpoints.restore(trainer.abstract_state, trainer.state_shardings, run)
    if run.config.train.initialize_from:
        source = Path(run.config.train.initialize_from)
        announce(f"starting from the parameters of {source}")
        read = _run_parameters if (source / RUN_FILE).is_file() else _huggingface_parameters
        parameters = read(source, trainer, run.inputs["tokenizer"])
        return trainer.state_from(_extend(parameters, trainer)), LoopState()
    announce(f"starting from scratch, seed {run.config.train.seed}")
    return trainer.fresh_state(), LoopState()


def _run_parameters(path: Path, trainer: Trainer, tokenizer: str) -> Parameters:
    """Parameters of a run's newest checkpoint, sharded as the trainer's mode says."""
    source = open_run(path)
    _check_tokenizer(path, source.inputs["tokenizer"], tokenizer)
    _check_extendable(path, source.config.model, trainer.config.model)
    abstract = nnx.to_pure_dict(abstract_parameters(source.config.model)[1])
    return Checkpoints(path).restore_parameters(abstract, _shardings(abstract, trainer))


def _huggingface_parameters(path: Path, trainer: Trainer, tokenizer: str) -> Parameters:
    """Parameters of a Hugging Face directory; every process reads them and keeps its own shards on its devices."""
    folded = huggingface.read_model_config(path)
    _check_tokenizer(path, Tokenizer.load(path).fingerprint, tokenizer)
    model, parameters = unfold_scale(folded, huggingface.read_weights(path, folded))
    _check_extendable(path, model, trainer.config.model)
    return jax.tree.map(
        lambda a, s: jax.make_array_from_callback(a.shape, s, lambda index: a[index]),
        parameters,
        _shardings(parameters, trainer),
    )


def unfold_scale(config: ModelConfig, parameters: Any) -> tuple[ModelConfig, Any]:
    """Take the factor sqrt(D) that the export folded into the embedding out again.

    So the parameters are what our configurations train, with learning rates that mean the same. A tied head shares the
    embedding, which is then left as it is.
    """
    if config.tie_embeddings:
        return config, parameters
    embedding = parameters["embedding"]["embedding"] / np.float32(math.sqrt(config.hidden_size))
    unfolded = {**parameters, "embedding": {"embedding": embedding}}
    return replace(config, scale_embeddings=True), unfolded


def _shardings(tree: Any, trainer: Trainer) -> Any:
    return sharding.tree_shardings(tree, sharding.parameter_rules(trainer.config.mesh), trainer.mesh)


def _check_tokenizer(path: Path, theirs: str, ours: str) -> None:
    if theirs != ours:
        raise InputError(f"{path}: trained with another tokenizer than the one these rows were packed with.")


def _check_extendable(path: Path, old: ModelConfig, config: ModelConfig) -> None:
    free = {name: getattr(config, name) for name in ("vocab_size", "attention_dropout", "residual_dropout")}
    if replace(old, **free) != config or old.vocab_size > config.vocab_size:
        raise InputError(
            f"{path}: its model does not fit this configuration's: they may differ in dropout and in a larger "
            f"vocabulary only (there {old}, here {config})."
        )


def _extend(parameters: Parameters, trainer: Trainer) -> Parameters:
    """The parameters, with freshly initialised rows where their vocabulary ends."""

    def extend(old: Parameters, fresh: Parameters) -> Parameters:
        return jax.tree.map(lambda a, b: b.at[tuple(slice(n) for n in a.shape)].set(a), old, fresh)

    fresh = trainer.fresh_state().parameters
    return jax.jit(extend, out_shardings=trainer.state_shardings.parameters)(parameters, fresh)

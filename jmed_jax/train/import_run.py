"""A Hugging Face directory as a run with one checkpoint, for `train.initialize_from` and `jmed_jax.load`."""

import shutil
from pathlib import Path

import jax.numpy as jnp

from jmed_jax.artifact import check_free, create, replacing_directory
from jmed_jax.config import ExperimentConfig
from jmed_jax.convert import huggingface
from jmed_jax.tokenizer.core import MODEL_FILE, SETTINGS_FILE, USER_DICTIONARY_FILE
from jmed_jax.tokenizer.tokenizer import Tokenizer
from jmed_jax.train.checkpoint import Checkpoints, LoopState
from jmed_jax.train.disk import refusals_named
from jmed_jax.train.initialize import unfold_scale
from jmed_jax.train.optimizer import make_optimizer
from jmed_jax.train.run import TOKENIZER, Run, write_run
from jmed_jax.train.step import TrainState


def import_run(source: Path, out: Path, *, overwrite: bool = False) -> Run:
    """Write the run `out`: the model of `source` with a fresh optimiser, at step 0.

    No rows belong to it, so it cannot be continued under its own name; another run starts from it.

    Args:
        source: a Hugging Face directory that `jmed export hf` wrote, of format arcee.

    Raises:
        InputError: `source` is no such directory, its tensors do not fit its configuration, or `out` exists.
    """
    check_free(out, overwrite)
    folded = huggingface.read_model_config(source)
    tokenizer = Tokenizer.load(source)
    model, parameters = unfold_scale(folded, huggingface.read_weights(source, folded))
    experiment = ExperimentConfig(name=source.resolve().name, model=model)
    optimizer = make_optimizer(experiment.optimizer, experiment.train.steps).init(parameters)
    inputs = {"rows": "", "tokenizer": tokenizer.fingerprint}
    with replacing_directory(out) as directory, refusals_named(directory):
        _copy_tokenizer(tokenizer, directory / TOKENIZER)
        write_run(directory, experiment, inputs)
        checkpoints = Checkpoints(directory, experiment.train)
        state = TrainState(jnp.zeros((), jnp.int32), parameters, optimizer)
        checkpoints.save(0, state, LoopState(), Run(directory, experiment, inputs))
        checkpoints.close()
    return Run(out, experiment, inputs)


def _copy_tokenizer(tokenizer: Tokenizer, out: Path) -> None:
    with create(out, "tokenizer", {"imported_from": tokenizer.path.name}) as draft:
        for name in (MODEL_FILE, SETTINGS_FILE, USER_DICTIONARY_FILE):
            if (tokenizer.path / name).is_file():
                shutil.copyfile(tokenizer.path / name, draft.path / name)

"""What an adapter is trained beside: the parameters of `train.initialize_from`, as `lora.base` keeps them.

They are no part of the run's checkpoints, which hold a checksum of them instead.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jax import Array

from jmed_jax.config import ExperimentConfig
from jmed_jax.errors import InputError
from jmed_jax.models.lora import base_dtype, linears
from jmed_jax.models.quantize import Form, quantized
from jmed_jax.parallel import distributed
from jmed_jax.train.announce import announce
from jmed_jax.train.checksum import checksums
from jmed_jax.train.run import Run, add_input, open_run
from jmed_jax.train.source import read_source
from jmed_jax.train.step import NOTHING, Parameters, Trainer

BASE = "base"
"""The checksum's name among a run's inputs."""


def check_base_is_named(config: ExperimentConfig) -> None:
    """
    Raises:
        InputError: an adapter is to be trained, beside nothing.
    """
    if config.lora.rank and not config.train.initialize_from:
        raise InputError(
            "lora.rank trains an adapter beside a model, and train.initialize_from names none. Give "
            "--train.initialize-from DIR, a run or a Hugging Face directory, or --lora.rank 0."
        )


def read_base(trainer: Trainer, run: Run) -> tuple[Parameters, Run]:
    """The frozen parameters, and the run with their checksum among its inputs; nothing where all are trained.

    Raises:
        InputError: the source is damaged, or of another tokenizer, architecture or vocabulary.
    """
    config = trainer.config
    if not config.lora.rank:
        return NOTHING, run
    source = Path(config.train.initialize_from)
    announce(f"training an adapter beside {source}, kept in {config.lora.base}")
    parameters = read_source(source, trainer, run.inputs["tokenizer"], base_dtype(config.lora))
    found, wanted = parameters["embedding"]["embedding"].shape[0], config.model.vocab_size
    if found != wanted:
        raise InputError(
            f"{source}: its vocabulary has {found} rows and model.vocab_size is {wanted}, but an adapter trains no new "
            f"rows. Set --model.vocab-size {found}, or train all parameters first (--lora.rank 0)."
        )
    run = replace(run, inputs=run.inputs | {BASE: fingerprint(parameters)})
    return frozen_from(parameters, trainer), run


def remember_base(run: Run) -> None:
    """Write the base's checksum into `run.json` until a checkpoint holds it; or compare it with what stands there.

    Raises:
        InputError: the run was begun beside other parameters.
    """
    if not distributed.is_first():
        return
    if (known := open_run(run.path).inputs.get(BASE)) is None:
        add_input(run.path, BASE, run.inputs[BASE])
    elif known != run.inputs[BASE]:
        raise InputError(
            f"{run.path}: this run was begun beside other parameters than those of "
            f"{run.config.train.initialize_from}. Give the base that it was begun with by --train.initialize-from, or "
            "another --run."
        )


def fingerprint(parameters: Parameters) -> str:
    """sha256 over the checksums of every array: the same on any mesh. A collective call."""
    return hashlib.sha256(json.dumps(checksums(parameters), sort_keys=True).encode()).hexdigest()


def frozen_from(parameters: Parameters, trainer: Trainer) -> Parameters:
    """The parameters of a plain decoder as `lora.base` keeps them, sharded.

    Kernels are quantised one after the other, and the tree that is given gives each of them up for it: all dense and
    all quantised ones are never there together.

    Args:
        parameters: of `base_dtype`, sharded as the trainer's mode says.
    """
    form = trainer.config.lora.base
    if form in ("int8", "nf4"):
        for layer, shardings in zip(linears(parameters), linears(trainer.frozen_shardings), strict=True):
            layer["kernel"] = _by_layer(form, shardings["kernel"])(layer["kernel"])
    return parameters


def _by_layer(form: Form, shardings: Any) -> Callable[[Array], Any]:
    """Quantisation of a stacked kernel, of which one layer at a time is there in float32."""
    return jax.jit(partial(jax.lax.map, partial(quantized, form=form)), out_shardings=shardings)

"""A Hugging Face directory as a run with one checkpoint, for `train.initialize_from` and `jmed_jax.load`."""

import shutil
from pathlib import Path

from jmed_jax.artifact import check_free, create, replacing_directory
from jmed_jax.config import ExperimentConfig
from jmed_jax.convert import huggingface
from jmed_jax.convert.architecture import read_model_config
from jmed_jax.tokenizer.load import TextTokenizer, load_tokenizer
from jmed_jax.train.checkpoint import Checkpoints
from jmed_jax.train.disk import refusals_named
from jmed_jax.train.provenance import SOURCE, SOURCE_FILES
from jmed_jax.train.run import TOKENIZER, Run, write_run
from jmed_jax.train.source import unfold_scale


def import_run(source: Path, out: Path, *, overwrite: bool = False) -> Run:
    """Write the run `out`: the model of `source` in its own dtype, without an optimiser, at step 0.

    No rows belong to it, so it cannot be continued under its own name; another run starts from it.

    Args:
        source: a Hugging Face directory of a Qwen2 or Llama model, or one that `jmed export hf` wrote (format arcee).

    Raises:
        InputError: `source` is no such directory, its tensors do not fit its configuration, or `out` exists.
    """
    check_free(out, overwrite)
    model = read_model_config(source)
    tokenizer = load_tokenizer(source)
    parameters = huggingface.read_parameters(source, model, dtype=huggingface.stored_dtype(source))
    if not model.gated_mlp:
        # What trains on NCVC-slm-1 has the factor of its embedding apart.
        model, parameters = unfold_scale(model, parameters)
    experiment = ExperimentConfig(name=source.resolve().name, model=model)
    inputs = {"rows": "", "tokenizer": tokenizer.fingerprint}
    with replacing_directory(out) as directory, refusals_named(directory):
        _copy_tokenizer(tokenizer, directory / TOKENIZER)
        _copy_source(source, directory / SOURCE)
        write_run(directory, experiment, inputs)
        checkpoints = Checkpoints(directory, experiment.train)
        checkpoints.save_parameters(0, parameters, Run(directory, experiment, inputs))
        checkpoints.close()
    return Run(out, experiment, inputs)


def _copy_tokenizer(tokenizer: TextTokenizer, out: Path) -> None:
    with create(out, "tokenizer", {"imported_from": tokenizer.path.name}) as draft:
        tokenizer.copy_files(draft.path)


def _copy_source(source: Path, out: Path) -> None:
    out.mkdir()
    for name in SOURCE_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)

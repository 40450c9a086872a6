"""Runs and adapters as directories for other programs."""

from pathlib import Path

import jax

from jmed_jax import artifact
from jmed_jax.config import ModelConfig
from jmed_jax.convert import huggingface, peft
from jmed_jax.convert.architecture import read_model_config
from jmed_jax.convert.model_card import write_model_card
from jmed_jax.language_model.loading import ADAPTER, base_of, is_adapter, load, read_adapter
from jmed_jax.language_model.model import Adapter
from jmed_jax.train.base import BASE
from jmed_jax.train.provenance import PROVENANCE, Origin, as_json, provenance
from jmed_jax.train.run import RUN_FILE, open_run


def export_hf(
    path: Path,
    out: Path,
    *,
    step: int | None = None,
    base: Path | None = None,
    format: huggingface.Format | None = None,
    dtype: huggingface.Dtype | None = None,
    scores: Path | None = None,
    overwrite: bool = False,
) -> ModelConfig:
    """Write a run, a Hugging Face directory or a merged adapter as a Hugging Face directory.

    Unlike `load(…).save_hf(…)` it reads no more bits than it writes: bfloat16 of a run that holds bfloat16 is never
    float32 in between, and an adapter is merged a layer at a time.

    Args:
        base: where the base of an adapter is; None where the adapter says.
        format, dtype, scores: as `LanguageModel.save_hf` takes them.

    Raises:
        InputError: as `load` and `LanguageModel.save_hf`; nothing is written then.
    """
    artifact.check_free(out, overwrite)
    dtype = dtype or huggingface.default_dtype(_read_config(base_of(path, base) if is_adapter(path) else path))
    # The sum of a base and an adapter has more bits than the base.
    is_wide = dtype == "float32" and is_adapter(path)
    model = load(path, step=step, base=base, dtype="float32" if is_wide else None)
    model.save_hf(out, format=format, dtype=dtype, scores=scores, overwrite=overwrite)
    return model.config


def export_adapter(
    run: Path, out: Path, *, step: int | None = None, scores: Path | None = None, overwrite: bool = False
) -> Adapter:
    """Write the adapter of a LoRA run as a PEFT directory with a model card, which PEFT and vLLM load beside the base.

    Raises:
        InputError: the run trained all parameters, or `out` exists.
    """
    artifact.check_free(out, overwrite)
    config = open_run(run).config
    adapter = read_adapter(run, config.model, step)
    origin = provenance(Origin(run, step=step), run.resolve().name, scores)
    # The manifest says what PEFT's files cannot: in which dtype the base was, and which values it had.
    described = {"base": config.lora.base, PROVENANCE: as_json(origin)}
    parameters = sum(leaf.size for leaf in jax.tree.leaves(adapter.parameters))
    with artifact.create(out, ADAPTER, described, overwrite=overwrite) as draft:
        peft.write_adapter(draft.path, config.model, adapter.lora, adapter.parameters, adapter.base)
        write_model_card(draft.path, config.model, origin, adapter=parameters)
        assert adapter.base_fingerprint is not None
        draft.inputs[BASE] = adapter.base_fingerprint
        draft.counts["parameters"] = parameters
    return adapter


def _read_config(path: Path) -> ModelConfig:
    return open_run(path).config.model if (path / RUN_FILE).is_file() else read_model_config(path)

"""A Qwen2 directory through its whole life: imported, adapted, exported, loaded again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jmed_jax.config import ExperimentConfig, LoraConfig
from jmed_jax.convert.tensor_files import WEIGHTS
from jmed_jax.errors import InputError
from jmed_jax.language_model import LanguageModel, export_adapter, export_hf, load
from jmed_jax.models.lora import base_dtype, initialize_adapter
from jmed_jax.tokenizer.tokenizer import Tokenizer
from jmed_jax.train.base import BASE, fingerprint, read_base
from jmed_jax.train.checkpoint import Checkpoints
from jmed_jax.train.import_run import import_run
from jmed_jax.train.run import Run, open_run, write_run
from jmed_jax.train.step import Trainer
from tests import tiny

LORA = LoraConfig(rank=4, alpha=8.0, base="bfloat16")
IDS_BT = np.arange(32)[None]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A random Qwen2 in bfloat16 with a byte-level tokenizer, a generation config and a card of its own."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    core = tokenizers.Tokenizer(tokenizers.models.BPE(vocab={}, merges=[]))
    core.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(tiny.TEXTS, trainer)
    torch.manual_seed(0)
    config = transformers.Qwen2Config(
        vocab_size=320,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=2,
    )
    path = tmp_path / "Qwen2-tiny"
    transformers.Qwen2ForCausalLM(config).bfloat16().save_pretrained(path)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    ).save_pretrained(path)
    (path / "generation_config.json").write_text('{"do_sample": true,  "top_p": 0.8}')
    (path / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Qwen2-tiny\n")
    return path


def adapted(base: Path, out: Path, lora: LoraConfig = LORA) -> Path:
    """What `jmed train --lora.rank 4` leaves, with random numbers for what it learned."""
    model = load(base)
    config = ExperimentConfig(name="adapted", model=model.config, lora=lora)
    config = replace(config, train=replace(config.train, initialize_from=str(base)))
    trained = jax.tree.map(lambda a: a + 0.05, initialize_adapter(model.config, lora, 1, model.parameters))
    as_trained = jax.tree.map(lambda a: a.astype(base_dtype(lora)), model.parameters)
    assert model.tokenizer is not None
    return write_adapted(out, config, trained, model.tokenizer.fingerprint, fingerprint(as_trained))


def write_adapted(out: Path, config: ExperimentConfig, trained: Any, tokenizer: str, base: str) -> Path:
    run = Run(out, config, {"rows": "", "tokenizer": tokenizer, BASE: base})
    out.mkdir()
    write_run(out, config, run.inputs)
    checkpoints = Checkpoints(out, config.train)
    checkpoints.save_parameters(3, trained, run)
    checkpoints.close()
    return out


def test_export_import_export_is_byte_identical(source: Path, tmp_path: Path) -> None:
    import_run(source, tmp_path / "run")
    load(tmp_path / "run").save_hf(tmp_path / "first")
    import_run(tmp_path / "first", tmp_path / "again")
    load(tmp_path / "again").save_hf(tmp_path / "second")
    # The card and the manifest name where a model came from.
    names = {file.name for file in (tmp_path / "first").iterdir()} - {"README.md", "manifest.json"}
    assert names >= {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json"}
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes(), name
    for name in ("generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        assert (tmp_path / "first" / name).read_bytes() == (source / name).read_bytes(), name
    assert json.loads((tmp_path / "first" / "config.json").read_text())["dtype"] == "bfloat16"


def test_the_card_names_base_licence_and_limits(source: Path, tmp_path: Path) -> None:
    import_run(source, tmp_path / "run")
    load(tmp_path / "run").save_hf(tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert card.startswith("---\nlanguage:\n- ja\n- en\nlicense: apache-2.0\nbase_model:")
    assert "Qwen2-tiny" in card and "not a medical device" in card and "None were measured" in card


def test_a_run_s_adapter_is_merged_kept_and_exported_alike(source: Path, tmp_path: Path) -> None:
    import_run(source, tmp_path / "base")
    run = adapted(tmp_path / "base", tmp_path / "adapted")
    export_adapter(run, tmp_path / "adapter")
    base = load(tmp_path / "base", adapters={"run": run, "peft": tmp_path / "adapter"})
    expected = base.with_adapter("run").logits(IDS_BT)
    assert np.abs(expected - base.logits(IDS_BT)).max() > 0.01
    np.testing.assert_array_equal(base.with_adapter("peft").logits(IDS_BT), expected)
    for path in (run, tmp_path / "adapter"):
        np.testing.assert_allclose(load(path).logits(IDS_BT), expected, atol=1e-4)
    load(run).save_hf(tmp_path / "merged", dtype="float32")
    np.testing.assert_allclose(load(tmp_path / "merged").logits(IDS_BT), expected, atol=1e-4)
    assert (tmp_path / "merged" / "generation_config.json").read_bytes() == (
        source / "generation_config.json"
    ).read_bytes()


def test_an_adapter_of_another_base_is_refused(source: Path, tmp_path: Path) -> None:
    run = adapted(source, tmp_path / "adapted")
    export_adapter(run, tmp_path / "adapter")
    from safetensors.numpy import load_file, save_file

    tensors = load_file(source / "model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"] * 2
    save_file(tensors, source / "model.safetensors", metadata={"format": "pt"})
    for path in (run, tmp_path / "adapter"):
        with pytest.raises(InputError, match="adapter of another base"):
            load(source, adapters={"a": path})


def test_a_narrow_load_knows_an_adapter_trained_beside_more_bits(source: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = {name: array.astype(np.float32) * 1.001 for name, array in load_file(source / WEIGHTS).items()}
    save_file(tensors, source / WEIGHTS, metadata={"format": "pt"})
    run = adapted(source, tmp_path / "adapted", replace(LORA, base="float32"))
    assert "a" in load(source, adapters={"a": run}, dtype=jnp.bfloat16).adapters
    assert load(run, dtype=jnp.bfloat16).parameters["blocks"]["mlp"]["up"]["kernel"].dtype == jnp.bfloat16
    other = tensors | {"model.norm.weight": tensors["model.norm.weight"] * np.float32(1.00001)}
    save_file(other, source / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(InputError, match="adapter of another base"):
        load(source, adapters={"a": run}, dtype=jnp.bfloat16)


@pytest.mark.parametrize("base", ["float32", "bfloat16"])
def test_an_adapter_of_the_slm_knows_its_exported_base(base: Any, tokenizer: Tokenizer, tmp_path: Path) -> None:
    """The export has the factor of the embedding within the embedding; training takes it out."""
    model = replace(tiny.MODEL, vocab_size=tokenizer.vocab_size)
    slm = LanguageModel(model, LanguageModel.random(model).parameters, tokenizer, "slm").save_hf(tmp_path / "slm")
    targets = ("q_proj", "down_proj")
    experiment = replace(tiny.experiment(initialize_from=str(slm)), model=model)
    experiment = replace(experiment, lora=replace(LORA, base=base, targets=targets))
    begun = Run(tmp_path / "run", experiment, {"rows": "", "tokenizer": tokenizer.fingerprint})
    frozen, begun = read_base(Trainer(experiment, tiny.one_device_mesh()), begun)
    adapter = jax.tree.map(lambda a: a + 0.05, initialize_adapter(model, experiment.lora, 1, frozen))
    run = write_adapted(tmp_path / "run", experiment, adapter, tokenizer.fingerprint, begun.inputs[BASE])
    export_adapter(run, tmp_path / "adapter")
    for path in (run, tmp_path / "adapter"):
        beside = load(slm, adapters={"a": path})
        assert np.abs(beside.with_adapter("a").logits(IDS_BT) - beside.logits(IDS_BT)).max() > 0.01
        np.testing.assert_allclose(load(path).logits(IDS_BT), beside.with_adapter("a").logits(IDS_BT), atol=1e-4)


def test_an_export_reads_what_is_stored_and_merges_with_all_bits(source: Path, tmp_path: Path) -> None:
    import_run(source, tmp_path / "base")
    run = adapted(tmp_path / "base", tmp_path / "adapted")
    assert load(tmp_path / "base", dtype=None).parameters["final_norm"]["scale"].dtype == jnp.bfloat16
    assert load(source, dtype=None).parameters["final_norm"]["scale"].dtype == jnp.bfloat16
    for dtype in ("float32", "bfloat16"):
        export_hf(run, tmp_path / dtype, dtype=dtype)
        load(run).save_hf(tmp_path / f"{dtype}-wide", dtype=dtype)
        one, other = (tmp_path / name / WEIGHTS for name in (dtype, f"{dtype}-wide"))
        assert one.read_bytes() == other.read_bytes()
    moved = source.rename(tmp_path / "moved")
    export_adapter(run, tmp_path / "adapter")
    (tmp_path / "base").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"base is not there\. Say where it is"):
        export_hf(tmp_path / "adapter", tmp_path / "merged")
    export_hf(tmp_path / "adapter", tmp_path / "merged", base=moved)
    assert (tmp_path / "merged" / WEIGHTS).read_bytes() == (tmp_path / "bfloat16" / WEIGHTS).read_bytes()


def test_cards_of_model_and_adapter_name_the_first_base(source: Path, tmp_path: Path) -> None:
    import_run(source, tmp_path / "base")
    run = adapted(tmp_path / "base", tmp_path / "mpeft")
    export_hf(run, tmp_path / "merged")
    export_adapter(run, tmp_path / "adapter")
    import_run(tmp_path / "merged", tmp_path / "again")
    export_hf(tmp_path / "again", tmp_path / "second")
    load(tmp_path / "base", adapters={"a": run}).with_adapter("a").save_hf(tmp_path / "beside")
    for name in ("merged", "adapter", "second", "beside"):
        card = (tmp_path / name / "README.md").read_text()
        assert 'license: apache-2.0\nbase_model: "Qwen2-tiny"\n' in card, name
        assert "| mpeft | LoRA of rank 4 |" in card and str(tmp_path) not in card


def test_a_run_without_an_adapter_has_none_to_export(source: Path, tmp_path: Path) -> None:
    import_run(source, tmp_path / "run")
    with pytest.raises(InputError, match="it has no adapter"):
        export_adapter(tmp_path / "run", tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()
    assert open_run(tmp_path / "run").config.model.qkv_bias

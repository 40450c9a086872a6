"""Adapters of PEFT, read and written, against PEFT itself where it is installed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jmed_jax.config import LoraConfig, ModelConfig
from jmed_jax.convert import huggingface, peft
from jmed_jax.errors import InputError
from jmed_jax.language_model import Adapter, LanguageModel
from jmed_jax.models.lora import initialize_adapter
from tests import tiny

MODEL = replace(tiny.MODEL, gated_mlp=True, qkv_bias=True, scale_embeddings=False)
KINDS = [
    LoraConfig(rank=4, alpha=8),
    LoraConfig(rank=3, alpha=8, rank_stabilized=True, targets=("q_proj", "v_proj", "down_proj")),
    LoraConfig(rank=4, alpha=8, dora=True),
]


def random_adapter(config: ModelConfig, lora: LoraConfig, base: Any) -> dict[str, Any]:
    """Unlike a fresh one, it changes what the model computes."""
    generator = np.random.default_rng(0)
    fresh = initialize_adapter(config, lora, 0, base)
    return jax.tree.map(lambda a: np.asarray(a) + 0.1 * generator.random(a.shape).astype(np.float32), fresh)


def with_adapter(lora: LoraConfig) -> tuple[LanguageModel, Adapter]:
    base = LanguageModel.random(MODEL)
    adapter = Adapter(random_adapter(MODEL, lora, base.parameters), lora, "base", None)
    base.adapters["a"] = adapter
    return base, adapter


@pytest.mark.parametrize("lora", KINDS)
def test_an_adapter_comes_back(lora: LoraConfig, tmp_path: Path) -> None:
    _, adapter = with_adapter(lora)
    peft.write_adapter(tmp_path, MODEL, lora, adapter.parameters, "base")
    parameters, found = peft.read_adapter(tmp_path, MODEL)
    assert found == lora and peft.base_name(tmp_path) == "base"
    jax.tree.map(np.testing.assert_array_equal, parameters, adapter.parameters)


@pytest.mark.parametrize("lora", KINDS)
def test_peft_gives_our_logits_and_ours_are_those_of_its_adapter(lora: LoraConfig, tmp_path: Path) -> None:
    library = pytest.importorskip("peft")
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    base, adapter = with_adapter(lora)
    for name in ("base", "ours"):
        (tmp_path / name).mkdir()
    huggingface.write_weights(tmp_path / "base", MODEL, base.parameters, token_ids={})
    peft.write_adapter(tmp_path / "ours", MODEL, lora, adapter.parameters, str(tmp_path / "base"))
    ids_BT = np.arange(32)[None]
    model = library.PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "ours"
    )
    with torch.no_grad():
        theirs = model(torch.tensor(ids_BT)).logits.numpy()
    ours = base.with_adapter("a").logits(ids_BT)
    assert np.abs(ours - base.logits(ids_BT)).max() > 0.1
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)
    # Back: what PEFT saves, with every number of it changed.
    with torch.no_grad():
        for parameter in (p for name, p in model.named_parameters() if "lora_" in name):
            parameter.add_(0.05)
        theirs = model(torch.tensor(ids_BT)).logits.numpy()
    model.save_pretrained(tmp_path / "theirs")
    base.adapters["b"] = Adapter(*peft.read_adapter(tmp_path / "theirs", MODEL), "base", None)
    np.testing.assert_allclose(base.with_adapter("b").logits(ids_BT), theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("lora", KINDS)
def test_merged_equals_unmerged(lora: LoraConfig) -> None:
    base, _ = with_adapter(lora)
    model, ids_BT = base.with_adapter("a"), np.arange(32)[None]
    merged = LanguageModel(MODEL, model.merged, None, "merged")
    np.testing.assert_allclose(merged.logits(ids_BT), model.logits(ids_BT), atol=1e-4, rtol=0)
    prompts = [[1, 2, 3], [4]]
    assert merged.generate_ids(prompts, max_new_tokens=8) == model.generate_ids(prompts, max_new_tokens=8)


def test_the_base_is_in_memory_once_and_unknown_names_are_refused() -> None:
    base, _ = with_adapter(KINDS[0])
    model = base.with_adapter("a")
    kernel = base.parameters["blocks"]["mlp"]["up"]["kernel"]
    assert model.parameters["blocks"]["mlp"]["up"]["kernel"] is kernel
    with pytest.raises(InputError, match="no adapter 'b'; there are: a"):
        base.with_adapter("b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"peft_type": "PREFIX_TUNING"}, "peft_type"),
        ({"rank_pattern": {"q_proj": 8}}, "rank_pattern"),
        ({"alpha_pattern": {"q_proj": 8}}, "alpha_pattern"),
        ({"bias": "all"}, "bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"target_modules": ["c_attn"]}, "c_attn matches nothing"),
        ({"target_modules": ".*q_proj"}, "matches nothing"),
        ({"target_modules": [["q_proj"]]}, "matches nothing"),
        ({"r": "two"}, "r is 'two', expected int"),
        ({"lora_alpha": None}, "no lora_alpha in it"),
        ({"use_dora": "no"}, "expected bool"),
        ({"target_modules": ["q_proj"]}, "not an adapter of this model"),
        ({"r": 8}, r"not an adapter of this model.*\(4, 32\), not \(8, 32\)"),
    ],
)
def test_what_cannot_be_read_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    _, adapter = with_adapter(KINDS[0])
    peft.write_adapter(tmp_path, MODEL, KINDS[0], adapter.parameters, "base")
    content = json.loads((tmp_path / peft.CONFIG).read_text()) | change
    (tmp_path / peft.CONFIG).write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        peft.read_adapter(tmp_path, MODEL)


def test_an_adapter_of_another_architecture_and_a_pickled_one_are_refused(tmp_path: Path) -> None:
    _, adapter = with_adapter(KINDS[0])
    peft.write_adapter(tmp_path, MODEL, KINDS[0], adapter.parameters, "some/base")
    with pytest.raises(InputError, match="trained beside some/base"):
        peft.read_adapter(tmp_path, replace(MODEL, num_layers=3))
    (tmp_path / peft.WEIGHTS).rename(tmp_path / "adapter_model.bin")
    with pytest.raises(InputError, match="pickled adapter"):
        peft.read_adapter(tmp_path, MODEL)

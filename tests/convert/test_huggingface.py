import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from jmed_jax.config import ModelConfig
from jmed_jax.convert import huggingface, tensor_files, tensor_writer
from jmed_jax.convert.architecture import read_model_config
from jmed_jax.errors import InputError
from jmed_jax.models.decoder import abstract_parameters, initialize_parameters
from tests.tiny import MODEL

IDS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
SHAPES = [
    MODEL,
    replace(MODEL, num_kv_heads=4, num_layers=3),
    replace(MODEL, tie_embeddings=True),
    replace(MODEL, tie_embeddings=True, scale_embeddings=False),
    replace(MODEL, head_dim=16, num_kv_heads=1, vocab_size=99, rope_theta=1e6),
]


def parameters_of(config: ModelConfig) -> dict:
    return nnx.to_pure_dict(initialize_parameters(config, seed=1))


def our_logits(config: ModelConfig, parameters: dict, ids_BT: np.ndarray) -> np.ndarray:
    return np.asarray(nnx.merge(abstract_parameters(config)[0], parameters)(ids_BT))


@pytest.mark.parametrize("config", SHAPES)
@pytest.mark.parametrize("format", ["arcee", "llama"])
def test_transformers_gives_our_logits(config: ModelConfig, format: huggingface.Format, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    parameters = parameters_of(config)
    huggingface.write_weights(tmp_path, config, parameters, token_ids=IDS, format=format)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    ids_BT = np.random.default_rng(0).integers(0, config.vocab_size, (2, 32))
    with torch.no_grad():
        theirs = model(torch.tensor(ids_BT)).logits.numpy()
    np.testing.assert_allclose(our_logits(config, parameters, ids_BT), theirs, atol=1e-4, rtol=0)


def test_the_llama_twin_is_bit_exact(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    logits = []
    ids_BT = torch.arange(32)[None]
    for format in ("arcee", "llama"):
        (tmp_path / format).mkdir()
        huggingface.write_weights(tmp_path / format, MODEL, parameters_of(MODEL), token_ids=IDS, format=format)
        with torch.no_grad():
            logits.append(AutoModelForCausalLM.from_pretrained(tmp_path / format)(ids_BT).logits)
    assert torch.equal(*logits)


@pytest.mark.parametrize("max_bytes", [4 * 2**30, 10_000])
def test_export_and_import_keep_the_logits(max_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_writer, "MAX_SHARD_BYTES", max_bytes)
    parameters = parameters_of(MODEL)
    huggingface.write_weights(tmp_path, MODEL, parameters, token_ids=IDS)
    assert (tmp_path / tensor_files.INDEX).exists() == (max_bytes == 10_000)
    config = read_model_config(tmp_path)
    ids_BT = np.arange(32)[None]
    np.testing.assert_allclose(
        our_logits(config, huggingface.read_parameters(tmp_path, config), ids_BT),
        our_logits(MODEL, parameters, ids_BT),
        atol=1e-5,
    )


def test_missing_and_foreign_tensors_are_listed(tmp_path: Path) -> None:
    huggingface.write_weights(tmp_path, MODEL, parameters_of(MODEL), token_ids=IDS)
    with pytest.raises(InputError, match=r"missing: model\.layers\.2\.input_layernorm"):
        huggingface.read_parameters(tmp_path, replace(MODEL, num_layers=3))
    with pytest.raises(InputError, match=r"another architecture: model\.layers\.1\."):
        huggingface.read_parameters(tmp_path, replace(MODEL, num_layers=1))


def test_a_tensor_of_another_shape_is_refused(tmp_path: Path) -> None:
    huggingface.write_weights(tmp_path, MODEL, parameters_of(MODEL), token_ids=IDS)
    with pytest.raises(InputError, match=r"do not have the shape .*embed_tokens\.weight"):
        huggingface.read_parameters(tmp_path, replace(MODEL, vocab_size=50))


def test_another_model_type_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(InputError, match='model_type "bert"'):
        read_model_config(tmp_path)
    with pytest.raises(InputError, match="neither a run"):
        read_model_config(tmp_path / "nowhere")

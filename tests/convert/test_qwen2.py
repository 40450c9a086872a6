"""Random Qwen2 and Llama models of transformers, read and written, against transformers itself."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jmed_jax.config import ModelConfig
from jmed_jax.convert import huggingface
from jmed_jax.convert.architecture import read_model_config
from jmed_jax.errors import InputError
from jmed_jax.generate.engine import Generator
from jmed_jax.models.decoder import abstract_parameters

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SMALL = {
    "vocab_size": 101,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
}
SHAPES: list[tuple[str, dict[str, Any]]] = [
    ("Qwen2", {}),
    ("Qwen2", {"tie_word_embeddings": True, "num_key_value_heads": 1, "rms_norm_eps": 1e-5}),
    ("Qwen2", {"num_key_value_heads": 4, "hidden_size": 64, "num_hidden_layers": 1}),
    ("Llama", {"head_dim": 16}),
    ("Llama", {"tie_word_embeddings": True}),
]


def make(out: Path, family: str = "Qwen2", dtype: Any = None, **changes: Any) -> Any:
    """A random model, saved; its biases are not the zeros that transformers begins with."""
    torch.manual_seed(0)
    settings = SMALL | {"rope_theta": 1e4} | changes
    model = getattr(transformers, f"{family}ForCausalLM")(getattr(transformers, f"{family}Config")(**settings))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias") or "norm" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
    model.eval().to(dtype or torch.float32).save_pretrained(out)
    return model


def read(path: Path, **options: Any) -> tuple[ModelConfig, dict[str, Any]]:
    config = read_model_config(path)
    return config, huggingface.read_parameters(path, config, **options)


def our_logits(config: ModelConfig, parameters: Any, *inputs: np.ndarray) -> np.ndarray:
    decoder = nnx.merge(abstract_parameters(config)[0], parameters)
    return np.asarray(jax.jit(lambda *inputs: decoder(*inputs))(*map(jnp.asarray, inputs)))


def random_ids(rows: int, length: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, SMALL["vocab_size"], (rows, length)).astype(np.int32)


@pytest.mark.parametrize(("family", "changes"), SHAPES)
def test_logits_are_those_of_transformers(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    model = make(tmp_path, family, **changes)
    ids_BT = random_ids(2, 40)
    with torch.no_grad():
        theirs = model(torch.tensor(ids_BT, dtype=torch.long)).logits.numpy()
    np.testing.assert_allclose(our_logits(*read(tmp_path), ids_BT), theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(side: str, tmp_path: Path) -> None:
    model = make(tmp_path)
    ids_BT, lengths = random_ids(2, 24), (24, 15)
    mask_BT = np.stack([np.arange(24) < length for length in lengths])
    mask_BT = mask_BT[:, ::-1].copy() if side == "left" else mask_BT
    positions_BT = np.maximum(np.cumsum(mask_BT, axis=1) - 1, 0)
    with torch.no_grad():
        theirs = model(
            torch.tensor(ids_BT, dtype=torch.long),
            attention_mask=torch.tensor(mask_BT.astype(np.int64)),
            position_ids=torch.tensor(positions_BT),
        ).logits.numpy()
    # Ours has padding as a segment of its own.
    ours = our_logits(*read(tmp_path), ids_BT, mask_BT.astype(np.int32))
    np.testing.assert_allclose(ours[mask_BT], theirs[mask_BT], atol=1e-4, rtol=0)


def test_packed_documents_are_read_as_if_alone(tmp_path: Path) -> None:
    model = make(tmp_path)
    ids_BT, lengths = random_ids(1, 36), (10, 7, 19)
    segments_BT = np.repeat(np.arange(1, 4), lengths)[None].astype(np.int32)
    ours = our_logits(*read(tmp_path), ids_BT, segments_BT)
    with torch.no_grad():
        alone = [model(torch.tensor(ids_BT[segments_BT == s], dtype=torch.long)[None]).logits for s in (1, 2, 3)]
    np.testing.assert_allclose(ours, torch.cat(alone, dim=1).numpy(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", ["Qwen2", "Llama"])
def test_greedy_tokens_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    model = make(tmp_path, family)
    config, parameters = read(tmp_path)
    prompts = [random_ids(1, length)[0].tolist() for length in (12, 5)]
    ours = Generator(config, parameters, ()).generate(prompts, max_new_tokens=64)
    for prompt, answer in zip(prompts, ours, strict=True):
        theirs = model.generate(
            torch.tensor([prompt]), max_new_tokens=64, min_new_tokens=64, do_sample=False, eos_token_id=None
        )
        assert answer == theirs[0, len(prompt) :].tolist()


@pytest.mark.parametrize(("family", "changes"), SHAPES)
def test_a_bfloat16_directory_comes_out_with_every_bit(family: str, changes: dict[str, Any], tmp_path: Path) -> None:
    make(tmp_path / "in", family, torch.bfloat16, **changes)
    assert huggingface.stored_dtype(tmp_path / "in") == jnp.bfloat16
    config, parameters = read(tmp_path / "in", dtype=jnp.bfloat16)
    (tmp_path / "out").mkdir()
    huggingface.write_weights(
        tmp_path / "out", config, parameters, token_ids={}, dtype="bfloat16", source=tmp_path / "in"
    )
    assert read_model_config(tmp_path / "out") == config
    theirs, ours = (
        transformers.AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("in", "out")
    )
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    generation = [(tmp_path / name / "generation_config.json").read_bytes() for name in ("in", "out")]
    assert generation[0] == generation[1]


@pytest.mark.parametrize("dtype", [np.float32, jnp.bfloat16])
def test_sharded_parameters_are_the_same(dtype: Any, tmp_path: Path) -> None:
    make(tmp_path, dtype=torch.bfloat16)
    config, whole = read(tmp_path, dtype=dtype)
    mesh = jax.make_mesh((2, 2), ("a", "b"), devices=jax.devices()[:4])
    spec = {1: (), 2: (None,), 3: (None, "a", "b")}
    abstract = nnx.to_pure_dict(abstract_parameters(config)[1])
    shardings = jax.tree.map(
        lambda a: jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec[a.ndim])), abstract
    )
    sharded = huggingface.read_parameters(tmp_path, config, shardings=shardings, dtype=dtype)
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(sharded), jax.device_get(whole))
    assert sharded["blocks"]["mlp"]["up"]["kernel"].addressable_data(0).shape == (3, 16, 24)


def test_config_json_of_transformers_4_says_the_same(tmp_path: Path) -> None:
    make(tmp_path, rope_theta=1e6)
    expected = read_model_config(tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    assert "rope_parameters" in content and expected.rope_theta == 1e6
    content |= {"rope_theta": content.pop("rope_parameters")["rope_theta"], "rope_scaling": None}
    content |= {"use_sliding_window": False, "sliding_window": 131072, "max_window_layers": 28}
    for name in ("head_dim", "dtype", "layer_types"):
        content.pop(name, None)
    (tmp_path / "config.json").write_text(json.dumps(content))
    assert read_model_config(tmp_path) == expected


@pytest.mark.parametrize(
    ("family", "change", "message"),
    [
        ("Qwen2", {"use_sliding_window": True}, "sliding window"),
        ("Qwen2", {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4}}, '"yarn"'),
        ("Llama", {"rope_scaling": {"type": "llama3"}}, '"llama3"'),
        ("Qwen2", {"hidden_act": "gelu"}, "gelu"),
        ("Llama", {"mlp_bias": True}, "twin"),
        ("Llama", {"attention_bias": True}, "attention_bias"),
        ("Qwen2", {"quantization_config": {"quant_method": "gptq"}}, "quantised checkpoint"),
        ("Qwen2", {"num_key_value_heads": 3}, "must be a multiple"),
        ("Qwen2", {"hidden_size": "many"}, "hidden_size is 'many', expected int"),
        ("Qwen2", {"hidden_size": 10**400}, "hidden_size is 10+, expected int"),
        ("Qwen2", {"tie_word_embeddings": "yes"}, "expected bool"),
        ("Qwen2", {"rope_scaling": "yarn"}, "rope_scaling is 'yarn', expected dict"),
        ("Qwen2", {"rms_norm_eps": [1e-6]}, "expected float"),
    ],
)
def test_what_cannot_be_read_is_refused(family: str, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    make(tmp_path, family)
    content = json.loads((tmp_path / "config.json").read_text()) | {"rope_parameters": None} | change
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_model_config(tmp_path)


def test_a_pickled_checkpoint_is_refused(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"pickled.*save_pretrained"):
        read(tmp_path)


@pytest.mark.parametrize("tied", [True, False])
def test_a_head_that_contradicts_the_configuration_is_refused(tied: bool, tmp_path: Path) -> None:
    make(tmp_path, tie_word_embeddings=not tied)
    content = json.loads((tmp_path / "config.json").read_text()) | {"tie_word_embeddings": tied}
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=f"tie_word_embeddings is {str(tied).lower()}"):
        read(tmp_path)


def test_truncated_and_missing_shards_are_named(tmp_path: Path) -> None:
    make(tmp_path).save_pretrained(tmp_path, max_shard_size="20KB")
    (tmp_path / "model.safetensors").unlink()
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 2
    shards[1].write_bytes(shards[1].read_bytes()[:-8])
    with pytest.raises(InputError, match=rf"{shards[1].name}: truncated"):
        read(tmp_path)
    shards[1].unlink()
    with pytest.raises(InputError, match=rf"{shards[1].name}: missing"):
        read(tmp_path)

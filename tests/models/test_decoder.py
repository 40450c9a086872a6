"""Parameter counts, initialisation, and what training adds to the forward pass."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import Array

from jmed_jax.config import ExperimentConfig, ModelConfig, load_config
from jmed_jax.models import attention, decoder
from jmed_jax.models.decoder import Decoder, abstract_parameters, initialize_parameters, neftune_noise
from tests.tiny import LENGTH, MODEL, VOCAB

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
QWEN_LIKE = replace(MODEL, gated_mlp=True, qkv_bias=True, scale_embeddings=False)


def count(config: ModelConfig) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(abstract_parameters(config)[1]))


def test_the_paper_s_model_has_exactly_1191282688_parameters() -> None:
    model = load_config(CONFIGS / "ncvc_slm_1b.py", ExperimentConfig).model
    assert count(model) == model.num_parameters == 1_191_282_688


def test_a_gated_mlp_would_give_1_59_billion() -> None:
    model = replace(load_config(CONFIGS / "ncvc_slm_1b.py", ExperimentConfig).model, gated_mlp=True)
    assert count(model) == model.num_parameters
    assert round(count(model) / 1e9, 2) == 1.59


@pytest.mark.parametrize("gated_mlp", [False, True])
@pytest.mark.parametrize("qkv_bias", [False, True])
@pytest.mark.parametrize("tie_embeddings", [False, True])
def test_num_parameters_is_the_size_of_the_tree(gated_mlp: bool, qkv_bias: bool, tie_embeddings: bool) -> None:
    config = replace(MODEL, gated_mlp=gated_mlp, qkv_bias=qkv_bias, tie_embeddings=tie_embeddings, num_kv_heads=1)
    assert count(config) == config.num_parameters


# --- initialisation ---------------------------------------------------------------------------------------------------

D, F, L, V = 128, 512, 4, 2000
WIDE = replace(
    MODEL,
    hidden_size=D,
    mlp_size=F,
    num_layers=L,
    vocab_size=V,
    num_heads=8,
    head_dim=16,
    gated_mlp=True,
    qkv_bias=True,
)
SIGMA = math.sqrt(2 / (5 * D))


@pytest.fixture(scope="module")
def wide_parameters() -> dict[str, Any]:
    return jax.jit(lambda: nnx.to_pure_dict(initialize_parameters(WIDE, seed=0)))()


@pytest.mark.parametrize(
    ("path", "sigma"),
    [
        ("embedding.embedding", SIGMA),
        ("blocks.attention.query.kernel", SIGMA),
        ("blocks.attention.key.kernel", SIGMA),
        ("blocks.attention.value.kernel", SIGMA),
        ("blocks.mlp.gate.kernel", SIGMA),
        ("blocks.mlp.up.kernel", SIGMA),
        ("blocks.attention.output.kernel", SIGMA / math.sqrt(2 * L)),
        ("blocks.mlp.down.kernel", SIGMA / math.sqrt(2 * L)),
        ("head.kernel", math.sqrt(2 / (D + V))),
    ],
)
def test_kernels_are_normal_with_the_paper_s_deviation(wide_parameters: dict, path: str, sigma: float) -> None:
    array: Any = wide_parameters
    for key in path.split("."):
        array = array[key]
    values = np.array(array) / sigma
    # At least 32,768 values: the estimate's own relative deviation is below 0.4 %.
    assert abs(values.std() - 1) < 0.02
    assert abs(values.mean()) < 0.02
    # Normal, not uniform and not truncated: 0.27 % of the values are beyond three deviations.
    assert 0.001 < (np.abs(values) > 3).mean() < 0.005


def test_norms_start_at_one_and_biases_at_zero(wide_parameters: dict) -> None:
    blocks = wide_parameters["blocks"]
    for norm in (blocks["attention_norm"], blocks["mlp_norm"], wide_parameters["final_norm"]):
        assert (norm["scale"] == 1).all()
    for name in ("query", "key", "value"):
        assert (blocks["attention"][name]["bias"] == 0).all()


def test_layers_and_projections_differ(wide_parameters: dict) -> None:
    attention_parameters = wide_parameters["blocks"]["attention"]
    key_LDK = np.array(attention_parameters["key"]["kernel"])
    for layer in range(1, L):
        assert abs(np.corrcoef(key_LDK[0].ravel(), key_LDK[layer].ravel())[0, 1]) < 0.05
    value_LDK = np.array(attention_parameters["value"]["kernel"])
    assert abs(np.corrcoef(key_LDK.ravel(), value_LDK.ravel())[0, 1]) < 0.05


def test_the_seed_decides() -> None:
    def embedding_of(seed: int) -> Array:
        return jax.jit(lambda: nnx.to_pure_dict(initialize_parameters(MODEL, seed))["embedding"]["embedding"])()

    first, again, other = map(embedding_of, (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


# --- forward ----------------------------------------------------------------------------------------------------------


@cache
def parameters_of(config: ModelConfig) -> nnx.State:
    return jax.jit(lambda: initialize_parameters(config, seed=0))()


def make(config: ModelConfig) -> Decoder:
    return nnx.merge(abstract_parameters(config)[0], parameters_of(config))


def random_tokens(rows: int = 2, length: int = LENGTH) -> Array:
    return jnp.array(np.random.default_rng(0).integers(0, VOCAB, (rows, length)))


def forward(model: Decoder) -> Callable[..., Array]:
    graphdef, state = nnx.split(model)
    jitted = jax.jit(lambda *inputs: nnx.merge(graphdef, state)(*inputs))
    return lambda *inputs: np.array(jitted(*inputs))


def test_embeddings_are_scaled_by_the_root_of_the_width() -> None:
    scaled, plain = make(MODEL), make(replace(MODEL, scale_embeddings=False))
    tokens_BT = random_tokens()
    table = np.array(scaled.embedding.embedding[...])
    np.testing.assert_allclose(scaled.embed(tokens_BT, jnp.float32), table[tokens_BT] * math.sqrt(32), rtol=1e-6)
    np.testing.assert_array_equal(plain.embed(tokens_BT, jnp.float32), table[tokens_BT])


def test_a_tied_head_is_the_embedding() -> None:
    model = make(replace(MODEL, tie_embeddings=True))
    np.testing.assert_array_equal(model.output_kernel(), model.embedding.embedding[...].T)


@pytest.mark.parametrize("config", [MODEL, QWEN_LIKE])
def test_later_tokens_do_not_change_earlier_logits(config: ModelConfig) -> None:
    logits = forward(make(config))
    tokens_BT = random_tokens()
    changed_BT = tokens_BT.at[:, 20:].set(3)
    before, after = logits(tokens_BT), logits(changed_BT)
    assert before.dtype == np.float32 and before.shape == (2, LENGTH, VOCAB)
    np.testing.assert_array_equal(before[:, :20], after[:, :20])
    assert not np.allclose(before[:, 21:], after[:, 21:])


def test_a_document_in_a_row_reads_as_if_it_were_alone() -> None:
    logits = forward(make(MODEL))
    tokens_BT = random_tokens(rows=1)
    segment_ids_BT = jnp.array([[1] * 12 + [2] * 20])
    # Rotary positions are relative: the second document need not start at position 0.
    alone = logits(jnp.pad(tokens_BT[:, 12:], ((0, 0), (0, 12))))[:, :20]
    np.testing.assert_allclose(logits(tokens_BT, segment_ids_BT)[:, 12:], alone, atol=1e-5)
    assert np.abs(logits(tokens_BT)[:, 12:] - alone).max() > 1e-3


@pytest.mark.parametrize("remat", ["full", "dots"])
def test_remat_changes_neither_loss_nor_gradients(remat: decoder.Remat) -> None:
    graphdef, state = nnx.split(make(replace(MODEL, attention_dropout=0.1, residual_dropout=0.1)))
    tokens_BT = random_tokens()

    def loss(state: nnx.State, remat: decoder.Remat) -> Array:
        model = nnx.merge(graphdef, state)
        x_BTD = model.embed(tokens_BT, jnp.float32)
        return jnp.sum(jnp.sin(model.transform(x_BTD, dropout_key=jax.random.key(5), remat=remat)))

    step = jax.jit(jax.value_and_grad(loss), static_argnums=1)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), step(state, remat), step(state, "none")
    )


def test_layers_in_sequence_do_what_a_loop_over_them_does() -> None:
    model = make(replace(MODEL, attention_dropout=0.1, residual_dropout=0.1))
    x_BTD = model.embed(random_tokens(), jnp.float32)

    def transform(unroll: bool) -> Array:
        return model.transform(x_BTD, dropout_key=jax.random.key(5), unroll=unroll)

    np.testing.assert_allclose(transform(True), transform(False), atol=1e-5)


def test_every_dropout_of_a_step_draws_from_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []

    def recording_dropout(x: Array, rate: float, key: Array | None) -> Array:
        assert rate == 0.1 and key is not None
        jax.debug.callback(lambda data: seen.append(tuple(data.tolist())), jax.random.key_data(key))
        return x

    monkeypatch.setattr(decoder, "dropout", recording_dropout)
    monkeypatch.setattr(attention, "dropout", recording_dropout)
    monkeypatch.setattr(attention, "QUERY_CHUNK", LENGTH // 2)
    model = make(replace(MODEL, attention_dropout=0.1, residual_dropout=0.1))
    x_BTD = model.embed(random_tokens(), jnp.float32)
    transform = jax.jit(lambda key: model.transform(x_BTD, dropout_key=key))
    for step in range(2):
        jax.block_until_ready(transform(jax.random.key(step)))
        jax.effects_barrier()
    # Two steps × two layers × (attention weights of two chunks of queries, attention branch, MLP branch).
    assert len(seen) == len(set(seen)) == 16


def test_blocks_use_the_given_attention_and_keep_the_given_sharding() -> None:
    model = make(MODEL)
    x_BTD = model.embed(random_tokens(), jnp.float32)
    segment_ids_BT = jnp.array([[1] * 12 + [2] * 20] * 2)
    seen: list[str] = []

    def recording_attention(*arrays: Array, **dropout: Any) -> Array:
        seen.append("attention")
        return attention.reference_attention(*arrays, **dropout)

    def constrain(x_BTD: Array) -> Array:
        seen.append("constrain")
        return x_BTD

    given = model.transform(x_BTD, segment_ids_BT, attention=recording_attention, constrain=constrain)
    # Before the first block, and after each in the body of the scan, which is traced once or more.
    assert seen[:3] == ["constrain", "attention", "constrain"]
    np.testing.assert_allclose(given, model.transform(x_BTD, segment_ids_BT), atol=1e-5)


def test_dropout_is_off_at_inference() -> None:
    tokens_BT = random_tokens()
    with_rates = forward(make(replace(MODEL, attention_dropout=0.5, residual_dropout=0.5)))
    np.testing.assert_array_equal(with_rates(tokens_BT), forward(make(MODEL))(tokens_BT))


# --- NEFTune ----------------------------------------------------------------------------------------------------------

jitted_noise = jax.jit(neftune_noise)


def test_neftune_noise_is_uniform_with_the_magnitude_of_the_example() -> None:
    width, alpha = 512, 5.0
    lengths = {1: 40, 2: 160}
    segment_ids_BT = jnp.array([[1] * 40 + [2] * 160 + [0] * 56, [1] * 256])
    noise = np.array(jitted_noise(jnp.zeros((2, 256, width)), segment_ids_BT, alpha, jax.random.key(0)))
    for segment, length in lengths.items():
        values = noise[0, np.array(segment_ids_BT[0]) == segment] / (alpha / math.sqrt(length * width))
        assert 0.99 < np.abs(values).max() <= 1 + 1e-5
        # Uniform on [-1, 1]: mean 0, variance 1/3, quarters of equal size.
        assert abs(values.mean()) < 0.02
        assert abs(values.var() - 1 / 3) < 0.01
        np.testing.assert_allclose(np.histogram(values, 4, (-1, 1))[0] / values.size, 0.25, atol=0.01)
    # The same number of a segment in another row is another example.
    assert np.abs(noise[1]).max() <= alpha / math.sqrt(256 * width) * (1 + 1e-5)


def test_neftune_leaves_padding_alone() -> None:
    x_BTD = jnp.ones((1, 8, 16))
    out = jitted_noise(x_BTD, jnp.array([[1, 1, 1, 2, 2, 0, 0, 0]]), 5.0, jax.random.key(0))
    np.testing.assert_array_equal(out[:, 5:], x_BTD[:, 5:])
    assert (out[:, :5] != x_BTD[:, :5]).all()


def test_neftune_draws_anew_with_every_key() -> None:
    x_BTD, segment_ids_BT = jnp.zeros((1, 8, 16)), jnp.ones((1, 8), jnp.int32)
    first, other = (jitted_noise(x_BTD, segment_ids_BT, 5.0, jax.random.key(seed)) for seed in (0, 1))
    assert (first != other).all()

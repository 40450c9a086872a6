"""Attention maps against the layers' own output and against transformers; shares against counting by hand."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jmed_jax.analysis.attention import MEAN, Mask, RowAttention, attention_weights, row_attention
from jmed_jax.config import ModelConfig
from jmed_jax.convert import huggingface
from jmed_jax.errors import InputError
from jmed_jax.language_model import LanguageModel
from jmed_jax.models.attention import reference_attention
from tests.analysis.models import random_model
from tests.tiny import MODEL

QWEN2 = replace(
    MODEL, num_layers=3, gated_mlp=True, qkv_bias=True, tie_embeddings=False, scale_embeddings=False, rope_theta=1e6
)
MASKS: tuple[Mask, ...] = ("causal", "document")
END = 2
SEGMENTS_T = np.repeat([1, 2, 3], [9, 12, 7]).astype(np.int32)
T = len(SEGMENTS_T)


def tokens_of(config: ModelConfig) -> np.ndarray:
    """Three documents, each closed by `END`."""
    tokens_T = np.random.default_rng(0).integers(3, config.vocab_size, T).astype(np.int32)
    tokens_T[[8, 20, 27]] = END
    return tokens_T


def look(model: LanguageModel, mask: Mask, heads: tuple[int, ...] = (MEAN, 1, 2, 3, 4)) -> RowAttention:
    layers = range(1, model.config.num_layers + 1)
    return row_attention(model, tokens_of(model.config), SEGMENTS_T, layers=layers, heads=heads, mask=mask, end_id=END)


@pytest.fixture(scope="module", params=[MODEL, QWEN2], ids=["ncvc-slm-1", "qwen2"])
def model(request: pytest.FixtureRequest) -> LanguageModel:
    return random_model(None, request.param)


@pytest.mark.parametrize("mask", MASKS)
def test_weights_are_those_of_transformers(model: LanguageModel, mask: Mask, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM

    huggingface.write_weights(
        tmp_path, model.config, model.parameters, token_ids={"bos_token_id": 1, "eos_token_id": END}, dtype="float32"
    )
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    visible_TS = np.tril(np.ones((T, T), bool))
    if mask == "document":
        visible_TS &= SEGMENTS_T[:, None] == SEGMENTS_T[None]
    hidden_TS = torch.where(torch.tensor(visible_TS), 0.0, torch.finfo(torch.float32).min)
    with torch.no_grad():
        ids_BT = torch.tensor(tokens_of(model.config), dtype=torch.int64)[None]
        layers = theirs(ids_BT, attention_mask=hidden_TS[None, None], output_attentions=True).attentions
    ours = look(model, mask).maps
    for layer, weights_BNTS in enumerate(layers, 1):
        for head in range(1, model.config.num_heads + 1):
            np.testing.assert_allclose(ours[layer, head], weights_BNTS[0, head - 1].numpy(), atol=1e-4, rtol=0)
        np.testing.assert_allclose(ours[layer, MEAN], weights_BNTS[0].mean(dim=0).numpy(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("mask", MASKS)
def test_weights_times_values_are_what_the_layers_compute(model: LanguageModel, mask: Mask) -> None:
    assert look(model, mask).largest_difference < 1e-5


def test_heads_of_a_group_read_their_own_keys() -> None:
    generator = np.random.default_rng(1)
    q_BTNH = jnp.asarray(3 * generator.normal(size=(1, 7, 6, 8)), jnp.float32)
    k_BTKH, v_BTKH = (jnp.asarray(generator.normal(size=(1, 7, 2, 8)), jnp.float32) for _ in "kv")
    weights_BNTS = attention_weights(q_BTNH, k_BTKH, None)
    product_BTNH = jnp.einsum("BNTS,BSNH->BTNH", weights_BNTS, jnp.repeat(v_BTKH, 3, axis=2))
    np.testing.assert_allclose(product_BTNH, reference_attention(q_BTNH, k_BTKH, v_BTKH), atol=1e-5)


def test_shares_are_what_the_maps_hold(model: LanguageModel) -> None:
    seen = look(model, "causal")
    assert seen.shares is not None
    later_T = SEGMENTS_T > 1
    for layer, shares in enumerate(seen.shares, 1):
        weights_TS = seen.maps[layer, MEAN][later_T]
        earlier = (weights_TS * (SEGMENTS_T[later_T][:, None] > SEGMENTS_T[None])).sum(axis=1).mean()
        ends = weights_TS[:, [8, 20, 27]].sum(axis=1).mean()
        assert shares.earlier == pytest.approx(earlier, abs=1e-5)
        assert shares.first == pytest.approx(weights_TS[:, 0].mean(), abs=1e-5)
        assert shares.ends == pytest.approx(ends, abs=1e-5)
    spread = [start / (place + 1) for place, start in enumerate([0] * 9 + [9] * 12 + [21] * 7)][9:]
    assert seen.even == pytest.approx(np.mean(spread))


def test_nothing_leaves_a_document_under_its_mask(model: LanguageModel) -> None:
    seen = look(model, "document")
    assert seen.shares is not None
    assert {(shares.earlier, shares.first) for shares in seen.shares} == {(0.0, 0.0)}
    assert seen.even == 0
    for weights_TS in seen.maps.values():
        assert not weights_TS[SEGMENTS_T[:, None] != SEGMENTS_T[None]].any()
        np.testing.assert_allclose(weights_TS.sum(axis=1), 1, atol=1e-5)


def test_one_document_has_none_before_it(model: LanguageModel) -> None:
    seen = row_attention(model, tokens_of(model.config)[:9], SEGMENTS_T[:9], layers=[2], end_id=END)
    assert (seen.shares, seen.even) == (None, None)
    assert list(seen.maps) == [(2, MEAN)]


@pytest.mark.parametrize(("layers", "heads", "message"), [([4], (MEAN,), "layer 4: .*1 to 3"), ([1], (5,), "head 5")])
def test_layers_and_heads_that_are_not_there(layers: list[int], heads: tuple[int, ...], message: str) -> None:
    model = random_model(None, QWEN2)
    with pytest.raises(InputError, match=message):
        row_attention(model, tokens_of(QWEN2), SEGMENTS_T, layers=layers, heads=heads, end_id=END)

"""Adapters and the trees that hold them."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jmed_jax.config import LORA_TARGETS, LoraConfig, ModelConfig
from jmed_jax.errors import InputError
from jmed_jax.models.decoder import abstract_parameters, initialize_parameters
from jmed_jax.models.lora import (
    LINEARS,
    abstract_adapter,
    adapted_norms,
    attach,
    base_dtype,
    detach,
    initialize_adapter,
    linears,
    merge,
)
from jmed_jax.models.quantize import quantized
from tests import tiny

# Layer sizes that nf4 divides into blocks.
MODEL = replace(tiny.MODEL, hidden_size=64, head_dim=16, gated_mlp=True, qkv_bias=True)
PLAIN = LoraConfig(rank=4, base="float32")
VARIANTS = {
    "lora": PLAIN,
    "rslora": replace(PLAIN, rank_stabilized=True),
    "dora": replace(PLAIN, dora=True),
    "two targets": replace(PLAIN, targets=("v_proj", "down_proj")),
}
IDS_BT = jnp.asarray(np.random.default_rng(0).integers(0, tiny.VOCAB, (2, tiny.LENGTH)))

Tree = dict[str, Any]


def dense_base(config: ModelConfig = MODEL) -> Tree:
    tree = jax.jit(lambda: nnx.to_pure_dict(initialize_parameters(config, 0)))()
    # Biases are zero at first.
    return jax.tree.map(lambda a: a + 0.02 * jax.random.normal(jax.random.key(a.size), a.shape), tree)


def frozen_base(lora: LoraConfig) -> Tree:
    base = jax.tree.map(lambda a: a.astype(base_dtype(lora)), dense_base())
    if lora.base in ("int8", "nf4"):
        for layer in linears(base):
            layer["kernel"] = quantized(layer["kernel"], lora.base)
    return base


def adapter_of(lora: LoraConfig, base: Tree, *, noise: float) -> Tree:
    fresh = initialize_adapter(MODEL, lora, 0, base)
    return jax.tree.map(lambda a: a + noise * jax.random.normal(jax.random.key(a.size), a.shape), fresh)


def logits(tree: Tree, lora: LoraConfig | None = None) -> jax.Array:
    graphdef, _ = abstract_parameters(MODEL, lora)
    return jax.jit(lambda tree: nnx.merge(graphdef, tree)(IDS_BT))(tree)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_fresh_adapter_changes_nothing(name: str) -> None:
    lora, base = VARIANTS[name], dense_base()
    tree = attach(base, initialize_adapter(MODEL, lora, 0, base))
    np.testing.assert_allclose(logits(tree, lora), logits(base), atol=1e-5)


@pytest.mark.parametrize("name", VARIANTS)
def test_merged_equals_unmerged(name: str) -> None:
    lora, base = VARIANTS[name], dense_base()
    adapter = adapter_of(lora, base, noise=0.1)
    unmerged = logits(attach(base, adapter), lora)
    assert np.abs(unmerged - logits(base)).max() > 0.1
    merged = jax.jit(lambda base, adapter: merge(base, adapter, lora))(base, adapter)
    np.testing.assert_allclose(logits(merged), unmerged, atol=1e-4)
    assert jax.tree.structure(merged) == jax.tree.structure(base)


@pytest.mark.parametrize("base", ["bfloat16", "int8", "nf4"])
@pytest.mark.parametrize("dora", [False, True])
def test_a_narrow_base_is_what_the_graph_expects_and_merges_to_bfloat16(base: Any, dora: bool) -> None:
    lora = replace(PLAIN, base=base, dora=dora)
    frozen = frozen_base(lora)
    adapter = adapter_of(lora, frozen, noise=0.05)
    tree = attach(frozen, adapter)
    expected = nnx.to_pure_dict(abstract_parameters(MODEL, lora)[1])
    assert jax.tree.map(lambda a: (a.shape, a.dtype), tree) == jax.tree.map(lambda a: (a.shape, a.dtype), expected)
    merged = merge(frozen, adapter, lora)
    assert {leaf.dtype for leaf in jax.tree.leaves(merged)} == {jnp.dtype("bfloat16")}
    np.testing.assert_allclose(logits(merged), logits(tree, lora), atol=0.02)
    # The quantisation moves logits of about 1 by less than the adapter does, and not by nothing.
    moved = np.abs(logits(attach(frozen, initialize_adapter(MODEL, lora, 0, frozen)), lora) - logits(dense_base()))
    assert 0 < moved.mean() < (0.1 if base == "nf4" else 0.02)


def test_an_adapter_comes_off_as_it_was_attached() -> None:
    base = dense_base()
    adapter = initialize_adapter(MODEL, PLAIN, 0, base)
    off = detach(attach(base, adapter))
    for found, expected in zip(off, (base, adapter), strict=True):
        jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert "lora" not in base["blocks"]["mlp"]["up"], "attaching leaves the base as it was"


def test_a_fresh_adapter_is_uniform_and_zero_and_follows_the_seed() -> None:
    first, again, other = (initialize_adapter(MODEL, PLAIN, seed, {}) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    a, b = (first["blocks"]["mlp"]["down"]["lora"][name] for name in ("a", "b"))
    assert 0.9 / 8 < np.abs(a).max() <= 1 / 8 and not b.any()
    assert (a != other["blocks"]["mlp"]["down"]["lora"]["a"]).any()
    query, key = (first["blocks"]["attention"][linear]["lora"]["a"] for linear in ("query", "key"))
    assert (query != key).any() and (query[0] != query[1]).any()
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), abstract_adapter(MODEL, PLAIN))
    assert shapes == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), first)


def test_an_adapter_does_not_depend_on_which_other_targets_there_are() -> None:
    alone = initialize_adapter(MODEL, replace(PLAIN, targets=("down_proj",)), 0, {})
    everything = initialize_adapter(MODEL, PLAIN, 0, {})
    jax.tree.map(np.testing.assert_array_equal, alone["blocks"]["mlp"]["down"], everything["blocks"]["mlp"]["down"])


def test_the_norms_are_those_of_the_adapted_kernel() -> None:
    kernel, a, b = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(((32, 48), (32, 4), (4, 48))))
    expected = np.linalg.norm(kernel + 0.5 * a @ b, axis=0)
    np.testing.assert_allclose(adapted_norms(kernel, a, b, 0.5, jnp.dtype("float32")), expected, rtol=1e-5)


def test_every_target_reaches_the_output() -> None:
    base = dense_base()
    before = logits(base)
    for name in LORA_TARGETS:
        lora = replace(PLAIN, targets=(name,))
        adapter = adapter_of(lora, base, noise=0.1)
        module, linear = LINEARS[name]
        assert list(adapter["blocks"]) == [module] and list(adapter["blocks"][module]) == [linear]
        assert np.abs(logits(attach(base, adapter), lora) - before).max() > 1e-3


def test_dropout_is_drawn_for_every_layer_and_target_anew_and_only_with_a_key() -> None:
    lora = replace(PLAIN, dropout=0.5)
    base = dense_base()
    tree = attach(base, adapter_of(lora, base, noise=0.1))
    graphdef, _ = abstract_parameters(MODEL, lora)

    def hidden(key: Any) -> Any:
        decoder = nnx.merge(graphdef, tree)
        return decoder.transform(decoder.embed(IDS_BT, jnp.float32), dropout_key=key)

    quiet = replace(lora, dropout=0.0)
    np.testing.assert_array_equal(logits(tree, lora), logits(tree, quiet))
    one, again, other = (hidden(jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3 and np.abs(one - hidden(None)).max() > 1e-3


def test_a_target_that_the_architecture_lacks_is_refused_with_advice() -> None:
    with pytest.raises(InputError, match=r"no gate. Use --lora.targets q_proj,k_proj,v_proj,o_proj,up_proj,down_proj"):
        abstract_parameters(replace(MODEL, gated_mlp=False), PLAIN)


def test_rank_0_is_the_plain_decoder() -> None:
    plain, none = (nnx.to_pure_dict(abstract_parameters(MODEL, lora)[1]) for lora in (None, LoraConfig()))
    assert jax.tree.structure(plain) == jax.tree.structure(none)

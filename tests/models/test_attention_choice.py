"""What `train.attention` chooses on which devices, and what it refuses."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from jmed_jax.config import ExperimentConfig
from jmed_jax.errors import InputError
from jmed_jax.models import attention_choice
from jmed_jax.models.attention import causal_attention, reference_attention
from jmed_jax.models.attention_choice import choose_attention, make_attention
from jmed_jax.parallel.mesh import BATCH_AXES
from tests.tiny import experiment, one_device_mesh


@pytest.fixture(autouse=True)
def cuda_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were installed."""
    monkeypatch.setattr(attention_choice.importlib.util, "find_spec", lambda _name: object())


def config(name: str = "auto", *, dtype: str = "bfloat16", mask: str = "causal", **model: Any) -> ExperimentConfig:
    """One that every kernel can run, but for what is given."""
    base = experiment(attention=name)
    return replace(
        base,
        model=replace(base.model, **{"context_length": 256, "head_dim": 64, **model}),
        data=replace(base.data, attention_mask=mask),
        train=replace(base.train, compute_dtype=dtype),
    )


@pytest.mark.parametrize("mask", ["causal", "document"])
@pytest.mark.parametrize(
    ("platform", "kernel"), [("cpu", "chunked"), ("gpu", "cudnn"), ("cuda", "cudnn"), ("tpu", "splash")]
)
def test_auto_takes_the_kernel_of_the_platform(platform: str, kernel: str, mask: str) -> None:
    assert choose_attention(config(mask=mask), platform).name == kernel


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_auto_honours_dropout_and_says_what_it_costs(platform: str) -> None:
    choice = choose_attention(config(attention_dropout=0.1), platform)
    assert choice.name == "chunked"
    assert "--model.attention-dropout 0" in choice.reason


@pytest.mark.parametrize(
    ("name", "platform", "changes", "field"),
    [
        ("cudnn", "gpu", {"attention_dropout": 0.1}, "--model.attention-dropout 0"),
        ("splash", "tpu", {"attention_dropout": 0.1}, "--model.attention-dropout 0"),
        ("cudnn", "gpu", {"dtype": "float32"}, "--train.compute-dtype bfloat16"),
        ("cudnn", "gpu", {"head_dim": 20}, "model.head_dim"),
        ("cudnn", "gpu", {"head_dim": 256}, "model.head_dim"),
        ("cudnn", "gpu", {"mask": "document", "context_length": 255}, "model.context_length"),
        ("splash", "tpu", {"context_length": 192}, "model.context_length"),
        ("cudnn", "cpu", {}, "--train.attention auto"),
        ("splash", "cpu", {}, "--train.attention auto"),
        ("splash", "gpu", {}, "--train.attention auto"),
    ],
)
def test_a_named_kernel_is_refused_where_it_cannot_do_it(
    name: str, platform: str, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InputError, match=field.replace(".", r"\.")):
        choose_attention(config(name, **changes), platform)


def test_cudnn_needs_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_choice.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(InputError, match=r"jmed_jax\[gpu\]"):
        choose_attention(config("cudnn"), "gpu")
    assert choose_attention(config(), "gpu").name == "chunked"


@pytest.mark.parametrize("platform", ["cpu", "gpu", "tpu"])
@pytest.mark.parametrize("name", ["reference", "chunked"])
def test_plain_implementations_run_anywhere_with_dropout(name: str, platform: str) -> None:
    assert choose_attention(config(name, attention_dropout=0.1, context_length=33), platform).name == name


@pytest.mark.parametrize(
    ("name", "function"),
    [("auto", causal_attention), ("chunked", causal_attention), ("reference", reference_attention)],
)
def test_the_mesh_s_devices_decide(name: str, function: object) -> None:
    made = make_attention(config(name), one_device_mesh(), batch_axes=BATCH_AXES, head_axis="tensor")
    assert made is function


@pytest.mark.parametrize(("platform", "primitive"), [("gpu", "cudnn"), ("tpu", "splash_mha_fwd")])
def test_a_mesh_of_absent_devices_gets_their_kernel(
    platform: str, primitive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def record(q: jax.Array, *_: Any, implementation: str, **__: Any) -> jax.Array:
        asked.append(implementation)
        return q

    monkeypatch.setattr(jax.nn, "dot_product_attention", record)
    monkeypatch.setattr(attention_choice, "choose_attention", lambda c, _p: choose_attention(c, platform))
    made = make_attention(config(), one_device_mesh(), batch_axes=BATCH_AXES, head_axis="tensor")
    q = jnp.zeros((2, 256, 4, 64), jnp.bfloat16)
    k = jnp.zeros((2, 256, 2, 64), jnp.bfloat16)
    assert primitive in f"{asked}{jax.make_jaxpr(made)(q, k, k)}{asked}"

"""The kernels of accelerators, as far as a machine without one can tell: splash interpreted, cuDNN by its arguments."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from jax.sharding import AxisType, Mesh, PartitionSpec

from jmed_jax.models import remat
from jmed_jax.models.attention_cudnn import cudnn_attention
from jmed_jax.models.attention_splash import splash_attention
from jmed_jax.parallel.mesh import AXES, BATCH_AXES
from tests.models.test_attention import assert_same_values_and_gradients, random_qkv, segments

HEADS_SPEC = PartitionSpec(BATCH_AXES, None, "tensor", None)


def mesh(data: int = 1, fsdp: int = 1, tensor: int = 1) -> Mesh:
    devices = jax.devices()[: data * fsdp * tensor]
    return jax.make_mesh((data, fsdp, tensor), AXES, axis_types=(AxisType.Auto,) * 3, devices=devices)


@pytest.fixture
def plain_cudnn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """JAX's own plain implementation in place of cuDNN's, and what it was called with."""
    calls: list[dict[str, Any]] = []
    plain = jax.nn.dot_product_attention

    def record(q: Array, k: Array, v: Array, **options: Any) -> Array:
        calls.append({**options, "q": q.shape, "k": k.shape})
        return plain(q, k, v, **{**options, "implementation": "xla"})

    monkeypatch.setattr(jax.nn, "dot_product_attention", record)
    return calls


# Two blocks of 128: one in which documents end, one that the causal mask leaves empty.
@pytest.mark.parametrize("by_document", [False, True])
def test_splash_gives_the_values_and_gradients_of_the_whole_mask(by_document: bool) -> None:
    length = 256
    attention = splash_attention(mesh(), HEADS_SPEC, interpret=True)
    assert_same_values_and_gradients(attention, random_qkv(length), segments(length) if by_document else None, 2e-5)


@pytest.mark.parametrize("by_document", [False, True])
@pytest.mark.usefixtures("plain_cudnn")
def test_cudnn_is_asked_for_the_whole_mask_s_attention(by_document: bool) -> None:
    attention = cudnn_attention(mesh(), HEADS_SPEC)
    assert_same_values_and_gradients(attention, random_qkv(22), segments(22) if by_document else None)


def test_cudnn_is_given_no_mask_that_it_makes_itself(plain_cudnn: list[dict[str, Any]]) -> None:
    q, k, v = random_qkv(22)
    attention = cudnn_attention(mesh(), HEADS_SPEC)
    jax.eval_shape(attention, q, k, v)
    jax.eval_shape(attention, q, k, v, segments(22))
    without, with_documents = plain_cudnn
    assert without["implementation"] == with_documents["implementation"] == "cudnn"
    assert without["mask"] is None and without["is_causal"]
    # One bias for all heads.
    assert with_documents["mask"].shape == (2, 1, 22, 22) and with_documents["is_causal"]


def test_each_device_has_its_rows_and_heads(plain_cudnn: list[dict[str, Any]]) -> None:
    q, k, v = random_qkv(22, batch=4)
    attention = cudnn_attention(mesh(data=2, fsdp=2, tensor=2), HEADS_SPEC)
    ids = jnp.concatenate([segments(22), segments(22)])
    expected = cudnn_attention(mesh(), HEADS_SPEC)(q, k, v, ids)
    compiled = jax.jit(attention).lower(q, k, v, ids).compile()
    np.testing.assert_allclose(compiled(q, k, v, ids), expected, atol=1e-6)
    assert plain_cudnn[-1]["q"] == (1, 22, 2, 8) and plain_cudnn[-1]["k"] == (1, 22, 1, 8)
    assert "all-gather" not in compiled.as_text()


def test_dropout_never_gets_lost() -> None:
    q, k, v = random_qkv(256)
    for attention in (cudnn_attention(mesh(), HEADS_SPEC), splash_attention(mesh(), HEADS_SPEC)):
        with pytest.raises(AssertionError, match="no dropout"):
            jax.eval_shape(lambda *qkv, a=attention: a(*qkv, dropout_rate=0.1, dropout_key=jax.random.key(0)), q, k, v)


def test_remat_that_keeps_attention_does_not_run_the_kernel_again() -> None:
    q, k, v = random_qkv(128)
    attention = splash_attention(mesh(), HEADS_SPEC, interpret=True)

    def loops(policy: remat.Remat) -> int:
        """Of the gradient of two layers; an interpreted kernel is a loop."""
        layer = remat.with_remat(lambda q, _: (attention(q * 2, k, v), None), policy)
        gradient = jax.grad(lambda q: jnp.sum(jax.lax.scan(layer, q, length=2)[0]))
        return jax.jit(gradient).lower(q).compile().as_text().count(" while(")

    assert loops("none") == loops("attention") < loops("full")

"""Next-token cross-entropy in chunks, so that the logits of a whole batch never exist.

Axes: B rows, T positions, S chunks, C positions of a chunk, P = B·C, D hidden, V vocabulary.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.sharding import Mesh, PartitionSpec

from jmed_jax.parallel.mesh import BATCH_AXES


class LossSums(NamedTuple):
    """Sums, not means: whoever holds all passes and devices divides once by the weight of the targets."""

    loss: Array
    """Sum of −log p over the targets, nats, float32."""
    weight: Array
    """Sum of the targets' weights, float32: their number, unless long conversations weigh less."""
    tokens: Array
    """Number of targets, float32."""


def next_token_targets(tokens_BT: Array, loss_mask_BT: Array) -> tuple[Array, Array]:
    """Targets [B, T] and their weights (float32): position t predicts token t+1; the last position predicts nothing."""
    targets_BT = jnp.roll(tokens_BT, -1, axis=1)
    weights_BT = jnp.roll(loss_mask_BT, -1, axis=1).at[:, -1].set(False)
    return targets_BT, weights_BT.astype(jnp.float32)


def normalize_by_length(weights_BT: Array, segment_ids_BT: Array, power: float) -> Array:
    """Weights [B, T] of `next_token_targets`, divided by the number of targets of their segment to the `power`.

    Args:
        segment_ids_BT: of the tokens, numbered from 1 and fewer than T in a row; that of a target counts, not that of
            the position before, which predicts it.
    """

    def counts_of_row(weights_T: Array, segment_ids_T: Array) -> Array:
        counts_S = jax.ops.segment_sum(weights_T, segment_ids_T, num_segments=weights_T.shape[0] + 1)
        return jnp.maximum(counts_S[segment_ids_T], 1.0)

    return weights_BT / jax.vmap(counts_of_row)(weights_BT, jnp.roll(segment_ids_BT, -1, axis=1)) ** power


def chunked_cross_entropy(
    x_BTD: Array,
    kernel_DV: Array,
    targets_BT: Array,
    weights_BT: Array,
    chunk_tokens: int,
    mesh: Mesh | None = None,
) -> LossSums:
    """Cross-entropy of `softmax(x @ kernel)` summed over weighted positions; log-softmax in float32.

    Positions without a target are moved to the end of each row and chunks without any target are skipped: instruction
    rows, whose targets are a few answer tokens, pay for those alone.

    Args:
        kernel_DV: in float32; the products are in the dtype of x, and its gradient is summed in float32.
        chunk_tokens: positions, over the rows of one device, whose logits exist at one time.
        mesh: where the rows are split over devices, each of which goes through its own.
    """
    if mesh is not None and all(mesh.shape[axis] == 1 for axis in BATCH_AXES):
        # Only tensor parallelism: no rows to share out, and XLA refuses a sum over axes of one device.
        mesh = None
    total = _summed_cross_entropy(x_BTD, kernel_DV, targets_BT, weights_BT, chunk_tokens, mesh)
    return LossSums(total, jnp.sum(weights_BT), jnp.sum((weights_BT > 0).astype(jnp.float32)))


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _summed_cross_entropy(
    x_BTD: Array, kernel_DV: Array, targets_BT: Array, weights_BT: Array, chunk_tokens: int, mesh: Mesh | None
) -> Array:
    def loss(x_BTD: Array, kernel_DV: Array, targets_BT: Array, weights_BT: Array) -> Array:
        return _sum_over_rows(_loss_of_rows(x_BTD, kernel_DV, targets_BT, weights_BT, chunk_tokens), mesh)

    on_rows = _each_device_its_rows(loss, mesh, PartitionSpec())
    return on_rows(x_BTD, kernel_DV.astype(x_BTD.dtype), targets_BT, weights_BT)


def _forward(
    x_BTD: Array, kernel_DV: Array, targets_BT: Array, weights_BT: Array, chunk_tokens: int, mesh: Mesh | None
) -> tuple[Array, tuple[Array, Array]]:
    """The loss and, while a chunk's logits are there, its gradients.

    The loss is the last thing that a step computes, so its gradients are wanted at once, and they are no larger than
    what the backward pass would need: the logits are not computed again for it.
    """
    # The kernel's gradient is wanted sharded as the optimiser is: the devices of "fsdp" each take a share of the sum.
    # Not with a tensor axis, over which the compiler would first gather the vocabulary.
    scatter = mesh is not None and mesh.shape["tensor"] == 1 and kernel_DV.shape[0] % mesh.shape["fsdp"] == 0

    def gradients(x_BTD: Array, kernel_DV: Array, targets_BT: Array, weights_BT: Array) -> tuple[Array, Array, Array]:
        loss, dx_BTD, dkernel_DV = _gradients_of_rows(x_BTD, kernel_DV, targets_BT, weights_BT, chunk_tokens)
        # One sum over devices, after the last chunk: left to itself, the compiler makes one a chunk.
        return _sum_over_rows(loss, mesh), dx_BTD, _sum_over_rows(dkernel_DV, mesh, scatter=scatter)

    kernel_spec = PartitionSpec("fsdp") if scatter else PartitionSpec()
    on_rows = _each_device_its_rows(gradients, mesh, (PartitionSpec(), PartitionSpec(BATCH_AXES), kernel_spec))
    loss, dx_BTD, dkernel_DV = on_rows(x_BTD, kernel_DV.astype(x_BTD.dtype), targets_BT, weights_BT)
    return loss, (dx_BTD, dkernel_DV)


def _backward(
    _chunk_tokens: int, _mesh: Mesh | None, gradients: tuple[Array, Array], cotangent: Array
) -> tuple[Array, Array, None, None]:
    dx_BTD, dkernel_DV = gradients
    return (dx_BTD * cotangent).astype(dx_BTD.dtype), dkernel_DV * cotangent, None, None


_summed_cross_entropy.defvjp(_forward, _backward)


# --- devices ----------------------------------------------------------------------------------------------------------


def _each_device_its_rows(function: Callable[..., Any], mesh: Mesh | None, out_specs: Any) -> Callable[..., Any]:
    """`function` of (x, kernel, targets, weights) on each device's rows; the tensor axis stays the compiler's."""
    if mesh is None:
        return function
    rows = PartitionSpec(BATCH_AXES)
    in_specs = (rows, PartitionSpec(), rows, rows)
    names = set(BATCH_AXES)
    return jax.shard_map(function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, axis_names=names, check_vma=False)


def _sum_over_rows(a: Array, mesh: Mesh | None, *, scatter: bool = False) -> Array:
    """Sum over the devices that rows are split over; with `scatter`, those of "fsdp" keep a share of the first axis."""
    if mesh is None:
        return a
    if not scatter:
        return jax.lax.psum(a, BATCH_AXES)
    return jax.lax.psum(jax.lax.psum_scatter(a, "fsdp", scatter_dimension=0, tiled=True), "data")


# --- chunks -----------------------------------------------------------------------------------------------------------


class _Chunks(NamedTuple):
    """Rows cut into chunks, positions with a target first; inside a scan, one chunk without its first axis."""

    x: Array
    """[S, B, C, D]"""
    targets: Array
    """[S, B, C]"""
    weights: Array
    """[S, B, C]"""


def _chunks(x_BTD: Array, targets_BT: Array, weights_BT: Array, chunk_tokens: int) -> tuple[_Chunks, Array]:
    """The chunks, and the order [B, T] of positions in them."""
    B, T, _ = x_BTD.shape
    chunk = max(1, min(T, chunk_tokens // B))
    order_BT = jnp.argsort(weights_BT == 0, axis=1, stable=True)

    def cut(a: Array) -> Array:
        ordered = jnp.take_along_axis(a, order_BT.reshape(B, T, *(1,) * (a.ndim - 2)), axis=1)
        padded = jnp.pad(ordered, ((0, 0), (0, -T % chunk), *((0, 0),) * (a.ndim - 2)))
        return padded.reshape(B, -1, chunk, *a.shape[2:]).swapaxes(0, 1)

    return _Chunks(cut(x_BTD), cut(targets_BT), cut(weights_BT)), order_BT


def _loss_of_rows(x_BTD: Array, kernel_DV: Array, targets_BT: Array, weights_BT: Array, chunk_tokens: int) -> Array:
    def add_chunk(total: Array, chunk: _Chunks) -> tuple[Array, None]:
        def with_targets(total: Array) -> Array:
            return total + _loss_of_chunk(*_logits(chunk.x, kernel_DV), chunk)

        return jax.lax.cond(jnp.any(chunk.weights > 0), with_targets, lambda total: total, total), None

    chunks, _ = _chunks(x_BTD, targets_BT, weights_BT, chunk_tokens)
    return jax.lax.scan(add_chunk, jnp.zeros((), jnp.float32), chunks)[0]


def _gradients_of_rows(
    x_BTD: Array, kernel_DV: Array, targets_BT: Array, weights_BT: Array, chunk_tokens: int
) -> tuple[Array, Array, Array]:
    """The loss and its gradients by x (in its dtype) and by the kernel (in float32)."""
    Total = tuple[Array, Array]

    def add_chunk(total: Total, chunk: _Chunks) -> tuple[Total, Array]:
        def with_targets(loss: Array, dkernel_DV: Array) -> tuple[Total, Array]:
            logits_PV, log_sum_P = _logits(chunk.x, kernel_DV)
            hit_PV = jnp.arange(logits_PV.shape[1])[None] == chunk.targets.reshape(-1, 1)
            dlogits_PV = (jnp.exp(logits_PV - log_sum_P[:, None]) - hit_PV) * chunk.weights.reshape(-1, 1)
            dlogits_PV = dlogits_PV.astype(kernel_DV.dtype)
            x_PD = chunk.x.reshape(-1, chunk.x.shape[-1])
            dkernel_DV = dkernel_DV + jnp.dot(x_PD.T, dlogits_PV, preferred_element_type=jnp.float32)
            dx_BCD = jnp.dot(dlogits_PV, kernel_DV.T).reshape(chunk.x.shape)
            return (loss + _loss_of_chunk(logits_PV, log_sum_P, chunk), dkernel_DV), dx_BCD

        def without(loss: Array, dkernel_DV: Array) -> tuple[Total, Array]:
            return (loss, dkernel_DV), jnp.zeros_like(chunk.x)

        return jax.lax.cond(jnp.any(chunk.weights > 0), with_targets, without, *total)

    B, T, D = x_BTD.shape
    chunks, order_BT = _chunks(x_BTD, targets_BT, weights_BT, chunk_tokens)
    start = (jnp.zeros((), jnp.float32), jnp.zeros(kernel_DV.shape, jnp.float32))
    (loss, dkernel_DV), dx_SBCD = jax.lax.scan(add_chunk, start, chunks)
    ordered_BTD = dx_SBCD.swapaxes(0, 1).reshape(B, -1, D)[:, :T]
    dx_BTD = jnp.take_along_axis(ordered_BTD, jnp.argsort(order_BT, axis=1)[:, :, None], axis=1)
    return loss, dx_BTD, dkernel_DV


def _logits(x_BCD: Array, kernel_DV: Array) -> tuple[Array, Array]:
    """Logits [P, V] in float32 and the logarithm of the sum of their exponentials [P]."""
    x_PD = x_BCD.reshape(-1, x_BCD.shape[-1])
    logits_PV = jnp.dot(x_PD, kernel_DV, preferred_element_type=jnp.float32)
    return logits_PV, jax.nn.logsumexp(logits_PV, axis=1)


def _loss_of_chunk(logits_PV: Array, log_sum_P: Array, chunk: _Chunks) -> Array:
    picked_P1 = jnp.take_along_axis(logits_PV, chunk.targets.reshape(-1, 1), axis=1)
    return jnp.sum((log_sum_P - picked_P1[:, 0]) * chunk.weights.reshape(-1))

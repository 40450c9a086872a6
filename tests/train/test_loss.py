"""The chunked loss against the plain one, and which positions count."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jmed_jax.parallel.mesh import AXES, BATCH_AXES
from jmed_jax.train.loss import chunked_cross_entropy, next_token_targets, normalize_by_length

B, T, D, V = 3, 10, 8, 17


def inputs(target_share: float = 0.5) -> tuple[Array, Array, Array, Array]:
    generator = np.random.default_rng(0)
    x_BTD = jnp.array(generator.normal(size=(B, T, D)), jnp.float32)
    kernel_DV = jnp.array(generator.normal(size=(D, V)), jnp.float32)
    targets_BT = jnp.array(generator.integers(0, V, (B, T)))
    return x_BTD, kernel_DV, targets_BT, jnp.array(generator.random((B, T)) < target_share, jnp.float32)


def plain_cross_entropy(x_BTD: Array, kernel_DV: Array, targets_BT: Array, weights_BT: Array) -> Array:
    losses_BT = optax.softmax_cross_entropy_with_integer_labels(x_BTD @ kernel_DV, targets_BT)
    return jnp.sum(losses_BT * weights_BT)


# Chunks of one token, that divide nothing, fewer tokens than rows, exactly one row, more than there is.
@pytest.mark.parametrize("chunk_tokens", [1, 4, 7, 10, 21, 1000])
@pytest.mark.parametrize("target_share", [0.0, 0.3, 1.0])
def test_chunks_give_the_value_and_gradients_of_the_plain_loss(chunk_tokens: int, target_share: float) -> None:
    x_BTD, kernel_DV, targets_BT, weights_BT = inputs(target_share)

    def chunked(x_BTD: Array, kernel_DV: Array) -> Array:
        return chunked_cross_entropy(x_BTD, kernel_DV, targets_BT, weights_BT, chunk_tokens).loss

    def plain(x_BTD: Array, kernel_DV: Array) -> Array:
        return plain_cross_entropy(x_BTD, kernel_DV, targets_BT, weights_BT)

    ours, theirs = (jax.jit(jax.value_and_grad(f, argnums=(0, 1)))(x_BTD, kernel_DV) for f in (chunked, plain))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), ours, theirs)
    assert (float(ours[0]) == 0) == (target_share == 0)


@pytest.mark.parametrize("target_share", [0.0, 0.3, 1.0])
def test_targets_are_counted(target_share: float) -> None:
    *arrays, weights_BT = inputs(target_share)
    sums = chunked_cross_entropy(*arrays, weights_BT / 2, 7)
    assert (sums.tokens, sums.weight) == (weights_BT.sum(), weights_BT.sum() / 2)


@pytest.mark.parametrize(("power", "short", "long"), [(0.0, 1.0, 1.0), (0.5, 1.0, 0.5), (1.0, 1.0, 0.25)])
def test_a_letter_weighs_as_much_as_a_list_where_length_is_normalized(power: float, short: float, long: float) -> None:
    weights_BT = jnp.array([[0, 1, 0, 1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 1, 0, 0, 0]], jnp.float32)
    segment_ids_BT = jnp.array([[1, 1, 1, 2, 2, 2, 2, 2, 0], [1, 1, 1, 1, 1, 2, 2, 3, 0]])
    row = [0, short, 0, *[long] * 4, 0, 0], [*[long] * 4, 0, short, 0, 0, 0]
    np.testing.assert_allclose(normalize_by_length(weights_BT, segment_ids_BT, power), row)


def test_log_softmax_is_float32_under_bfloat16_products() -> None:
    x_BTD, kernel_DV, targets_BT, weights_BT = inputs()
    x_BTD, kernel_DV = x_BTD.astype(jnp.bfloat16), kernel_DV.astype(jnp.bfloat16)
    sums = chunked_cross_entropy(x_BTD, kernel_DV, targets_BT, weights_BT, 4)
    exact = plain_cross_entropy(x_BTD.astype(jnp.float32), kernel_DV.astype(jnp.float32), targets_BT, weights_BT)
    assert sums.loss.dtype == jnp.float32
    np.testing.assert_allclose(sums.loss, exact, rtol=1e-5)


def test_position_t_predicts_token_t_plus_one_and_the_last_nothing() -> None:
    tokens_BT = jnp.array([[5, 6, 7, 8]])
    targets_BT, weights_BT = next_token_targets(tokens_BT, jnp.array([[True, False, True, True]]))
    assert targets_BT[0, :3].tolist() == [6, 7, 8]
    # The mask marks targets: token 0 is a target that no position precedes.
    assert weights_BT.tolist() == [[0, 1, 1, 0]]


def test_loss_ignores_prompt_tokens() -> None:
    x_BTD, kernel_DV, _, _ = inputs()
    tokens_BT = jnp.array(np.random.default_rng(1).integers(0, V, (B, T)))
    answer_BT = jnp.broadcast_to(jnp.arange(T) >= 6, (B, T))

    def loss(tokens_BT: Array, x_BTD: Array) -> float:
        return float(chunked_cross_entropy(x_BTD, kernel_DV, *next_token_targets(tokens_BT, answer_BT), 7).loss)

    before = loss(tokens_BT, x_BTD)
    assert loss((tokens_BT + 1).at[:, 6:].set(tokens_BT[:, 6:]) % V, x_BTD) == before
    # Hidden states count from position 5, which predicts the first answer token, up to the last but one.
    assert loss(tokens_BT, x_BTD.at[:, :5].add(1).at[:, -1].add(1)) == before
    assert loss(tokens_BT.at[:, 6].add(1) % V, x_BTD) != before
    assert loss(tokens_BT, x_BTD.at[:, 5].add(1)) != before


@pytest.mark.parametrize("shape", [(8, 1, 1), (2, 4, 1), (2, 2, 2)])
def test_rows_over_devices_give_the_same_loss_and_gradients(shape: tuple[int, int, int]) -> None:
    mesh = jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * len(AXES))
    generator = np.random.default_rng(0)
    x_BTD = jnp.array(generator.normal(size=(8, T, D)), jnp.float32)
    kernel_DV = jnp.array(generator.normal(size=(D, 18)), jnp.float32)
    targets_BT = jnp.array(generator.integers(0, 18, (8, T)))
    # Rows of very different numbers of targets, one of them without any: chunks differ between devices.
    weights_BT = jnp.array(generator.random((8, T)) < np.linspace(0, 1, 8)[:, None], jnp.float32)

    def loss(x_BTD: Array, kernel_DV: Array, mesh: Mesh | None) -> Array:
        return chunked_cross_entropy(x_BTD, kernel_DV, targets_BT, weights_BT, 4, mesh).loss

    gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)), static_argnums=2)
    spread = jax.device_put(x_BTD, NamedSharding(mesh, PartitionSpec(BATCH_AXES)))
    head = jax.device_put(kernel_DV, NamedSharding(mesh, PartitionSpec("fsdp", "tensor")))
    alone, together = gradients(x_BTD, kernel_DV, None), gradients(spread, head, mesh)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), alone, together)
    # Without gradients, as in validation.
    np.testing.assert_allclose(alone[0], jax.jit(loss, static_argnums=2)(spread, head, mesh), rtol=1e-5)


def test_the_gradient_of_the_kernel_is_summed_in_float32_under_bfloat16_products() -> None:
    generator = np.random.default_rng(0)
    x_BTD = jnp.array(generator.normal(size=(4, 256, D)), jnp.bfloat16)
    kernel_DV = jnp.array(generator.normal(size=(D, V)), jnp.float32)
    targets_BT = jnp.array(generator.integers(0, V, (4, 256)))

    def gradient(x_BTD: Array) -> Array:
        ones = jnp.ones((4, 256), jnp.float32)
        return jax.grad(lambda k: chunked_cross_entropy(x_BTD, k, targets_BT, ones, 4).loss)(kernel_DV)

    exact, rounded = gradient(x_BTD.astype(jnp.float32)), gradient(x_BTD)
    assert rounded.dtype == jnp.float32
    # 256 chunks added up in bfloat16 are wrong by 2 %.
    assert jnp.linalg.norm(rounded - exact) < 0.005 * jnp.linalg.norm(exact)

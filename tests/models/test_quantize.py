"""Frozen kernels in 8 and 4 bits: the published table, the error, the size, and the product."""

from statistics import NormalDist
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import NDArray

from jmed_jax.errors import InputError
from jmed_jax.models.quantize import NF4_VALUES, Form, dense, frozen_product, quantized

FORMS: tuple[Form, ...] = ("int8", "nf4")
KERNEL = np.random.default_rng(0).normal(0, 0.02, (512, 96)).astype(np.float32)


def restored(form: Form, kernel: NDArray[np.float32] = KERNEL) -> NDArray[np.float32]:
    return np.asarray(dense(quantized(jnp.asarray(kernel), form), jnp.dtype("float32")))


def test_the_values_of_nf4_are_quantiles_of_a_normal_distribution() -> None:
    """The construction of QLoRA (arXiv 2305.14314 §3): an exact zero, and one value more above it than below."""
    normal, edge = NormalDist(), 0.9677083  # bitsandbytes' rounding of the mean of 29/30 and 31/32
    above = [normal.inv_cdf(p) for p in np.linspace(edge, 0.5, 9)[:-1]]
    below = [-normal.inv_cdf(p) for p in np.linspace(edge, 0.5, 8)[:-1]]
    values = np.array(sorted([*above, 0.0, *below]))
    np.testing.assert_allclose(NF4_VALUES, values / values.max(), atol=1e-6)


def reference_nf4(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """As bitsandbytes does without double quantisation: blocks of 64, the nearest value."""
    blocks = kernel.reshape(-1, 64, kernel.shape[1])
    absmax = np.abs(blocks).max(axis=1, keepdims=True)
    values = np.array(NF4_VALUES, np.float32)
    codes = np.abs((blocks / absmax)[..., None] - values).argmin(-1)
    return (values[codes] * absmax).reshape(kernel.shape)


def test_nf4_is_as_exact_as_the_reference_with_double_quantisation_on_top() -> None:
    ours, theirs = restored("nf4"), reference_nf4(KERNEL)

    def error(kernel: NDArray[np.float32]) -> float:
        return float(np.sqrt(np.mean((kernel - KERNEL) ** 2) / np.mean(KERNEL**2)))

    assert 0.05 < error(theirs) < 0.11
    assert error(ours) < 1.01 * error(theirs)
    # The 8-bit largest values move all numbers a little, and a few, half-way between two values, to the other one.
    assert np.mean(np.abs(ours - theirs) > 0.005 * np.abs(KERNEL).max()) < 0.002
    assert np.mean(np.abs(ours - theirs)) < 0.005 * np.mean(np.abs(KERNEL))


def test_int8_is_off_by_at_most_half_a_step_of_its_output() -> None:
    step = np.abs(KERNEL).max(axis=0) / 127
    assert (np.abs(restored("int8") - KERNEL) <= step / 2 * 1.001).all()


@pytest.mark.parametrize("form", FORMS)
def test_zeros_stay_zeros_and_extremes_stay(form: Form) -> None:
    kernel = KERNEL.copy()
    kernel[:, 3] = 0
    kernel[64:128, 5] = 0
    kernel[7, 7] = -3.0
    found = restored(form, kernel)
    assert (found[:, 3] == 0).all() and (found[64:128, 5] == 0).all()
    np.testing.assert_allclose(found[7, 7], -3.0, rtol=1e-5)


@pytest.mark.parametrize(("form", "expected"), [("int8", 1 + 4 / 512), ("nf4", 0.5 + 1 / 64 + 8 / 512)])
def test_bytes_a_number_are_what_the_module_says(form: Form, expected: float) -> None:
    leaves = quantized(jnp.asarray(KERNEL), form)
    assert sum(leaf.nbytes for leaf in leaves.values()) / KERNEL.size == expected


@pytest.mark.parametrize("form", FORMS)
def test_stacked_kernels_are_those_of_each_layer(form: Form) -> None:
    stacked = np.stack([KERNEL, 2 * KERNEL[::-1]])
    found = restored(form, stacked)
    for layer in range(2):
        np.testing.assert_array_equal(found[layer], restored(form, stacked[layer]))


@pytest.mark.parametrize("form", FORMS)
def test_the_frozen_product_and_its_gradient_are_those_of_the_dense_kernel(form: Form) -> None:
    kernel = quantized(jnp.asarray(KERNEL), form)
    matrix = dense(kernel, jnp.dtype("float32"))
    x_PI = jax.random.normal(jax.random.key(0), (8, 512))

    def squares(product: Any) -> Any:
        return jax.value_and_grad(lambda x: jnp.sum(product(x) ** 2))(x_PI)

    found, expected = squares(lambda x: frozen_product(x, kernel)), squares(lambda x: x @ matrix)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), found, expected)


def test_sizes_that_do_not_divide_into_blocks_are_refused_with_advice() -> None:
    with pytest.raises(InputError, match=r'"nf4" needs layer sizes that divide by 64, not 96. Use "int8"'):
        quantized(jnp.zeros((96, 64)), "nf4")

"""Kernels that are not trained, in int8 or 4-bit NormalFloat, and products with them.

A kernel is an array, or its quantised form: a few arrays by name, of which one is called like the form.

form    arrays                                                          bytes a number
int8    int8 [I, O], scale float32 [1, O]                               1 + 4 / I
nf4     nf4 uint8 [I / 2, O], two numbers a byte; absmax uint8          0.5 + 1 / 64 + 8 / I
        [I / 64, O], absmax_low and absmax_step float32 [1, O]

Axes: I input, O output, P positions; kernels may have leading axes (layers).
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

import jax
import jax.numpy as jnp
from jax import Array

from jmed_jax.errors import InputError

Kernel = Array | Mapping[str, Array]
Form = Literal["int8", "nf4"]

NF4_BLOCK = 64
"""Numbers along the input axis that share a largest absolute value (arXiv 2305.14314 §3)."""
NF4_VALUES = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
"""What the codes 0 to 15 stand for (arXiv 2305.14314, appendix E)."""
_BOUNDARIES = tuple((low + high) / 2 for low, high in pairwise(NF4_VALUES))


def dense(kernel: Kernel, dtype: jnp.dtype) -> Array:
    """The kernel [I, O] as an array of `dtype`."""
    if isinstance(kernel, Array):
        return kernel.astype(dtype)
    return (_from_int8(kernel) if "int8" in kernel else _from_nf4(kernel)).astype(dtype)


def quantized(kernel_IO: Array, form: Form) -> dict[str, Array]:
    """
    Raises:
        InputError: the input axis does not divide into the blocks of nf4.
    """
    return _to_int8(kernel_IO) if form == "int8" else _to_nf4(kernel_IO)


@jax.custom_vjp
def frozen_product(x_PI: Array, kernel: Kernel) -> Array:
    """`x @ kernel` in the dtype of x; nothing is computed for a gradient of the kernel.

    The backward pass makes the dense kernel again from what the kernel is kept as: in a loop over layers, autodiff
    would keep those of all layers until then.
    """
    return x_PI @ dense(kernel, x_PI.dtype)


def _forward(x_PI: Array, kernel: Kernel) -> tuple[Array, Kernel]:
    return frozen_product(x_PI, kernel), kernel


def _backward(kernel: Kernel, dy_PO: Array) -> tuple[Array, None]:
    return dy_PO @ dense(kernel, dy_PO.dtype).T, None


frozen_product.defvjp(_forward, _backward)


# --- int8 -------------------------------------------------------------------------------------------------------------


def _to_int8(kernel_IO: Array) -> dict[str, Array]:
    """Symmetric, a scale an output."""
    kernel_IO = kernel_IO.astype(jnp.float32)
    scale_1O = jnp.max(jnp.abs(kernel_IO), axis=-2, keepdims=True) / 127
    return {"int8": jnp.round(_divided(kernel_IO, scale_1O)).astype(jnp.int8), "scale": scale_1O}


def _from_int8(kernel: Mapping[str, Array]) -> Array:
    return kernel["int8"].astype(jnp.float32) * kernel["scale"]


# --- nf4 --------------------------------------------------------------------------------------------------------------


def _to_nf4(kernel_IO: Array) -> dict[str, Array]:
    """Codes of the nearest values, relative to each block's largest absolute value.

    That is kept in 8 bits itself (double quantisation, arXiv 2305.14314 §3), linearly between the smallest and the
    largest of an output's blocks; the codes are relative to what it then stands for.
    """
    *layers, inputs, outputs = kernel_IO.shape
    if inputs % NF4_BLOCK:
        raise InputError(f'lora.base "nf4" needs layer sizes that divide by {NF4_BLOCK}, not {inputs}. Use "int8".')
    blocks = kernel_IO.astype(jnp.float32).reshape(*layers, -1, NF4_BLOCK, outputs)
    exact = jnp.max(jnp.abs(blocks), axis=-2)
    low, high = jnp.min(exact, axis=-2, keepdims=True), jnp.max(exact, axis=-2, keepdims=True)
    step = (high - low) / 255
    absmax = {
        "absmax": jnp.round(_divided(exact - low, step)).astype(jnp.uint8),
        "absmax_low": low,
        "absmax_step": step,
    }
    relative = _divided(blocks, _absmax(absmax)[..., None, :])
    codes = sum((relative > boundary).astype(jnp.uint8) for boundary in _BOUNDARIES)
    # A block's first half is in the upper four bits, its second half in the lower: no interleaving to undo.
    first, second = jnp.split(jnp.asarray(codes), 2, axis=-2)
    return {"nf4": (first << 4 | second).reshape(*layers, inputs // 2, outputs), **absmax}


def _from_nf4(kernel: Mapping[str, Array]) -> Array:
    *layers, half, outputs = kernel["nf4"].shape
    packed = kernel["nf4"].reshape(*layers, -1, NF4_BLOCK // 2, outputs)
    codes = jnp.concatenate([packed >> 4, packed & 15], axis=-2)
    values = jnp.asarray(NF4_VALUES, jnp.float32)[codes]
    return (values * _absmax(kernel)[..., None, :]).reshape(*layers, 2 * half, outputs)


def _absmax(kernel: Mapping[str, Array]) -> Array:
    """Largest absolute value of every block [I / 64, O]."""
    return kernel["absmax_low"] + kernel["absmax"].astype(jnp.float32) * kernel["absmax_step"]


def _divided(a: Array, b: Array) -> Array:
    """a / b, and 0 where b is 0."""
    return jnp.where(b > 0, a / jnp.where(b > 0, b, 1.0), 0.0)

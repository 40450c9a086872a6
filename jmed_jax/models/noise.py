"""Random bits as a hash of position and seed.

Unlike the bits of `jax.random`, they need no memory and no pass of their own: the compiler fuses them with what uses
them. They follow from the position in the whole array, so they do not depend on how it is spread over devices.
"""

import jax
import jax.numpy as jnp
from jax import Array


def hashed_bits(shape: tuple[int, ...], seed: Array) -> Array:
    """Evenly distributed uint32 of `shape`; the pattern repeats after 2³² numbers.

    Args:
        seed: uint32 scalar.
    """
    index = jnp.zeros(shape, jnp.uint32)
    for axis, size in enumerate(shape):
        index = index * jnp.uint32(size) + jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
    return scramble(scramble(index) + seed)


def scramble(x: Array) -> Array:
    """A bijection of 32-bit numbers with little bias ("lowbias32", found by C. Wellons' hash-prospector)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)

"""Checksums of arrays that do not depend on how these are sharded.

Orbax notices missing and truncated files, but not a flipped bit in an array: it would train on.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from jmed_jax.parallel.sharding import path_name

UNSIGNED = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}
"""By bytes a number."""


def checksums(tree: Any) -> dict[str, int]:
    """Sum modulo 2³² of the bit patterns of every array, by its dotted path.

    Integer addition has no order, so a checksum taken on one mesh holds on any other. A collective call: every process
    makes it.
    """
    named = {path_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
    sums = jax.device_get(_bit_sums(list(named.values())))
    return dict(zip(named, map(int, sums), strict=True))


@jax.jit
def _bit_sums(arrays: list[Array]) -> Array:
    return jnp.stack([_bit_sum(array) for array in arrays])


def _bit_sum(array: Array) -> Array:
    bits = lax.bitcast_convert_type(array, UNSIGNED[array.dtype.itemsize])
    return jnp.sum(bits, dtype=jnp.uint32)

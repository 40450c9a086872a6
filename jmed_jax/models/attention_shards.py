"""A kernel of one device, run on every device of a mesh on the rows and heads that lie there.

Axes: B batch, T positions, N query heads, K KV heads, H head dim.
"""

from collections.abc import Callable

import jax
from jax import Array
from jax.sharding import Mesh, PartitionSpec

from jmed_jax.models.attention import CausalAttention

Kernel = Callable[[Array, Array, Array, Array | None], Array]
"""Causal attention of q_BTNH, k_BTKH, v_BTKH and segment ids [B, T]."""


def over_shards(kernel: Kernel, mesh: Mesh, heads: PartitionSpec) -> CausalAttention:
    """Rows and heads never mix in attention, so that no device needs another's.

    Left to the compiler, a call that it cannot look into would gather everything to every device.

    Args:
        heads: how arrays [B, T, heads, H] lie on the mesh: query and KV heads alike.
    """
    segments = PartitionSpec(heads[0], None)

    def attention(
        q_BTNH: Array,
        k_BTKH: Array,
        v_BTKH: Array,
        segment_ids_BT: Array | None = None,
        *,
        dropout_rate: float = 0.0,
        dropout_key: Array | None = None,
    ) -> Array:
        assert dropout_key is None or dropout_rate == 0.0, "this kernel has no dropout: see attention_choice.py"
        # None is a tree without leaves: the spec of no segment ids fits it.
        in_specs = (heads, heads, heads, None if segment_ids_BT is None else segments)
        sharded = jax.shard_map(kernel, mesh=mesh, in_specs=in_specs, out_specs=heads, check_vma=False)
        return sharded(q_BTNH, k_BTKH, v_BTKH, segment_ids_BT)

    return attention

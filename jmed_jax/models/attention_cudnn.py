"""Attention by cuDNN's fused kernels, on NVIDIA GPUs from Ampere on (FlashAttention-2, arXiv 2307.08691).

Axes: B batch, T query positions, S key positions, N query heads, K KV heads, H head dim.

What JAX 0.10 offers of them: the causal mask and grouped queries natively; a document mask only as a bias [B, 1, T, S]
that the kernel reads, so such a batch takes 2·B·T² bytes and no block of another document is skipped. Segments by
offset (the "packed layout" of JAX's private module) take the key's offsets for those of the queries' heads, which is
wrong for grouped queries. Dropout has its seed baked into the program and a counter in the runtime: neither could a
step be repeated after a restart, nor would a layer computed again in the backward pass draw the same mask.
"""

import jax
from jax import Array
from jax.sharding import Mesh, PartitionSpec

from jmed_jax.models.attention import CausalAttention
from jmed_jax.models.attention_shards import over_shards


def cudnn_attention(mesh: Mesh, heads: PartitionSpec) -> CausalAttention:
    """`CausalAttention` in float16 or bfloat16, without dropout.

    Args:
        heads: how arrays [B, T, heads, H] lie on the mesh.
    """

    def attend_on_shard(q_BTNH: Array, k_BTKH: Array, v_BTKH: Array, segment_ids_BT: Array | None) -> Array:
        mask_B1TS = None
        if segment_ids_BT is not None:
            mask_B1TS = (segment_ids_BT[:, :, None] == segment_ids_BT[:, None])[:, None]
        return jax.nn.dot_product_attention(
            q_BTNH, k_BTKH, v_BTKH, mask=mask_B1TS, is_causal=True, implementation="cudnn"
        )

    return over_shards(attend_on_shard, mesh, heads)

"""Attention by the splash kernel, on TPUs: flash attention that skips the blocks a mask leaves empty.

Axes: B batch, T positions, N query heads, K KV heads, H head dim.
"""

import jax
from jax import Array
from jax.experimental.pallas.ops.tpu import splash_attention as splash
from jax.sharding import Mesh, PartitionSpec

from jmed_jax.models.attention import CausalAttention
from jmed_jax.models.attention_shards import over_shards
from jmed_jax.models.remat import ATTENDED

LANES = 128
"""T must be a multiple of it."""
# The largest that divides T: long blocks amortise the kernel's overhead, and 512 is what fits the vector memory of
# every generation with head dims up to 256.
BLOCKS = (512, 256, LANES)


def splash_attention(mesh: Mesh, heads: PartitionSpec, *, interpret: bool = False) -> CausalAttention:
    """`CausalAttention` without dropout, for T a multiple of 128.

    Args:
        heads: how arrays [B, T, heads, H] lie on the mesh.
        interpret: run the kernel step by step on any device, for tests.
    """

    def attend_on_shard(q_BTNH: Array, k_BTKH: Array, v_BTKH: Array, segment_ids_BT: Array | None) -> Array:
        T, N, H = q_BTNH.shape[1:]
        kernel = _kernel(N, T, interpret)

        def attend_row(q_TNH: Array, k_TKH: Array, v_TKH: Array, segment_ids_T: Array | None) -> Array:
            segments = None if segment_ids_T is None else splash.SegmentIds(segment_ids_T, segment_ids_T)
            # The kernel wants heads first, and leaves the scale to the caller.
            q_NTH, k_KTH, v_KTH = (a.swapaxes(0, 1) for a in (q_TNH * H**-0.5, k_TKH, v_TKH))
            attended_NTH = kernel(q_NTH, k_KTH, v_KTH, segments)
            assert isinstance(attended_NTH, Array), "residuals were not asked for"
            return attended_NTH.swapaxes(0, 1)

        return jax.vmap(attend_row)(q_BTNH, k_BTKH, v_BTKH, segment_ids_BT)

    return over_shards(attend_on_shard, mesh, heads)


def _kernel(num_heads: int, length: int, interpret: bool) -> splash.splash_attention_kernel.SplashAttentionKernel:
    block = next(block for block in BLOCKS if length % block == 0)
    sizes = splash.BlockSizes(
        block_q=block,
        block_kv=block,
        block_q_dkv=block,
        block_kv_dkv=block,
        block_q_dq=block,
        block_kv_dq=block,
    )
    return splash.make_splash_mha(
        splash.MultiHeadMask([splash.CausalMask((length, length))] * num_heads),
        block_sizes=sizes,
        head_shards=1,
        q_seq_shards=1,
        # Kept by the remat policies that keep attention: the kernel's output and its log-sum-exp, so that the backward
        # pass does not run the forward kernel again.
        residual_checkpoint_name=ATTENDED,
        interpret=interpret,
    )

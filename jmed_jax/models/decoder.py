"""The one decoder of both model families: RMSNorm, grouped-query attention, rotary positions, plain or gated MLP.

Axes: B batch, T positions, N query heads, K KV heads, H head dim, D hidden, F MLP hidden, V vocabulary, L layers.

NNX stops at the edge: `nnx.split` gives a graph definition and a plain tree of parameters in which every block
parameter has a leading layer axis; the training step and the generation engine work on that tree.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.ad_checkpoint import checkpoint_name

from jmed_jax.config import LoraConfig, ModelConfig
from jmed_jax.models.attention import CausalAttention, causal_attention
from jmed_jax.models.layers import MLP, Embedding, Initializer, Linear, RMSNorm, dropout, split_key
from jmed_jax.models.lora import freeze
from jmed_jax.models.remat import ATTENDED, ATTENTION_BRANCH, QKV, Remat, with_remat
from jmed_jax.models.rope import Rope, apply_rope, rope_table


def hidden_initializer(config: ModelConfig) -> Initializer:
    """N(0, σ) with σ = sqrt(2 / (5·D)) (arXiv 2412.16423 §2.3; "small init" of arXiv 1910.05895)."""
    return nnx.initializers.normal(math.sqrt(2 / (5 * config.hidden_size)))


def output_initializer(config: ModelConfig) -> Initializer:
    """σ / sqrt(2·L) for the two projections that write to the residual stream (arXiv 2412.16423 §2.3)."""
    sigma = math.sqrt(2 / (5 * config.hidden_size))
    return nnx.initializers.normal(sigma / math.sqrt(2 * config.num_layers))


def head_initializer() -> Initializer:
    """Xavier normal (arXiv 2412.16423 §2.3); JAX's own `xavier_normal` truncates at two deviations."""
    return nnx.initializers.variance_scaling(1.0, "fan_avg", "normal")


class Attention(nnx.Module):
    """The four projections of grouped-query attention."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        D, H = config.hidden_size, config.head_dim
        init, bias = hidden_initializer(config), config.qkv_bias
        self.query = Linear(D, config.num_heads * H, initializer=init, use_bias=bias, rngs=rngs)
        self.key = Linear(D, config.num_kv_heads * H, initializer=init, use_bias=bias, rngs=rngs)
        self.value = Linear(D, config.num_kv_heads * H, initializer=init, use_bias=bias, rngs=rngs)
        self.output = Linear(config.num_heads * H, D, initializer=output_initializer(config), rngs=rngs)
        self.head_dim = H

    def qkv(self, x_BTD: Array, rope: Rope, dropout_key: Array | None = None) -> tuple[Array, Array, Array]:
        """Queries [B, T, N, H], keys and values [B, T, K, H], rotated."""
        projections = zip((self.query, self.key, self.value), split_key(dropout_key, 3), strict=True)
        q, k, v = (
            checkpoint_name(project(x_BTD, key), QKV).reshape(*x_BTD.shape[:2], -1, self.head_dim)
            for project, key in projections
        )
        return apply_rope(q, rope), apply_rope(k, rope), v


class Block(nnx.Module):
    """Pre-norm attention and MLP, each on a residual branch with dropout.

    The attention itself happens between `qkv` and `finish`, so that training, prefill and decoding share the rest.
    """

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        self.attention_norm = RMSNorm(config.hidden_size, epsilon=config.norm_eps)
        self.attention = Attention(config, rngs=rngs)
        self.mlp_norm = RMSNorm(config.hidden_size, epsilon=config.norm_eps)
        self.mlp = MLP(
            config.hidden_size,
            config.mlp_size,
            gated=config.gated_mlp,
            initializer=hidden_initializer(config),
            output_initializer=output_initializer(config),
            rngs=rngs,
        )
        self.residual_dropout = config.residual_dropout

    def qkv(self, x_BTD: Array, rope: Rope, dropout_key: Array | None = None) -> tuple[Array, Array, Array]:
        """As `Attention.qkv`, of the normed residual stream; the key is for the dropout of adapters."""
        return self.attention.qkv(self.attention_norm(x_BTD), rope, dropout_key)

    def finish(self, x_BTD: Array, attended_BTNH: Array, dropout_key: Array | None = None) -> Array:
        """Add the attention's and the MLP's branch to the residual stream."""
        attention_key, mlp_key, output_key, inner_key = split_key(dropout_key, 4)
        attended_BTNH = checkpoint_name(attended_BTNH, ATTENDED)
        branch_BTD = self.attention.output(attended_BTNH.reshape(*x_BTD.shape[:2], -1), output_key)
        branch_BTD = checkpoint_name(branch_BTD, ATTENTION_BRANCH)
        x_BTD = x_BTD + dropout(branch_BTD, self.residual_dropout, attention_key)
        branch_BTD = self.mlp(self.mlp_norm(x_BTD), inner_key)
        return x_BTD + dropout(branch_BTD, self.residual_dropout, mlp_key)


class Decoder(nnx.Module):
    """Token ids to hidden states to logits."""

    def __init__(self, config: ModelConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        V, D = config.vocab_size, config.hidden_size

        @nnx.split_rngs(splits=config.num_layers)
        @nnx.vmap(in_axes=0, out_axes=0)
        def make_blocks(rngs: nnx.Rngs) -> Block:
            return Block(config, rngs=rngs)

        self.embedding = Embedding(V, D, initializer=hidden_initializer(config), rngs=rngs)
        self.blocks = make_blocks(rngs)
        self.final_norm = RMSNorm(D, epsilon=config.norm_eps)
        self.head = None if config.tie_embeddings else Linear(D, V, initializer=head_initializer(), rngs=rngs)

    def embed(self, tokens_BT: Array, dtype: jnp.dtype) -> Array:
        """Embeddings [B, T, D], scaled by sqrt(D) where the configuration says so."""
        x_BTD = self.embedding(tokens_BT, dtype)
        return x_BTD * math.sqrt(self.config.hidden_size) if self.config.scale_embeddings else x_BTD

    def rope(self, positions_BT: Array) -> Rope:
        return rope_table(positions_BT, self.config.head_dim, self.config.rope_theta)

    def transform(
        self,
        x_BTD: Array,
        segment_ids_BT: Array | None = None,
        *,
        dropout_key: Array | None = None,
        remat: Remat = "none",
        attention: CausalAttention = causal_attention,
        constrain: Callable[[Array], Array] = lambda x_BTD: x_BTD,
        unroll: bool = False,
    ) -> Array:
        """All blocks and the final norm over whole sequences; positions count from the start of the row.

        Rotary positions are relative, so documents packed into one row need no restart of the count.

        Args:
            segment_ids_BT: document mask; None is the plain causal window.
            dropout_key: None is inference.
            remat: what the backward pass computes again (`TrainConfig.remat`).
            attention: of `attention_choice.make_attention`; the default runs on any device.
            unroll: layers one after the other in the program instead of a loop over them (with remat "none" only).
            constrain: keeps the residual stream's sharding between blocks; without it the compiler may choose one that
                gathers parameters and activations alike.
        """
        graphdef, stacked = nnx.split(self.blocks)
        rope = self.rope(jnp.arange(x_BTD.shape[1])[None])
        attention_dropout = self.config.attention_dropout

        def apply_block(x_BTD: Array, layer: tuple[nnx.State, Array]) -> tuple[Array, None]:
            state, index = layer
            block = nnx.merge(graphdef, state)
            layer_key = None if dropout_key is None else jax.random.fold_in(dropout_key, index)
            attention_key, residual_key, projection_key = split_key(layer_key, 3)
            q, k, v = block.qkv(x_BTD, rope, projection_key)
            attended = attention(q, k, v, segment_ids_BT, dropout_rate=attention_dropout, dropout_key=attention_key)
            return constrain(block.finish(x_BTD, attended, residual_key)), None

        layers = (stacked, jnp.arange(self.config.num_layers))
        x_BTD, _ = jax.lax.scan(with_remat(apply_block, remat), constrain(x_BTD), layers, unroll=unroll)
        return self.final_norm(x_BTD)

    def output_kernel(self) -> Array:
        """The matrix [D, V] from hidden states to logits, tied or separate."""
        return self.embedding.embedding[...].T if self.head is None else self.head.kernel[...]

    def logits(self, x_BTD: Array) -> Array:
        """Logits [B, T, V] in float32, the product in the dtype of x."""
        x_PD = x_BTD.reshape(-1, x_BTD.shape[-1])
        kernel_DV = self.output_kernel().astype(x_BTD.dtype)
        return jnp.dot(x_PD, kernel_DV, preferred_element_type=jnp.float32).reshape(*x_BTD.shape[:-1], -1)

    def __call__(self, tokens_BT: Array, segment_ids_BT: Array | None = None, dtype: jnp.dtype = jnp.float32) -> Array:
        """Logits [B, T, V] in float32 of token ids [B, T], without dropout."""
        return self.logits(self.transform(self.embed(tokens_BT, dtype), segment_ids_BT))


def neftune_noise(x_BTD: Array, segment_ids_BT: Array, alpha: float, key: Array) -> Array:
    """Embeddings plus uniform noise of magnitude α / sqrt(L·D) (NEFTune, arXiv 2310.05914; 2412.16423 §2.4.2).

    L is the length of the example a token belongs to, not of the packed row; padding (segment 0) gets none. The noise
    goes onto what enters the first block, after the embedding scale (the paper is silent: our choice).
    """
    same_BTT = segment_ids_BT[:, :, None] == segment_ids_BT[:, None, :]
    length_BT = jnp.sum(same_BTT, axis=-1).astype(jnp.float32)
    magnitude_BT = jnp.where(segment_ids_BT > 0, alpha / jnp.sqrt(length_BT * x_BTD.shape[-1]), 0.0)
    noise_BTD = jax.random.uniform(key, x_BTD.shape, jnp.float32, -1.0, 1.0)
    return x_BTD + (noise_BTD * magnitude_BT[:, :, None]).astype(x_BTD.dtype)


def abstract_parameters(config: ModelConfig, lora: LoraConfig | None = None) -> tuple[nnx.GraphDef, nnx.State]:
    """Graph definition and parameter tree as shapes and dtypes; nothing is allocated.

    Args:
        lora: with a rank above 0, the tree is a frozen base (quantised, if it says so) with an adapter attached.

    Raises:
        InputError: `lora` does not fit the architecture.
    """

    def make() -> Decoder:
        decoder = Decoder(config, rngs=nnx.Rngs(0))
        if lora is not None and lora.rank > 0:
            freeze(decoder, config, lora)
        return decoder

    with nnx.use_eager_sharding(False):
        return nnx.split(nnx.eval_shape(make))


def initialize_parameters(config: ModelConfig, seed: int) -> nnx.State:
    """Fresh parameters as the paper initialises them; call it under `jax.jit` with shardings for large models."""
    return nnx.state(Decoder(config, rngs=nnx.Rngs(params=seed)))

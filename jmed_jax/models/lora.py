"""Low-rank adapters beside frozen kernels: LoRA, rsLoRA, DoRA, as PEFT computes them.

An adapter is a tree that holds `blocks.<module>.<linear>.lora.{a,b}` alone, and `magnitude` with DoRA; attached to the
frozen tree it belongs to, it is the tree of the decoder that `abstract_parameters(config, lora)` describes. PEFT's
`lora_A.weight` is a transposed, its `lora_B.weight` b transposed, its `lora_magnitude_vector` magnitude.

Axes: L layers, P positions, I input, O output, R rank.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from jmed_jax.config import LORA_TARGETS, LoraConfig, ModelConfig
from jmed_jax.models.layers import Linear, dropout
from jmed_jax.models.quantize import Kernel, dense, frozen_product, quantized

LINEARS = {
    "q_proj": ("attention", "query"),
    "k_proj": ("attention", "key"),
    "v_proj": ("attention", "value"),
    "o_proj": ("attention", "output"),
    "gate_proj": ("mlp", "gate"),
    "up_proj": ("mlp", "up"),
    "down_proj": ("mlp", "down"),
}
"""PEFT's name of a linear layer → module and layer within a block."""

# Behind every step's number: the step's key follows from the same seed.
_SEED_OFFSET = 2**31


class LowRank(nnx.Module):
    """The adapter of one linear layer (of all layers, where blocks are stacked)."""

    def __init__(self, leaves: Mapping[str, Array], lora: LoraConfig) -> None:
        """
        Args:
            leaves: as an adapter holds them.
        """
        self.a, self.b = nnx.Param(leaves["a"]), nnx.Param(leaves["b"])
        self.magnitude = nnx.Param(leaves["magnitude"]) if lora.dora else None
        self.scale, self.dropout = lora.scale, lora.dropout

    def __call__(self, x_PI: Array, y_PO: Array, kernel: Kernel, dropout_key: Array | None) -> Array:
        """What is added to the frozen product y = x @ kernel, [P, O] (arXiv 2106.09685 §4.1; 2402.09353 §4)."""
        a_IR, b_RO = self.a[...].astype(x_PI.dtype), self.b[...].astype(x_PI.dtype)
        dropped_PI = dropout(x_PI, self.dropout, dropout_key)
        # The scale goes onto the few numbers of the rank.
        added_PO = ((dropped_PI @ a_IR) * self.scale) @ b_RO
        if self.magnitude is None:
            return added_PO
        # The norm counts as a constant (2402.09353 §4.3). Dropout, where there is any, applies to all that the
        # magnitude multiplies: so PEFT.
        norm_O = jax.lax.stop_gradient(adapted_norms(kernel, self.a[...], self.b[...], self.scale, x_PI.dtype))
        ratio_1O = (self.magnitude[...] / norm_O).astype(x_PI.dtype)[None]
        if dropped_PI is not x_PI:
            y_PO = frozen_product(dropped_PI, kernel)
        return (ratio_1O - 1) * y_PO + ratio_1O * added_PO


def adapted_norms(kernel: Kernel, a_IR: Array, b_RO: Array, scale: float, dtype: jnp.dtype) -> Array:
    """Norm of every output's weights in `kernel + scale · a b`, float32 [O].

    Multiplied out, so that no sum of the size of the kernel is made.

    Args:
        dtype: of the products with the kernel.
    """
    kernel_IO = dense(kernel, dtype)
    between_RO = jnp.dot(a_IR.T.astype(dtype), kernel_IO, preferred_element_type=jnp.float32)
    squares_O = jnp.sum(jnp.square(dense(kernel, jnp.float32)), axis=0)
    squares_O += 2 * scale * jnp.sum(b_RO * between_RO, axis=0)
    return jnp.sqrt(squares_O + scale**2 * jnp.sum(b_RO * (a_IR.T @ a_IR @ b_RO), axis=0))


# --- graph ------------------------------------------------------------------------------------------------------------


def freeze(decoder: Any, config: ModelConfig, lora: LoraConfig) -> None:
    """Make every parameter of a decoder what `lora.base` says, and add adapters that change nothing yet.

    Raises:
        InputError: the architecture lacks a target, or has sizes that cannot be quantised so.
    """
    nnx.update(decoder, jax.tree.map(lambda a: a.astype(base_dtype(lora)), nnx.state(decoder)))
    adapter = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), abstract_adapter(config, lora))
    for name, (module, linear) in LINEARS.items():
        layer: Linear | None = getattr(getattr(decoder.blocks, module), linear)
        if layer is None:
            continue
        layer.frozen = True
        if lora.base in ("int8", "nf4"):
            leaves = quantized(layer.kernel[...], lora.base)
            layer.kernel = nnx.Dict({key: nnx.Param(leaf) for key, leaf in leaves.items()})
        if name in lora.targets:
            layer.lora = nnx.data(LowRank(adapter["blocks"][module][linear]["lora"], lora))


def base_dtype(lora: LoraConfig) -> jnp.dtype:
    """Of the frozen parameters, before any kernels of them are quantised."""
    return jnp.dtype("float32" if lora.base == "float32" else "bfloat16")


# --- trees ------------------------------------------------------------------------------------------------------------


def abstract_adapter(config: ModelConfig, lora: LoraConfig) -> dict[str, Any]:
    """Shapes and dtypes of an adapter.

    Raises:
        InputError: the architecture lacks a target.
    """
    lora.check_targets(config)
    D, L, R = config.hidden_size, config.num_layers, lora.rank
    query, key = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
    sizes = {
        "q_proj": (D, query),
        "k_proj": (D, key),
        "v_proj": (D, key),
        "o_proj": (query, D),
        "gate_proj": (D, config.mlp_size),
        "up_proj": (D, config.mlp_size),
        "down_proj": (config.mlp_size, D),
    }
    adapter: dict[str, Any] = {}
    for name in lora.targets:
        module, linear = LINEARS[name]
        inputs, outputs = sizes[name]
        shapes = {"a": (L, inputs, R), "b": (L, R, outputs)} | ({"magnitude": (L, outputs)} if lora.dora else {})
        leaves = {leaf: jax.ShapeDtypeStruct(shape, jnp.float32) for leaf, shape in shapes.items()}
        adapter.setdefault("blocks", {}).setdefault(module, {})[linear] = {"lora": leaves}
    return adapter


def initialize_adapter(config: ModelConfig, lora: LoraConfig, seed: int, base: Mapping[str, Any]) -> dict[str, Any]:
    """A fresh adapter, as PEFT makes it: a uniform within ±1 / sqrt(I), b zero, magnitude the norms of the kernel.

    Args:
        base: the frozen parameters; only DoRA looks at them.
    """
    abstract = abstract_adapter(config, lora)

    def leaves_of(module: str, linear: str, number: int) -> dict[str, Any]:
        shapes = abstract["blocks"][module][linear]["lora"]
        key = jax.random.fold_in(jax.random.key(seed), _SEED_OFFSET + number)
        bound = shapes["a"].shape[1] ** -0.5
        leaves = {
            "a": jax.random.uniform(key, shapes["a"].shape, jnp.float32, -bound, bound),
            "b": jnp.zeros(shapes["b"].shape, jnp.float32),
        }
        if lora.dora:
            kernel = base["blocks"][module][linear]["kernel"]
            leaves["magnitude"] = jax.lax.map(lambda kernel: _norms(dense(kernel, jnp.float32)), kernel)
        return {"lora": leaves}

    adapter: dict[str, Any] = {}
    for number, name in enumerate(LORA_TARGETS):
        if name in lora.targets:
            module, linear = LINEARS[name]
            adapter.setdefault("blocks", {}).setdefault(module, {})[linear] = leaves_of(module, linear, number)
    return adapter


def attach(base: Mapping[str, Any], adapter: Mapping[str, Any]) -> dict[str, Any]:
    """Both in one tree; neither has a leaf of the other."""
    both = dict(base)
    for key, value in adapter.items():
        assert key not in both or isinstance(both[key], Mapping), key
        both[key] = attach(both[key], value) if key in both else value
    return both


def detach(tree: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A tree with an adapter attached as (base, adapter): the inverse of `attach`."""
    base: dict[str, Any] = {}
    adapter: dict[str, Any] = {}
    for key, value in tree.items():
        if key == "lora":
            adapter[key] = value
        elif isinstance(value, Mapping):
            base[key], below = detach(value)
            adapter |= {key: below} if below else {}
        else:
            base[key] = value
    return base, adapter


def linears(tree: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What a tree holds of every linear layer of the blocks: `kernel` and `bias`, `lora`."""
    for module, linear in LINEARS.values():
        if linear in tree["blocks"][module]:
            yield tree["blocks"][module][linear]


def merge(parameters: Mapping[str, Any], adapter: Mapping[str, Any], lora: LoraConfig) -> dict[str, Any]:
    """A plain tree of the decoder that computes what `parameters` with the adapter do.

    Kernels that were quantised become bfloat16; a layer at a time is computed, in float32.
    """
    return merge_in_place(_copied(parameters), adapter, lora)


def merge_in_place(parameters: dict[str, Any], adapter: Mapping[str, Any], lora: LoraConfig) -> dict[str, Any]:
    """As `merge`, in the tree that is given, which gives up each kernel for the merged one."""
    for module, linear in LINEARS.values():
        if linear not in parameters["blocks"][module]:
            continue
        layer = parameters["blocks"][module][linear]
        leaves = adapter["blocks"].get(module, {}).get(linear, {}).get("lora")
        merged = _all_dense(layer["kernel"]) if leaves is None else _merged_kernel(layer["kernel"], leaves, lora)
        # Done before the next begins: what waits to be computed holds its kernel.
        layer["kernel"] = jax.block_until_ready(merged)
    return parameters


def _merged_kernel(kernel: Kernel, leaves: Mapping[str, Array], lora: LoraConfig) -> Array:
    def of_layer(layer: tuple[Kernel, Mapping[str, Array]]) -> Array:
        kernel, leaves = layer
        kernel_IO = dense(kernel, jnp.float32) + lora.scale * (leaves["a"] @ leaves["b"])
        if lora.dora:
            kernel_IO = kernel_IO * (leaves["magnitude"] / _norms(kernel_IO))[None]
        return kernel_IO.astype(_dense_dtype(kernel))

    return jax.lax.map(of_layer, (kernel, leaves))


def _all_dense(kernel: Kernel) -> Array:
    return kernel if isinstance(kernel, Array) else jax.lax.map(lambda k: dense(k, _dense_dtype(k)), kernel)


def _dense_dtype(kernel: Kernel) -> jnp.dtype:
    return kernel.dtype if isinstance(kernel, Array) else jnp.dtype(jnp.bfloat16)


def _norms(kernel_IO: Array) -> Array:
    """Norm of every output's weights [O]."""
    return jnp.sqrt(jnp.sum(jnp.square(kernel_IO), axis=0))


def _copied(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The nested dictionaries anew, with the same arrays."""
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in tree.items()}

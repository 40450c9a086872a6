"""Named policies of what the backward pass finds stored and what it computes again (rematerialisation).

Kept of every layer, in numbers a token (D hidden, N query and K KV heads of H, F MLP hidden, twice if gated):

none        everything, attention weights included
dots        the results of the matrix products with parameters: 3·D + (N + 2·K)·H + F and what goes into attention's
            output product; norms, rotary positions, attention itself and activation functions are computed again
attention   those of the attention alone, D + (2·N + 2·K)·H, and the layer's input D; the MLP, whose products are the
            largest part, is computed again
full        the layer's input D
"""

from collections.abc import Callable
from typing import Literal, TypeVar, cast

import jax

Remat = Literal["none", "dots", "attention", "full"]

QKV, ATTENDED, ATTENTION_BRANCH = "qkv", "attended", "attention_branch"
"""What `checkpoint_name` marks in a block: queries, keys and values before rotation, the attended heads, and the
branch that the attention adds to the residual stream."""

Function = TypeVar("Function", bound=Callable[..., object])


def with_remat(function: Function, remat: Remat) -> Function:
    """The body of a scan over layers, with what its backward pass keeps chosen by name."""
    if remat == "none":
        return function
    policies = jax.checkpoint_policies
    policy = {
        "dots": policies.dots_with_no_batch_dims_saveable,
        "attention": policies.save_only_these_names(QKV, ATTENDED, ATTENTION_BRANCH),
        "full": None,
    }[remat]
    # Inside a scan the loop itself keeps XLA from merging the two computations.
    return cast(Function, jax.checkpoint(function, prevent_cse=False, policy=policy))

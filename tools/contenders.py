"""The steps that `bench_train.py` compares: ours, PyTorch's, and a bare matrix product."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jmed_jax.config import ExperimentConfig
from jmed_jax.data.loader import Batch
from jmed_jax.models.decoder import initialize_parameters
from jmed_jax.models.lora import base_dtype
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.train.base import frozen_from
from jmed_jax.train.step import Parameters, Trainer

Step = Callable[[], float]
"""One optimiser step, finished when it returns the loss."""


def our_step(config: ExperimentConfig, tokens_BT: np.ndarray) -> Step:
    """The jitted step of `jmed train`, on one device; an adapter is trained beside a freshly initialised model."""
    trainer = Trainer(config, make_mesh(config.mesh, jax.devices()[:1]))
    frozen = _random_base(trainer) if config.lora.rank else {}
    state = trainer.fresh_state(frozen)
    tokens_ABT = tokens_BT[None]
    everything = Batch(tokens_ABT, np.ones_like(tokens_ABT), np.ones(tokens_ABT.shape, bool))
    batch = trainer.place(everything)

    def step() -> float:
        nonlocal state
        state, metrics = trainer.step(state, frozen, batch)
        return float(metrics.loss)

    return step


def _random_base(trainer: Trainer) -> Parameters:
    dtype = base_dtype(trainer.config.lora)

    def make() -> Parameters:
        parameters = nnx.to_pure_dict(initialize_parameters(trainer.config.model, seed=0))
        return jax.tree.map(lambda a: a.astype(dtype), parameters)

    return frozen_from(jax.jit(make)(), trainer)


def torch_step(config: ExperimentConfig, tokens_BT: np.ndarray, threads: int, *, cuda: bool) -> Step:
    """The same architecture, loss and optimiser in transformers and PyTorch, adapters by PEFT."""
    import torch

    torch.set_num_threads(threads)
    device = "cuda" if cuda else "cpu"
    dtype = torch.bfloat16 if config.lora.rank and config.lora.base == "bfloat16" else torch.float32
    # Random weights of billions of parameters take minutes where they are not used.
    with torch.device(device):
        model: Any = (_qwen2 if config.model.gated_mlp else _arcee)(config).to(dtype)
    model.set_attn_implementation("sdpa")
    model.train()
    if config.train.remat != "none":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if config.lora.rank:
        model = _with_adapter(model, config)
    settings = config.optimizer
    optimizer = torch.optim.AdamW(
        [parameter for parameter in model.parameters() if parameter.requires_grad],
        lr=settings.peak_lr,
        betas=(settings.beta1, settings.beta2),
        eps=settings.epsilon,
        weight_decay=settings.weight_decay,
        fused=True,
    )
    tokens = torch.tensor(tokens_BT, dtype=torch.long, device=device)
    autocast = config.train.compute_dtype == "bfloat16"

    def step() -> float:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=autocast):
            loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def _common(config: ExperimentConfig) -> dict[str, Any]:
    model = config.model
    return {
        "vocab_size": model.vocab_size,
        "hidden_size": model.hidden_size,
        "intermediate_size": model.mlp_size,
        "num_hidden_layers": model.num_layers,
        "num_attention_heads": model.num_heads,
        "num_key_value_heads": model.num_kv_heads,
        "head_dim": model.head_dim,
        "hidden_act": "silu",
        "tie_word_embeddings": model.tie_embeddings,
        "max_position_embeddings": model.context_length,
        "attention_dropout": model.attention_dropout,
        # The defaults lie beyond a small vocabulary.
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "use_cache": False,
    }


def _qwen2(config: ExperimentConfig) -> Any:
    from transformers import Qwen2Config, Qwen2ForCausalLM

    return Qwen2ForCausalLM(Qwen2Config(**_common(config)))


def _arcee(config: ExperimentConfig) -> Any:
    import torch
    from transformers import ArceeConfig, ArceeForCausalLM

    model = ArceeForCausalLM(ArceeConfig(mlp_bias=False, attention_bias=False, **_common(config)))
    rate = config.model.residual_dropout
    if rate:
        # transformers' model has no residual dropout of its own.
        for layer in model.model.layers:
            for projection in (layer.self_attn.o_proj, layer.mlp.down_proj):
                projection.register_forward_hook(lambda _module, _in, out: torch.nn.functional.dropout(out, rate))
    return model


def _with_adapter(model: Any, config: ExperimentConfig) -> Any:
    from peft import LoraConfig, get_peft_model

    lora = config.lora
    settings = LoraConfig(
        r=lora.rank, lora_alpha=int(lora.alpha), lora_dropout=lora.dropout, target_modules=list(lora.targets)
    )
    if config.train.remat != "none":
        model.enable_input_require_grads()
    return get_peft_model(model, settings)


def matmul(size: int, dtype: str) -> Callable[[], None]:
    """A square product, 2·size³ FLOPs; it stays where it is, for the way to another process takes longer."""
    x = jnp.full((size, size), 0.5, jnp.dtype(dtype))
    product = jax.jit(jnp.dot)

    def multiply() -> None:
        product(x, x).block_until_ready()

    return multiply

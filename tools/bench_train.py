"""How fast a training step is, beside the same model in transformers + PyTorch on the same machine.

    python tools/bench_train.py [--rounds 5] [--save]        on a CPU: configs/ncvc_slm_30m.py, 8 × 512 tokens a step
    python tools/bench_train.py --gpu [--rounds 20] [--save] on one GPU: configs/ncvc_slm_1b.py, 8 × 2,048

Both sides do the whole step: forward, cross-entropy, backward, clipping, AdamW (PyTorch's fused one), with random
tokens and no padding. Rounds are interleaved, and a ratio is the median over the pairs of neighbours. PyTorch has the
dropout that the configuration asks for (on a GPU both have none, which fused attention needs), its
scaled_dot_product_attention and, where our step is in bfloat16, autocast. The matrix product that FLOPs are compared
with is measured in turns too.

CPU, float32: goal 1.7 times PyTorch; with dropout as configured, without, and in bfloat16 as information.
GPU, bfloat16: goals 55 % of the measured matrix product and 1.3 times PyTorch.

Without torch and transformers only our half is measured; it needs jax, flax, optax and numpy.
"""

import argparse
import importlib.util
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from timing import median_ratio, save, take_turns

from jmed_jax.config import ExperimentConfig, load_config
from jmed_jax.data.loader import Batch
from jmed_jax.models.attention_choice import choose_attention
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.train.step import Trainer

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
Step = Callable[[], float]
"""One optimiser step, finished when it returns the loss."""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    dtype: str
    dropout: bool
    """As configured, or none."""
    goal: float | None = None
    """Of the speed relative to PyTorch's; None is information."""


CPU_CASES = (
    Case("float32", "float32", dropout=True, goal=1.7),
    Case("float32, no dropout", "float32", dropout=False),
    Case("bfloat16", "bfloat16", dropout=True),
)
GPU_CASES = (Case("bfloat16, no dropout", "bfloat16", dropout=False, goal=1.3),)

COLUMNS = {
    "case": "case",
    "tokens/s": "tokens_per_s",
    "PyTorch": "reference_tokens_per_s",
    "ratio": "ratio",
    "lowest to highest": "ratio_range",
    "goal": "goal",
    "TFLOP/s": "tflops",
    "product's TFLOP/s": "matmul_tflops",
    "share": "share_of_matmul",
}
"""Heading and key of every figure in the table."""


def main() -> None:
    """Measure the cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", action="store_true", help="the 1.2 B model on one GPU")
    parser.add_argument("--batch", type=int, default=8, help="rows a step (default: 8)")
    parser.add_argument("--rounds", type=int, default=5, help="that count, after one that does not (default: 5)")
    names = [case.name for case in (*CPU_CASES, *GPU_CASES)]
    parser.add_argument("--only", choices=names, help="measure only this case")
    parser.add_argument("--save", action="store_true", help="write the result to tools/results/")
    args = parser.parse_args()
    if args.gpu and jax.default_backend() != "gpu":
        raise SystemExit(f"--gpu: JAX has no GPU here, its devices are {jax.devices()}. Install jmed_jax[gpu].")
    bench = Bench(args.gpu, args.batch, args.rounds)
    cases = [case for case in (GPU_CASES if args.gpu else CPU_CASES) if args.only in (None, case.name)]
    print(f"{bench.description}\n\n| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS), flush=True)
    rows = []
    for case in cases:
        rows.append(bench.measure(case))
        cells = ("not measured" if rows[-1][key] is None else str(rows[-1][key]) for key in COLUMNS.values())
        print("| " + " | ".join(cells) + " |", flush=True)
    if args.save:
        result = {"model": bench.config.name, "shape": bench.description, "rounds": args.rounds, "cases": rows}
        reference = ("torch", "transformers") if bench.has_reference else ()
        name = "bench_train_gpu" if args.gpu else "bench_train_cpu"
        print(save(name, result, ("jax", "flax", "optax", "numpy", *reference)))


class Bench:
    """One model on one machine."""

    def __init__(self, gpu: bool, batch: int, rounds: int) -> None:
        self.gpu = gpu
        self.rounds = rounds
        self.threads = len(os.sched_getaffinity(0))
        self.config = load_config(CONFIGS / ("ncvc_slm_1b.py" if gpu else "ncvc_slm_30m.py"), ExperimentConfig)
        self.shape = (batch, self.config.model.context_length)
        self.has_reference = all(importlib.util.find_spec(name) for name in ("torch", "transformers"))
        self.tokens_BT = np.random.default_rng(0).integers(0, self.config.model.vocab_size, self.shape).astype(np.int32)
        device = jax.devices()[0].device_kind if gpu else f"{self.threads} threads"
        self.description = (
            f"{self.config.name}, {self.config.model.num_parameters:,} parameters, "
            f"{batch} × {self.shape[1]} tokens a step, {device}"
        )

    def measure(self, case: Case) -> dict[str, Any]:
        """Ours, PyTorch's and the bare product in turns."""
        config = self._experiment(case)
        functions: dict[str, Callable[[], Any]] = {"ours": our_step(config, self.tokens_BT)}
        if self.has_reference and self._torch_has_the_device():
            functions["theirs"] = torch_step(config, self.tokens_BT, self.threads, cuda=self.gpu)
        size = 8192 if self.gpu else 2048
        functions["product"] = matmul(size, case.dtype)
        seconds = take_turns(functions, self.rounds)
        tokens = self.tokens_BT.size
        flops = tokens * config.model.flops_per_token(self.shape[1])
        ours, product = statistics.median(seconds["ours"]), statistics.median(seconds["product"])
        ratios = [a / b for a, b in zip(seconds.get("theirs", ()), seconds["ours"], strict=False)]
        return {
            "case": case.name,
            "attention": choose_attention(config, jax.devices()[0].platform).name,
            "seconds": {name: [round(value, 4) for value in values] for name, values in seconds.items()},
            "tokens_per_s": round(tokens / ours),
            "reference_tokens_per_s": round(tokens / statistics.median(seconds["theirs"])) if ratios else None,
            "ratio": round(median_ratio(seconds["theirs"], seconds["ours"]), 3) if ratios else None,
            "ratio_range": f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else None,
            "goal": case.goal or "information",
            "tflops": round(flops / ours / 1e12, 3),
            "matmul_tflops": round(2 * size**3 / product / 1e12, 3),
            "share_of_matmul": round(flops / ours / (2 * size**3 / product), 3),
        }

    def _experiment(self, case: Case) -> ExperimentConfig:
        """The configuration with the case's dropout and dtype, and one pass a step."""
        config = self.config
        rates = {} if case.dropout else {"attention_dropout": 0.0, "residual_dropout": 0.0}
        return replace(
            config,
            model=replace(config.model, **rates),
            data=replace(config.data, batch_size=self.shape[0], accumulation=1),
            train=replace(config.train, compute_dtype=case.dtype),
            mesh=replace(config.mesh, mode="ddp", data=1, fsdp=1, tensor=1),
        )

    def _torch_has_the_device(self) -> bool:
        import torch

        return not self.gpu or torch.cuda.is_available()


def our_step(config: ExperimentConfig, tokens_BT: np.ndarray) -> Step:
    """The jitted step of `jmed train`, on one device."""
    trainer = Trainer(config, make_mesh(config.mesh, jax.devices()[:1]))
    state = trainer.fresh_state()
    tokens_ABT = tokens_BT[None]
    everything = Batch(tokens_ABT, np.ones_like(tokens_ABT), np.ones(tokens_ABT.shape, bool))
    batch = trainer.place(everything)

    def step() -> float:
        nonlocal state
        state, metrics = trainer.step(state, batch)
        return float(metrics.loss)

    return step


def torch_step(config: ExperimentConfig, tokens_BT: np.ndarray, threads: int, *, cuda: bool) -> Step:
    """The same architecture, loss and optimiser in transformers and PyTorch."""
    import torch
    from transformers import ArceeConfig, ArceeForCausalLM

    torch.set_num_threads(threads)
    device = "cuda" if cuda else "cpu"
    model_config, optimizer_config = config.model, config.optimizer
    model = ArceeForCausalLM(
        ArceeConfig(
            vocab_size=model_config.vocab_size,
            hidden_size=model_config.hidden_size,
            intermediate_size=model_config.mlp_size,
            num_hidden_layers=model_config.num_layers,
            num_attention_heads=model_config.num_heads,
            num_key_value_heads=model_config.num_kv_heads,
            head_dim=model_config.head_dim,
            hidden_act="silu",
            mlp_bias=False,
            attention_bias=False,
            tie_word_embeddings=False,
            max_position_embeddings=model_config.context_length,
            attention_dropout=model_config.attention_dropout,
            # The defaults lie beyond a small vocabulary.
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
            use_cache=False,
        )
    ).to(device)
    model.set_attn_implementation("sdpa")
    model.train()
    if config.train.remat != "none":
        model.gradient_checkpointing_enable({"use_reentrant": False})
    rate = model_config.residual_dropout
    if rate:
        # transformers' model has no residual dropout of its own.
        for layer in model.model.layers:
            for projection in (layer.self_attn.o_proj, layer.mlp.down_proj):
                projection.register_forward_hook(lambda _module, _in, out: torch.nn.functional.dropout(out, rate))
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=optimizer_config.peak_lr,
        betas=(optimizer_config.beta1, optimizer_config.beta2),
        eps=optimizer_config.epsilon,
        weight_decay=optimizer_config.weight_decay,
        fused=True,
    )
    tokens = torch.tensor(tokens_BT, dtype=torch.long, device=device)
    autocast = config.train.compute_dtype == "bfloat16"

    def step() -> float:
        with torch.autocast(device, dtype=torch.bfloat16, enabled=autocast):
            loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), optimizer_config.clip_norm)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def matmul(size: int, dtype: str) -> Callable[[], Any]:
    """A square product, 2·size³ FLOPs."""
    x = jnp.full((size, size), 0.5, jnp.dtype(dtype))
    product = jax.jit(jnp.dot)
    return lambda: product(x, x).block_until_ready()


if __name__ == "__main__":
    main()

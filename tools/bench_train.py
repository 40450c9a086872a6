"""How fast a training step is, beside the same model in transformers + PyTorch on the same machine.

    python tools/bench_train.py [--rounds 5] [--save]        on a CPU
    python tools/bench_train.py --gpu [--rounds 20] [--save] on one GPU

Both sides do the whole step: forward, cross-entropy, backward, clipping, AdamW (PyTorch's fused one), with random
tokens and no padding. Each has a process of its own; rounds are interleaved, of two steps a turn the second counts, and
a ratio is the median over the pairs of neighbours. PyTorch has the dropout that the configuration asks for, its
scaled_dot_product_attention, PEFT's adapters and, where our step is in bfloat16, autocast. The matrix product that
FLOPs are compared with is measured in turns too.

CPU: configs/ncvc_slm_30m.py, 8 × 512 tokens a step, in float32 with dropout as configured (goal 1.7 times PyTorch), and
as information without and in bfloat16; a LoRA step of rank 16 of a Qwen2 of 0.1 B parameters in float32 (goals 1.6
times PEFT, at most 70 % of the time of our own step over all parameters).
GPU, bfloat16: configs/ncvc_slm_1b.py, 8 × 2,048, without dropout, which fused attention lacks (goals 55 % of the
measured product, 1.3 times PyTorch); configs/jmedllm_7b_mpeft.py, 1 × 2,048, beside PEFT.

On Linux with glibc, GLIBC_TUNABLES=glibc.malloc.hugetlb=1 in the environment gives all of them huge pages.
Without torch, transformers and peft only our half is measured; it needs jax, flax, optax and numpy.
"""

import argparse
import importlib.util
import os
import statistics
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from contenders import matmul, our_step, torch_step
from timing import in_own_process, median_ratio, save, take_turns

from jmed_jax.config import DataConfig, ExperimentConfig, LoraConfig, ModelConfig, TrainConfig, load_config
from jmed_jax.models.attention_choice import choose_attention

CONFIGS = Path(__file__).resolve().parents[1] / "configs"

QWEN2_SMALL = ModelConfig(
    vocab_size=16_384,
    num_layers=12,
    hidden_size=768,
    mlp_size=2048,
    num_heads=12,
    num_kv_heads=4,
    head_dim=64,
    context_length=256,
    gated_mlp=True,
    qkv_bias=True,
    scale_embeddings=False,
    attention_dropout=0.0,
    residual_dropout=0.0,
)
"""Qwen2's architecture with 0.1 B parameters."""


@dataclass(frozen=True)
class Case:
    """One row of the table."""

    name: str
    experiment: ExperimentConfig
    rows: int
    goal: float | None = None
    """Of the speed relative to PyTorch's; None is information."""


def cpu_cases() -> list[Case]:
    slm = load_config(CONFIGS / "ncvc_slm_30m.py", ExperimentConfig)
    slm = replace(slm, train=replace(slm.train, compute_dtype="float32"))
    bfloat16 = replace(slm, train=replace(slm.train, compute_dtype="bfloat16"))
    train = TrainConfig(compute_dtype="float32")
    lora = ExperimentConfig("qwen2_small", QWEN2_SMALL, train=train, lora=LoraConfig(rank=16, base="float32"))
    return [
        Case("float32", slm, rows=8, goal=1.7),
        Case("float32, no dropout", _without_dropout(slm), rows=8),
        Case("bfloat16", bfloat16, rows=8),
        Case("LoRA", lora, rows=4, goal=1.6),
    ]


def gpu_cases() -> list[Case]:
    slm = _without_dropout(load_config(CONFIGS / "ncvc_slm_1b.py", ExperimentConfig))
    return [
        Case("1.2 B", slm, rows=8, goal=1.3),
        Case("7 B, LoRA", load_config(CONFIGS / "jmedllm_7b_mpeft.py", ExperimentConfig), rows=1),
    ]


def _without_dropout(config: ExperimentConfig) -> ExperimentConfig:
    return replace(config, model=replace(config.model, attention_dropout=0.0, residual_dropout=0.0))


COLUMNS = {
    "case": "case",
    "tokens/s": "tokens_per_s",
    "PyTorch": "reference_tokens_per_s",
    "ratio": "ratio",
    "lowest to highest": "ratio_range",
    "goal": "goal",
    "time / full step": "share_of_full_step",
    "TFLOP/s": "tflops",
    "product's TFLOP/s": "matmul_tflops",
    "share": "share_of_matmul",
}
"""Heading and key of every figure in the table."""


def main() -> None:
    """Measure the cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", action="store_true", help="the large models on one GPU")
    parser.add_argument("--rounds", type=int, default=5, help="that count, after one that does not (default: 5)")
    parser.add_argument("--only", action="append", metavar="CASE", help="measure only this case (may be repeated)")
    parser.add_argument("--save", action="store_true", help="write the result to tools/results/")
    args = parser.parse_args()
    # Several processes share the card.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    if args.gpu and jax.default_backend() != "gpu":
        raise SystemExit(f"--gpu: JAX has no GPU here, its devices are {jax.devices()}. Install jmed_jax[gpu].")
    cases = gpu_cases() if args.gpu else cpu_cases()
    if unknown := set(args.only or ()) - {case.name for case in cases}:
        raise SystemExit(f"--only: no case {', '.join(unknown)} here, but {', '.join(case.name for case in cases)}.")
    bench = Bench(args.gpu, args.rounds)
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS), flush=True)
    rows = []
    for case in cases:
        if args.only and case.name not in args.only:
            continue
        rows.append(bench.measure(case))
        cells = ("not measured" if rows[-1][key] is None else str(rows[-1][key]) for key in COLUMNS.values())
        print("| " + " | ".join(cells) + " |", flush=True)
    if args.save:
        result = {"device": bench.device, "environment": _tunables(), "rounds": args.rounds, "cases": rows}
        reference = ("torch", "transformers", "peft") if bench.has_reference else ()
        name = "bench_train_gpu" if args.gpu else "bench_train_cpu"
        print(save(name, result, ("jax", "flax", "optax", "numpy", *reference)))


def _tunables() -> dict[str, str]:
    return {name: os.environ[name] for name in ("GLIBC_TUNABLES", "XLA_FLAGS") if name in os.environ}


class Bench:
    """One machine."""

    def __init__(self, gpu: bool, rounds: int) -> None:
        self.gpu = gpu
        self.rounds = rounds
        self.threads = len(os.sched_getaffinity(0))
        self.has_reference = all(importlib.util.find_spec(name) for name in ("torch", "transformers", "peft"))
        self.device = jax.devices()[0].device_kind if gpu else f"{self.threads} threads"

    def measure(self, case: Case) -> dict[str, Any]:
        """Ours, PyTorch's, for an adapter our step over all parameters, and the bare product, in turns."""
        config = self._one_pass(case)
        shape = (case.rows, config.model.context_length)
        tokens_BT = np.random.default_rng(0).integers(0, config.model.vocab_size, shape).astype(np.int32)
        size = 8192 if self.gpu else 2048
        with ExitStack() as processes:
            functions = {"ours": processes.enter_context(in_own_process(our_step, config, tokens_BT))}
            if self.has_reference and self._torch_has_the_device():
                theirs = in_own_process(torch_step, config, tokens_BT, self.threads, cuda=self.gpu)
                functions["theirs"] = processes.enter_context(theirs)
            if config.lora.rank and not self.gpu:
                full = replace(config, lora=LoraConfig())
                functions["full"] = processes.enter_context(in_own_process(our_step, full, tokens_BT))
            product = in_own_process(matmul, size, config.train.compute_dtype)
            functions["product"] = processes.enter_context(product)
            seconds = take_turns(functions, self.rounds, warm_up=True)
        return self._row(case, config, seconds, tokens_BT.size, 2 * size**3)

    def _row(
        self, case: Case, config: ExperimentConfig, seconds: dict[str, list[float]], tokens: int, product_flops: int
    ) -> dict[str, Any]:
        ours, product = statistics.median(seconds["ours"]), statistics.median(seconds["product"])
        flops = tokens * config.flops_per_token
        theirs, full = seconds.get("theirs"), seconds.get("full")
        ratios = [a / b for a, b in zip(theirs, seconds["ours"], strict=True)] if theirs else None
        return {
            "case": case.name,
            "model": f"{config.name}, {config.model.num_parameters:,} parameters",
            "shape": f"{case.rows} × {config.model.context_length}",
            "attention": choose_attention(config, jax.devices()[0].platform).name,
            "seconds": {name: [round(value, 4) for value in values] for name, values in seconds.items()},
            "tokens_per_s": round(tokens / ours),
            "reference_tokens_per_s": round(tokens / statistics.median(theirs)) if theirs else None,
            "ratio": round(statistics.median(ratios), 3) if ratios else None,
            "ratio_range": f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else None,
            "goal": case.goal or "information",
            "share_of_full_step": round(median_ratio(seconds["ours"], full), 3) if full else "-",
            "tflops": round(flops / ours / 1e12, 3),
            "matmul_tflops": round(product_flops / product / 1e12, 3),
            "share_of_matmul": round(flops / ours / (product_flops / product), 3),
        }

    def _one_pass(self, case: Case) -> ExperimentConfig:
        """The case's experiment on one device, one pass a step."""
        config = case.experiment
        return replace(
            config,
            data=DataConfig(batch_size=case.rows, attention_mask=config.data.attention_mask),
            mesh=replace(config.mesh, mode="ddp", data=1, fsdp=1, tensor=1),
        )

    def _torch_has_the_device(self) -> bool:
        import torch

        return not self.gpu or torch.cuda.is_available()


if __name__ == "__main__":
    main()

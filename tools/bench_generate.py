"""How fast answers are written, beside the same model in transformers + PyTorch on the same machine.

    python tools/bench_generate.py [--rounds 5] [--save]        on a CPU: configs/ncvc_slm_30m.py and a 0.1 B Qwen2
    python tools/bench_generate.py --gpu [--rounds 20] [--save] on one GPU: configs/ncvc_slm_1b.py, bfloat16, batch 1

CPU, float32, greedy, random weights: prompts of 128 tokens and answers of 128, which nothing ends. Rounds are
interleaved with `transformers.generate` with its KV cache, on the same threads, and a ratio is the median over the
pairs of neighbours; goal 3 at batch 1 and 16. Both write the same tokens (float32 ties apart), which is counted.
Then 64 prompts of mixed lengths with answers of mixed lengths through 16 rows, with refill: tokens a second, and the
programs compiled after warming up, which must be none.

GPU: time a token at batch 1 against reading every weight once, at the bandwidth that copies of a gibibyte have; goal
60 %.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from timing import in_own_process, median_ratio, save, take_turns

from jmed_jax.config import ExperimentConfig, ModelConfig, load_config
from jmed_jax.generate.engine import Generator
from jmed_jax.models.decoder import initialize_parameters

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
PROMPT, NEW = 128, 128
GOAL, GPU_GOAL = 3.0, 0.6
COPIES = 16
QWEN2 = ModelConfig(
    vocab_size=32_768,
    num_layers=12,
    hidden_size=768,
    mlp_size=2048,
    num_heads=12,
    num_kv_heads=2,
    head_dim=64,
    context_length=2048,
    gated_mlp=True,
    qkv_bias=True,
    tie_embeddings=True,
    scale_embeddings=False,
    rope_theta=1e6,
)
"""Qwen2's shape at 0.1 B parameters."""


def main() -> None:
    """Measure the cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpu", action="store_true", help="the 1.2 B model on one GPU")
    parser.add_argument("--rounds", type=int, default=5, help="that count, after one that does not (default: 5)")
    names = ("ncvc 1", "ncvc 16", "qwen2 1", "qwen2 16", "mixed")
    parser.add_argument("--only", choices=names, help="measure only this")
    parser.add_argument("--save", action="store_true", help="write the result to tools/results/")
    args = parser.parse_args()
    if args.gpu:
        cases: dict[str, Callable[[], dict[str, Any]]] = {"gpu": partial(decode_on_gpu, args.rounds)}
    else:
        ncvc = small_ncvc()
        cases = {
            f"{name} {batch}": partial(beside_transformers, name, config, batch, args.rounds)
            for name, config in {"ncvc": ncvc, "qwen2": QWEN2}.items()
            for batch in (1, 16)
        }
        cases["mixed"] = partial(mixed_lengths, ncvc)
    rows = []
    for name, case in cases.items():
        if args.only in (None, name):
            rows.append(case())
            print(rows[-1], flush=True)
    if args.save:
        result = {"shape": f"{PROMPT} + {NEW} tokens", "rounds": args.rounds, "cases": rows}
        packages = ("jax", "flax", "numpy") if args.gpu else ("jax", "flax", "numpy", "torch", "transformers")
        print(save("bench_generate_gpu" if args.gpu else "bench_generate_cpu", result, packages))


def small_ncvc() -> ModelConfig:
    return load_config(CONFIGS / "ncvc_slm_30m.py", ExperimentConfig).model


def beside_transformers(name: str, config: ModelConfig, batch: int, rounds: int) -> dict[str, Any]:
    """Ours and theirs in turns."""
    threads = len(os.sched_getaffinity(0))
    prompts = np.random.default_rng(0).integers(3, config.vocab_size, (batch, PROMPT)).tolist()
    with ExitStack() as processes:
        ours = processes.enter_context(in_own_process(our_generate, config, prompts))
        theirs = processes.enter_context(in_own_process(their_generate, config, prompts, threads))
        equal = sum(a == b for a, b in zip(ours(), theirs(), strict=True))
        seconds = take_turns({"ours": ours, "theirs": theirs}, rounds)
    tokens = batch * NEW
    ratios = [theirs / ours for ours, theirs in zip(seconds["ours"], seconds["theirs"], strict=True)]
    return {
        "model": f"{name}, {config.num_parameters:,} parameters, {threads} threads",
        "batch": batch,
        "tokens_per_s": round(tokens / statistics.median(seconds["ours"])),
        "reference_tokens_per_s": round(tokens / statistics.median(seconds["theirs"])),
        "ratio": round(median_ratio(seconds["theirs"], seconds["ours"]), 2),
        "ratio_range": f"{min(ratios):.2f} to {max(ratios):.2f}",
        "goal": GOAL,
        "equal_answers": f"{equal} of {batch}",
    }


def our_parameters(config: ModelConfig) -> Any:
    return jax.jit(lambda: nnx.to_pure_dict(initialize_parameters(config, 0)))()


def our_generate(config: ModelConfig, prompts: list[list[int]]) -> Callable[[], list[list[int]]]:
    """The engine."""
    generator = Generator(config, our_parameters(config))
    return lambda: generator.generate(prompts, max_new_tokens=NEW)


def their_generate(config: ModelConfig, prompts: list[list[int]], threads: int) -> Callable[[], list[list[int]]]:
    """`transformers.generate` on the same weights, by way of an exported directory."""
    import tempfile

    import torch
    from transformers import AutoModelForCausalLM

    from jmed_jax.convert import huggingface

    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as directory:
        ids = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
        format = huggingface.formats(config)[0]
        path = Path(directory)
        huggingface.write_weights(path, config, our_parameters(config), token_ids=ids, format=format, dtype="float32")
        model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    tokens = torch.tensor(prompts)

    def generate() -> list[list[int]]:
        output = model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=False,
            max_new_tokens=NEW,
            min_new_tokens=None,
            eos_token_id=None,
            pad_token_id=0,
        )
        return output[:, PROMPT:].tolist()

    return generate


def mixed_lengths(config: ModelConfig, count: int = 64, rows: int = 16) -> dict[str, Any]:
    """Refill, and what is compiled after warming up."""
    generator = np.random.default_rng(1)
    prompts = [generator.integers(3, config.vocab_size, n).tolist() for n in generator.integers(8, 300, count)]
    # Answers of random models end nowhere; a few per cent of the vocabulary end these.
    stops = generator.choice(config.vocab_size, config.vocab_size // 50, replace=False).tolist()
    engine = Generator(config, our_parameters(config), stops, max_rows=rows)
    started = time.perf_counter()
    engine.warm_up(300 + NEW)
    warming = time.perf_counter() - started
    compiled = 0

    def listen(event: str, _seconds: float, **_: Any) -> None:
        nonlocal compiled
        compiled += event == "/jax/core/compile/backend_compile_duration"

    jax.monitoring.register_event_duration_secs_listener(listen)
    started = time.perf_counter()
    answers = engine.generate(prompts, max_new_tokens=NEW)
    seconds = time.perf_counter() - started
    return {
        "model": f"ncvc, {count} prompts of 8 to 300 tokens through {rows} rows",
        "tokens": sum(map(len, answers)),
        "tokens_per_s": round(sum(map(len, answers)) / seconds),
        "prompt_tokens": sum(map(len, prompts)),
        "answer_lengths": f"{min(map(len, answers))} to {max(map(len, answers))}",
        "warm_up_seconds": round(warming, 1),
        "compiled_after_warm_up": compiled,
    }


def decode_on_gpu(rounds: int) -> dict[str, Any]:
    """Time of a token at batch 1 against the time to read all weights."""
    if jax.default_backend() != "gpu":
        raise SystemExit(f"--gpu: JAX has no GPU here, its devices are {jax.devices()}. Install jmed_jax[gpu].")
    config = load_config(CONFIGS / "ncvc_slm_1b.py", ExperimentConfig).model
    parameters = jax.tree.map(lambda a: a.astype(jnp.bfloat16), our_parameters(config))
    engine = Generator(config, parameters, dtype=jnp.bfloat16)
    prompt = np.random.default_rng(0).integers(3, config.vocab_size, PROMPT).tolist()
    copied = jnp.ones(2**29, jnp.bfloat16)

    @jax.jit
    def copy(a: jax.Array) -> jax.Array:
        # Several in one program: calling it takes as long as half a copy.
        for _ in range(COPIES):
            a = jax.lax.optimization_barrier(a + 1)
        return a

    seconds = take_turns(
        {
            # Their difference is decoding alone.
            "short": lambda: engine.generate([prompt], max_new_tokens=NEW),
            "long": lambda: engine.generate([prompt], max_new_tokens=2 * NEW),
            "copy": lambda: copy(copied).block_until_ready(),
        },
        rounds,
    )
    token = statistics.median(b - a for a, b in zip(seconds["short"], seconds["long"], strict=True)) / NEW
    bandwidth = COPIES * 2 * copied.nbytes / statistics.median(seconds["copy"])
    multiplying = config.num_parameters - (0 if config.tie_embeddings else config.vocab_size * config.hidden_size)
    bound = 2 * multiplying / bandwidth
    return {
        "model": f"ncvc, {config.num_parameters:,} parameters, bfloat16, {jax.devices()[0].device_kind}",
        "tokens_per_s": round(1 / token),
        "copy_gb_per_s": round(bandwidth / 1e9),
        "share_of_bandwidth_bound": round(bound / token, 3),
        "goal": GPU_GOAL,
    }


if __name__ == "__main__":
    main()

"""What a run reports: `metrics.jsonl`, TensorBoard, and one log line a window."""

import json
import math
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jmed_jax.artifact import replacing
from jmed_jax.config import ExperimentConfig
from jmed_jax.jsonl import read_jsonl
from jmed_jax.progress import say
from jmed_jax.train.run import METRICS

# Dense bf16 peak, FLOP/s a chip, by the beginning of JAX's device_kind (vendors' data sheets).
PEAK_FLOPS = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "NVIDIA A100": 312e12,
    "NVIDIA H100": 989e12,
    "NVIDIA H200": 989e12,
    "NVIDIA RTX 6000 Ada": 364e12,
}


def device_peak_flops() -> tuple[float, str]:
    """FLOP/s of one device and where the figure comes from; a device that is in no table is measured."""
    kind = jax.devices()[0].device_kind
    for name in sorted(PEAK_FLOPS, key=len, reverse=True):
        if kind.startswith(name):
            return PEAK_FLOPS[name], f"data sheet of {name}"
    return _measure_matmul_flops() / jax.local_device_count(), f"float32 matrix product measured on this {kind}"


def _measure_matmul_flops(size: int = 1024, repeats: int = 5) -> float:
    x = jnp.ones((size, size), jnp.float32)
    product = jax.jit(jnp.dot)
    product(x, x).block_until_ready()
    best = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        product(x, x).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


class MetricsLog:
    """Writes a line for every finished step and a summary for every window of `log_every` steps."""

    def __init__(self, run: Path, config: ExperimentConfig, first_step: int, bytes_per_target: float) -> None:
        """
        Args:
            first_step: finished steps at the start; later lines of an interrupted run are cut off.
            bytes_per_target: UTF-8 bytes of text a target token stands for, of these rows.
        """
        from tensorboardX import SummaryWriter

        self.config = config
        self.bytes_per_target = bytes_per_target
        peak, source = device_peak_flops()
        self.peak_flops = peak * jax.device_count()
        self.flops_per_token = config.model.flops_per_token(config.model.context_length)
        say(
            f"MFU = tokens/s × (6·P + 6·L·T·N·H = {self.flops_per_token:.3g} FLOPs a token) "
            f"/ {self.peak_flops:.3g} FLOP/s ({source})"
        )
        _cut_after(run / METRICS, first_step)
        # Line-buffered: what a step reported survives a kill.
        self.stream = (run / METRICS).open("a", encoding="utf-8", buffering=1)
        self.board = SummaryWriter(str(run / "tensorboard"), purge_step=first_step + 1)
        self.window_start = time.perf_counter()
        self.step_start = self.window_start
        self.window_step = first_step

    def write(self, step: int, loss: float, targets: float, gradient_norm: float, learning_rate: float) -> None:
        """Record one finished step (counted from 1)."""
        now = time.perf_counter()
        tokens_per_s = self.config.tokens_per_step / max(now - self.step_start, 1e-9)
        self.step_start = now
        line = {
            "step": step,
            "loss": loss,
            "tokens": step * self.config.tokens_per_step,
            "targets": int(targets),
            "lr": learning_rate,
            "grad_norm": gradient_norm,
            "bits_per_byte": self.bits_per_byte(loss),
            "tokens_per_s": tokens_per_s,
            "mfu": self._mfu(tokens_per_s),
            "skipped": 0,
        }
        self.stream.write(json.dumps(line) + "\n")
        for name in ("loss", "lr", "grad_norm", "bits_per_byte", "tokens_per_s", "mfu"):
            self.board.add_scalar(name, line[name], step)
        if step % self.config.train.log_every == 0 or step == self.config.train.steps:
            self._log_window(step, line, now)

    def bits_per_byte(self, loss: float) -> float:
        """Loss (nats a target) as bits a UTF-8 byte, comparable between tokenizers."""
        return loss / math.log(2) / self.bytes_per_target

    def _mfu(self, tokens_per_s: float) -> float:
        return tokens_per_s * self.flops_per_token / self.peak_flops

    def _log_window(self, step: int, line: dict[str, Any], now: float) -> None:
        seconds_per_step = (now - self.window_start) / max(step - self.window_step, 1)
        tokens_per_s = self.config.tokens_per_step / seconds_per_step
        remaining = (self.config.train.steps - step) * seconds_per_step
        say(
            f"step {step}/{self.config.train.steps}  loss {line['loss']:.4f}  bpb {line['bits_per_byte']:.3f}  "
            f"lr {line['lr']:.2e}  grad {line['grad_norm']:.2f}  {tokens_per_s:,.0f} tok/s  "
            f"MFU {self._mfu(tokens_per_s):.1%}  ETA {format_seconds(remaining)}"
        )
        self.window_start, self.window_step = now, step
        self.board.flush()

    def close(self) -> None:
        self.stream.close()
        self.board.close()


def format_seconds(seconds: float) -> str:
    """`3d 04:05:06` or `05:06`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02d}:{minute:02d}:{second:02d}"
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute:02d}:{second:02d}"


def _cut_after(path: Path, step: int) -> None:
    """Remove the lines of steps that the checkpoint does not contain: they are computed again."""
    if not path.exists():
        return
    # The last line may be half-written after a kill; only whole lines of kept steps are read.
    lines = path.read_bytes().splitlines(keepends=True)
    kept = b"".join(line for line in lines if line.endswith(b"\n") and json.loads(line)["step"] <= step)
    with replacing(path) as temporary:
        temporary.write_bytes(kept)


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """All lines of a run's `metrics.jsonl`."""
    return [row for _, row in read_jsonl(run / METRICS)]

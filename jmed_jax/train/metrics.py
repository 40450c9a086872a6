"""What a run reports: `metrics.jsonl`, `validation.jsonl`, TensorBoard, and one log line a window."""

import math
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jmed_jax.config import ExperimentConfig
from jmed_jax.hardware import find
from jmed_jax.jsonl import read_jsonl
from jmed_jax.progress import say
from jmed_jax.train.board import Board
from jmed_jax.train.disk import check_there
from jmed_jax.train.goodput import Goodput, GoodputFile, shares
from jmed_jax.train.run import METRICS, RUN_FILE, VALIDATION
from jmed_jax.train.step_lines import StepLines

CURVES = ("loss", "lr", "grad_norm", "bits_per_byte", "tokens_per_s", "tokens_per_s_device", "mfu", "skipped")
"""What of a line TensorBoard draws."""


def device_peak_flops() -> tuple[float, str]:
    """FLOP/s of one device and where the figure comes from; a device that is in no table is measured."""
    device = jax.devices()[0]
    hardware = find(device.device_kind)
    if hardware:
        return hardware.peak_flops, f"data sheet of {hardware.name}"
    on_cpu = device.platform == "cpu"
    dtype = jnp.dtype("float32" if on_cpu else "bfloat16")
    # Virtual devices share the cores of one CPU.
    flops = _measure_matmul_flops(dtype) / (jax.local_device_count() if on_cpu else 1)
    return flops, f"{dtype.name} matrix product measured on this {device.device_kind}"


@cache
def _measure_matmul_flops(dtype: jnp.dtype, repeats: int = 30) -> float:
    """FLOP/s of a product that fills the device and takes milliseconds: the best of many, for other work may run."""
    size = 1024 if dtype == jnp.float32 else 8192
    x = jnp.ones((size, size), dtype)
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

    def __init__(
        self, run: Path, config: ExperimentConfig, first_step: int, bytes_per_target: float, goodput: Goodput
    ) -> None:
        """
        Args:
            first_step: finished steps at the start; later lines of an interrupted run are cut off.
            bytes_per_target: UTF-8 bytes of text a target token stands for, of these rows.
            goodput: the run's clock, already ticking.
        """
        self.config = config
        self.bytes_per_target = bytes_per_target
        self.goodput = goodput
        peak, source = device_peak_flops()
        self.peak_flops = peak * jax.device_count()
        self.flops_per_token = config.flops_per_token
        products = 4 if config.lora.rank else 6  # frozen weights have no gradient of their own
        say(
            f"MFU = tokens/s × ({products}·P + 6·L·T·N·H = {self.flops_per_token:.3g} FLOPs a token) "
            f"/ ({jax.device_count()} × {peak:.3g} FLOP/s, {source})"
        )
        self.run = run
        self.goodput_file = GoodputFile(run)
        self._open(first_step)

    def _open(self, first_step: int) -> None:
        self.lines = StepLines(self.run / METRICS, first_step)
        self.validations = StepLines(self.run / VALIDATION, first_step)
        self.board = Board(self.run, first_step)
        self.goodput_file.add_lost_steps(self.lines.removed)
        self.window_start = self.step_start = time.perf_counter()
        self.window_seconds = self.goodput.read()
        self.window_step = first_step

    def go_back(self, step: int) -> None:
        """Cut off the lines of later steps, which are computed again on other batches."""
        self._close_files()
        self._open(step)

    def write(
        self, step: int, loss: float, targets: float, gradient_norm: float, learning_rate: float, skipped: int = 0
    ) -> None:
        """Record one finished step (counted from 1).

        Args:
            loss: nats a target; one that is not finite becomes null.
            skipped: steps not applied so far.
        """
        now = time.perf_counter()
        tokens_per_s = self.config.tokens_per_step / max(now - self.step_start, 1e-9)
        self.step_start = now
        line: dict[str, Any] = {
            "step": step,
            "loss": _finite(loss),
            "tokens": step * self.config.tokens_per_step,
            "targets": int(targets),
            "lr": learning_rate,
            "grad_norm": _finite(gradient_norm),
            "bits_per_byte": _finite(self.bits_per_byte(loss)),
            "tokens_per_s": tokens_per_s,
            "tokens_per_s_device": tokens_per_s / jax.device_count(),
            "mfu": self._mfu(tokens_per_s),
            "skipped": skipped,
        }
        self.lines.write(line)
        self.board.write(step, {name: float(line[name]) for name in CURVES if line[name] is not None})
        if step % self.config.train.log_every == 0 or step == self.config.train.steps:
            self._log_window(step, loss, line, now)

    def write_statistics(self, step: int, names: Sequence[str], norms: Any) -> None:
        """Norms by layer, to TensorBoard alone.

        Args:
            norms: [3, len(names)], of gradients, updates and parameters.
        """
        for kind, row in zip(("gradients", "updates", "parameters"), norms, strict=True):
            self.board.write(step, {f"{kind}/{name}": float(norm) for name, norm in zip(names, row, strict=True)})

    def write_validation(self, step: int, measured: Mapping[str, float]) -> None:
        """Loss on held-out rows after `step` steps."""
        self.validations.write({"step": step, "tokens": step * self.config.tokens_per_step, **measured})
        self.board.write(step, {f"validation_{name}": measured[name] for name in ("loss", "bits_per_byte")})
        say(
            f"step {step}: validation loss {measured['loss']:.4f}, bpb {measured['bits_per_byte']:.3f} "
            f"({measured['rows']} rows)"
        )

    def bits_per_byte(self, loss: float) -> float:
        """Loss (nats a target) as bits a UTF-8 byte, comparable between tokenizers."""
        return loss / math.log(2) / self.bytes_per_target

    def _mfu(self, tokens_per_s: float) -> float:
        return tokens_per_s * self.flops_per_token / self.peak_flops

    def _log_window(self, step: int, loss: float, line: Mapping[str, Any], now: float) -> None:
        seconds_per_step = (now - self.window_start) / max(step - self.window_step, 1)
        tokens_per_s = self.config.tokens_per_step / seconds_per_step
        remaining = (self.config.train.steps - step) * seconds_per_step
        seconds = self.goodput.read()
        window = {place: seconds[place] - self.window_seconds[place] for place in seconds}
        say(
            f"step {step}/{self.config.train.steps}  loss {loss:.4f}  bpb {self.bits_per_byte(loss):.3f}  "
            f"lr {line['lr']:.2e}  grad {line['grad_norm'] or math.nan:.2f}  {tokens_per_s:,.0f} tok/s "
            f"({tokens_per_s / jax.device_count():,.0f} a device)  MFU {self._mfu(tokens_per_s):.1%}  "
            f"ETA {format_seconds(remaining)}  [{shares(window)}]"
        )
        self.window_start, self.window_step, self.window_seconds = now, step, seconds
        self.board.write(step, {f"seconds/{place}": value for place, value in seconds.items()})
        self.board.flush()
        check_there(self.run)
        self.goodput_file.write(seconds)

    def sync(self) -> None:
        """Return when every line is on the disk itself."""
        self.lines.sync()
        self.validations.sync()

    def close(self) -> None:
        """Say where the time of the whole run went, and close the files."""
        self._close_files()
        if (self.run / RUN_FILE).is_file():
            total = self.goodput_file.write(self.goodput.read())
            say(f"{format_seconds(total['wall_seconds'])} in all: {shares(total['seconds'])}")

    def _close_files(self) -> None:
        self.lines.close()
        self.validations.close()
        self.board.close()


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def format_seconds(seconds: float) -> str:
    """`3d 04:05:06` or `05:06`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02d}:{minute:02d}:{second:02d}"
    return f"{hour}:{minute:02d}:{second:02d}" if hour else f"{minute:02d}:{second:02d}"


def read_metrics(run: Path) -> list[dict[str, Any]]:
    """All lines of a run's `metrics.jsonl`."""
    return [row for _, row in read_jsonl(run / METRICS)]

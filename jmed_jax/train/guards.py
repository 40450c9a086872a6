"""What the host does about steps that went wrong: skipped updates, loss spikes, and going back past bad rows.

The step itself refuses an update that is not finite (`train/step.py`). Here such steps are counted, and too many in a
row end the run; and the loss is watched for spikes, which a rewind can leave behind.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jmed_jax.artifact import replacing
from jmed_jax.config import ExperimentConfig, TrainConfig
from jmed_jax.data.loader import Batch, rows_of_step
from jmed_jax.errors import InputError
from jmed_jax.progress import say
from jmed_jax.train.step import StepMetrics

GUARDS = "guards"

# Of a normal distribution, the standard deviation is 1.4826 median absolute deviations.
MAD_TO_SIGMA = 1.4826
# On a plateau the deviations shrink to nothing; a loss within this share of the median is never a spike per deviation.
LEAST_SPREAD = 0.005


class Diverged(InputError):
    """Too many steps in a row had a loss or gradients that are not finite."""


@dataclass(frozen=True)
class Spike:
    """A loss far above those before it."""

    step: int
    loss: float
    median: float
    limit: float

    def __str__(self) -> str:
        return f"step {self.step}: loss spike, {self.loss:.4f} (limit {self.limit:.4f}, median {self.median:.4f})"


@dataclass(frozen=True)
class Rewind:
    """Ask the loop to restore the newest checkpoint of fewer finished steps than `before_step`.

    Later ones hold what the spike's batches did to the parameters.
    """

    before_step: int


class SpikeDetector:
    """Median and median absolute deviation of the last losses: neither is moved by the spikes themselves."""

    def __init__(self, config: TrainConfig, warmup_steps: int, losses: Iterable[float] = ()) -> None:
        """
        Args:
            warmup_steps: of the learning rate; no spike is found in them.
            losses: finite losses of the steps before, oldest first.
        """
        self.threshold = config.spike_threshold
        self.warmup_steps = warmup_steps
        self.losses = deque(losses, maxlen=config.spike_window)

    def observe(self, step: int, loss: float) -> Spike | None:
        """Judge a step's loss by those before it, then count it among them.

        A loss that is not finite belongs to a skipped step and says nothing. Spikes count too: where the loss has
        moved to another level for good (other data), that level becomes the usual one after half a window.
        """
        if not math.isfinite(loss):
            return None
        spike = self._judge(step, loss)
        self.losses.append(loss)
        return spike

    def _judge(self, step: int, loss: float) -> Spike | None:
        # The fast fall of the loss at the start would be the spread of a window that is not full yet.
        if not self.threshold or step <= self.warmup_steps or len(self.losses) < (self.losses.maxlen or 0):
            return None
        median = float(np.median(self.losses))
        deviation = float(np.median(np.abs(np.array(self.losses) - median)))
        spread = max(MAD_TO_SIGMA * deviation, LEAST_SPREAD * abs(median))
        limit = median + self.threshold * spread
        return Spike(step, loss, median, limit) if loss > limit else None


class Guards:
    """Counts skipped steps, reports spikes, and knows which batches a rewind leaves out."""

    def __init__(
        self,
        config: ExperimentConfig,
        run: Path,
        parameter_names: Sequence[str],
        layer_names: Sequence[str],
        row_count: int,
        state: dict[str, Any],
        *,
        process_index: int = 0,
        process_count: int = 1,
    ) -> None:
        """
        Args:
            parameter_names: `Trainer.parameter_names`, as are `layer_names`.
            row_count: rows of all shards.
            state: what `state` gave when the checkpoint was saved; empty at the start of a run.
        """
        self.config = config
        self.run = run
        self.parameter_names, self.layer_names = parameter_names, layer_names
        self.row_count = row_count
        self.process_index, self.process_count = process_index, process_count
        self.left_out = [(first, end) for first, end in state.get("left_out", [])]
        self._batches: dict[int, Batch] = {}
        self._begin(state)

    def _begin(self, state: dict[str, Any]) -> None:
        self.skipped: int = state.get("skipped", 0)
        self.skipped_in_a_row: int = state.get("skipped_in_a_row", 0)
        losses = state.get("losses", [])
        self.spikes = SpikeDetector(self.config.train, self.config.optimizer.warmup_steps, losses)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps, as JSON: with it, a run that goes on finds the same spikes and the same batches."""
        return {
            "skipped": self.skipped,
            "skipped_in_a_row": self.skipped_in_a_row,
            "losses": list(self.spikes.losses),
            "left_out": [list(batches) for batches in self.left_out],
        }

    def batch_after(self, finished_steps: int) -> int:
        """Index of the batch that follows `finished_steps`, past those that rewinds left out."""
        return batch_after(finished_steps, self.left_out)

    def remember(self, step: int, batch: Batch) -> None:
        """Keep this process's rows of a step until its metrics are checked.

        Args:
            step: how many steps will be finished with it.
        """
        self._batches[step] = batch

    def check(self, step: int, metrics: StepMetrics) -> Rewind | None:
        """Judge a step, in the order of steps, by its metrics on the host.

        Returns:
            what the loop must do, or None.

        Raises:
            Diverged: `train.max_skipped` steps in a row were skipped; the batch of the last is saved.
        """
        batch = self._batches.pop(step, None)
        if metrics.skipped:
            self._count_skipped(step, metrics, batch)
            return None
        self.skipped_in_a_row = 0
        spike = self.spikes.observe(step, float(metrics.loss))
        return None if spike is None else self._rewind_past(spike)

    def rewound(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint's state after a rewind; what is left out stays so."""
        self._batches.clear()
        self._begin(state)

    # --- skipped steps ------------------------------------------------------------------------------------------------

    def _count_skipped(self, step: int, metrics: StepMetrics, batch: Batch | None) -> None:
        self.skipped += 1
        self.skipped_in_a_row += 1
        rows = self.rows_of(step)
        problem = (
            f"step {step}: {' and '.join(self.not_finite(metrics))} not finite (loss {float(metrics.loss):.4g}, "
            f"gradient norm {float(metrics.gradient_norm):.4g}; rows {_listed(rows.ravel().tolist())})"
        )
        if self.skipped_in_a_row < self.config.train.max_skipped:
            say(f"{problem}; update skipped, {self.skipped_in_a_row} in a row, {self.skipped} in all.")
            return
        saved = "" if batch is None else f" The batch is in {self._save(step, batch, rows)}."
        raise Diverged(
            f"{problem}; {self.skipped_in_a_row} steps in a row were skipped (train.max_skipped).{saved} Look at the "
            "rows, or lower --optimizer.peak-lr; the last checkpoint is from before these steps or holds none of them."
        )

    def not_finite(self, metrics: StepMetrics) -> list[str]:
        """Which of loss and gradients is not finite, by parameter, and by layer where statistics were computed."""
        found = [] if math.isfinite(metrics.loss) else ["loss"]
        names, norms = self.parameter_names, metrics.gradient_norms
        if metrics.statistics is not None:
            names, norms = self.layer_names, metrics.statistics[0]
        bad = [name for name, norm in zip(names, norms, strict=True) if not math.isfinite(norm)]
        if len(bad) == len(names):
            return [*found, "all gradients"]
        # Each gradient may be finite and their common norm not: squares of float32 end at 1e38.
        if not found and not bad:
            return ["global gradient norm"]
        return [*found, f"gradients of {_listed(bad)}"] if bad else found

    def rows_of(self, step: int) -> np.ndarray:
        """Rows [A, B] of this process in a step, counted over all shards."""
        return rows_of_step(
            self.batch_after(step - 1),
            row_count=self.row_count,
            batch_size=self.config.data.batch_size,
            accumulation=self.config.data.accumulation,
            seed=self.config.train.seed,
            process_index=self.process_index,
            process_count=self.process_count,
        )

    def _save(self, step: int, batch: Batch, rows: np.ndarray) -> Path:
        """The rows as the step saw them, readable with `numpy.load(…, allow_pickle=False)`."""
        path = self.run / GUARDS / f"step-{step}" / f"process-{self.process_index}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, rows=rows, **batch._asdict())
        return path

    # --- spikes -------------------------------------------------------------------------------------------------------

    def _rewind_past(self, spike: Spike) -> Rewind | None:
        train = self.config.train
        if not train.rewind_on_spike:
            say(f"{spike}.")
            return None
        if len(self.left_out) >= train.max_rewinds:
            say(f"{spike}; no rewind, {train.max_rewinds} were made (train.max_rewinds).")
            return None
        first_step = max(1, spike.step - train.spike_batches + 1)
        first, last = self.batch_after(first_step - 1), self.batch_after(spike.step - 1)
        self.left_out.append((first, last + 1))
        say(f"{spike}; going back to a checkpoint before step {first_step} and leaving out batches {first} to {last}.")
        return Rewind(first_step)


def batch_after(finished_steps: int, left_out: Iterable[tuple[int, int]]) -> int:
    """Index of the batch that follows `finished_steps` where the batches [first, end) of every pair are left out."""
    index = finished_steps
    for first, end in _disjoint(left_out):
        if index < first:
            break
        index += end - first
    return index


def _disjoint(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same batches in order, each once: a later rewind may leave out around an earlier one."""
    merged: list[tuple[int, int]] = []
    for first, end in sorted(ranges):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((first, end))
    return merged


def _listed(items: Sequence[Any], most: int = 16) -> str:
    shown = ", ".join(str(item) for item in items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"

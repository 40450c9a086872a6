"""The training loop: one for pre-training and instruction tuning.

What a run begins with: `initialize.py`. What it writes: `metrics.py`, `checkpoint.py`. Where its time goes:
`goodput.py`.

Exactness: the lines of a checkpoint's steps are on disk before it is, lines behind it are cut when a run goes on, and
data, dropout and guards follow from the step and from what the checkpoint holds. So a run that is killed and started
again, however often, writes the same losses as one that is not.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from jmed_jax.artifact import Artifact
from jmed_jax.config import ExperimentConfig
from jmed_jax.models.attention_choice import choose_attention
from jmed_jax.parallel import distributed, sharding
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.train.announce import announce
from jmed_jax.train.base import check_base_is_named, read_base
from jmed_jax.train.batches import Batches, open_training_rows
from jmed_jax.train.checkpoint import Checkpoints, LoopState
from jmed_jax.train.disk import refusals_named
from jmed_jax.train.goodput import Goodput
from jmed_jax.train.guards import Guards, Rewind
from jmed_jax.train.initialize import initial_state
from jmed_jax.train.metrics import MetricsLog, read_metrics
from jmed_jax.train.profile import Profiler
from jmed_jax.train.run import Run, enter_run
from jmed_jax.train.scoring import Evaluation, Scores
from jmed_jax.train.step import Parameters, StepMetrics, Trainer, TrainState
from jmed_jax.train.stopping import Interrupted, StopRequest, stop_on_signals
from jmed_jax.train.validation import Validation
from jmed_jax.train.watchdog import Watchdog

__all__ = ["Interrupted", "Loop", "train"]


def train(
    config: ExperimentConfig,
    run_path: Path,
    *,
    evaluation: Evaluation | None = None,
    profile_steps: range = range(0),
) -> dict[str, Any]:
    """Train until `config.train.steps`, from wherever the run stands.

    Args:
        evaluation: scores the parameters every so many checkpoints.
        profile_steps: steps (from 1) of which to write a profiler trace.

    Returns:
        `{"run", "steps", "tokens", "loss"}` of the finished run; loss of the last step, nats a target.

    Raises:
        InputError: rows, configuration and run directory do not fit together, the run diverges, or the disk refuses.
        Interrupted: SIGINT or SIGTERM came; the run is saved.
    """
    goodput = Goodput()
    check_base_is_named(config)
    rows, row_format, shards = open_training_rows(config)
    mesh = make_mesh(config.mesh)
    trainer = Trainer(config, mesh)
    batches = Batches(config, mesh, row_format, shards)
    validation = Validation(trainer, rows) if config.train.validate_every else None
    with refusals_named(run_path), enter_run(run_path, config, rows) as run, stop_on_signals() as stop:
        announce(f"{config.name}: {_sizes(trainer)}, {config.tokens_per_step:,} tokens a step")
        attention = choose_attention(config, mesh.devices.flat[0].platform)
        announce(f"attention: {attention.name} ({attention.reason})")
        loop = Loop(trainer, run, rows, batches, goodput)
        loop.validation = validation
        loop.scores = Scores(run_path, evaluation, mesh) if evaluation else None
        loop.profiler = Profiler(run_path, profile_steps)
        loop.run_steps(stop)
        loss = read_metrics(run_path)[-1]["loss"] if distributed.is_first() else None
    steps = config.train.steps
    return {"run": str(run_path), "steps": steps, "tokens": steps * config.tokens_per_step, "loss": loss}


def _sizes(trainer: Trainer) -> str:
    """`7,615,616,512 parameters`, and how many of an adapter are trained."""
    model, lora = trainer.config.model, trainer.config.lora
    adapter = sum(leaf.size for leaf in jax.tree.leaves(trainer.abstract_state.parameters)) if lora.rank else 0
    return f"{model.num_parameters:,} parameters" + (f" and {adapter:,} trained beside them" if adapter else "")


class Loop:
    """The steps of a run in this process; the clock stands at `log` wherever nothing else is said.

    The host reads the metrics of a step after it has dispatched the next one, so the device never waits for it.
    """

    validation: Validation | None = None
    scores: Scores | None = None
    profiler: Profiler | None = None

    def __init__(self, trainer: Trainer, run: Run, rows: Artifact, batches: Batches, goodput: Goodput) -> None:
        self.trainer = trainer
        self.config = trainer.config
        self.run = run
        self.rows = rows
        self.batches = batches
        self.goodput = goodput
        self.checkpoints = Checkpoints(run.path, self.config.train)
        self.step = 0
        """Finished, or at least dispatched."""
        self.pending: deque[tuple[int, StepMetrics]] = deque()
        """Steps whose metrics the host has not read."""
        self.state: TrainState
        self.frozen: Parameters
        self.log: MetricsLog | None = None

    def run_steps(self, stop: StopRequest) -> None:
        """Step until done or stopped.

        Raises:
            Interrupted: stopped; the run is saved.
        """
        steps = self.config.train.steps
        with self.opened():
            while self.step < steps and not stop.before(self.step + 1):
                self.take_step()
            if self.step < steps:
                self._stop_early()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Make or restore the state and open the files; at the end, wait for the last checkpoint and close them."""
        train = self.config.train
        try:
            self._begin()
            with Watchdog(self.run.path, train.hang_timeout_s, abort=train.hang_abort) as self.watchdog:
                yield
        finally:
            self._end()

    # --- begin and end ------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self.frozen, self.run = read_base(self.trainer, self.run)
        state, loop_state = initial_state(self.trainer, self.run, self.checkpoints, self.frozen)
        self.guards = self._make_guards(loop_state.guards)
        self.batches.seek(loop_state.next_batch)
        self.state, self.step = state, int(state.step)
        self.saved_step = self.step
        self.compiled = False
        if distributed.is_first():
            bytes_per_target = self.rows.counts["target_bytes"] / max(self.rows.counts["target_tokens"], 1)
            self.log = MetricsLog(self.run.path, self.config, self.step, bytes_per_target, self.goodput)
        if self.scores:
            self.scores.begin(self.step)
            if self._evaluation_is_due() and self.scores.missing(self.step):
                # Killed between a checkpoint and its scores.
                self._evaluate(self.scores)
        self.goodput.enter("log")

    def _make_guards(self, state: dict[str, Any]) -> Guards:
        index, count = sharding.process_rows(self.trainer.mesh)
        return Guards(
            self.config,
            self.run.path,
            self.trainer.parameter_names,
            self.trainer.layer_names,
            self.rows.counts["rows"],
            state,
            process_index=index,
            process_count=count,
        )

    def _stop_early(self) -> None:
        if self._settle(keep=0) is None and self.step > self.saved_step:
            self._save()
        raise Interrupted(
            f"stopped at step {self.step} of {self.config.train.steps}; the same command goes on from there."
        )

    def _end(self) -> None:
        try:
            with self.goodput.spent("checkpoint"):
                self.checkpoints.close()
        finally:
            if self.profiler and self.step:
                self.profiler.stop(self.state)
            if self.log:
                self.log.close()

    # --- one step -----------------------------------------------------------------------------------------------------

    def take_step(self) -> None:
        """One step, and what is due after it."""
        self._dispatch()
        rewind = self._settle(keep=1)
        if rewind is None and self._is_milestone():
            # The lines of a checkpoint's steps are on disk before it is: no resume leaves a gap.
            rewind = self._settle(keep=0)
            if rewind is None:
                self._pass_milestone()
        if rewind is not None:
            self._go_back(rewind)

    def _dispatch(self) -> None:
        """Hand the device its next step; returns before it is computed."""
        with self.goodput.spent("data"):
            batch = self.batches.take(self.guards.batch_after(self.step))
            self.guards.remember(self.step + 1, batch)
            placed = self.trainer.place(batch)
        if self.profiler:
            self.profiler.before(self.step + 1, self.state)
        with self.goodput.spent("step" if self.compiled else "compile"):
            self.state, metrics = self.trainer.step(self.state, self.frozen, placed)
        self.compiled = True
        self.step += 1
        self.pending.append((self.step, metrics))

    def _settle(self, *, keep: int) -> Rewind | None:
        """Read and record the metrics of all steps but the newest `keep`."""
        while len(self.pending) > keep:
            step, metrics = self.pending.popleft()
            with self.goodput.spent("step"):
                on_host = jax.device_get(metrics)
            self.watchdog.beat(step)
            try:
                rewind = self.guards.check(step, on_host)
            finally:
                # The line that a run diverged at is worth having.
                self._record(step, on_host)
            if rewind is not None:
                return rewind
        self.checkpoints.check()
        return None

    def _record(self, step: int, metrics: StepMetrics) -> None:
        if self.log is None:
            return
        loss, targets, norm, rate = map(
            float, (metrics.loss, metrics.tokens, metrics.gradient_norm, metrics.learning_rate)
        )
        self.log.write(step, loss, targets, norm, rate, self.guards.skipped)
        every = self.config.train.statistics_every
        if every and step % every == 0:
            self.log.write_statistics(step, self.trainer.layer_names, metrics.statistics)

    # --- what happens at some steps -----------------------------------------------------------------------------------

    def _is_milestone(self) -> bool:
        last = self.step == self.config.train.steps
        return last or self.checkpoints.due(self.step) or self._validation_is_due()

    def _pass_milestone(self) -> None:
        # In this order: what is written for a step is there before its checkpoint, or made up for when it is restored.
        if self.validation and self._validation_is_due():
            with self.goodput.spent("validation"), self.watchdog.paused():
                measured = self.validation.measure(self.state.parameters, self.frozen)
            if self.log:
                self.log.write_validation(self.step, measured)
        if self.step == self.config.train.steps or self.checkpoints.due(self.step):
            self._save()
        if self.scores and self._evaluation_is_due():
            with self.watchdog.paused():
                self._evaluate(self.scores)

    def _validation_is_due(self) -> bool:
        every = self.config.train.validate_every
        return every > 0 and (self.step % every == 0 or self.step == self.config.train.steps)

    def _evaluation_is_due(self) -> bool:
        assert self.scores
        period = self.config.train.checkpoint_every * self.scores.evaluation.every
        return self.step > 0 and (self.step % period == 0 or self.step == self.config.train.steps)

    def _evaluate(self, scores: Scores) -> None:
        with self.goodput.spent("evaluation"):
            parameters = self.trainer.merged(self.state.parameters, self.frozen)
            scores.measure(parameters, self.step, self.step * self.config.tokens_per_step)

    def _save(self) -> None:
        with self.goodput.spent("checkpoint"), self.watchdog.paused():
            if self.log:
                self.log.sync()
            tokens = self.step * self.config.tokens_per_step
            loop_state = LoopState(self.guards.batch_after(self.step), tokens, self.guards.state())
            self.checkpoints.save(self.step, self.state, loop_state, self.run)
            self.saved_step = self.step

    def _go_back(self, rewind: Rewind) -> None:
        """Go on from before a loss spike, without the batches that led to it."""
        with self.goodput.spent("checkpoint"), self.watchdog.paused():
            self.pending.clear()
            self.checkpoints.delete_from(rewind.before_step)
            self.state, loop_state = initial_state(self.trainer, self.run, self.checkpoints, self.frozen)
            self.guards.rewound(loop_state.guards)
            self.step = self.saved_step = int(self.state.step)
            if self.log:
                self.log.go_back(self.step)

"""The training loop: one for pre-training and instruction tuning.

Order of initialisation, first that applies: the run's own newest checkpoint; the parameters of another run
(`train.initialize_from`); scratch.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import jax
from flax import nnx

from jmed_jax.artifact import Artifact
from jmed_jax.config import ExperimentConfig, ModelConfig
from jmed_jax.data.loader import make_loader
from jmed_jax.data.rows import RowFormat, open_rows
from jmed_jax.errors import InputError
from jmed_jax.models.decoder import abstract_parameters
from jmed_jax.parallel import sharding
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.progress import say
from jmed_jax.train.checkpoint import Checkpoints
from jmed_jax.train.metrics import MetricsLog, read_metrics
from jmed_jax.train.optimizer import learning_rate
from jmed_jax.train.run import Run, locked, open_run, prepare_run
from jmed_jax.train.step import Parameters, StepMetrics, Trainer, TrainState


class Interrupted(Exception):
    """Training was stopped by a signal; the run can go on from what is on disk."""


@dataclass
class _StopRequest:
    """Set by SIGINT or SIGTERM: finish the step, save, leave. A second signal leaves at once."""

    signal_name: str = ""

    def __bool__(self) -> bool:
        return bool(self.signal_name)


@contextmanager
def _stop_on_signals() -> Iterator[_StopRequest]:
    request = _StopRequest()

    def handle(number: int, _frame: FrameType | None) -> None:
        if request:
            raise KeyboardInterrupt
        request.signal_name = signal.Signals(number).name
        say(f"{request.signal_name}: finishing the step and saving; again to leave at once.")

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def train(config: ExperimentConfig, run_path: Path) -> dict[str, Any]:
    """Train until `config.train.steps`, from wherever the run stands.

    Returns:
        `{"run", "steps", "tokens", "loss"}` of the finished run; loss of the last step, nats a target.

    Raises:
        InputError: rows, configuration and run directory do not fit together.
        Interrupted: SIGINT or SIGTERM came; the run is saved.
    """
    rows, row_format, shards = _open_matching_rows(config)
    mesh = make_mesh(config.mesh)
    trainer = Trainer(config, mesh)
    loader = make_loader(
        shards,
        row_format,
        batch_size=config.data.batch_size,
        accumulation=config.data.accumulation,
        seed=config.train.seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    with locked(run_path), _stop_on_signals() as stop:
        run = prepare_run(run_path, config, rows)
        say(f"{config.name}: {config.model.num_parameters:,} parameters, {config.tokens_per_step:,} tokens a step")
        checkpoints = Checkpoints(run_path, config.train)
        try:
            state, loop_state = initial_state(trainer, run, checkpoints)
            if loop_state["next_batch"]:
                loader.set_state({"next_index": loop_state["next_batch"]})
            bytes_per_target = rows.counts["target_bytes"] / max(rows.counts["target_tokens"], 1)
            _run_steps(trainer, state, loader, checkpoints, run_path, bytes_per_target, stop)
        finally:
            checkpoints.close()
    steps = config.train.steps
    loss = read_metrics(run_path)[-1]["loss"]
    return {"run": str(run_path), "steps": steps, "tokens": steps * config.tokens_per_step, "loss": loss}


def _open_matching_rows(config: ExperimentConfig) -> tuple[Artifact, RowFormat, list[Path]]:
    if not config.data.rows:
        raise InputError("data.rows is not set. Give --data.rows DIR, a directory made by `jmed pack`.")
    rows, row_format, shards = open_rows(Path(config.data.rows))
    if row_format.vocab_size > config.model.vocab_size:
        raise InputError(
            f"{rows.path}: rows have ids up to {row_format.vocab_size - 1}, but model.vocab_size is "
            f"{config.model.vocab_size}. Set --model.vocab-size {row_format.vocab_size}."
        )
    if row_format.row_length != config.model.context_length:
        raise InputError(
            f"{rows.path}: rows of {row_format.row_length} tokens, but model.context_length is "
            f"{config.model.context_length}. Pack again with --row-length {config.model.context_length}."
        )
    return rows, row_format, shards


def initial_state(trainer: Trainer, run: Run, checkpoints: Checkpoints) -> tuple[TrainState, dict[str, Any]]:
    """State and loop state to begin with, in the order that the module docstring gives."""
    if checkpoints.latest_step() is not None:
        say(f"going on from step {checkpoints.latest_step()} of {run.path}")
        return checkpoints.restore(trainer.abstract_state, trainer.state_shardings)
    loop_state = {"next_batch": 0}
    if run.config.train.initialize_from:
        source = open_run(Path(run.config.train.initialize_from))
        say(f"starting from the parameters of {source.path}")
        return trainer.state_from(parameters_of(source, trainer, run.inputs["tokenizer"])), loop_state
    return trainer.fresh_state(), loop_state


def parameters_of(source: Run, trainer: Trainer, tokenizer_fingerprint: str) -> Parameters:
    """Parameters of another run; vocabulary rows that it lacks (the chat tokens) are freshly initialised.

    Raises:
        InputError: another tokenizer, or an architecture that differs in more than the vocabulary.
    """
    if source.inputs["tokenizer"] != tokenizer_fingerprint:
        raise InputError(f"{source.path}: trained with another tokenizer than the one these rows were packed with.")
    _check_extendable(source, trainer.config.model)
    abstract = nnx.to_pure_dict(abstract_parameters(source.config.model)[1])
    rules = sharding.parameter_rules(trainer.config.mesh)
    shardings = sharding.tree_shardings(abstract, rules, trainer.mesh)
    parameters = Checkpoints(source.path).restore_parameters(abstract, shardings)

    extend = jax.jit(_extend_vocabulary, out_shardings=trainer.state_shardings.parameters)
    return extend(parameters, trainer.fresh_state().parameters)


def _check_extendable(source: Run, config: ModelConfig) -> None:
    old = source.config.model
    free = {name: getattr(config, name) for name in ("vocab_size", "attention_dropout", "residual_dropout")}
    if replace(old, **free) != config or old.vocab_size > config.vocab_size:
        raise InputError(
            f"{source.path}: its model does not fit this configuration's: they may differ in dropout and in a larger "
            f"vocabulary only (there {old}, here {config})."
        )


def _extend_vocabulary(old: Parameters, fresh: Parameters) -> Parameters:
    """`old`, with the rows of `fresh` where its vocabulary ends."""
    return jax.tree.map(lambda a, b: b.at[tuple(slice(n) for n in a.shape)].set(a), old, fresh)


def _run_steps(
    trainer: Trainer,
    state: TrainState,
    loader: Any,
    checkpoints: Checkpoints,
    run_path: Path,
    bytes_per_target: float,
    stop: _StopRequest,
) -> None:
    """Step until done or stopped; the host reads metrics one step behind, so the device never waits for it."""
    config = trainer.config
    schedule = learning_rate(config.optimizer, config.train.steps)
    step = first_step = int(state.step)
    log = MetricsLog(run_path, config, first_step, bytes_per_target)
    pending: StepMetrics | None = None

    def record(step: int, metrics: StepMetrics) -> None:
        loss, targets, gradient_norm = (float(value) for value in jax.device_get(metrics))
        log.write(step, loss, targets, gradient_norm, float(schedule(step - 1)))

    try:
        while step < config.train.steps and not stop:
            state, metrics = trainer.step(state, trainer.place(next(loader)))
            if pending is not None:
                record(step, pending)
            pending = metrics
            step += 1
            if stop or step == config.train.steps or checkpoints.due(step):
                # The lines of a checkpoint's steps are on disk before it is: no resume leaves a gap.
                record(step, pending)
                pending = None
                checkpoints.save(step, state, {"next_batch": step})
    finally:
        log.close()
    if step < config.train.steps:
        raise Interrupted(f"stopped at step {step} of {config.train.steps}; the same command goes on from there.")

"""Orbax checkpoints of a run: parameters, optimiser state, loop state."""

from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax import Array

from jmed_jax.config import TrainConfig
from jmed_jax.errors import InputError
from jmed_jax.train.run import CHECKPOINTS
from jmed_jax.train.step import Parameters, TrainState


class Checkpoints:
    """Saves asynchronously and atomically; a directory without its final name is never restored."""

    def __init__(self, run: Path, config: TrainConfig | None = None) -> None:
        """
        Args:
            config: how often to save and what to keep; None only reads.
        """
        options = ocp.CheckpointManagerOptions(read_only=True)
        if config is not None:
            every = config.checkpoint_every
            options = ocp.CheckpointManagerOptions(
                # Not `save_interval_steps`, with which Orbax also saves whatever step comes first.
                should_save_fn=lambda step, _last: step % every == 0,
                max_to_keep=config.keep_checkpoints,
                keep_period=config.keep_every or None,
                cleanup_tmp_directories=True,
            )
        self.path = (run / CHECKPOINTS).absolute()
        if config is None and not self.path.is_dir():
            raise InputError(f"{run}: no checkpoint yet.")
        self.manager = ocp.CheckpointManager(self.path, options=options, item_names=("parameters", "optimizer", "loop"))

    def latest_step(self) -> int | None:
        """Number of finished steps in the newest complete checkpoint."""
        return self.manager.latest_step()

    def due(self, step: int) -> bool:
        """Whether the configuration wants a checkpoint after `step` finished steps."""
        return self.manager.should_save(step)

    def save(self, step: int, state: TrainState, loop: dict[str, Any]) -> None:
        """Save in the background; `loop` is small JSON."""
        items = ocp.args.Composite(
            parameters=ocp.args.StandardSave(state.parameters),
            optimizer=ocp.args.StandardSave(state.optimizer),
            loop=ocp.args.JsonSave(loop),
        )
        self.manager.save(step, args=items, force=True)

    def restore(self, abstract: TrainState, shardings: TrainState) -> tuple[TrainState, dict[str, Any]]:
        """State and loop state of the newest checkpoint, placed as `shardings` says."""
        step = self.latest_step()
        assert step is not None
        items = self.manager.restore(
            step,
            args=ocp.args.Composite(
                parameters=ocp.args.StandardRestore(_with_shardings(abstract.parameters, shardings.parameters)),
                optimizer=ocp.args.StandardRestore(_with_shardings(abstract.optimizer, shardings.optimizer)),
                loop=ocp.args.JsonRestore(),
            ),
        )
        counter: Array = jax.device_put(jax.numpy.asarray(step, jax.numpy.int32), shardings.step)
        return TrainState(counter, items["parameters"], items["optimizer"]), items["loop"]

    def restore_parameters(self, abstract: Parameters, shardings: Parameters, step: int | None = None) -> Parameters:
        """Parameters alone, of the newest checkpoint or of `step`.

        Raises:
            InputError: there is no such checkpoint.
        """
        step = self.latest_step() if step is None else step
        if step is None or step not in self.manager.all_steps():
            raise InputError(f"{self.path}: no complete checkpoint{'' if step is None else f' of step {step}'} here.")
        restore = ocp.args.StandardRestore(_with_shardings(abstract, shardings))
        return self.manager.restore(step, args=ocp.args.Composite(parameters=restore))["parameters"]

    def close(self) -> None:
        """Wait for what is being written."""
        self.manager.wait_until_finished()
        self.manager.close()


def _with_shardings(abstract: Any, shardings: Any) -> Any:
    return jax.tree.map(lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), abstract, shardings)

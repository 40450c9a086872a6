"""Orbax checkpoints of a run: parameters, optimiser state, and what belongs to them.

Beside the arrays a checkpoint holds a small JSON item: the loop's state (guards, and with them the position of the data
iterator; tokens seen), the whole configuration, the fingerprints of rows, tokenizer and base, and a checksum of every
array. Parameters are those that are trained: of a run with `lora.rank`, the adapter.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from absl import logging
from jax import Array

from jmed_jax.config import TrainConfig, to_dict
from jmed_jax.errors import InputError
from jmed_jax.train.checksum import checksums
from jmed_jax.train.disk import check_there
from jmed_jax.train.run import CHECKPOINTS, Run, differences
from jmed_jax.train.step import Parameters, TrainState


@dataclass(frozen=True)
class LoopState:
    """What the loop needs to go on, as small JSON."""

    next_batch: int = 0
    """The whole state of the data iterator: the index of the batch of the next step."""
    tokens: int = 0
    """Tokens seen."""
    guards: dict[str, Any] = field(default_factory=dict)
    """`Guards.state()`: skipped steps, losses to tell a spike by, batches left out."""


class Checkpoints:
    """Saves asynchronously and atomically; a directory without its final name is never restored."""

    def __init__(self, run: Path, config: TrainConfig | None = None) -> None:
        """
        Args:
            config: how often to save and what to keep; None only reads.

        Raises:
            InputError: to read, and there is no checkpoint directory.
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
        # What goes wrong in Orbax's threads is raised again here; its log would print every traceback several times.
        logging.set_verbosity(logging.FATAL)
        self.run = run
        self.path = (run / CHECKPOINTS).absolute()
        if config is None and not self.path.is_dir():
            raise InputError(f"{run}: no checkpoint yet.")
        # Named, so that the dtypes of a checkpoint can be read before its arrays. Not compressed: that takes four times
        # as long, for a quarter of bfloat16 and a tenth of float32.
        handlers = {
            "parameters": ocp.PyTreeCheckpointHandler(use_compression=False),
            "optimizer": ocp.PyTreeCheckpointHandler(use_compression=False),
            "loop": ocp.JsonCheckpointHandler(),
        }
        self.manager = ocp.CheckpointManager(self.path, options=options, item_handlers=handlers)

    def latest_step(self) -> int | None:
        """Number of finished steps in the newest complete checkpoint."""
        return self.manager.latest_step()

    def due(self, step: int) -> bool:
        """Whether the configuration wants a checkpoint after `step` finished steps."""
        return self.manager.should_save(step)

    def save(self, step: int, state: TrainState, loop: LoopState, run: Run) -> None:
        """Copy the state off the devices and write it in the background."""
        self._save(step, {"parameters": state.parameters, "optimizer": state.optimizer}, loop, run)

    def save_parameters(self, step: int, parameters: Parameters, run: Run) -> None:
        """As `save`, without an optimiser: nothing goes on from such a checkpoint, but other runs start from it.

        Args:
            parameters: in any dtype.
        """
        self._save(step, {"parameters": parameters}, LoopState(), run)

    def _save(self, step: int, trees: dict[str, Any], loop: LoopState, run: Run) -> None:
        description = {
            "loop": asdict(loop),
            "config": to_dict(run.config),
            "inputs": run.inputs,
            "checksums": {name: checksums(tree) for name, tree in trees.items()},
        }
        items = ocp.args.Composite(
            **{name: ocp.args.PyTreeSave(tree) for name, tree in trees.items()}, loop=ocp.args.JsonSave(description)
        )
        check_there(self.run)
        self.manager.save(step, args=items, force=True)

    def delete_from(self, step: int) -> None:
        """Remove the checkpoints of `step` and more finished steps: a rewind computes those steps anew."""
        self.manager.wait_until_finished()
        for saved in self.manager.all_steps():
            if saved >= step:
                self.manager.delete(saved)

    def check(self) -> None:
        """Raise what went wrong in the background (`disk.py` makes a line of it)."""
        self.manager.check_for_errors()

    def restore(self, abstract: TrainState, shardings: TrainState, run: Run) -> tuple[TrainState, LoopState]:
        """State and loop state of the newest checkpoint, placed as `shardings` says, on any mesh.

        Raises:
            InputError: it belongs to another architecture, configuration, tokenizer or base, or is damaged. An older
                one is never taken in its place: which steps to lose is for a person to decide.
        """
        step = self.latest_step()
        assert step is not None
        with self._damages(step):
            description = self._description(step)
            self._check_belongs(step, description, run)
            trees = self._arrays(
                step,
                description,
                parameters=_with_shardings(abstract.parameters, shardings.parameters),
                optimizer=_with_shardings(abstract.optimizer, shardings.optimizer),
            )
            loop = LoopState(**description["loop"])
        counter: Array = jax.device_put(jax.numpy.asarray(step, jax.numpy.int32), shardings.step)
        return TrainState(counter, trees["parameters"], trees["optimizer"]), loop

    def restore_parameters(self, abstract: Parameters, shardings: Parameters, step: int | None = None) -> Parameters:
        """Parameters alone, of the newest checkpoint or of `step`, in the dtypes of `abstract`.

        Raises:
            InputError: there is no such checkpoint, or it is damaged.
        """
        step = self._existing(step)
        with self._damages(step):
            description = self._description(step)
            saved = self.manager.item_metadata(step)["parameters"].tree
            # The checksums are of what was saved; one array after the other is converted, and given up for it.
            as_saved = jax.tree.map(lambda a, b: jax.ShapeDtypeStruct(a.shape, b.dtype), abstract, saved)
            arrays = self._arrays_in_turn(step, _with_shardings(as_saved, shardings))
            self._check_sums(description, "parameters", arrays)
            return jax.tree.map(_converted, arrays, abstract)

    def stored_dtype(self, step: int | None = None) -> Any:
        """The widest dtype among the parameters of the newest checkpoint or of `step`.

        Raises:
            InputError: as `restore_parameters`.
        """
        step = self._existing(step)
        with self._damages(step):
            saved = jax.tree.leaves(self.manager.item_metadata(step)["parameters"].tree)
            return max((jax.numpy.dtype(leaf.dtype) for leaf in saved), key=lambda dtype: dtype.itemsize)

    def _existing(self, step: int | None) -> int:
        step = self.latest_step() if step is None else step
        if step is None or step not in self.manager.all_steps():
            raise InputError(f"{self.path}: no complete checkpoint{'' if step is None else f' of step {step}'} here.")
        return step

    def inputs(self, step: int | None = None) -> dict[str, str]:
        """Fingerprints of what the newest checkpoint, or that of `step`, was made from: `Run.inputs`, and the base of
        an adapter (`base.BASE`)."""
        step = self.latest_step() if step is None else step
        assert step is not None
        with self._damages(step):
            return self._description(step)["inputs"]

    def _description(self, step: int) -> dict[str, Any]:
        return self.manager.restore(step, args=ocp.args.Composite(loop=ocp.args.JsonRestore()))["loop"]

    def _arrays(self, step: int, description: dict[str, Any], **abstract: Any) -> dict[str, Any]:
        arguments = {name: _restore_arguments(tree) for name, tree in abstract.items()}
        restored = self.manager.restore(step, args=ocp.args.Composite(**arguments))
        for item in abstract:
            self._check_sums(description, item, restored[item])
        return {item: restored[item] for item in abstract}

    def _arrays_in_turn(self, step: int, abstract: Parameters) -> Parameters:
        """Parameters, of which no more than the largest is on its way: all at once, they would be in memory twice."""
        largest = max(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(abstract))
        # Orbax refuses an array of just the limit.
        handler = ocp.PyTreeCheckpointHandler(restore_concurrent_gb=(1.01 * largest + 64) / 1e9)
        checkpointer = ocp.Checkpointer(handler)
        try:
            return checkpointer.restore(self.path / str(step) / "parameters", args=_restore_arguments(abstract))
        finally:
            checkpointer.close()

    def _check_sums(self, description: dict[str, Any], item: str, arrays: Any) -> None:
        saved = description["checksums"][item]
        for name, value in checksums(arrays).items():
            if value != saved[name]:
                raise ValueError(f"{item}.{name} is not what was saved")

    def _check_belongs(self, step: int, description: dict[str, Any], run: Run) -> None:
        """The run directory has the same checks; these are for a checkpoint that was copied into it."""
        place = self.path / str(step)
        if description["inputs"]["tokenizer"] != run.inputs["tokenizer"]:
            raise InputError(f"{place}: a checkpoint of another tokenizer than this run's. It does not belong here.")
        if description["inputs"].get("base") != run.inputs.get("base"):
            source = run.config.train.initialize_from
            raise InputError(
                f"{place}: this adapter was trained beside other parameters than those of {source}. Give the base that "
                "it was begun with by --train.initialize-from."
            )
        if differing := differences(description["config"], to_dict(run.config)):
            raise InputError(f"{place}: a checkpoint of another configuration ({differing}). It does not belong here.")

    @contextmanager
    def _damages(self, step: int) -> Iterator[None]:
        """Whatever Orbax and TensorStore raise over files that are not as they were written, as one line.

        There is no common class: they raise ValueError, OSError, KeyError and bare Exception.
        """
        try:
            yield
        except (InputError, jax.errors.JaxRuntimeError):
            # The latter is a device's: out of memory, say.
            raise
        except Exception as error:
            reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
            older = max((saved for saved in self.manager.all_steps() if saved < step), default=None)
            advice = "There is no older one." if older is None else f"Move it away to go on from step {older}."
            raise InputError(f"{self.path / str(step)}: this checkpoint is damaged ({reason}). {advice}") from error

    def close(self) -> None:
        """Wait for what is being written."""
        try:
            self.manager.wait_until_finished()
        finally:
            self.manager.close()


def _restore_arguments(abstract: Any) -> Any:
    restore_args = ocp.checkpoint_utils.construct_restore_args(abstract)
    return ocp.args.PyTreeRestore(abstract, restore_args=restore_args)


def _with_shardings(abstract: Any, shardings: Any) -> Any:
    return jax.tree.map(lambda a, s: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=s), abstract, shardings)


def _converted(array: Array, abstract: jax.ShapeDtypeStruct) -> Array:
    if array.dtype == abstract.dtype:
        return array
    converted = jax.block_until_ready(array.astype(abstract.dtype))
    array.delete()
    return converted

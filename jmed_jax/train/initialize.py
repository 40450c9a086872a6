"""What a run begins with: one written order, the first that applies.

1. The run's own newest checkpoint: it goes on where it was.
2. With `lora.rank`, a fresh adapter, from `train.seed`; what it is trained beside is read anyway (`base.py`).
3. The newest checkpoint of another run (`train.initialize_from` names a run directory): its parameters.
4. Hugging Face weights (`train.initialize_from` names such a directory): their parameters.
5. Scratch, from `train.seed`.

3 and 4 take parameters alone: the optimiser is fresh, steps count from 0, data begin at the first batch. Rows of the
vocabulary that the source lacks (the chat tokens) are freshly initialised.
"""

from pathlib import Path

import jax
import jax.numpy as jnp

from jmed_jax.train.announce import announce
from jmed_jax.train.base import remember_base
from jmed_jax.train.checkpoint import Checkpoints, LoopState
from jmed_jax.train.run import Run
from jmed_jax.train.source import read_source
from jmed_jax.train.step import Parameters, Trainer, TrainState


def initial_state(
    trainer: Trainer, run: Run, checkpoints: Checkpoints, frozen: Parameters
) -> tuple[TrainState, LoopState]:
    """State and loop state to begin with, in the order that the module docstring gives.

    Args:
        frozen: `base.read_base`, as is `run`.

    Raises:
        InputError: the source is damaged, or of another tokenizer or architecture; or the checkpoint is an adapter of
            another base.
    """
    if (step := checkpoints.latest_step()) is not None:
        announce(f"going on from step {step} of {run.path}")
        return checkpoints.restore(trainer.abstract_state, trainer.state_shardings, run)
    if run.config.lora.rank:
        remember_base(run)
        return trainer.fresh_state(frozen), LoopState()
    if run.config.train.initialize_from:
        source = Path(run.config.train.initialize_from)
        announce(f"starting from the parameters of {source}")
        parameters = read_source(source, trainer, run.inputs["tokenizer"], jnp.dtype(jnp.float32))
        return trainer.state_from(_extend(parameters, trainer)), LoopState()
    announce(f"starting from scratch, seed {run.config.train.seed}")
    return trainer.fresh_state(), LoopState()


def _extend(parameters: Parameters, trainer: Trainer) -> Parameters:
    """The parameters, with freshly initialised rows where their vocabulary ends."""

    def extend(old: Parameters, fresh: Parameters) -> Parameters:
        return jax.tree.map(lambda a, b: b.at[tuple(slice(n) for n in a.shape)].set(a), old, fresh)

    fresh = trainer.fresh_state().parameters
    return jax.jit(extend, out_shardings=trainer.state_shardings.parameters)(parameters, fresh)

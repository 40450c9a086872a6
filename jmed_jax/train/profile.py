"""A profiler trace of a few steps, on demand: `jmed train … --profile-steps 10:13`."""

from pathlib import Path
from typing import Any

import jax

from jmed_jax.errors import InputError
from jmed_jax.parallel import distributed
from jmed_jax.progress import say

PROFILE = "profile"


def parse_steps(text: str) -> range:
    """`FIRST:LAST`, both inclusive, as the `step` of `metrics.jsonl` counts.

    Raises:
        InputError: something else.
    """
    first, colon, last = text.partition(":")
    if not (colon and first.isdecimal() and last.isdecimal() and 0 < int(first) <= int(last)):
        raise InputError(f'--profile-steps "{text}": expected FIRST:LAST, two step numbers from 1, e.g. 10:13.')
    return range(int(first), int(last) + 1)


class Profiler:
    """Traces the steps of process 0 into `RUN/profile`, where TensorBoard and Perfetto read them."""

    def __init__(self, run: Path, steps: range) -> None:
        self.path = run / PROFILE
        self.steps = steps if distributed.is_first() else range(0)
        self.tracing = False

    def before(self, step: int, state: Any) -> None:
        """To be called before the step numbered `step` (from 1) is dispatched, with the state it starts from."""
        if self.tracing and step not in self.steps:
            self.stop(state)
        if not self.tracing and step in self.steps:
            # What was dispatched before does not belong into the trace.
            jax.block_until_ready(state)
            jax.profiler.start_trace(str(self.path))
            self.tracing = True

    def stop(self, state: Any) -> None:
        """End the trace, if there is one, when its steps are done."""
        if self.tracing:
            jax.block_until_ready(state)
            jax.profiler.stop_trace()
            self.tracing = False
            say(f"{self.path}: profiler trace of steps {self.steps[0]} to {self.steps[-1]}")

"""Leaving a run in good order: SIGINT and SIGTERM finish the step, save and stop, in all processes at the same step."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import jax

from jmed_jax.progress import say


class Interrupted(Exception):
    """Training was stopped by a signal; the run can go on from what is on disk."""


class StopRequest:
    """Whether to stop before the next step."""

    def __init__(self) -> None:
        self.signal_name = ""

    def before(self, step: int) -> bool:
        """Whether step `step` (from 1) must not begin; the same answer in every process."""
        if jax.process_count() == 1:
            return bool(self.signal_name)
        from jax.experimental import multihost_utils

        # JAX's coordination service spreads a SIGTERM and agrees on the step; without one this is a local look-up.
        return multihost_utils.reached_preemption_sync_point(step)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn the first SIGINT or SIGTERM into a request; a second one leaves at once."""
    request = StopRequest()

    def handle(number: int, _frame: FrameType | None) -> None:
        if request.signal_name:
            raise KeyboardInterrupt
        request.signal_name = signal.Signals(number).name
        say(f"{request.signal_name}: finishing the step and saving; again to leave at once.")
        if jax.process_count() > 1:
            # Handled by JAX, which tells the other processes.
            os.kill(os.getpid(), signal.SIGTERM)

    # With several processes SIGTERM is JAX's own: its handler is the one that the others hear from.
    numbers = (signal.SIGINT, signal.SIGTERM) if jax.process_count() == 1 else (signal.SIGINT,)
    previous = {number: signal.signal(number, handle) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)

"""A watchdog for training that hangs: no step ends, no exception comes, and the hours are paid for."""

import faulthandler
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from jmed_jax.progress import say

# Reading a checkpoint and compiling come before the first step ends.
FIRST_STEP_FACTOR = 10

STANDARD_ERROR = 2


class Watchdog:
    """Writes the stacks of all threads where no step ends for too long, once for every hang.

    A daemon thread waits; the loop feeds it. The stacks go to standard error and to `hang-STEP.txt` in the run, STEP
    being the last finished one. Then the process goes on waiting, or ends with exit code 1 so that a scheduler can
    start it again.
    """

    def __init__(self, run: Path, timeout_s: float, *, abort: bool = False) -> None:
        """
        Args:
            timeout_s: without a beat; ten times as long before the first one; 0 watches nothing.
            abort: end the process after writing the stacks.
        """
        self.run = run
        self.timeout_s = timeout_s
        self.patience_s = timeout_s * FIRST_STEP_FACTOR
        self.abort = abort
        self.step = 0
        self._deadline: float | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def __enter__(self) -> "Watchdog":
        if self.timeout_s:
            self._expect(self.patience_s)
            self._thread.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def beat(self, step: int) -> None:
        """A step ended, the last of `step` finished ones: the time begins anew."""
        self.step = step
        self.patience_s = self.timeout_s
        self._expect(self.patience_s)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Watch nothing during what may rightly take long: writing a checkpoint, an evaluation."""
        self._expect(None)
        try:
            yield
        finally:
            self._expect(self.patience_s)

    def _expect(self, seconds: float | None) -> None:
        with self._changed:
            self._deadline = None if seconds is None else time.monotonic() + seconds
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while not self._closed:
                if self._deadline is None:
                    self._changed.wait()
                    continue
                remaining = self._deadline - time.monotonic()
                if remaining > 0:
                    self._changed.wait(remaining)
                    continue
                # Until the next beat there is nothing new to report.
                self._deadline = None
                self._report()

    def _report(self) -> None:
        path = self.run / f"hang-{self.step}.txt"
        say(f"no step has ended since step {self.step}, for {self.timeout_s:g} s or more; all stacks, also in {path}:")
        # The descriptor itself: what takes the place of sys.stderr may have none.
        faulthandler.dump_traceback(STANDARD_ERROR, all_threads=True)
        # Appended to: after a restart the same step may hang again.
        with path.open("a") as file:
            faulthandler.dump_traceback(file, all_threads=True)
        if self.abort:
            say("train.hang_abort: ending the process with exit code 1.")
            # The main thread hangs, so it can neither be asked nor waited for.
            os._exit(1)

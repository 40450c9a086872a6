"""That no process waits for one that is gone: signs of life and last words through JAX's key-value store.

Every process says now and then that it lives; process 0 looks for those that fell silent; a process that fails says
so. Whoever hears of it prints one line and ends at once: its main thread may be in a collective that never returns.
"""

import atexit
import json
import re
import socket
import sys
import threading
import time
from typing import Any, NoReturn

from jmed_jax.errors import InputError
from jmed_jax.parallel.abort import leave, on_abort, tell

_FAILURE = "jmed/failure"
_BEATS = "jmed/beats/"
# What a wait in the store may take before it is begun again; more often is no use to anyone.
_LISTEN_SECONDS = 5.0
# For the others to hear a last word before the store of process 0 goes with it.
_FAREWELL_SECONDS = 2.0
# For threads that wait for processes which are gone, before they are cut off.
_LAST_SECONDS = 10.0

# How XLA's errors begin, of whatever type, that a lost process can have caused; RESOURCE_EXHAUSTED is our own memory.
_UNEXPLAINED = re.compile("(UNKNOWN|UNAVAILABLE|INTERNAL|ABORTED|CANCELLED|DEADLINE_EXCEEDED|FAILED_PRECONDITION):")


class Watch:
    """The threads of one process."""

    def __init__(self, client: Any, index: int, coordinator: str, silence_seconds: float) -> None:
        """
        Args:
            client: JAX's `DistributedRuntimeClient`.
            silence_seconds: after which a process counts as dead.
        """
        self.client = client
        self.index = index
        self.coordinator = coordinator
        self.silence_seconds = silence_seconds
        self.over = threading.Event()
        self.code: int | None = None
        """What this process ends with, once it has failed."""
        self.last_answer = time.monotonic()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._beat, self._listen)]

    def begin(self) -> None:
        on_abort(self._explain_abort)
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """All have finished: whoever is gone from now on has not died. Every process calls this, after a barrier."""
        self.over.set()
        on_abort(None)
        if self.index == 0:
            self._announce(0, "")
        # The interpreter must not end while one of them is inside JAX.
        for thread in self._threads:
            thread.join()

    def fail(self, error: BaseException) -> None:
        """This process fails: tell the others, and let it end without waiting for them.

        A collective that failed is more often another's end than our own: the watch has time to find out first.
        """
        if _UNEXPLAINED.match(str(error)):
            time.sleep(self.silence_seconds * 1.2 + _LISTEN_SECONDS)
        code = self.code = _exit_code(error)
        self.over.set()
        words = str(error).splitlines() or [type(error).__name__]
        self._announce(code, f"process {self.index} stopped: {words[0]}")
        if self.index == 0:
            time.sleep(_FAREWELL_SECONDS)
        # At exit JAX waits for all processes, and so may threads of others: there is nobody left to wait for.
        atexit.register(leave, code)
        timer = threading.Timer(_LAST_SECONDS, leave, [code])
        timer.daemon = True
        timer.start()

    def _beat(self) -> None:
        seen: dict[str, tuple[str, float]] = {}
        for number in range(sys.maxsize):
            try:
                self.client.key_value_set(f"{_BEATS}{self.index}", str(number), allow_overwrite=True)
                self.last_answer = time.monotonic()
                if self.index == 0:
                    self._look_for_silence(seen)
            except Exception as error:
                # Process 0 is gone, which `_listen` hears too, or slow, which it times.
                if not _is_of_jax(error):
                    raise
            if self.over.wait(self.silence_seconds / 10):
                return

    def _look_for_silence(self, seen: dict[str, tuple[str, float]]) -> None:
        """Compare what the processes said with what they had said; times are ours, clocks may differ."""
        now = time.monotonic()
        for key, value in self.client.key_value_dir_get(_BEATS):
            if key not in seen or seen[key][0] != value:
                seen[key] = value, now
        silent = sorted(int(key.rsplit("/", 1)[1]) for key, (_, t) in seen.items() if now - t > self.silence_seconds)
        if silent and not self.over.is_set():
            names = ", ".join(map(str, silent))
            self._announce(
                1, f"process {names} died: no sign of life for {self.silence_seconds:.0f} s. Its own log says why."
            )

    def _announce(self, code: int, message: str) -> None:
        """The first failure is the one that counts; a store that is gone has nobody to listen."""
        try:
            self.client.key_value_set(_FAILURE, json.dumps([code, message]))
        except Exception as error:
            if not _is_of_jax(error):
                raise

    def _listen(self) -> None:
        while not self.over.is_set():
            try:
                said = self.client.blocking_key_value_get(_FAILURE, int(_LISTEN_SECONDS * 1000))
            except Exception as error:
                if not _is_of_jax(error):
                    raise
                if self.over.is_set():
                    return
                silence = time.monotonic() - self.last_answer
                if "DEADLINE_EXCEEDED" not in str(error) or silence > self.silence_seconds:
                    self._report(1, self._first_is_gone())
                continue
            code, message = json.loads(said)
            if not self.over.is_set() and code:
                self._report(code, message)
            return

    def _first_is_gone(self) -> str:
        return f"process 0 died: its coordinator at {self.coordinator} does not answer. Its own log says why."

    def _report(self, code: int, message: str) -> NoReturn:
        # Once: the thread that comes second waits here until the process is gone.
        self._lock.acquire()
        tell(message)
        if self.index == 0:
            time.sleep(_FAREWELL_SECONDS)
        leave(code)

    def _explain_abort(self) -> tuple[int, str] | None:
        """What an abort means: that process 0 is gone, or something else that takes its course."""
        if self.code is not None:
            leave(self.code)
        return None if self.index == 0 or _listens(self.coordinator) else (1, self._first_is_gone())


def _listens(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            return True
    except OSError:
        return False


def _is_of_jax(error: BaseException) -> bool:
    import jax

    return isinstance(error, jax.errors.JaxRuntimeError)


def _exit_code(error: BaseException) -> int:
    """As the command line has them."""
    if isinstance(error, KeyboardInterrupt):
        return 130
    return 2 if isinstance(error, InputError) else 1

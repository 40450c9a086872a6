"""A line instead of nothing but a stack trace where JAX's coordination aborts the process.

It does so from C++, on a thread of its own, the moment it loses process 0 or has waited long enough for others. A
handler of Python's `signal` would run in the main thread only, which may be in a collective for ever; this one runs
where the abort happens.
"""

import ctypes
import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn

_Handler = ctypes.CFUNCTYPE(None, ctypes.c_int)
# C keeps the address alone.
_installed: Any = None


def on_abort(words: Callable[[], tuple[int, str] | None] | None) -> None:
    """At SIGABRT, end with the code and the `error:` line that `words` returns; None lets the abort take its course."""
    global _installed
    _installed = None if words is None else _Handler(lambda _number: _handle(words))
    set_handler = ctypes.CDLL(None).signal
    set_handler.argtypes, set_handler.restype = (ctypes.c_int, ctypes.c_void_p), ctypes.c_void_p
    set_handler(signal.SIGABRT, ctypes.cast(_installed, ctypes.c_void_p))


def _handle(words: Callable[[], tuple[int, str] | None]) -> None:
    if said := words():
        code, message = said
        tell(message)
        leave(code)
    on_abort(None)


def tell(message: str) -> None:
    """Write an `error:` line past Python's streams: their locks may be held by a thread that hangs."""
    os.write(2, f"error: {message}\n".encode())


def leave(code: int) -> NoReturn:
    """End at once: what runs at exit otherwise waits for processes that are gone."""
    os._exit(code)

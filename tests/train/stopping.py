"""What tests of interrupted runs share."""

import signal

import pytest

from jmed_jax.train import loop


def stop_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Send this process SIGINT when the given step has been recorded."""
    write = loop.MetricsLog.write

    def write_and_stop(self: loop.MetricsLog, step: int, *values: float) -> None:
        write(self, step, *values)
        if step == steps:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(loop.MetricsLog, "write", write_and_stop)

"""TensorBoard event files, written where they are called from.

tensorboardX's own `SummaryWriter` hands events to a thread: when the disk is full that thread dies, and the next event
but ten waits for it for ever.
"""

import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

TENSORBOARD = "tensorboard"


class Board:
    """Scalars of steps."""

    def __init__(self, run: Path, last_step: int) -> None:
        """
        Args:
            last_step: what older files say of later steps is hidden: those steps are computed again.
        """
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        directory = run / TENSORBOARD
        directory.mkdir(parents=True, exist_ok=True)
        # Its name tells seconds: two starts within one would share a file.
        self.writer = EventsWriter(str(directory / "events"), f".{os.getpid()}.{uuid.uuid4().hex[:8]}")
        start = SessionLog(status=SessionLog.START)
        self.writer.write_event(Event(step=last_step + 1, wall_time=time.time(), session_log=start))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """All values of one step in one event."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        scalars = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self.writer.write_event(Event(step=step, wall_time=time.time(), summary=Summary(value=scalars)))

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()

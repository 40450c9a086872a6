"""Several processes as one: start-up, what the first of them does alone, and how none outlives another.

Process 0 runs JAX's coordination service. JAX itself notices a dead process, but answers with a C++ stack trace and
SIGABRT, or hangs in a collective until then; the watch (`watch.py`) speaks first.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from jmed_jax.errors import InputError
from jmed_jax.parallel.abort import on_abort
from jmed_jax.parallel.cluster import Cluster, find_cluster
from jmed_jax.parallel.watch import Watch

# Nobody waits this long for a process that lives: the watch ends the wait for one that does not.
_BARRIER_SECONDS = 3600
_CONNECT_SECONDS = 300


@dataclass(frozen=True)
class _Processes:
    """What this process is among the others, and JAX's line to them."""

    index: int = 0
    count: int = 1
    client: Any = None


_processes = _Processes()
_barriers = count()


def is_first() -> bool:
    """Whether this process prints, locks and writes the files there is one of. True where there is only one."""
    return _processes.index == 0


def process_count() -> int:
    """Processes that `start` has joined; 1 without it."""
    return _processes.count


def barrier(name: str) -> None:
    """Wait for all processes, through the coordination service and not the devices; nothing for one process.

    Every process passes the same barriers in the same order.
    """
    if _processes.client is not None:
        _processes.client.wait_at_barrier(f"jmed/{next(_barriers)}/{name}", _BARRIER_SECONDS * 1000)


@contextmanager
def start(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    *,
    together: tuple[type[BaseException], ...] = (),
    silence_seconds: float = 25.0,
    connect_seconds: int = _CONNECT_SECONDS,
) -> Iterator[None]:
    """Join the processes of a training run, for as long as the block lasts; nothing for a single process.

    To be entered before anything touches a device. Without arguments, Slurm steps, the JobSets of `launch/` and TPU
    pods are recognised by their environment. When a process dies, or leaves the block with an exception, the others
    print one line that names it and end, with 1 or with the code that `InputError` has.

    Args:
        coordinator: `HOST:PORT` at which process 0 listens.
        processes: how many.
        process: which one this is, from 0.
        together: exceptions that all processes raise at the same step: no one's failure.
        silence_seconds: without a sign of life from a process, after which it counts as dead.
        connect_seconds: to wait for all processes at the start.

    Raises:
        InputError: the arguments do not fit together, or the processes do not find each other.
    """
    cluster = find_cluster(coordinator, processes, process)
    if cluster is None:
        yield
        return
    watch = _join(cluster, silence_seconds, connect_seconds)
    try:
        yield
    except together:
        _part(watch)
        raise
    except BaseException as error:
        watch.fail(error)
        raise
    else:
        _part(watch)


def _join(cluster: Cluster, silence_seconds: float, connect_seconds: int) -> Watch:
    import jax

    # Has no public name; Orbax and others take it from here too.
    from jax._src.distributed import global_state

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    lost = f"the processes of this run did not find each other within {connect_seconds} s: this is {cluster}."
    on_abort(lambda: (2, lost))
    try:
        jax.distributed.initialize(
            coordinator_address=cluster.coordinator,
            num_processes=cluster.processes,
            process_id=cluster.process,
            local_device_ids=cluster.local_devices,
            # `find_cluster` has done it.
            cluster_detection_method="deactivate",
            initialization_timeout=connect_seconds,
            # The second line of defence, where a process is too busy for the watch. JAX's signs of life are half of
            # this apart: less than double would sometimes be first.
            heartbeat_timeout_seconds=round(silence_seconds * 2.4),
            shutdown_timeout_seconds=30,
        )
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{cluster}: {str(error).splitlines()[0]}") from error
    watch = Watch(global_state.client, cluster.process, cluster.coordinator, silence_seconds)
    watch.begin()
    global _processes
    _processes = _Processes(cluster.process, cluster.processes, global_state.client)
    return watch


def _part(watch: Watch) -> None:
    """Leave together: whoever ends while others still work would look dead to them."""
    import jax

    barrier("end")
    watch.end()
    jax.distributed.shutdown()
    global _processes
    _processes = _Processes()

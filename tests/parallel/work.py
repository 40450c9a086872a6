"""One process of a run that does nothing but add: `python -m tests.parallel.work HOST:PORT N I WHAT`."""

import sys
import time

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jmed_jax.config import MeshConfig
from jmed_jax.errors import InputError
from jmed_jax.parallel import distributed
from jmed_jax.parallel.mesh import make_mesh
from jmed_jax.parallel.sharding import batch_sharding

SILENCE_SECONDS = 3.0
CONNECT_SECONDS = 8


class Interrupted(Exception):
    """All processes raise it."""


def main(coordinator: str, processes: str, process: str, what: str) -> None:
    with distributed.start(
        coordinator,
        int(processes),
        int(process),
        together=(Interrupted,),
        silence_seconds=SILENCE_SECONDS,
        connect_seconds=CONNECT_SECONDS,
    ):
        mesh = make_mesh(MeshConfig())
        rows = jax.make_array_from_process_local_data(batch_sharding(mesh), np.ones(jax.local_device_count()))
        add = jax.jit(lambda x: x.sum(), out_shardings=NamedSharding(mesh, PartitionSpec()))
        print(f"sum {float(add(rows)):.0f}, first {distributed.is_first()}", flush=True)
        if what == "together":
            raise Interrupted
        if what == f"refuse {process}":
            raise InputError("these rows are not rows.")
        if what == f"break {process}":
            raise RuntimeError("broken\nfor good")
        if what.startswith(("refuse", "break")):
            distributed.barrier("never passed")
        while what == "compute":
            float(add(rows))
        if what == "wait":
            time.sleep(600)
    print("done")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except InputError as error:
        print(f"error: {error}")
        sys.exit(2)
    except Interrupted:
        sys.exit(130)

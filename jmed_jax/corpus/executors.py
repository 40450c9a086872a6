"""Running the stages of a build through datatrove's executors: here, on a Slurm cluster, or on Ray.

Every stage has a folder with a mark for each task that is done, so a build that was killed goes on where it was.
"""

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from copy import deepcopy
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import Any, Literal

from datatrove.executor import LocalPipelineExecutor, RayPipelineExecutor, SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep

from jmed_jax.errors import InputError
from jmed_jax.progress import say, track


@dataclass(frozen=True)
class Executor:
    """Where the tasks run, and how many at one time."""

    kind: Literal["local", "ray"] = "local"
    workers: int = 1


@dataclass(frozen=True)
class Stage:
    """Steps that every task of the stage runs one after the other."""

    name: str
    steps: Sequence[PipelineStep]
    tasks: int


def run_stages(stages: Sequence[Stage], folder: Path, executor: Executor) -> None:
    """Run the stages in order, leaving out the tasks that are done already.

    Args:
        folder: of the unfinished build; a stage's marks and logs stand in `folder/NAME`.

    Raises:
        InputError: Ray is not installed; whatever a step raises.
    """
    _silence_datatrove()
    if executor.kind == "ray":
        _start_ray()
    with _workers(executor) as pool:
        for stage in stages:
            logs = str(folder / stage.name)
            if executor.kind == "local":
                LocalExecutor(stage, logs).run_with(pool)
            else:
                RayPipelineExecutor(list(stage.steps), stage.tasks, executor.workers, logging_dir=logs).run()


@contextlib.contextmanager
def _workers(executor: Executor) -> Iterator[ProcessPoolExecutor | None]:
    """Processes for all stages, which have imported what the steps need; None if this process does the work."""
    if executor.kind != "local" or executor.workers == 1:
        yield None
        return
    # A process in which JAX has been used must not fork: a server that has not is asked to.
    context = get_context("forkserver")
    context.set_forkserver_preload(["jmed_jax.corpus.pipeline"])
    others = set(active_children())
    pool = ProcessPoolExecutor(executor.workers, context, initializer=_end_with_parent)
    try:
        yield pool
    except BaseException as error:
        # A task that is cut off is not marked as done. Nobody may write on when this returns.
        for worker in set(active_children()) - others:
            worker.terminate()
        if not isinstance(error, BrokenProcessPool):
            raise
        raise InputError(
            "a worker was killed, by the system for want of memory perhaps. Give fewer --workers; the same command "
            "goes on where it was."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """In a worker: end when the process that wants the work is killed."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class LocalExecutor(LocalPipelineExecutor):
    """datatrove's executor for one machine, with our processes instead of a pool and a manager a stage."""

    def __init__(self, stage: Stage, logging_dir: str) -> None:
        super().__init__(list(stage.steps), stage.tasks, logging_dir=logging_dir)
        self.name = stage.name
        Path(logging_dir).mkdir(parents=True, exist_ok=True)

    def run_with(self, pool: ProcessPoolExecutor | None) -> None:
        """Run the tasks that are left, here if there is no pool; the first that fails ends it."""
        ranks = self.get_incomplete_ranks()
        if len(ranks) < self.tasks:
            say(f"{self.name}: {self.tasks - len(ranks)} of {self.tasks} tasks are done already")
        label = f"Corpus, {self.name}"
        if pool is None:
            for rank in track(ranks, label, unit="tasks"):
                self.run_rank(rank)
            return
        futures = [pool.submit(self.run_rank, rank) for rank in ranks]
        for future in track(as_completed(futures), label, total=len(futures), unit="tasks"):
            future.result()

    def run_rank(self, rank: int) -> None:
        """Run one task; what datatrove prints goes to the stage's log."""
        executor = deepcopy(self)
        with (
            Path(self.logging_dir.resolve_paths("output.log")).open("a", encoding="utf-8") as log,
            contextlib.redirect_stderr(log),
        ):
            executor._run_for_rank(rank)
            _silence_datatrove()


def _silence_datatrove() -> None:
    """Drop loguru's handlers, which print to standard error as soon as datatrove is imported."""
    from loguru import logger

    logger.remove()


# --- clusters ---------------------------------------------------------------------------------------------------------


def submit_stages(stages: Sequence[Stage], folder: Path, slurm: Mapping[str, str]) -> None:
    """Submit the stages as Slurm job arrays, each waiting for the one before.

    Args:
        folder: as for `run_stages`, on a file system that the nodes share.
        slurm: `partition` and `time`; `workers`, `cpus_per_task`, `mem_per_cpu_gb`, `qos` where wanted; any other name
            is passed to sbatch as it is.

    Raises:
        InputError: partition or time are missing, or jobs cannot be submitted here.
    """
    _silence_datatrove()
    if "partition" not in slurm or "time" not in slurm:
        raise InputError("Slurm needs a partition and a time: --slurm partition=NAME --slurm time=24:00:00.")
    if shutil.which("sbatch") is None:
        raise InputError("sbatch: not found. --executor slurm runs where jobs can be submitted.")
    texts = {name: slurm[name] for name in ("partition", "time", "qos") if name in slurm}
    numbers = {name: _whole(name, slurm) for name in ("workers", "cpus_per_task", "mem_per_cpu_gb") if name in slurm}
    others = {name: value for name, value in slurm.items() if name not in {**texts, **numbers}}
    last: SlurmPipelineExecutor | None = None
    for stage in stages:
        last = SlurmPipelineExecutor(
            list(stage.steps),
            tasks=stage.tasks,
            job_name=f"jmed-{stage.name}",
            logging_dir=str(folder / stage.name),
            depends=last,
            venv_path=_virtual_environment(),
            sbatch_args=others,
            mail_type="NONE",
            **texts,
            **numbers,
        )
    assert last is not None
    last.run()


def _whole(name: str, slurm: Mapping[str, str]) -> int:
    if not slurm[name].isdecimal():
        raise InputError(f"--slurm {name}={slurm[name]}: expected a whole number.")
    return int(slurm[name])


def _virtual_environment() -> str | None:
    """The script that activates the environment we run in, for the jobs."""
    activate = Path(sys.prefix) / "bin" / "activate"
    return str(activate) if activate.is_file() else None


def _start_ray() -> None:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError("--executor ray needs Ray: pip install 'jmed_jax[ray]'.") from error
    # An address in RAY_ADDRESS is that of a running cluster; without one this machine is the cluster.
    options: dict[str, Any] = {} if os.environ.get("RAY_ADDRESS") else {"include_dashboard": False}
    ray.init(ignore_reinit_error=True, log_to_driver=False, **options)

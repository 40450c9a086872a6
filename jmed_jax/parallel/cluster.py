"""Where this process finds the others: from options, or from what Slurm, Kubernetes and TPU pods set."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from jmed_jax.errors import InputError

# What launch/kubernetes_gpu.sh sets; Kubernetes itself adds the index to every pod of an Indexed Job.
COORDINATOR = "JMED_COORDINATOR"
PROCESSES = "JMED_PROCESSES"
COMPLETION_INDEX = "JOB_COMPLETION_INDEX"

# Above Linux's ephemeral ports (32768 to 60999), where something else could have taken it by chance.
_FIRST_PORT, _PORTS = 61_440, 4_096
_METADATA_SECONDS = 300


@dataclass(frozen=True)
class Cluster:
    """The processes of one run."""

    coordinator: str
    """`HOST:PORT` of process 0."""
    processes: int
    process: int
    local_devices: tuple[int, ...] | None = None
    """Of the GPUs visible here, those that are this process's; None: all."""

    def __str__(self) -> str:
        return f"process {self.process} of {self.processes}, coordinator {self.coordinator}"


def find_cluster(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Cluster | None:
    """The run this process belongs to; None if it is alone. Options come before the environment.

    Raises:
        InputError: options or variables that do not fit together.
    """
    if coordinator is not None and processes is not None and process is not None:
        cluster = Cluster(coordinator, processes, process)
    elif coordinator is None and processes is None and process is None:
        found = _from_slurm(environment) or _from_kubernetes(environment) or _from_tpu()
        if found is None:
            return None
        cluster = found
    else:
        raise InputError("--coordinator HOST:PORT, --processes N and --process I go together: give all three or none.")
    if not re.fullmatch(r".+:\d{1,5}", cluster.coordinator):
        raise InputError(f"{cluster.coordinator}: not HOST:PORT. Give the address at which process 0 is to listen.")
    if not 0 <= cluster.process < cluster.processes:
        raise InputError(f"process {cluster.process} of {cluster.processes}: processes are counted from 0.")
    return cluster if cluster.processes > 1 else None


def _from_kubernetes(environment: Mapping[str, str]) -> Cluster | None:
    if COORDINATOR not in environment:
        return None
    if missing := [name for name in (PROCESSES, COMPLETION_INDEX) if not environment.get(name, "").isdecimal()]:
        raise InputError(
            f"{COORDINATOR} is set, but {' and '.join(missing)} is not a number. "
            "Start this as an Indexed Job, as launch/kubernetes_gpu.sh does."
        )
    return Cluster(environment[COORDINATOR], int(environment[PROCESSES]), int(environment[COMPLETION_INDEX]))


def _from_tpu() -> Cluster | None:
    """The hosts of a slice, or of several, that JAX knows from the machine's metadata or from GKE's variables."""
    from jax._src import cloud_tpu_init, clusters

    # False where there are no TPU chips; nothing is asked of any network then.
    if not cloud_tpu_init.running_in_cloud_tpu_vm:
        return None
    for pod in (clusters.GkeTpuCluster, clusters.GceTpuCluster):
        if pod.is_env_present():
            address = pod.get_coordinator_address(timeout_secs=_METADATA_SECONDS, override_coordinator_port=None)
            return Cluster(address, pod.get_process_count(), pod.get_process_id())
    return None


def _from_slurm(environment: Mapping[str, str]) -> Cluster | None:
    """The tasks of the `srun` step; a batch script's own shell, outside a step, is alone."""
    if int(environment.get("SLURM_STEP_NUM_TASKS", "1")) == 1 or "SLURM_PROCID" not in environment:
        return None
    host = _first_host(environment["SLURM_STEP_NODELIST"])
    # Steps of one job may share a node.
    number = int(environment["SLURM_JOB_ID"]) * 16 + int(environment.get("SLURM_STEP_ID", "0"))
    return Cluster(
        coordinator=f"{host}:{_FIRST_PORT + number % _PORTS}",
        processes=int(environment["SLURM_STEP_NUM_TASKS"]),
        process=int(environment["SLURM_PROCID"]),
        local_devices=_share_of_node(environment),
    )


def _first_host(hosts: str) -> str:
    """`gpu[003-007,9],login` → `gpu003`; brackets may stand anywhere in a name."""
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])+", hosts)
    assert first, hosts
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", first[0])


def _share_of_node(environment: Mapping[str, str]) -> tuple[int, ...] | None:
    """This task's part of the node's GPUs, where Slurm shows all of them to every task."""
    tasks = _tasks_per_node(environment["SLURM_STEP_TASKS_PER_NODE"])[int(environment["SLURM_NODEID"])]
    visible = environment.get("CUDA_VISIBLE_DEVICES", "")
    bound = any(name in environment for name in ("SLURM_GPUS_PER_TASK", "SLURM_GPU_BIND", "SLURM_TRES_PER_TASK"))
    if tasks == 1 or bound or not visible:
        return None
    count = len(visible.split(","))
    if count % tasks:
        raise InputError(f"{tasks} tasks on this node cannot share its {count} GPU(s). Set --ntasks-per-node.")
    share = count // tasks
    first = int(environment["SLURM_LOCALID"]) * share
    return tuple(range(first, first + share))


def _tasks_per_node(text: str) -> list[int]:
    """`4(x2),1` → [4, 4, 1]."""
    parts = re.findall(r"(\d+)(?:\(x(\d+)\))?", text)
    return [int(tasks) for tasks, times in parts for _ in range(int(times or 1))]

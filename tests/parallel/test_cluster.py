"""Which process of how many this is, from options and from what Slurm, Kubernetes and TPU pods set."""

import re

import pytest

from jmed_jax.errors import InputError
from jmed_jax.parallel.cluster import Cluster, find_cluster

SLURM = {
    "SLURM_JOB_ID": "1234",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NODELIST": "gpu[003-007,9],login",
    "SLURM_STEP_NUM_TASKS": "24",
    "SLURM_STEP_TASKS_PER_NODE": "4(x5),2(x2)",
    "SLURM_PROCID": "6",
    "SLURM_NODEID": "1",
    "SLURM_LOCALID": "2",
}
KUBERNETES = {
    "JMED_COORDINATOR": "run-workers-0-0.run:8476",
    "JMED_PROCESSES": "4",
    "JOB_COMPLETION_INDEX": "3",
}


def test_alone_without_options_and_environment() -> None:
    assert find_cluster(environment={}) is None


def test_options() -> None:
    assert find_cluster("host:1234", 4, 0, environment={}) == Cluster("host:1234", 4, 0)
    assert find_cluster("host:1234", 1, 0, environment={}) is None


def test_options_come_before_the_environment() -> None:
    assert find_cluster("host:1234", 2, 1, environment=SLURM | KUBERNETES) == Cluster("host:1234", 2, 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("host:1234", None, None), "give all three or none"),
        ((None, 2, 0), "give all three or none"),
        (("host:1234", 2, None), "give all three or none"),
        (("host", 2, 0), "host: not HOST:PORT"),
        (("host:1234", 2, 2), "process 2 of 2: processes are counted from 0"),
        (("host:1234", 2, -1), "process -1 of 2"),
    ],
)
def test_options_that_do_not_fit_together(given: tuple[str | None, int | None, int | None], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        find_cluster(*given, environment={})


def test_slurm() -> None:
    # 61440 + (1234 × 16 + step 0) mod 4096, above the ports that systems hand out.
    assert find_cluster(environment=SLURM) == Cluster("gpu003:64800", 24, 6)


@pytest.mark.parametrize(
    ("hosts", "first"),
    [
        ("node001", "node001"),
        ("node001,node2", "node001"),
        ("node[1-4]", "node1"),
        ("node[08,11-12],x", "node08"),
        ("rack[2-3]-node[1,5]-ib,x[1-2]", "rack2-node1-ib"),
    ],
)
def test_the_first_host_of_a_slurm_list(hosts: str, first: str) -> None:
    cluster = find_cluster(environment=SLURM | {"SLURM_STEP_NODELIST": hosts})
    assert cluster is not None
    assert cluster.coordinator.split(":")[0] == first


def test_two_steps_of_a_slurm_job_do_not_meet() -> None:
    first, second = (find_cluster(environment=SLURM | {"SLURM_STEP_ID": step}) for step in "01")
    assert first is not None and second is not None
    assert first.coordinator != second.coordinator


@pytest.mark.parametrize("missing", [{"SLURM_STEP_NUM_TASKS": "1"}, {"SLURM_PROCID": None}])
def test_a_single_task_and_a_batch_script_are_alone(missing: dict[str, str | None]) -> None:
    environment = {name: value for name, value in (SLURM | missing).items() if value is not None}
    assert find_cluster(environment=environment) is None


@pytest.mark.parametrize(
    ("changes", "devices"),
    [
        # Task 2 of 4 on its node.
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3"}, (2,)),
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3,4,5,6,7"}, (4, 5)),
        ({"CUDA_VISIBLE_DEVICES": ""}, None),
        # The last nodes have two tasks each.
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3", "SLURM_NODEID": "6", "SLURM_LOCALID": "1"}, (2, 3)),
        # One task a node has all of its GPUs.
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3", "SLURM_STEP_TASKS_PER_NODE": "1(x24)"}, None),
        # Slurm has given each task its own already.
        ({"CUDA_VISIBLE_DEVICES": "0", "SLURM_GPUS_PER_TASK": "1"}, None),
    ],
)
def test_slurm_tasks_share_the_gpus_of_their_node(changes: dict[str, str], devices: tuple[int, ...] | None) -> None:
    cluster = find_cluster(environment=SLURM | changes)
    assert cluster is not None
    assert cluster.local_devices == devices


def test_slurm_tasks_that_cannot_share_the_gpus() -> None:
    with pytest.raises(InputError, match=r"4 tasks on this node cannot share its 3 GPU\(s\)"):
        find_cluster(environment=SLURM | {"CUDA_VISIBLE_DEVICES": "0,1,2"})


def test_kubernetes() -> None:
    assert find_cluster(environment=KUBERNETES) == Cluster("run-workers-0-0.run:8476", 4, 3)
    # An Indexed Job of something else, a sweep say, is not ours to join.
    assert find_cluster(environment={"JOB_COMPLETION_INDEX": "3"}) is None


def test_kubernetes_without_an_index() -> None:
    with pytest.raises(InputError, match=r"JOB_COMPLETION_INDEX is not a number\. Start this as an Indexed Job"):
        find_cluster(environment={name: KUBERNETES[name] for name in ("JMED_COORDINATOR", "JMED_PROCESSES")})


def test_a_tpu_pod(monkeypatch: pytest.MonkeyPatch) -> None:
    # What GKE sets in the second of two hosts; JAX reads it where it has found TPU chips.
    monkeypatch.setattr("jax._src.clusters.cloud_tpu_cluster.running_in_cloud_tpu_vm", True)
    monkeypatch.setattr("jax._src.cloud_tpu_init.running_in_cloud_tpu_vm", True)
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "localhost,127.0.0.1")
    monkeypatch.setenv("TPU_WORKER_ID", "1")
    # A single slice; without them the machine's metadata is asked.
    for name, value in {"COORDINATOR_ADDRESS": "localhost", "NUM_SLICES": "1", "SLICE_ID": "0"}.items():
        monkeypatch.setenv(f"MEGASCALE_{name}", value)
    assert find_cluster(environment={}) == Cluster("localhost:8482", 2, 1)
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "localhost")
    monkeypatch.setenv("TPU_WORKER_ID", "0")
    assert find_cluster(environment={}) is None

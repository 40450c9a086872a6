#!/usr/bin/env bash
# Kubernetes with GPUs, as a JobSet (https://jobset.sigs.k8s.io, 0.6 or newer): one pod a node, with all of its GPUs.
#
#   launch/kubernetes_gpu.sh --optimizer.peak-lr 5e-4
#   launch/kubernetes_gpu.sh --dry-run      prints the manifest
#
# Options go to `jmed train`. When a pod is evicted or dies, the others end by themselves and the set starts again from
# the last checkpoint; bad input (exit code 2) ends it for good.
set -euo pipefail

NAME=${NAME:-jmed}
NAMESPACE=${NAMESPACE:-default}
IMAGE=${IMAGE:-ghcr.io/my-group/jmed:gpu} # with jmed_jax[gpu]
NODES=${NODES:-2}
GPUS=${GPUS:-8} # a node
CLAIM=${CLAIM:-jmed} # PersistentVolumeClaim that all pods can write to (ReadWriteMany): rows and runs
CONFIG=${CONFIG:-/data/configs/ncvc_slm_1b.py}
RUN=${RUN:-/data/runs/ncvc_slm_1b}
ROWS=${ROWS:-/data/rows}
MAX_RESTARTS=${MAX_RESTARTS:-100}
PORT=${PORT:-8476}

dry_run=false
if [[ ${1:-} == --dry-run ]]; then
  dry_run=true
  shift
fi

command=(jmed train "$CONFIG" --run "$RUN" --data.rows "$ROWS" "$@")

quoted() { # each argument as a YAML string in a flow sequence
  local text=() part
  for part in "$@"; do
    text+=("'${part//\'/\'\'}'")
  done
  local IFS=,
  echo "[${text[*]}]"
}

manifest() {
  cat <<YAML
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: $NAME
  namespace: $NAMESPACE
spec:
  # Pods are found as NAME-workers-0-INDEX.NAME, also before they are ready.
  network:
    enableDNSHostnames: true
    publishNotReadyAddresses: true
  failurePolicy:
    maxRestarts: $MAX_RESTARTS
    rules:
      - name: badInput
        action: FailJobSet
        onJobFailureReasons: [PodFailurePolicy]
  replicatedJobs:
    - name: workers
      replicas: 1
      template:
        spec:
          completionMode: Indexed
          parallelism: $NODES
          completions: $NODES
          backoffLimit: 0
          podFailurePolicy:
            rules:
              - action: FailJob
                onExitCodes:
                  containerName: jmed
                  operator: In
                  values: [2]
          template:
            spec:
              restartPolicy: Never
              # Time to save after SIGTERM.
              terminationGracePeriodSeconds: 300
              containers:
                - name: jmed
                  image: $IMAGE
                  env:
                    - name: JMED_COORDINATOR
                      value: $NAME-workers-0-0.$NAME:$PORT
                    - name: JMED_PROCESSES
                      value: "$NODES"
                  ports:
                    - containerPort: $PORT
                  resources:
                    limits:
                      nvidia.com/gpu: $GPUS
                  volumeMounts:
                    - name: data
                      mountPath: /data
                    - name: shm
                      mountPath: /dev/shm
                  command: $(quoted "${command[@]}")
              volumes:
                - name: data
                  persistentVolumeClaim:
                    claimName: $CLAIM
                # NCCL's; the default of 64 MiB is too small for it.
                - name: shm
                  emptyDir:
                    medium: Memory
YAML
}

if $dry_run; then
  manifest
else
  manifest | kubectl apply -f -
fi

#!/usr/bin/env bash
# GKE with TPUs, as a JobSet (https://jobset.sigs.k8s.io, 0.6 or newer): one Job a slice, one pod a host.
#
#   launch/kubernetes_tpu.sh --optimizer.peak-lr 5e-4
#   launch/kubernetes_tpu.sh --dry-run      prints the manifest
#
# Options go to `jmed train`, which finds the other hosts through what GKE sets in every pod (TPU_WORKER_HOSTNAMES,
# TPU_WORKER_ID, MEGASCALE_…). When a pod is evicted or dies, the others end by themselves and the set starts again from
# the last checkpoint; bad input (exit code 2) ends it for good.
set -euo pipefail

NAME=${NAME:-jmed}
NAMESPACE=${NAMESPACE:-default}
IMAGE=${IMAGE:-ghcr.io/my-group/jmed:tpu} # with jmed_jax[tpu]
SLICES=${SLICES:-1}                       # more are joined along mesh.data
ACCELERATOR=${ACCELERATOR:-tpu-v5-lite-podslice}
TOPOLOGY=${TOPOLOGY:-8x8}
HOSTS=${HOSTS:-16} # of a slice: its chips / CHIPS
CHIPS=${CHIPS:-4}  # a host
CLAIM=${CLAIM:-jmed} # PersistentVolumeClaim that all pods can write to (ReadWriteMany): rows and runs
CONFIG=${CONFIG:-/data/configs/ncvc_slm_1b.py}
RUN=${RUN:-/data/runs/ncvc_slm_1b}
ROWS=${ROWS:-/data/rows}
MAX_RESTARTS=${MAX_RESTARTS:-100}

dry_run=false
if [[ ${1:-} == --dry-run ]]; then
  dry_run=true
  shift
fi

chips=$((${TOPOLOGY//x/*}))
if ((chips != HOSTS * CHIPS)); then
  echo "error: TOPOLOGY $TOPOLOGY has $chips chips, but HOSTS $HOSTS × CHIPS $CHIPS are $((HOSTS * CHIPS))" >&2
  exit 2
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
  annotations:
    # All pods of a Job onto one slice, and no other Job onto it.
    alpha.jobset.sigs.k8s.io/exclusive-topology: cloud.google.com/gke-nodepool
spec:
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
    - name: slice
      replicas: $SLICES
      template:
        spec:
          completionMode: Indexed
          parallelism: $HOSTS
          completions: $HOSTS
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
              nodeSelector:
                cloud.google.com/gke-tpu-accelerator: $ACCELERATOR
                cloud.google.com/gke-tpu-topology: $TOPOLOGY
              containers:
                - name: jmed
                  image: $IMAGE
                  ports:
                    # JAX's coordinator; TPU hosts among each other; slices among each other.
                    - containerPort: 8482
                    - containerPort: 8471
                    - containerPort: 8080
                  resources:
                    limits:
                      google.com/tpu: $CHIPS
                  volumeMounts:
                    - name: data
                      mountPath: /data
                  command: $(quoted "${command[@]}")
              volumes:
                - name: data
                  persistentVolumeClaim:
                    claimName: $CLAIM
YAML
}

if $dry_run; then
  manifest
else
  manifest | kubectl apply -f -
fi

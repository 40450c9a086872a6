#!/usr/bin/env bash
# Cloud TPU pod through gcloud: get it, prepare it, train on all of its hosts, give it back.
#
#   launch/tpu_pod.sh queue       request it and wait in line (or `create`: at once or not at all)
#   launch/tpu_pod.sh setup       install jmed and mount the shared disk on every host
#   launch/tpu_pod.sh train --optimizer.peak-lr 5e-4
#   launch/tpu_pod.sh stop        save and end the run
#   launch/tpu_pod.sh delete
#   launch/tpu_pod.sh --dry-run train
#
# Options after `train` go to `jmed train`, which finds the other hosts through the pod's metadata. A spot TPU that is
# taken away sends SIGTERM first: the run saves. Get another and the same `train` goes on, on any number of chips.
set -euo pipefail

PROJECT=${PROJECT:-my-project}
ZONE=${ZONE:-us-west4-a}
TPU=${TPU:-jmed}
TYPE=${TYPE:-v5litepod-64}
RUNTIME=${RUNTIME:-v2-alpha-tpuv5-lite}
SPOT=${SPOT:-true}
PACKAGE=${PACKAGE:-jmed_jax[tpu]}        # what pip installs: a name, or the address of a wheel or repository
NFS=${NFS:-10.0.0.2:/share}              # Filestore share in the TPU's network: rows and runs
CONFIG=${CONFIG:-/mnt/jmed/configs/ncvc_slm_1b.py}
RUN=${RUN:-/mnt/jmed/runs/ncvc_slm_1b}
ROWS=${ROWS:-/mnt/jmed/rows}

dry_run=false
if [[ ${1:-} == --dry-run ]]; then
  dry_run=true
  shift
fi
action=${1:?create, queue, setup, train, stop or delete}
shift

run() {
  if $dry_run; then
    printf '%q ' "$@"
    printf '\n'
  else
    "$@"
  fi
}

place=(--project="$PROJECT" --zone="$ZONE")
size=(--accelerator-type="$TYPE")
if [[ $SPOT == true ]]; then
  size+=(--spot)
fi

on_all_hosts() { # a command line for the shell there
  run gcloud compute tpus tpu-vm ssh "$TPU" "${place[@]}" --worker=all --command="$1"
}

case $action in
create)
  run gcloud compute tpus tpu-vm create "$TPU" "${place[@]}" "${size[@]}" --version="$RUNTIME"
  ;;
queue)
  run gcloud compute tpus queued-resources create "$TPU" "${place[@]}" "${size[@]}" --runtime-version="$RUNTIME" \
    --node-id="$TPU"
  ;;
setup)
  on_all_hosts "sudo apt-get -qq install -y nfs-common python3-venv &&
sudo mkdir -p /mnt/jmed && { mountpoint -q /mnt/jmed || sudo mount $(printf %q "$NFS") /mnt/jmed; } &&
python3 -m venv ~/jmed && ~/jmed/bin/pip install -q $(printf %q "$PACKAGE")"
  ;;
train)
  # exec: the signal of a lost connection or a preemption reaches jmed itself.
  # shellcheck disable=SC2088 # the tilde is for the shell on the host
  on_all_hosts "exec ~/jmed/bin/jmed train$(printf ' %q' "$CONFIG" --run "$RUN" --data.rows "$ROWS" "$@")"
  ;;
stop)
  on_all_hosts "pkill -TERM -f 'jmed[/]bin/jmed train'"
  ;;
delete)
  # A queued resource takes its TPU with it.
  if $dry_run || gcloud compute tpus queued-resources describe "$TPU" "${place[@]}" >/dev/null 2>&1; then
    run gcloud compute tpus queued-resources delete "$TPU" "${place[@]}" --force --quiet
  else
    run gcloud compute tpus tpu-vm delete "$TPU" "${place[@]}" --quiet
  fi
  ;;
*)
  echo "error: $action: not one of create, queue, setup, train, stop, delete" >&2
  exit 2
  ;;
esac

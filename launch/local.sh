#!/usr/bin/env bash
# Several processes on this machine: to try what a cluster will do, or with one GPU or more for each process.
#
#   PROCESSES=4 launch/local.sh --optimizer.peak-lr 5e-4
#   launch/local.sh --dry-run
#
# Options go to `jmed train`. TERM and INT (Ctrl-C) reach every process: it saves and ends, and the same command goes on.
set -euo pipefail

CONFIG=${CONFIG:-configs/ncvc_slm_30m.py}
RUN=${RUN:-out/run}
ROWS=${ROWS:-out/rows}
PROCESSES=${PROCESSES:-2}
GPUS_PER_PROCESS=${GPUS_PER_PROCESS:-0} # 0: no GPUs here; CPU devices are JAX_NUM_CPU_DEVICES for each process
PORT=${PORT:-8476}
JMED=${JMED:-jmed}

dry_run=false
if [[ ${1:-} == --dry-run ]]; then
  dry_run=true
  shift
fi

command_of() { # of process $1, into the array `command`
  local process=$1
  shift
  command=("$JMED" train "$CONFIG" --run "$RUN" --data.rows "$ROWS")
  command+=(--coordinator "localhost:$PORT" --processes "$PROCESSES" --process "$process" "$@")
}

gpus_of() { # of process $1: 0,1 then 2,3 …
  seq -s, $(($1 * GPUS_PER_PROCESS)) $((($1 + 1) * GPUS_PER_PROCESS - 1))
}

pids=()
# shellcheck disable=SC2317,SC2329 # the trap calls it
pass_on() {
  for pid in "${pids[@]}"; do
    kill -TERM "$pid" 2>/dev/null || true # it may have ended already
  done
}
trap pass_on TERM INT

for ((process = 0; process < PROCESSES; process++)); do
  command_of "$process" "$@"
  if ((GPUS_PER_PROCESS > 0)); then
    command=(env "CUDA_VISIBLE_DEVICES=$(gpus_of "$process")" "${command[@]}")
  fi
  if $dry_run; then
    printf '%q ' "${command[@]}"
    printf '\n'
  else
    "${command[@]}" &
    pids+=($!)
  fi
done
if $dry_run; then
  exit
fi

# A process that dies ends the others within half a minute; the first code that is not 0 is ours.
code=0
for pid in "${pids[@]}"; do
  # A signal ends `wait`, not the process.
  while kill -0 "$pid" 2>/dev/null; do
    wait "$pid" || true
  done
  status=0
  wait "$pid" || status=$?
  ((code != 0)) || code=$status
done
exit "$code"

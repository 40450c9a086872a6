#!/usr/bin/env bash
# Slurm: one process a node, with all of its GPUs.
#
#   sbatch launch/slurm.sh --optimizer.peak-lr 5e-4
#   bash launch/slurm.sh --dry-run
#
# Options go to `jmed train`. The tasks get SIGTERM when the job is preempted, and 5 minutes before its time is over:
# the run saves and ends with 130, the job is queued again and goes on where it was.
#SBATCH --job-name=jmed
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@300
#SBATCH --output=%x-%j.log
set -euo pipefail

CONFIG=${CONFIG:-configs/ncvc_slm_1b.py}
RUN=${RUN:-/shared/runs/ncvc_slm_1b} # on a file system of all nodes, like ROWS
ROWS=${ROWS:-/shared/rows}
JMED=${JMED:-jmed}
MAX_RESTARTS=${MAX_RESTARTS:-100}

dry_run=false
if [[ ${1:-} == --dry-run ]]; then
  dry_run=true
  shift
fi

# A process that dies makes the others end by themselves, and say why: Slurm leaves them two minutes for it.
command=(srun --kill-on-bad-exit=0 --wait=120)
command+=("$JMED" train "$CONFIG" --run "$RUN" --data.rows "$ROWS" "$@")
if $dry_run; then
  printf '%q ' "${command[@]}"
  printf '\n'
  exit
fi

# The signal is for the tasks; this shell lives on to see how they end.
trap : TERM
code=0
"${command[@]}" || code=$?
if ((code == 130)); then
  if ((${SLURM_RESTART_COUNT:-0} >= MAX_RESTARTS)); then
    echo "interrupted, and restarted $MAX_RESTARTS times already: not queued again" >&2
    exit "$code"
  fi
  # Slurm itself may have done so, on preemption.
  scontrol requeue "$SLURM_JOB_ID" || echo "not queued again by this script" >&2
fi
exit "$code"

#!/usr/bin/env bash
# Train on all GPUs of one machine, or of several that reach one another: the same command on each of them.
#   NODES=2 HEAD=10.0.0.1 cloud/torchrun.sh model=inception data.root=/data/xrays trainer.default_root_dir=/shared/runs
# NODES: machines; HEAD: one of them, and PORT: free there; GPUS: of each machine; RESTARTS: after a process has failed.
# SIGTERM ends it with exit code 143; the same command goes on from the last whole epoch.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
NODES=${NODES:-1}
GPUS=${GPUS:-$(nvidia-smi --list-gpus | wc -l)}
stopped=''
job=''
trap 'stopped=yes; kill -TERM "$job" 2>/dev/null' TERM INT
for ((attempt = 0; ; attempt++)); do
  # Not --max-restarts: torchrun keeps its store, and with it the addresses of the processes that are gone.
  torchrun \
    --nnodes="$NODES" \
    --nproc-per-node="$GPUS" \
    --rdzv-backend=c10d \
    --rdzv-endpoint="${HEAD:-localhost}:${PORT:-29500}" \
    --rdzv-id="${JOB:-covidnet}" \
    --max-restarts=0 \
    train.py trainer=ddp trainer.devices="$GPUS" trainer.num_nodes="$NODES" ckpt_path=auto "$@" &
  job=$!
  wait "$job"
  code=$?
  if [ -n "$stopped" ]; then
    wait "$job"
    exit 143
  fi
  # What fails in its first minute would fail again: a mistake in the command, mostly.
  if [ "$code" -eq 0 ] || [ "$attempt" -ge "${RESTARTS:-3}" ] ||
    { [ "$attempt" -eq 0 ] && [ "$SECONDS" -lt "${YOUNG:-60}" ]; }; then
    exit "$code"
  fi
  echo "A process has failed (exit code $code): starting again from the last whole epoch." >&2
  sleep 10 &
  job=$!
  wait "$job"
  if [ -n "$stopped" ]; then
    exit 143
  fi
done

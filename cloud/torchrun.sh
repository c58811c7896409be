#!/usr/bin/env bash
# Train on all GPUs of one machine, or of several that reach one another: the same command on each of them.
#   NODES=2 HEAD=10.0.0.1 cloud/torchrun.sh model=inception data.root=/data/xrays trainer.default_root_dir=/shared/runs
# NODES: machines; HEAD: one of them, and PORT: free there; GPUS: of each machine; RESTARTS: after a process has failed.
set -euo pipefail
cd "$(dirname "$0")/.."
NODES=${NODES:-1}
GPUS=${GPUS:-$(nvidia-smi --list-gpus | wc -l)}
exec torchrun \
  --nnodes="$NODES" \
  --nproc-per-node="$GPUS" \
  --rdzv-backend=c10d \
  --rdzv-endpoint="${HEAD:-localhost}:${PORT:-29500}" \
  --rdzv-id="${JOB:-covidnet}" \
  --max-restarts="${RESTARTS:-3}" \
  train.py trainer=ddp trainer.devices="$GPUS" trainer.num_nodes="$NODES" ckpt_path=auto "$@"

#!/usr/bin/env bash
# Train on several nodes of a SLURM cluster, and go on after preemption and after the time limit.
#   sbatch --nodes=2 cloud/slurm.sh model=inception data.root=/data/xrays trainer.default_root_dir=/shared/runs
# Submit it from the project's folder, with its environment active. Tasks a node must be as many as GPUs a node.
#SBATCH --job-name=covidnet
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@120
set -uo pipefail
cd "${SLURM_SUBMIT_DIR:-.}" || exit
export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-8}"  # since SLURM 22.05, srun does not take sbatch's
srun --kill-on-bad-exit=1 python train.py trainer=ddp trainer.devices="${SLURM_NTASKS_PER_NODE%%(*}" trainer.num_nodes="$SLURM_NNODES" \
  ckpt_path=auto "$@"
code=$?
# 143: SIGTERM came, 120 seconds before the time limit or to make room for another job. The queue starts it again.
if [ "$code" -eq 143 ]; then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"

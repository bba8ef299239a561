#!/usr/bin/env bash
# A study on a Slurm cluster: Ray's head on the first node, a worker on each of the others.
#
# Fill in: the #SBATCH lines, and below them the environment, the study, and a results folder that all nodes see.
#   start:  sbatch clusters/slurm.sh
#   watch:  tail -f biotune-JOBID.log        (the display, and the dashboard's address)
#   stop:   scancel JOBID                    (to go on: --resume DIR in place of --space)
#SBATCH --job-name=biotune
#SBATCH --output=biotune-%j.log
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
# add for GPUs: --gpus-per-task=1
set -euo pipefail

environment=${VENV:-$PWD/.venv}  # not ENVIRONMENT, which sbatch sets itself
study=${STUDY:-search_spaces/seq_mem.yaml}
results=${RESULTS:-$PWD/results}
port=${PORT:-$((20000 + SLURM_JOB_ID % 1000 * 10))}  # and the next four, since other jobs on a node may run Ray too
concurrency=${CONCURRENCY:-$((SLURM_NNODES * SLURM_CPUS_PER_TASK))}  # trials at once on all nodes; with GPUs 4 per GPU

# shellcheck disable=SC1091
source "$environment/bin/activate"

# a token for this job alone: without one, every user who can reach these nodes could run code as you
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
export RAY_AUTH_TOKEN_PATH="$results/.token-$SLURM_JOB_ID"
mkdir -p "$results"
(umask 077 && python -c 'import secrets; print(secrets.token_hex(32), end="")' >"$RAY_AUTH_TOKEN_PATH")
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=$(srun --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" hostname --ip-address | awk '{print $1}')

srun --overlap --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" \
  ray start --head --node-ip-address="$head" --port="$port" --num-cpus="$SLURM_CPUS_PER_TASK" \
  --dashboard-host=127.0.0.1 --dashboard-port=$((port + 1)) --ray-client-server-port=$((port + 2)) \
  --dashboard-agent-listen-port=$((port + 3)) --metrics-export-port=$((port + 4)) --block &
for ((attempt = 0; attempt < 60; attempt++)); do
  ray status --address="$head:$port" >/dev/null 2>&1 && break
  sleep 2
done
for node in "${nodes[@]:1}"; do
  srun --overlap --nodes=1 --ntasks=1 --nodelist="$node" \
    ray start --address="$head:$port" --num-cpus="$SLURM_CPUS_PER_TASK" \
    --dashboard-agent-listen-port=$((port + 3)) --metrics-export-port=$((port + 4)) --block &
done

python tune_main.py --space "$study" --address "$head:$port" --output "$results" --concurrency "$concurrency"

#!/bin/sh
# A folder of shards, made by the tasks of a Slurm array job on storage that all nodes share:
#
#     sh generate.sh MANIFEST -o OUTPUT/ [OPTION ...]
#
# submits 16 tasks, and the job that lets what they made take its names. A task that is requeued
# keeps the shards that it has finished.
#SBATCH --cpus-per-task=32
#SBATCH --mem=4G
set -eu
tasks=16
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
    initgen generate "$@" --part "$SLURM_ARRAY_TASK_ID/$tasks" --resume --quiet
elif [ -n "${SLURM_JOB_ID:-}" ]; then
    initgen generate "$@" --finish
else
    array=$(sbatch --parsable --requeue --array="1-$tasks" "$0" "$@")
    sbatch --dependency="afterok:$array" "$0" "$@"
fi

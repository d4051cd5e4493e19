#!/usr/bin/env bash
# Scores one input by N processes that GNU parallel starts, on this machine or, with its --sshlogin, on others that see
# the same folders:
#   scripts/cluster/score-parallel.sh 4 runs/wdbc measurements.csv -o scores
# Options for parallel come before N: score-parallel.sh --sshlogin node1,node2 8 ...
# A part that fails is tried once more. scores/_SUCCESS appears with the last part.
set -euo pipefail

launcher=()
while [ $# -gt 0 ] && ! [[ $1 =~ ^[1-9][0-9]*$ ]]; do
  launcher+=("$1")
  shift
done
[ $# -gt 1 ] || { echo "score-parallel.sh: error: expected [options of parallel] N MODEL INPUT... -o DIR" >&2; exit 2; }
parts=$1
shift
command=$(printf ' %q' "$@")
seq 0 $((parts - 1)) |
  parallel --will-cite --halt soon,fail=1 --retries 2 --workdir "$PWD" "${launcher[@]}" \
    "RANK={} WORLD_SIZE=$parts ae-score$command"

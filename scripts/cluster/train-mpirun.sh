#!/usr/bin/env bash
# Trains one model by Open MPI's launcher; MPI itself is not used. On this machine, two processes:
#   scripts/cluster/train-mpirun.sh -np 2 -- configs/wdbc.json --out runs/wdbc
# On the machines of a host file:
#   MASTER_ADDR=node1 scripts/cluster/train-mpirun.sh --hostfile hosts -np 8 -- configs/wdbc.json --out runs/wdbc
# What comes before -- is for mpirun, the rest for ae-train. MASTER_ADDR, the host of rank 0, is needed as soon as there
# are several hosts.
set -euo pipefail

launcher=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  launcher+=("$1")
  shift
done
[ $# -gt 0 ] || { echo "train-mpirun.sh: error: no -- between mpirun's options and ae-train's" >&2; exit 2; }
shift
for name in MASTER_ADDR MASTER_PORT GLOO_SOCKET_IFNAME; do
  [ -z "${!name:-}" ] || launcher+=(-x "$name")
done
exec mpirun "${launcher[@]}" ae-train "$@"

#!/usr/bin/env bash
# Fuzzes the readers under AddressSanitizer and UndefinedBehaviorSanitizer, SECONDS each (default 60), starting from
# tests/fuzz/corpus. Inputs that make one fail, and the corpus as it grew, are left in build/fuzz.
#   scripts/fuzz.sh [SECONDS [TARGET ...]]     default: each tests/fuzz/TARGET_fuzz.cpp
#   SEED=N scripts/fuzz.sh ...                 the same inputs in the same order each time, from an empty build/fuzz/corpus
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
if [ $# -eq 0 ]; then
  for source in tests/fuzz/*_fuzz.cpp; do
    target=$(basename "$source" _fuzz.cpp)
    set -- "$@" "$target"
  done
fi

scripts/setup.sh --fuzz
cmake --preset fuzz
cmake --build --preset fuzz --target "${@/%/_fuzz}"

fuzz() {
  local target=$1 corpus=build/fuzz/corpus/$1 log=build/fuzz/$1.log code=0
  mkdir -p "$corpus"
  # An input that takes 10 s or 1 GiB is a failure as well. The first folder is written to, the seeds are only read.
  "build/fuzz/tests/fuzz/${target}_fuzz" "$corpus" "tests/fuzz/corpus/$target" -max_total_time="$seconds" -seed="${SEED:-0}" -timeout=10 \
    -rss_limit_mb=1024 $([ "$target" != hdf5 ] || echo -malloc_limit_mb=2000000) -print_final_stats=1 -verbosity=0 -artifact_prefix="build/fuzz/$target-" >"$log" 2>&1 || code=$?
  printf '== %s, %s s\n%s\n' "$target" "$seconds" "$(cat "$log")"
  return "$code"
}
export -f fuzz
export seconds
printf '%s\0' "$@" | xargs -0 -n 1 -P "${JOBS:-$(nproc)}" bash -c 'fuzz "$1"' _
echo "fuzzing: no findings"

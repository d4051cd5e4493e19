#!/usr/bin/env bash
# Fuzzes the readers under AddressSanitizer and UndefinedBehaviorSanitizer, SECONDS each (default 60), starting from
# tests/fuzz/corpus. Inputs that make one fail, and the corpus as it grew, are left in build/fuzz.
#   scripts/fuzz.sh [SECONDS [TARGET ...]]     default: each tests/fuzz/TARGET_fuzz.cpp
#   SEED=N RUNS=N scripts/fuzz.sh ...          so many inputs, the same in the same order each time, from an empty
#                                              build/fuzz/corpus; SECONDS then is the most that it may take
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

# With ASLR, addresses that the fuzzer sees compared would make each run another one.
steady=()
if [ -n "${SEED:-}" ] && setarch --addr-no-randomize true 2>/dev/null; then
  steady=(setarch --addr-no-randomize)
fi

fuzz() {
  local target=$1 corpus=build/fuzz/corpus/$1 log=build/fuzz/$1.log code=0 options
  mkdir -p "$corpus"
  # An input that takes 10 s or 1 GiB is a failure as well.
  options=(-max_total_time="$seconds" -seed="${SEED:-0}" -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0
    -artifact_prefix="build/fuzz/$target-")
  [ -z "${RUNS:-}" ] || options+=(-runs="$RUNS")
  [ "$target" != hdf5 ] || options+=(-malloc_limit_mb=2000000)
  # The first folder is written to, the seeds are only read.
  $STEADY "build/fuzz/tests/fuzz/${target}_fuzz" "$corpus" "tests/fuzz/corpus/$target" "${options[@]}" >"$log" 2>&1 || code=$?
  printf '%-16s %8s executions, peak %4s MB, %s\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
    "$(sed -n 's/^stat::peak_rss_mb: *//p' "$log")" "$([ "$code" = 0 ] && echo 'no finding' || echo "FAILED ($code): $log")"
  [ "$code" = 0 ] || touch "$log.failed"
}
export -f fuzz
export seconds STEADY="${steady[*]}"
rm -f build/fuzz/*.log.failed
printf '%s\0' "$@" | xargs -0 -n 1 -P "${JOBS:-$(nproc)}" bash -c 'fuzz "$1"' _

# What was found comes last, where it is seen.
failed=0
for mark in build/fuzz/*.log.failed; do
  [ -e "$mark" ] || continue
  failed=1
  echo "== ${mark%.failed}"
  grep -v 'NEW_FUNC' "${mark%.failed}" | tail -n 60 | cut -c 1-400
done
[ "$failed" = 0 ] || exit 1
echo "fuzzing: no findings"

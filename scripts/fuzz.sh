#!/usr/bin/env bash
# Fuzzes the readers under AddressSanitizer and UndefinedBehaviorSanitizer, SECONDS each (default 60), starting from
# tests/fuzz/corpus. Inputs that make one fail, and the corpus as it grew, are left in build/fuzz.
#   scripts/fuzz.sh [SECONDS [TARGET ...]]     default: each tests/fuzz/TARGET_fuzz.cpp
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
for target in "$@"; do
  echo "== $target, $seconds s"
  corpus=build/fuzz/corpus/$target
  mkdir -p "$corpus"
  # An input that takes 10 s or 1 GiB is a failure as well. The first folder is written to, the seeds are only read.
  "build/fuzz/tests/fuzz/${target}_fuzz" "$corpus" "tests/fuzz/corpus/$target" -max_total_time="$seconds" -timeout=10 \
    -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 -artifact_prefix="build/fuzz/$target-"
done
echo "fuzzing: no findings"

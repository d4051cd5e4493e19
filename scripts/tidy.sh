#!/usr/bin/env bash
# clang-tidy (14, as in Debian 12) over src/ and apps/, with the checks of .clang-tidy; any finding fails.
#   scripts/tidy.sh                     everything (LibTorch's files take about half a minute each)
#   scripts/tidy.sh src/data apps       what lies there
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --tidy

cmake --preset tidy > /dev/null
[ $# -gt 0 ] || set -- src apps

check() {
  local arguments=(-p build/tidy --quiet --extra-arg=-Wno-unknown-warning-option)
  # Clang 14 compiles LibTorch's headers as C++20 only when IValue is complete before all else.
  case "$1" in
    src/model/* | src/loss/* | src/score/* | src/recipe/* | src/train/* | src/apply/* | apps/*)
      arguments+=(--extra-arg=-include --extra-arg=ATen/core/ivalue.h) ;;
  esac
  clang-tidy "${arguments[@]}" "$1"
}
export -f check
find "$@" -name '*.cpp' -print0 | sort -z | xargs -0 -n 1 -P "${JOBS:-$(nproc)}" bash -c 'check "$1"' _
echo "clang-tidy: no findings"

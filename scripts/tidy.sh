#!/usr/bin/env bash
# clang-tidy (14, as in Debian 12) over src/ and apps/, with the checks of .clang-tidy; any finding fails.
#   scripts/tidy.sh                     everything (LibTorch's files take about half a minute each)
#   scripts/tidy.sh src/data apps       what lies there
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --tidy

cmake --preset tidy > /dev/null
[ $# -gt 0 ] || set -- src apps
find "$@" -name '*.cpp' -print0 | sort -z |
  xargs -0 -n 1 -P "${JOBS:-$(nproc)}" \
    clang-tidy -p build/tidy --quiet --extra-arg=-Wno-unknown-warning-option
echo "clang-tidy: no findings"

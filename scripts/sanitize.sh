#!/usr/bin/env bash
# The unit tests under AddressSanitizer and UndefinedBehaviorSanitizer; any finding fails. The tests of the programs run
# so too, but take long: ctest --preset asan, after building everything.
#   scripts/sanitize.sh                 core_tests and torch_tests
#   scripts/sanitize.sh core_tests      those of the rooms that need no LibTorch, which are built in a tenth of the time
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- core_tests torch_tests
scripts/setup.sh --tests
cmake --preset asan
cmake --build --preset asan --target "$@"

# Each in one process, as LibTorch takes longer to start than most tests run. Options as in the preset of ctest.
export ASAN_OPTIONS=detect_container_overflow=0:detect_leaks=1
printf '%s\0' "$@" | xargs -0 -n 1 -P "${JOBS:-$(nproc)}" bash -c 'exec "build/asan/tests/$1" --gtest_brief=1' _

#!/usr/bin/env bash
# The unit tests under AddressSanitizer and UndefinedBehaviorSanitizer; any finding fails. The tests of the programs run
# so too, but take long: ctest --preset asan, after building everything.
#   scripts/sanitize.sh [GTEST OPTIONS]     for example --gtest_filter='Csv*'
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --tests
cmake --preset asan
cmake --build --preset asan --target core_tests torch_tests

# Each in one process, as LibTorch takes longer to start than most tests run. Options as in the preset of ctest.
export ASAN_OPTIONS=detect_container_overflow=0:detect_leaks=1
printf 'build/asan/tests/%s\0' core_tests torch_tests |
  xargs -0 -P "${JOBS:-$(nproc)}" -I {} {} --gtest_brief=1 "$@"

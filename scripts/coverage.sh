#!/usr/bin/env bash
# Line coverage of src/ by all tests; fails below the percentage given (default 85). Writes build/coverage/coverage.html.
set -euo pipefail
cd "$(dirname "$0")/.."
minimum=${1:-85}
build=build/coverage

scripts/setup.sh --tests --coverage
cmake --preset coverage
cmake --build --preset coverage
find "$build" -name '*.gcda' -delete  # counts of earlier runs
ctest --preset coverage
# LibTorch's headers give gcov lines it cannot attribute; only src/ is looked at.
gcovr --root . --object-directory "$build" --filter src/ --exclude-unreachable-branches --exclude-throw-branches \
  --sort-percentage --html-details "$build/coverage.html" --print-summary --txt --fail-under-line "$minimum"

#!/usr/bin/env bash
# Installs what the tests need, builds everything and runs all tests.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --tests
cmake --preset ci
cmake --build --preset ci
ctest --preset ci

#!/usr/bin/env bash
# clang-format (14, as in Debian 12) over all C++ files that git tracks.
#   scripts/format.sh            formats them
#   scripts/format.sh --check    changes nothing; any line that would change fails
# Ends with 77, "skipped", where another version is installed: it would format otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --format
source scripts/clang.bash
skip_unless_14 clang-format

mode=(-i)
[ "${1:-}" != --check ] || mode=(--dry-run --Werror)
git ls-files -z '*.cpp' '*.hpp' '*.inl' | xargs -0 -n 40 -P "${JOBS:-$(nproc)}" clang-format "${mode[@]}"
[ "${mode[0]}" = -i ] || echo "clang-format: no findings"

#!/usr/bin/env bash
# clang-tidy (14, as in Debian 12) over src/ and apps/, with the checks of .clang-tidy; any finding fails.
#   scripts/tidy.sh                      everything (LibTorch's files take about half a minute each)
#   scripts/tidy.sh src/data apps        what lies there
#   scripts/tidy.sh --changed [COMMIT]   what has changed since COMMIT, by default since HEAD left origin/main or else
#                                        since the commit before HEAD: the latest first, as much as takes one processor
#                                        BUDGET seconds (default: 480)
# Ends with 77, "skipped", where another version is installed: it would find other things.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --tidy
source scripts/clang.bash
skip_unless_14 clang-tidy

needs_torch() {
  case "$1" in
    apps/ae_roc.cpp) return 1 ;;
    src/model/* | src/value/* | src/loss/* | src/score/* | src/recipe/* | src/train/* | src/apply/* | src/replay/* | src/script/* | src/victim/* | src/attack/* | apps/*) return 0 ;;
    *) return 1 ;;
  esac
}
check() {
  local arguments=(-p build/tidy --quiet --extra-arg=-Wno-unknown-warning-option)
  # Clang 14 compiles LibTorch's headers as C++20 only when IValue is complete before all else.
  ! needs_torch "$1" || arguments+=(--extra-arg=-include --extra-arg=ATen/core/ivalue.h)
  clang-tidy "${arguments[@]}" "$1"
}
export -f needs_torch check

# Where HEAD left origin/main, or the commit before HEAD; nothing where there is none.
earlier_commit() {
  local commit
  commit=$(git merge-base HEAD origin/main 2>/dev/null || true)
  if [ -z "$commit" ] || [ "$commit" = "$(git rev-parse HEAD)" ]; then
    commit=$(git rev-parse --quiet --verify HEAD~1 || true)
  fi
  echo "$commit"
}
# The sources that have changed since the commit, the latest first; of a header, the source of its name.
changed_since() {
  { git diff --name-only HEAD && git log --format= --name-only "${1:+$1..}HEAD"; } |
    sed -n 's/\.hpp$/.cpp/; /^\(src\|apps\)\/.*\.cpp$/p' | awk '!seen[$0]++' |
    while read -r source; do [ ! -f "$source" ] || echo "$source"; done
}
# Sets "files" to those of the list that fit into the budget, and tells which do not.
choose_within_budget() {  # choose_within_budget SECONDS, list on standard input
  local left=$1 seconds source left_out=()
  files=()
  while read -r source; do
    seconds=16
    ! needs_torch "$source" || seconds=32
    [[ $source != apps/* ]] || seconds=64  # LibTorch's and CLI11's headers together
    if [ "$seconds" -le "$left" ]; then
      files+=("$source") left=$((left - seconds))
    else
      left_out+=("$source")
    fi
  done
  echo "clang-tidy: ${#files[@]} changed files"
  [ ${#left_out[@]} -gt 0 ] || return 0
  echo "${#left_out[@]} more would take longer than BUDGET allows and are left out:"
  printf '  %s\n' "${left_out[@]}"
}

cmake --preset tidy > /dev/null
if [ "${1:-}" = --changed ]; then
  commit=${2:-$(earlier_commit)}
  echo "clang-tidy: changes since ${commit:-the beginning}"
  choose_within_budget "${BUDGET:-480}" < <(changed_since "$commit")
else
  [ $# -gt 0 ] || set -- src apps
  mapfile -t files < <(find "$@" -name '*.cpp' | sort)
fi
[ ${#files[@]} -eq 0 ] || printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "${JOBS:-$(nproc)}" bash -c 'check "$1"' _
echo "clang-tidy: no findings"

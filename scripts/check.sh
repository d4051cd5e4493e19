#!/usr/bin/env bash
# What scripts/test.sh does not see: how the sources are formatted, clang-tidy over what has changed, the unit tests
# under AddressSanitizer and UndefinedBehaviorSanitizer, and each fuzzer for 20 seconds or RUNS inputs. One that fails
# does not stop the others; the last lines say how each of them ended.
#   scripts/check.sh                        all four
#   scripts/check.sh [format] [tidy] [sanitizers] [fuzz]
#   BASE=COMMIT scripts/check.sh tidy       what has changed since COMMIT; scripts/tidy.sh says what is taken without it
set -euo pipefail
cd "$(dirname "$0")/.."

run_format() { scripts/format.sh --check; }
run_tidy() { scripts/tidy.sh --changed ${BASE:+"$BASE"}; }
run_sanitizers() { scripts/sanitize.sh; }
# All but hdf5, of which most is a library that is not ours to mend: for those who look for faults.
run_fuzz() {
  local targets=(tests/fuzz/*_fuzz.cpp)
  targets=("${targets[@]##*/}")
  targets=("${targets[@]%_fuzz.cpp}")
  mapfile -t targets < <(printf '%s\n' "${targets[@]}" | grep -vx hdf5)
  # So many inputs rather than so many seconds (RUNS) come to the same on a slow machine.
  scripts/fuzz.sh "$([ -n "${RUNS:-}" ] && echo 240 || echo 20)" "${targets[@]}"
}

[ $# -gt 0 ] || set -- format tidy sanitizers fuzz
for name in "$@"; do
  [ "$(type -t "run_$name")" = function ] && continue
  echo "check.sh: unknown check $name; expected format, tidy, sanitizers or fuzz" >&2
  exit 2
done

summary=() failed=0
for name in "$@"; do
  echo
  echo "==== $name"
  started=$SECONDS code=0
  "run_$name" || code=$?
  case "$code" in
    0) outcome=passed ;;
    77) outcome=skipped ;;
    *) outcome="FAILED ($code)" failed=1 ;;
  esac
  summary+=("$(printf '%-12s %-12s %4d s' "$name" "$outcome" $((SECONDS - started)))")
done

echo
echo "==== checks"
printf '%s\n' "${summary[@]}"
exit "$failed"

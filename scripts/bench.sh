#!/usr/bin/env bash
# Measures how fast dense networks are trained, and prints ratios: medians over repeats, with the smallest and largest.
#
#   scripts/bench.sh [options] [GROUP ...]
#
# Groups (default: all)
#   step      a training step by the dense engine and by autograd, and against the machine's own matrix product
#   members   steps of eight networks at once, on one thread and on two
#   fit       an epoch by the dense engine and by an eager PyTorch loop with a DataLoader
#   process   the whole of ae-train and of a Python program that does the same
#   gloo      an epoch of 784-256-64-256-784 by one process with one thread, and by two of them over Gloo on this machine
#
#   --repeats N    of each measurement (default: 5)
#   --build DIR    a build with -DAETOOLS_BUILD_BENCHMARKS=ON (default: build/release)
#   --python PATH  a Python with PyTorch (default: /usr/bin/python3); without one its rows are left out
#
# Figures are only good on a machine that has nothing else to do; its load is printed.
set -euo pipefail
export LC_ALL=C
source_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
fail() {
  echo "bench.sh: error: $2" >&2
  exit "$1"
}

repeats=5 build=$source_folder/build/release python=/usr/bin/python3 groups=()
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help)
      sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
      exit 0
      ;;
    --repeats | --build | --python)
      [ $# -gt 1 ] || fail 2 "$1 needs a value"
      case "$1" in
        --repeats) repeats=$2 ;;
        --build) build=$2 ;;
        --python) python=$2 ;;
      esac
      shift
      ;;
    step | members | fit | process | gloo) groups+=("$1") ;;
    *) fail 2 "unknown option or group $1; --help lists them" ;;
  esac
  shift
done
[ ${#groups[@]} -gt 0 ] || groups=(step members fit process gloo)
[[ $repeats =~ ^[1-9][0-9]*$ ]] || fail 2 "--repeats $repeats: expected a whole number of at least 1"
bench=$build/tests/bench/engine_bench
[ -x "$bench" ] || [ "${groups[*]}" = gloo ] || fail 2 "$bench not found; build it: cmake --preset release -DAETOOLS_BUILD_BENCHMARKS=ON && cmake --build --preset release"
[ -x "$build/apps/ae-train" ] || fail 2 "$build/apps/ae-train not found; build it"
peer=$source_folder/tests/bench/eager_training.py
if ! "$python" -c 'import numpy, torch' 2>/dev/null; then
  echo "bench.sh: $python has no PyTorch; what is compared with it is left out" >&2
  python=''
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
measurements=$work/measurements.csv  # name,value: a line per repeat; values are seconds or operations per second
: >"$measurements"

# Google Benchmark's measurements whose names match, in seconds; and <name>/flops.
measure() {
  "$bench" --benchmark_filter="$1" --benchmark_repetitions="$repeats" --benchmark_min_time=0.2 \
    --benchmark_enable_random_interleaving=true --benchmark_format=csv 2>/dev/null |
    awk -F, '
      /^name,/ { for (i = 1; i <= NF; i++) { gsub(/"/, "", $i); column[$i] = i } next }
      column["real_time"] && !/_(mean|median|stddev|cv)"/ {
        gsub(/"/, "", $1); sub(/\/real_time.*/, "", $1)
        print $1 "," $column["real_time"] / 1e6
        if (column["flops"] && $column["flops"] != "") print $1 "/flops," $column["flops"]
      }' >>"$measurements"
}

# report TITLE OURS THEIRS [more]: how many times shorter ours is; "more": how many times larger. A factor may follow the
# name of ours as NAME*FACTOR.
report() {
  awk -F, -v title="$1" -v ours="$2" -v theirs="$3" -v more="${4:-}" '
    function sort(a, n,   i, j, t) {
      for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j] < a[j - 1]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
    }
    function median(a, n) { return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2 }
    function text(x) { return more ? sprintf("%.1f GFLOP/s", x / 1e9) : x < 1e-3 ? sprintf("%.1f us", x * 1e6) : x < 1 ? sprintf("%.2f ms", x * 1e3) : sprintf("%.2f s", x) }
    BEGIN { factor = 1; if (split(ours, parts, "*") == 2) { ours = parts[1]; factor = parts[2] } }
    $1 == ours { a[++n] = $2 * factor }
    $1 == theirs { b[++m] = $2 + 0 }
    END {
      if (!n || !m) exit
      sort(a, n); sort(b, m)
      ratio = more ? median(a, n) / median(b, m) : median(b, m) / median(a, n)
      low = more ? a[1] / b[m] : b[1] / a[n]; high = more ? a[n] / b[1] : b[m] / a[1]
      printf "%-58s %14s %14s %7.2f  (%.2f to %.2f)\n", title, text(median(a, n)), text(median(b, m)), ratio, low, high
    }' "$measurements"
}
head_line() { printf '\n%-58s %14s %14s %7s\n' "$1" "$2" "$3" "$4"; }

echo "load at the start: $(cut -d' ' -f1-3 /proc/loadavg), $(nproc) processors, medians of $repeats"
for group in "${groups[@]}"; do
  case "$group" in
    step)
      measure '^(step/(16|784)|sgemm)'
      head_line "training step, one thread" dense autograd times
      for name in "16-64-4-64-16 batch 32" "16-64-4-64-16 batch 256" "784-256-64-256-784 batch 256"; do
        report "$name" "step/$name/dense" "step/$name/autograd"
      done
      head_line "share of the matrix product 2048 x 2048 x 2048" dense sgemm share
      report "784-256-64-256-784 batch 256" "step/784-256-64-256-784 batch 256/dense/flops" "sgemm/2048/flops" more
      ;;
    members)
      measure '^step/8 members'
      name="8 members 20-64-32-8-32-64-20 batch 32"
      head_line "$name" dense autograd times
      report "one thread" "step/$name/dense" "step/$name/autograd"
      head_line "" "two threads" "one thread" times
      report "dense" "step/$name on 2 threads/dense" "step/$name/dense"
      ;;
    fit)
      measure '^fit/.*/dense'
      head_line "an epoch of batches of 32, validation included, one thread" ae-train PyTorch times
      for shape in "5000 x 30" "20000 x 6"; do
        for kind in "" " batch norm and dropout"; do
          [ -n "$python" ] || continue
          hidden=64 more=''
          [ -z "$kind" ] || hidden=64-32 more=norm
          "$python" "$peer" fit ${shape/ x/} 2 "$repeats" $hidden $more | sed "s|^|fit/$shape$kind/eager,|" >>"$measurements"
          report "$shape, hidden $hidden, latent 4$kind" "fit/$shape$kind/dense*0.3333333" "fit/$shape$kind/eager"
        done
      done
      ;;
    process)
      [ -n "$python" ] || continue
      rows=5000 columns=30 epochs=50
      awk -v rows=$rows -v columns=$columns 'BEGIN {
        srand(1)
        for (j = 0; j < columns; j++) printf "x%d%s", j, j + 1 < columns ? "," : "\n"
        for (i = 0; i < rows; i++) for (j = 0; j < columns; j++) printf "%.6g%s", rand() + rand(), j + 1 < columns ? "," : "\n"
      }' >"$work/table.csv"
      printf '{"model": {"hidden": [64], "latent": 4}, "training": {"epochs": %d, "early_stopping": {"patience": 0}}}' \
        $epochs >"$work/config.json"
      for ((i = 0; i < repeats; i++)); do
        started=$EPOCHREALTIME
        "$build/apps/ae-train" "$work/config.json" --data "$work/table.csv" --out "$work/run" --threads 1 --force -q
        awk "BEGIN { print \"process/ours,\" $EPOCHREALTIME - $started }" >>"$measurements"
        started=$EPOCHREALTIME
        "$python" "$peer" process "$work/table.csv" $epochs "$work/weights.pt"
        awk "BEGIN { print \"process/theirs,\" $EPOCHREALTIME - $started }" >>"$measurements"
      done
      head_line "the whole process: read, train, write; one thread" ae-train Python times
      report "$rows x $columns, hidden 64, latent 4, $epochs epochs" process/ours process/theirs
      ;;
    gloo)
      rows=4096 columns=784 epochs=12
      awk -v rows=$rows -v columns=$columns 'BEGIN {
        srand(1)
        for (j = 0; j < columns; j++) printf "x%d%s", j, j + 1 < columns ? "," : "\n"
        for (i = 0; i < rows; i++) for (j = 0; j < columns; j++) printf "%.3f%s", rand(), j + 1 < columns ? "," : "\n"
      }' >"$work/wide.csv"
      printf '{"model": {"hidden": [256], "latent": 64},
        "training": {"epochs": %d, "batch_size": 256, "early_stopping": {"patience": 0}}}' $epochs >"$work/wide.json"
      for ((i = 0; i < repeats; i++)); do
        for size in 1 2; do
          ranks=()
          for ((rank = 0; rank < size; rank++)); do
            RANK=$rank WORLD_SIZE=$size LOCAL_WORLD_SIZE=$size MASTER_PORT=$((20000 + $$ % 20000)) \
              "$build/apps/ae-train" "$work/wide.json" --data "$work/wide.csv" --out "$work/wide" --threads 1 --force -q &
            ranks+=($!)
          done
          for rank in "${ranks[@]}"; do wait "$rank"; done
          # Without the first epoch, in which memory is touched for the first time.
          awk -F, -v size=$size 'NR == 2 { first = $4 } END { print "gloo/" size "," ($4 - first) / (NR - 2) }' \
            "$work/wide/metrics.csv" >>"$measurements"
        done
      done
      head_line "an epoch of batches of 256, validation included" "two processes" one times
      report "$rows x $columns, hidden 256, latent 64" gloo/2 gloo/1
      ;;
  esac
done
echo
echo "load at the end: $(cut -d' ' -f1-3 /proc/loadavg)"

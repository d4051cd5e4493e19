#!/usr/bin/env bash
# Measures speed and memory against peers in the same run, and prints and writes a table of ratios: medians over repeats,
# with the smallest and largest.
#
#   scripts/bench.sh [options] [GROUP ...]
#
# Groups (default: all)
#   step      a training step by the dense engine and by autograd, and against the machine's own matrix product
#   members   steps of eight networks at once, on one thread and on two
#   fit       an epoch by the dense engine and by an eager PyTorch loop with a DataLoader
#   process   the whole of ae-train and of a Python program that does the same
#   gloo      an epoch of 784-256-64-256-784 by one process with one thread, and by two of them together on this machine
#   score     ae-score from CSV to CSV, and pandas, an eager forward pass and to_csv, both on two threads
#   csv       reading numbers from CSV, and pandas' C reader; processor time
#   memory    resident memory of ae-score over 10 million rows, and over 100 thousand
#   conv      epochs and scores of a convolutional network of 64 x 64 images, and the same network eager in PyTorch
#   attack    ae-attack by projected gradients, and the same as a loop of PyTorch, on MNIST (--mnist)
#
#   --repeats N    of each measurement (default: 5)
#   --build DIR    a build with -DAETOOLS_BUILD_BENCHMARKS=ON (default: build/release)
#   --python PATH  a Python with PyTorch (default: /usr/bin/python3); without one its rows are left out
#   --mnist DIR    the folder of scripts/fetch-mnist.sh (default: mnist); without one the group attack is left out
#   --output FILE  where the table goes as CSV (default: bench.csv in the build)
#
# Figures are only good on a machine that has nothing else to do; its load is printed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/benchmark.bash"

repeats=5 build=$source_folder/build/release python=/usr/bin/python3 mnist=mnist output='' groups=()
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help)
      show_help
      exit 0
      ;;
    --repeats | --build | --python | --mnist | --output)
      [ $# -gt 1 ] || fail 2 "$1 needs a value"
      case "$1" in
        --repeats) repeats=$2 ;;
        --build) build=$2 ;;
        --python) python=$2 ;;
        --mnist) mnist=$2 ;;
        --output) output=$2 ;;
      esac
      shift
      ;;
    step | members | fit | process | gloo | score | csv | memory | conv | attack) groups+=("$1") ;;
    *) fail 2 "unknown option or group $1; --help lists them" ;;
  esac
  shift
done
[ ${#groups[@]} -gt 0 ] || groups=(step members fit process gloo score csv memory conv attack)
[[ $repeats =~ ^[1-9][0-9]*$ ]] || fail 2 "--repeats $repeats: expected a whole number of at least 1"
bench=$build/tests/bench/engine_bench
if [[ " ${groups[*]} " =~ \ (step|members|fit|csv)\  ]]; then
  [ -x "$bench" ] || fail 2 "$bench not found; build it: cmake --preset release -DAETOOLS_BUILD_BENCHMARKS=ON && cmake --build --preset release"
fi
for program in ae-train ae-score ae-attack; do
  [ -x "$build/apps/$program" ] || fail 2 "$build/apps/$program not found; build it"
done
output=${output:-$build/bench.csv}
peers=$source_folder/tests/bench
peer=$peers/eager_training.py
modules="numpy, torch"
[[ ! " ${groups[*]} " =~ " score " ]] || modules+=", pandas"
if ! "$python" -c "import $modules" 2>/dev/null; then
  warn "$python has not all of $modules; what is compared with it is left out"
  python=''
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
measurements=$work/measurements.csv  # name,value: a line per repeat; values are seconds or operations per second
: >"$measurements"
echo "group,what,ours,theirs,ratio,lowest,highest" >"$output" || fail 1 "$output: cannot be written"

# Google Benchmark's measurements whose names match, in seconds of the clock, or of the processor with "cpu"; and
# <name>/flops.
measure() {
  "${3:-$bench}" --benchmark_filter="$1" --benchmark_repetitions="$repeats" --benchmark_min_time=0.2 \
    --benchmark_enable_random_interleaving=true --benchmark_format=csv 2>/dev/null |
    awk -F, -v clock="${2:-real}" '
      BEGIN { per_second["ns"] = 1e9; per_second["us"] = 1e6; per_second["ms"] = 1e3; per_second["s"] = 1 }
      /^name,/ { for (i = 1; i <= NF; i++) { gsub(/"/, "", $i); column[$i] = i } next }
      column["real_time"] && !/_(mean|median|stddev|cv)"/ {
        gsub(/"/, "", $1); by_hand = $1 ~ /manual_time/; sub(/\/(real_time|iterations|manual_time).*/, "", $1)
        print $1 "," $column[by_hand ? "real_time" : clock "_time"] / per_second[$column["time_unit"]]
        if (column["flops"] && $column["flops"] != "") print $1 "/flops," $column["flops"]
      }' >>"$measurements"
}

# report TITLE OURS THEIRS [flops|bytes|share]: how many times shorter ours is; of the others, how many times larger. A
# factor may follow the name of ours as NAME*FACTOR.
report() {
  awk -F, -v title="$1" -v ours="$2" -v theirs="$3" -v unit="${4:-}" -v csv="$output" -v group="$group" '
    function sort(a, n,   i, j, t) {
      for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j] < a[j - 1]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
    }
    function median(a, n) { return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2 }
    function text(x) { return unit == "flops" ? sprintf("%.1f GFLOP/s", x / 1e9) : unit == "bytes" ? sprintf("%.0f MB", x / 1e6) : unit == "share" ? sprintf("%.2f %%", 100 * x) : x < 1e-3 ? sprintf("%.1f us", x * 1e6) : x < 1 ? sprintf("%.2f ms", x * 1e3) : sprintf("%.2f s", x) }
    BEGIN { factor = 1; if (split(ours, parts, "*") == 2) { ours = parts[1]; factor = parts[2] } }
    $1 == ours { a[++n] = $2 * factor }
    $1 == theirs { b[++m] = $2 + 0 }
    END {
      if (!n || !m) exit
      sort(a, n); sort(b, m)
      ratio = unit ? median(a, n) / median(b, m) : median(b, m) / median(a, n)
      low = unit ? a[1] / b[m] : b[1] / a[n]; high = unit ? a[n] / b[1] : b[m] / a[1]
      printf "%-58s %14s %14s %7.2f  (%.2f to %.2f)\n", title, text(median(a, n)), text(median(b, m)), ratio, low, high
      printf "%s,\"%s\",%.6g,%.6g,%.4g,%.4g,%.4g\n", group, title, median(a, n), median(b, m), ratio, low, high >>csv
    }' "$measurements"
}
# seconds NAME COMMAND...: measures how long it takes.
seconds() {
  local name=$1 started=$EPOCHREALTIME
  shift
  "$@"
  awk "BEGIN { print \"$name,\" $EPOCHREALTIME - $started }" >>"$measurements"
}
# told NAME COMMAND...: takes the seconds that it prints.
told() {
  local name=$1
  shift
  "$@" | sed "s|^|$name,|" >>"$measurements"
}
# table ROWS COLUMNS: random numbers with a header.
table() {
  awk -v rows="$1" -v columns="$2" 'BEGIN {
    srand(1)
    for (j = 0; j < columns; j++) printf "x%d%s", j, j + 1 < columns ? "," : "\n"
    for (i = 0; i < rows; i++) for (j = 0; j < columns; j++) printf "%.6g%s", rand() + rand(), j + 1 < columns ? "," : "\n"
  }'
}
# The network 20-64-32-64-20 in $work/scorer and rows for it in $work/rows.csv, once.
make_scorer() {
  [ ! -d "$work/scorer" ] || return 0
  table 100000 20 >"$work/rows.csv"
  printf '{"data": {"path": "rows.csv"}, "model": {"hidden": [64], "latent": 32}, "score": {"type": "loss"},
           "training": {"epochs": 1, "validation_fraction": 0.02}}' >"$work/scorer.json"
  "$build/apps/ae-train" "$work/scorer.json" --out "$work/scorer" -q
}
# times N: the header and N times the other rows of $work/rows.csv.
times() {
  head -1 "$work/rows.csv"
  for ((k = 0; k < $1; k++)); do tail -n +2 "$work/rows.csv"; done
}
# without_loading GROUP MANY ONE: GROUP/ours/... as the times of GROUP/MANY/... less those of GROUP/ONE/..., measured right
# after them: what the loading of libraries takes is left out, as it is of the peer.
without_loading() {
  awk -F, -v many="$1/$2/" -v one="$1/$3/" -v group="$1" '
    index($1, many) == 1 { name = group "/ours/" substr($1, length(many) + 1); whole = $2 }
    index($1, one) == 1 { print name "," whole - $2 }' "$measurements" >"$work/net"
  cat "$work/net" >>"$measurements"
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
      name="784-256-64-256-784 batch 256"
      report "$name, both on one thread" "step/$name/dense/flops" sgemm/2048/flops flops
      report "$name, both on two" "step/$name on 2 threads/dense/flops" "sgemm/2048 on 2 threads/flops" flops
      head_line "" "two threads" "one thread" times
      report "dense, $name" "step/$name on 2 threads/dense" "step/$name/dense"
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
      table $rows $columns >"$work/table.csv"
      printf '{"model": {"hidden": [64], "latent": 4}, "training": {"epochs": %d, "early_stopping": {"patience": 0}}}' \
        $epochs >"$work/config.json"
      for ((i = 0; i < repeats; i++)); do
        seconds process/ours "$build/apps/ae-train" "$work/config.json" --data "$work/table.csv" --out "$work/run" \
          --threads 1 --force -q
        seconds process/theirs "$python" "$peer" process "$work/table.csv" $epochs "$work/weights.pt"
      done
      head_line "the whole process: read, train, write; one thread" ae-train Python times
      report "$rows x $columns, hidden 64, latent 4, $epochs epochs" process/ours process/theirs
      ;;
    gloo)
      rows=4096 columns=784 epochs=12
      table $rows $columns >"$work/wide.csv"
      printf '{"model": {"hidden": [256], "latent": 64},
        "training": {"epochs": %d, "batch_size": 256, "early_stopping": {"patience": 0}}}' $epochs >"$work/wide.json"
      for ((i = 0; i < repeats; i++)); do
        # Processes that are not told that all of them run on one machine, speak over TCP.
        for run in "1 1 one" "2 2 memory" "2 1 tcp"; do
          read -r size local name <<<"$run"
          ranks=()
          for ((rank = 0; rank < size; rank++)); do
            RANK=$rank WORLD_SIZE=$size LOCAL_WORLD_SIZE=$local MASTER_ADDR=127.0.0.1 MASTER_PORT=$((20000 + $$ % 20000)) \
              "$build/apps/ae-train" "$work/wide.json" --data "$work/wide.csv" --out "$work/wide" --threads 1 --force -q &
            ranks+=($!)
          done
          for rank in "${ranks[@]}"; do wait "$rank"; done
          # Without the first epoch, in which memory is touched for the first time.
          awk -F, -v name=$name 'NR == 2 { first = $4 } END { print "gloo/" name "," ($4 - first) / (NR - 2) }' \
            "$work/wide/metrics.csv" >>"$measurements"
        done
      done
      head_line "an epoch of batches of 256, validation included" "two processes" one times
      report "$rows x $columns, hidden 256, latent 64; shared memory" gloo/memory gloo/one
      report "the same over TCP, as on two machines" gloo/tcp gloo/one
      ;;
    score)
      make_scorer
      times 10 >"$work/million.csv"
      head -2 "$work/rows.csv" >"$work/row.csv"
      for ((i = 0; i < repeats; i++)); do
        for threads in 1 2; do
          for rows in million row; do
            seconds score/$rows/$threads "$build/apps/ae-score" "$work/scorer" "$work/$rows.csv" -o "$work/scores.csv" \
              --threads $threads --force -q
          done
          [ -z "$python" ] ||
            told score/theirs/$threads "$python" "$peers/eager_scoring.py" "$work/million.csv" "$work/other.csv" $threads
        done
      done
      without_loading score million row
      head_line "CSV to CSV, 1,000,000 x 20, 20-64-32-64-20, without imports" ae-score Python times
      report "two threads" score/ours/2 score/theirs/2
      report "two threads, Python on one" score/ours/2 score/theirs/1
      report "one thread" score/ours/1 score/theirs/1
      report "two threads, Python on one; the whole of ae-score" score/million/2 score/theirs/1
      head_line "" "two threads" "one thread" times
      report "ae-score" score/ours/2 score/ours/1
      rm -f "$work/million.csv"
      ;;
    csv)
      measure '^(TokeniseAndParseNumbers|PandasReadCsv)' cpu "$build/tests/bench/csv_bench"
      head_line "CSV of numbers, 20 columns, 128 MiB" aetools pandas times
      report "processor time, one thread" TokeniseAndParseNumbers PandasReadCsv
      ;;
    memory)
      [ -x /usr/bin/time ] || { warn "/usr/bin/time not found; memory is left out"; continue; }
      make_scorer
      for ((i = 0; i < repeats; i++)); do
        for size in 1 100; do
          times $size | /usr/bin/time -o "$work/resident" -f %M "$build/apps/ae-score" "$work/scorer" - --threads 2 -q >/dev/null
          echo "memory/$size,$(($(cat "$work/resident") * 1024))" >>"$measurements"
        done
      done
      head_line "largest resident memory of ae-score, 20 columns" "10,000,000" "100,000" times
      report "two threads, from a pipe" memory/100 memory/1 bytes
      ;;
    conv)
      [ -n "$python" ] || continue
      epochs=$((repeats + 1))
      "$python" -c 'import numpy, sys
grid = numpy.mgrid[0:64, 0:64]
chance = numpy.random.default_rng(1)
waves = [numpy.sin(chance.uniform(0.1, 0.5) * grid[0] + chance.uniform(0.1, 0.5) * grid[1]) for _ in range(2000)]
waves = (128 + 100 * numpy.array(waves)).astype(numpy.uint8)
numpy.save(sys.argv[1], waves)
numpy.save(sys.argv[2], waves[:1])' "$work/images.npy" "$work/image.npy"
      printf '{"data": {"type": "images", "path": "images.npy"}, "model": {"type": "conv"}, "training": {"epochs": %d,
               "batch_size": 32, "validation_fraction": 0.1, "early_stopping": {"patience": 0}}}' $epochs >"$work/conv.json"
      for threads in 1 2; do
        "$build/apps/ae-train" "$work/conv.json" --out "$work/conv" --threads $threads --force -q
        awk -F, -v name=conv/train/ours/$threads 'NR > 2 { print name "," $4 - before } { before = $4 }' \
          "$work/conv/metrics.csv" >>"$measurements"
        told conv/train/theirs/$threads "$python" "$peers/eager_conv.py" train "$work/images.npy" $repeats $threads
        for ((i = 0; i < repeats; i++)); do
          for images in images image; do
            seconds conv/score/$images/$threads "$build/apps/ae-score" "$work/conv" "$work/$images.npy" \
              -o "$work/scores.csv" --threads $threads --force -q
          done
          told conv/score/theirs/$threads "$python" "$peers/eager_conv.py" score "$work/images.npy" "$work/other.csv" $threads
        done
      done
      without_loading conv/score images image
      head_line "2,000 images of 64 x 64, convolutional network, default size" aetools PyTorch times
      for threads in 1 2; do
        report "an epoch of batches of 32, threads: $threads" conv/train/ours/$threads conv/train/theirs/$threads
        report "scores, without imports, threads: $threads" conv/score/ours/$threads conv/score/theirs/$threads
      done
      ;;
    attack)
      [ -n "$python" ] || continue
      [ -f "$mnist/train-images-idx3-ubyte" ] ||
        { warn "$mnist has no MNIST; attack is left out. Run scripts/fetch-mnist.sh, or name its folder with --mnist"; continue; }
      "$build/apps/ae-train" --recipe mnist-classifier --data "$mnist/train-images-idx3-ubyte" --out "$work/classifier" -q
      digits=2000
      for ((i = 0; i < repeats; i++)); do
        for threads in 1 2; do
          for first in $digits 1; do
            seconds attack/$first/$threads "$build/apps/ae-attack" "$work/classifier" "$mnist/t10k-images-idx3-ubyte" \
              --first $first --eps 0.1 --attack pgd --loss ce --threads $threads -o "$work/attack-$first" --force -q \
              >/dev/null
          done
          awk -F, '$1 == "classifier" && $2 == "pgd" { print "attack/accuracy/ours," $6 }' \
            "$work/attack-$digits/report.csv" >>"$measurements"
          for leave in none turned; do
            told attack/$leave/$threads "$python" "$peers/eager_pgd.py" "$work/classifier/classifier.pt" "$mnist" \
              $digits 0.1 $threads $leave "$work/accuracy"
            told attack/accuracy/$leave cat "$work/accuracy"
          done
        done
      done
      without_loading attack $digits 1
      head_line "$digits test digits, 0.1, 40 steps, without imports" ae-attack PyTorch times
      for threads in 1 2; do
        report "threads: $threads" attack/ours/$threads attack/none/$threads
        report "threads: $threads, PyTorch, too, leaves turned ones alone" attack/ours/$threads attack/turned/$threads
      done
      head_line "accuracy that is left" ae-attack PyTorch times
      report "of both numbers of threads" attack/accuracy/ours attack/accuracy/none share
      ;;
  esac
done
echo
echo "load at the end: $(cut -d' ' -f1-3 /proc/loadavg)"

#!/usr/bin/env bash
# Trains one recipe on every table of a folder, scores the rows it has not seen, prints how well anomalies stand out.
#
#   scripts/benchmark-tabular.sh [options] DIR
#
# DIR holds NAME.csv (or .csv.gz, .csv.zst, .tsv, ...) and splits/NAME.seedK.train.idx: the 0-based numbers of the rows
# to train on, one a line; all other rows are scored. DIR/baselines.csv, where there is one, has a column "set" and
# columns METHOD_auroc and METHOD_auprc to compare with. A table without a split is left out with a warning.
#
#   --config FILE      the recipe (default: configs/tabular-anomaly.json)
#   --set POINTER=V    override one of its settings, as of ae-train (repeatable)
#   --seeds K,...      splits to run (default: 0,1,2); split K is trained with seed K
#   --train-seed N     the same seed for every split instead
#   --only NAME,...    only these tables
#   --label COLUMN     column with the labels (default: label)
#   --normal VALUE     label that means normal (default: 0)
#   --baselines FILE   figures to compare with (default: DIR/baselines.csv)
#   --alpha A          false positives are counted at p <= A (default: 0.05)
#   --fdr Q            false discoveries are counted at this Benjamini-Hochberg level (default: 0.1)
#   --jobs N           runs at the same time (default: 1); figures of time are only good with 1
#   --threads N        threads of each program (default: its own choice)
#   -o, --output FILE  every run as a line of CSV ("-": CSV instead of the table)
#   --keep FOLDER      keep models and scores there
#   --bin FOLDER       the programs (default: $AETOOLS_BIN, else build/release/apps, else the PATH)
#   --force            overwrite FILE
#
# Printed per table, as means over the splits: rows, AUROC, AUPRC, wall time of ae-train, rows per wall second of
# ae-score (start of the program included), share of normal rows with p <= A (FPR), share of normal rows among those
# that Benjamini-Hochberg at Q flags (FDR).
# Exit codes: 0 done, 1 a run failed, 2 usage, 4 the folder's data are not usable.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/benchmark.bash"

config=$source_folder/configs/tabular-anomaly.json
train_seed='' only='' label=label normal=0 baselines='' fdr=0.1 jobs=1

own_option() {
  case "$1" in
    --train-seed) train_seed=$2 ;;
    --only) only=$2 ;;
    --label) label=$2 ;;
    --normal) normal=$2 ;;
    --baselines) baselines=$2 ;;
    --fdr) fdr=$2 ;;
    --jobs) jobs=$2 ;;
    *) return 1 ;;
  esac
}
read_options "$@"
check_common
[[ $train_seed =~ ^[0-9]*$ ]] || fail 2 "--train-seed $train_seed: expected a whole number"
[[ $jobs =~ ^[1-9][0-9]*$ ]] || fail 2 "--jobs $jobs: expected a whole number of at least 1"
for value in "$alpha" "$fdr"; do
  is_share "$value" || fail 2 "$value: --alpha and --fdr are numbers from 0 to 1"
done
[ -d "$folder" ] || fail 4 "$folder: no such folder"
if [ -n "$baselines" ]; then
  [ -r "$baselines" ] || fail 4 "$baselines: no such file"
elif [ -r "$folder/baselines.csv" ]; then
  baselines=$folder/baselines.csv
fi
check_output
find_programs

work=$(mktemp -d)
stop() {  # each run is a process group of its own: its programs end with it
  local leader
  for leader in $(jobs -p); do kill -- "-$leader" 2>/dev/null || true; done
  wait || true
  rm -rf "$work"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
mkdir "$work/done"
[ -z "$keep" ] || mkdir -p "$keep" || fail 1 "$keep: cannot be made"

json_text() {  # a JSON string
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}
absolute() { printf '%s/%s' "$(cd "$(dirname "$1")" && pwd)" "$(basename "$1")"; }

# False positives at alpha and false discoveries at q, of scores.csv that end in p_value,label,model. With p-values sorted,
# Benjamini-Hochberg flags all up to the last that is at most q rank / count.
error_rates() {
  awk -F, 'NR > 1 { print $(NF - 2), $(NF - 1) }' "$1" | sort -g | awk -v normal="$normal" -v alpha="$alpha" -v q="$fdr" '
    { rows++; p[rows] = $1; if ($2 == normal) { normals++; false_alarms += $1 <= alpha; } seen[rows] = normals }
    END {
      for (i = rows; i > 0 && p[i] > q * i / rows; i--);
      if (normals) printf "%.6f", false_alarms / normals
      printf ",%.6f", (i ? seen[i] / i : 0)
    }'
}

# One split of one table; its line of CSV goes to $work/done/NAME.K.
run_split() {
  local name=$1 table=$2 rows=$3 seed=$4 place started train_seconds score_seconds trained scored
  place=${keep:-$work}/$name.seed$seed
  started=$EPOCHREALTIME
  ae-train "$config" --data "$table" --set "/data/rows=$(json_text "$rows")" --set "/data/label=$(json_text "$label")" \
    --set "/data/normal=$(json_text "$normal")" --set "/training/seed=${train_seed:-$seed}" "${settings[@]}" \
    "${threads[@]}" --out "$place" --force -q || return 1
  train_seconds=$(seconds_since "$started")
  started=$EPOCHREALTIME
  ae-score "$place" "$table" --exclude-rows "$rows" "${threads[@]}" -o "$place.csv" --force -q || return 1
  score_seconds=$(seconds_since "$started")
  ae-roc "$place.csv" --normal "$normal" --bootstrap 0 --summary "$place.json" --force -q >/dev/null || return 1
  trained=$(grep -c '[0-9]' "$rows")
  scored=$(($(wc -l <"$place.csv") - 1))
  awk -v head="$name,$seed,$trained,$scored" -v train="$train_seconds" -v score="$score_seconds" -v scored="$scored" \
    -v rates="$(error_rates "$place.csv")" '
    /^  "au(roc|prc)": \{/ { name = $1; getline; gsub(/[",:]/, ""); area[name] = $2 }
    END {
      printf "%s,%s,%s,%s,%s,%.0f,%s\n", head, area["\"auroc\":"], area["\"auprc\":"], train, score,
             scored / (score > 0 ? score : 0.001), rates
    }' "$place.json" >"$work/line.$name.$seed" && mv "$work/line.$name.$seed" "$work/done/$name.$seed"
  [ -n "$keep" ] || rm -rf "$place" "$place.csv" "$place.json"
}

names=() started_runs=0
set -m
shopt -s nullglob
while IFS= read -r table; do
  name=$(basename "$table")
  name=${name%.gz} name=${name%.zst} name=${name%.*}
  [ "$name" != baselines ] || continue
  [[ -z $only || ,$only, = *,$name,* ]] || continue
  found=''
  for seed in ${seeds//,/ }; do
    rows=$folder/splits/$name.seed$seed.train.idx
    if [ ! -r "$rows" ]; then
      warn "$name: no $rows; left out"
      continue
    fi
    found=yes started_runs=$((started_runs + 1))
    while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
    [ ! -t 2 ] || printf '\r\033[K%s, split %s' "$name" "$seed" >&2
    run_split "$name" "$(absolute "$table")" "$(absolute "$rows")" "$seed" &
  done
  [ -z "$found" ] || names+=("$name")
done < <(printf '%s\n' "$folder"/*.{csv,tsv}{,.gz,.zst} | sort -V)
wait
[ ! -t 2 ] || printf '\r\033[K' >&2
[ "$started_runs" -gt 0 ] || fail 4 "$folder: no table with splits/NAME.seedK.train.idx, K in $seeds"

header=set,seed,training_rows,scored_rows,auroc,auprc,train_seconds,score_seconds,score_rows_per_second
header+=,false_positive_rate,false_discovery_rate
{
  echo "$header"
  for name in "${names[@]}"; do
    for seed in ${seeds//,/ }; do
      [ ! -r "$work/done/$name.$seed" ] || cat "$work/done/$name.$seed"
    done
  done
} >"$work/runs.csv"
if [ "$output" = - ]; then
  cat "$work/runs.csv"
else
  save_runs "$work/runs.csv"
  awk -F, -v alpha="$alpha" -v fdr="$fdr" -v baselines="$baselines" '
    function place(text) {  # column of the table by name
      if (!(text in order)) { order[text] = ++sets; set[sets] = text }
      return text
    }
    FNR == 1 { file++ }
    file == 1 && FNR > 1 {
      name = place($1); runs[name]++; rows[name] = $3 + $4
      for (i = 5; i <= NF; i++) { sum[name, i] += $i; if (length(name) > width) width = length(name) }
    }
    file == 2 { sub(/\r$/, "") }
    file == 2 && FNR == 1 {
      for (i = 1; i <= NF; i++) {
        if ($i == "set") key = i
        if (sub(/_auroc$/, "", $i)) { auroc[$i] = i; method[++methods] = $i }
        if (sub(/_auprc$/, "", $i)) auprc[$i] = i
        if (length($i) > method_width) method_width = length($i)
      }
      next
    }
    file == 2 && key && $key in runs {
      for (m in auroc) if ($auroc[m] != "") known[$key, m, 5] = $auroc[m] + 0
      for (m in auprc) if ($auprc[m] != "") known[$key, m, 6] = $auprc[m] + 0
    }
    function against(m, what) {  # "15 of 18, .925 : .881"
      wins = compared = ours = theirs = 0
      for (s = 1; s <= sets; s++) if ((set[s], m, what) in known) {
        compared++; ours += mean[s, what]; theirs += known[set[s], m, what]
        wins += mean[s, what] > known[set[s], m, what]
      }
      return compared ? sprintf("%2d of %d, mean %.4f : %.4f", wins, compared, ours / compared, theirs / compared) : "-"
    }
    function line(name, rows, auroc, auprc, train, speed, fpr, fdr) {
      printf "%-*s  %7s  %6.4f  %6.4f  %8.2f  %8.0f  %6.4f  %6.4f\n", width, name, rows, auroc, auprc, train, speed,
             fpr, fdr
    }
    END {
      if (!sets) exit
      printf "%-*s  %7s  %6s  %6s  %8s  %8s  %6s  %6s\n", width, "set", "rows", "AUROC", "AUPRC", "train s",
             "rows/s", "FPR", "FDR"
      for (s = 1; s <= sets; s++) {
        name = set[s]
        for (i = 5; i <= 11; i++) mean[s, i] = sum[name, i] / runs[name]
        for (i = 5; i <= 11; i++) total[i] += mean[s, i] / sets
        if (mean[s, 10] > worst) worst = mean[s, 10]
        if (mean[s, 7] > longest) longest = mean[s, 7]
        line(name, rows[name], mean[s, 5], mean[s, 6], mean[s, 7], mean[s, 9], mean[s, 10], mean[s, 11])
      }
      line("mean", "", total[5], total[6], total[7], total[9], total[10], total[11])
      printf "\n%d %s; longest training %.2f s; ", sets, sets == 1 ? "set" : "sets", longest
      printf "FPR at p <= %s: mean %.4f, largest %.4f; ", alpha, total[10], worst
      printf "FDR at q = %s: mean %.4f\n", fdr, total[11]
      if (!methods) exit
      printf "\n%-*s  %-34s  %s\n", method_width, "better than", "AUROC, ours : theirs", "AUPRC, ours : theirs"
      for (i = 1; i <= methods; i++) {
        printf "%-*s  %-34s  %s\n", method_width, method[i], against(method[i], 5), against(method[i], 6)
      }
    }' "$work/runs.csv" ${baselines:+"$baselines"}
fi
finished=$(find "$work/done" -type f | wc -l)
failed=$((started_runs - finished))
[ "$failed" -eq 0 ] || fail 1 "$failed of $started_runs runs failed; their errors are above"

#!/usr/bin/env bash
# Trains one model for every combination of settings, seeds and folds, and writes one table of how each came out.
#
#   scripts/sweep.sh [options] -o DIR -- ARGUMENTS OF ae-train
#
#   -o, --output DIR       where everything goes: DIR/results.csv, and DIR/runs/NAME/ with each run's model
#   --vary POINTER=VALUES  values of one setting, blanks between: --vary '/model/latent=2 4 8' (repeatable)
#   --seeds K,...          values of /training/seed
#   --folds FILE,...       files of row numbers (/data/rows): each trains on its rows and is scored on all others
#   --score FILE           score this table, or these images, with every model; DIR/runs/NAME/scores.csv
#   --label COLUMN         the column of FILE with the labels, where the models do not know it
#   --normal LABEL         the label of FILE that means normal: adds AUROC and AUPRC to the table
#   -j, --jobs N           runs at the same time (default: 1)
#   --threads N            threads of each program (default: its own choice; 1 is best with several jobs)
#   --bin FOLDER           the programs (default: $AETOOLS_BIN, else build/release/apps, else the PATH)
#
#   scripts/sweep.sh -o sweeps/wdbc --vary '/model/latent=2 6' --seeds 0,1 --score configs/data/wdbc.csv \
#     --normal benign -- configs/wdbc.json --set /training/epochs=50
#
# Started again with the same DIR it goes on: runs that are complete stay, interrupted ones continue, new combinations
# are added. A run that fails is named, the others go on. results.csv has a line for each combination that is asked for:
# its values, then epochs, best epoch, losses and seconds as in metrics.csv, the figures of ae-roc, and the model's name.
# Exit codes: 0 done, 1 a run failed, 2 usage.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/benchmark.bash"

output='' score='' label=() normal='' jobs=1 threads=() bin='' seeds='' folds=() pointers=() values=()
while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help)
      show_help
      exit 0
      ;;
    --)
      shift
      break
      ;;
  esac
  [ $# -gt 1 ] || fail 2 "$1: unknown option, or its value is missing; --help lists them"
  case "$1" in
    -o | --output) output=$2 ;;
    --vary)
      [[ $2 == /*=?* ]] || fail 2 "--vary $2: expected /POINTER=VALUES, as '/model/latent=2 4'"
      pointers+=("${2%%=*}") values+=("${2#*=}")
      ;;
    --seeds) seeds=$2 ;;
    --folds) IFS=, read -ra folds <<<"$2" ;;
    --score) score=$2 ;;
    --label) label=(--label "$2") ;;
    --normal) normal=$2 ;;
    -j | --jobs) jobs=$2 ;;
    --threads) threads=(--threads "$2") ;;
    --bin) bin=$2 ;;
    *) fail 2 "unknown option $1; --help lists them; arguments of ae-train stand behind --" ;;
  esac
  shift 2
done
[ -n "$output" ] || fail 2 "no folder given; add -o DIR"
[ $# -gt 0 ] || fail 2 "nothing to train; give a config or data behind --"
[[ $jobs =~ ^[1-9][0-9]*$ ]] || fail 2 "--jobs $jobs: expected a whole number of at least 1"
[ -z "$seeds" ] || [[ $seeds =~ ^[0-9]+(,[0-9]+)*$ ]] || fail 2 "--seeds $seeds: expected numbers with commas between"
[ -z "$normal" ] || [ -n "$score" ] || fail 2 "--normal needs --score, the table with the labels"
[ -z "$score" ] || [ -e "$score" ] || fail 2 "--score $score: no such file"
for fold in ${folds[@]+"${folds[@]}"}; do
  [ -r "$fold" ] || fail 2 "--folds $fold: no such file"
done
command -v python3 >/dev/null || fail 2 "python3 not found; it gathers the results"
find_programs
if [ -n "$seeds" ]; then pointers+=(/training/seed) values+=("${seeds//,/ }"); fi
if [ ${#folds[@]} -gt 0 ]; then pointers+=(/data/rows) values+=(''); fi
train=("$@")
mkdir -p "$output/runs"
# What scores are of: the table as it is now.
scored=''
[ -z "$score" ] || scored=$(realpath "$score")
[ ! -f "$score" ] || scored=$(sha256sum <"$score" | cut -d' ' -f1)

# All combinations, the last setting changing fastest: a line each, values separated by tabs.
combinations() {  # combinations INDEX BEGINNING
  local value
  if [ "$1" -eq ${#pointers[@]} ]; then
    printf '%s\n' "$2"
    return
  fi
  if [ "${pointers[$1]}" = /data/rows ] && [ -z "${values[$1]}" ]; then
    for value in "${folds[@]}"; do combinations $(($1 + 1)) "$2${2:+$'\t'}$value"; done
    return
  fi
  set -f
  # shellcheck disable=SC2086 # blanks separate the values
  set -- "$1" "$2" ${values[$1]}
  set +f
  for value in "${@:3}"; do combinations $(($1 + 1)) "$2${2:+$'\t'}$value"; done
}

# A folder's name that tells the values; where they cannot all be told, a digest keeps names apart.
name_of() {
  local fields name='' i plain
  IFS=$'\t' read -ra fields <<<"$1"
  for i in "${!fields[@]}"; do name+="${name:+,}${pointers[$i]##*/}=${fields[$i]}"; done
  [ -n "$name" ] || name=run
  plain=${name//[^A-Za-z0-9._=,-]/_}
  if [ "$plain" != "$name" ] || [ ${#plain} -gt 120 ]; then
    plain=${plain:0:100}-$(printf %s "$name" | sha256sum | cut -c1-8)
  fi
  printf '%s' "$plain"
}

json_text() {  # a JSON string
  local text=${1//\\/\\\\}
  printf '"%s"' "${text//\"/\\\"}"
}

# One combination: its model, scores and summary, as far as they are not there.
run_one() {  # run_one NAME COMBINATION
  local fields i place=$output/runs/$1 set=() left_out=()
  IFS=$'\t' read -ra fields <<<"$2"
  for i in "${!fields[@]}"; do
    if [ "${pointers[$i]}" = /data/rows ]; then
      set+=(--set "/data/rows=$(json_text "${fields[$i]}")")
      left_out=(--exclude-rows "${fields[$i]}")
    else
      set+=(--set "${pointers[$i]}=${fields[$i]}")
    fi
  done
  ae-train "${train[@]}" ${set[@]+"${set[@]}"} ${threads[@]+"${threads[@]}"} --out "$place" --resume -q || return 1
  [ -n "$score" ] || return 0
  local asked="$scored ${label[*]-} ${left_out[*]-}"
  if [ ! -e "$place/scores.csv" ] || [ "$place/model.safetensors" -nt "$place/scores.csv" ] ||
    [ "$(cat "$place/scores.of" 2>/dev/null)" != "$asked" ]; then
    ae-score "$place" "$score" ${label[@]+"${label[@]}"} ${left_out[@]+"${left_out[@]}"} ${threads[@]+"${threads[@]}"} \
      -o "$place/scores.csv" --force -q || return 1
    printf '%s\n' "$asked" >"$place/scores.of"
  fi
  [ -n "$normal" ] || return 0
  ae-roc "$place/scores.csv" --normal "$normal" --summary "$place/summary.json" --force -q >/dev/null
}

stop() {  # each run is a process group of its own: its programs end with it
  local leader
  for leader in $(jobs -p); do kill -- "-$leader" 2>/dev/null || true; done
  wait || true
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
set -m
failed=0 at_work=0 count=0
finished() { wait -n || failed=1; at_work=$((at_work - 1)); }
grid=$(combinations 0 '')
total=$(printf '%s\n' "$grid" | wc -l)
names=()
while IFS= read -r combination; do
  name=$(name_of "$combination")
  names+=("$name")
  count=$((count + 1))
  [ "$at_work" -lt "$jobs" ] || finished
  echo "$script: run $count of $total: $name" >&2
  (run_one "$name" "$combination" || { echo "$script: error: run $name failed" >&2; exit 1; }) </dev/null &
  at_work=$((at_work + 1))
done <<<"$grid"
while [ "$at_work" -gt 0 ]; do finished; done
set +m

# One line a run, from the files that the programs wrote.
paste -d '\t' <(printf '%s\n' "${names[@]}") <(printf '%s\n' "$grid") |
  python3 /dev/fd/3 "$output" "${normal:+roc}" ${pointers[@]+"${pointers[@]}"} 3<<'EOF_PYTHON'
import csv
import json
import os
import sys

output, roc, *pointers = sys.argv[1:]
figures = ["epochs", "best_epoch", "train_loss", "validation_loss", "seconds"]
areas = ["auroc", "auroc_low", "auroc_high", "auprc", "auprc_low", "auprc_high"] if roc else []


def loaded(place, name):
    try:
        with open(os.path.join(place, name)) as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def area(summary, name):
    entry = summary.get(name) or {}
    interval = entry.get("interval") or [None, None]
    return {name: entry.get("value"), f"{name}_low": interval[0], f"{name}_high": interval[1]}


part = os.path.join(output, "results.csv.part")
with open(part, "w", newline="") as file:
    table = csv.DictWriter(file, ["run", *pointers, *figures, *areas, "model"], lineterminator="\n")
    table.writeheader()
    for line in sys.stdin:
        name, *values = line.rstrip("\n").split("\t")
        row = {"run": name, **dict(zip(pointers, values))}
        place = os.path.join(output, "runs", name)
        run = loaded(place, "run.json")
        if run:  # else it is not complete
            training = run["training"]
            row.update({"epochs": training["epochs"], "best_epoch": training["best_epoch"],
                        "train_loss": training.get("training_loss"), "validation_loss": training.get("validation_loss"),
                        "seconds": round(run["seconds"], 3), "model": run["model_sha256"][:8]})
            summary = loaded(place, "summary.json") if roc else None
            if summary:
                row.update(area(summary, "auroc") | area(summary, "auprc"))
        table.writerow(row)
os.replace(part, os.path.join(output, "results.csv"))
EOF_PYTHON
[ "$failed" -eq 0 ] || fail 1 "not all runs came to their end; $output/results.csv has the others. Mend what is told above and start again"
echo "$script: $total runs: $output/results.csv" >&2

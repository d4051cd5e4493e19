#!/usr/bin/env bash
# Trains one recipe on the good images of an MVTec folder, scores its test images, prints how well defects stand out.
#
#   scripts/benchmark-images.sh [options] DIR
#
# DIR holds train/good, test/good, test/TYPE and, for the figures of pixels, ground_truth/TYPE/NAME_mask.png.
#
#   --config FILE      the recipe (default: configs/pcb-inspection.json)
#   --set POINTER=V    override one of its settings, as of ae-train (repeatable)
#   --seeds K,...      seeds to train with (default: 0,1,2)
#   --group-by COLUMN  every figure for each value of this column of DIR/manifest.csv, too
#   --boxed DIR2       score the test images of DIR2 with the same models and set the regions found against the boxes
#                      in DIR2/boxes
#   --pixel-alpha A, --region-alpha A, --minimum-area N, --opening N
#                      which regions count there, as of ae-score
#   --alpha A          false positives are counted at p <= A (default: 0.05)
#   --threads N        threads of each program (default: its own choice)
#   -o, --output FILE  every run and group as a line of CSV ("-": CSV instead of the table)
#   --keep FOLDER      keep models, scores and regions there (maps are always removed)
#   --bin FOLDER       the programs (default: $AETOOLS_BIN, else build/release/apps, else the PATH)
#   --force            overwrite FILE
#
# Printed per group, as means over the seeds: test images, image AUROC, pixel AUROC, pixel average precision, AUPRO to
# FPR 0.3, and the share of good images with p <= A (FPR); then wall time of training, images a wall second of scoring
# (start of the program and writing of maps included), and, with --boxed, the share of boxes hit and the false regions
# an image. A figure that cannot be had, as those of pixels without masks, is "-".
# Exit codes: 0 done, 1 a run failed, 2 usage, 4 the folder's data are not usable.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/benchmark.bash"

config=$source_folder/configs/pcb-inspection.json
group='' boxed='' rules=()

own_option() {
  case "$1" in
    --group-by) group=$2 ;;
    --boxed) boxed=${2%/} ;;
    --pixel-alpha | --region-alpha | --minimum-area | --opening) rules+=("$1" "$2") ;;
    *) return 1 ;;
  esac
}
read_options "$@"
check_common
is_share "$alpha" || fail 2 "$alpha: --alpha is a number from 0 to 1"
[ -d "$folder/test/good" ] || fail 4 "$folder: has no test/good; expected a folder as of MVTec"
[ -z "$group" ] || [ -r "$folder/manifest.csv" ] || fail 4 "$folder/manifest.csv: no such file; --group-by needs it"
[ -z "$boxed" ] || [ -d "$boxed/boxes" ] || fail 4 "$boxed: has no folder boxes"
check_output
find_programs

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
place=${keep:-$work}
mkdir -p "$place" || fail 1 "$place: cannot be made"

# The figures of a summary of ae-roc: a line "GROUP IMAGES AUROC PIXEL_AUROC AP AUPRO" for all images and one for each
# group, "-" for what is not known. The file is indented by two spaces a level, which tells whose a figure is.
figures_of() {
  awk '
    function known(what) { return area[what] == "" || area[what] == "null" ? "-" : area[what] }
    function tell() {
      if (name != "") {
        print name, images, known("auroc"), known("pixel auroc"), known("average_precision"), known("aupro_30")
      }
      for (what in area) delete area[what]
      images = 0
    }
    BEGIN { name = "all"; base = 1 }
    { match($0, /^ */); depth = RLENGTH / 2; key = $1; value = $2; gsub(/[":,]/, "", key); gsub(/[",]/, "", value) }
    depth == 1 { top = key }
    depth == 1 && (top == "types" || top == "groups") && base == 1 { tell(); name = ""; base = 3 }
    top == "types" { next }
    depth == base { inside = key }
    depth == base && key == "name" { tell(); name = value }
    depth == base && (key == "anomalies" || key == "normals") { images += value }
    depth == base && key == "auroc" { area["auroc"] = value }
    depth == base + 1 && inside == "auroc" && key == "value" { area["auroc"] = value }
    depth == base + 1 && inside == "pixels" { area[key == "auroc" ? "pixel auroc" : key] = value }
    END { tell() }
  ' "$1"
}

# A line "GROUP SHARE" for all images and each group: good ones with p <= alpha.
false_positives() {
  awk -F, -v alpha="$alpha" -v group="$group" -v manifest="$folder/manifest.csv" '
    { sub(/\r$/, "") }
    FNR == 1 { for (column in at) delete at[column]; for (i = 1; i <= NF; i++) at[$i] = i; next }
    group != "" && FILENAME == manifest { of[$at["file"]] = $at[group]; next }
    $at["label"] == "good" {
      hit = $at["p_value"] <= alpha
      normal["all"]++; hits["all"] += hit
      if ($at["id"] in of) { normal[of[$at["id"]]]++; hits[of[$at["id"]]] += hit }
    }
    END { for (name in normal) print name, hits[name] / normal[name] }
  ' ${group:+"$folder/manifest.csv"} "$1"
}

# "BOXES_HIT FALSE_REGIONS" of a summary of ae-roc.
boxes_of() {
  awk '/^  "boxes": \{/ { boxes = 1 } /^  \}/ { boxes = 0 }
       boxes && /^    "hit_rate":/ { hit = $2 } boxes && /^    "false_regions_per_image":/ { wrong = $2 }
       END { gsub(/,/, "", hit); gsub(/,/, "", wrong); print hit, wrong }' "$1"
}

truth=() groups=() failed=0
[ ! -d "$folder/ground_truth" ] || truth=(--maps "$work/maps" --truth "$folder/ground_truth")
[ -z "$group" ] || groups=(--manifest "$folder/manifest.csv" --group-by "$group")

# One seed: its lines of CSV go to standard output.
run_seed() {
  local seed=$1 model=$place/seed$1 started train_seconds speed hit=- wrong=- scored
  started=$EPOCHREALTIME
  ae-train "$config" --data "$folder" --set "/training/seed=$seed" "${settings[@]}" "${threads[@]}" --out "$model" \
    --force -q || return 1
  train_seconds=$(seconds_since "$started")
  started=$EPOCHREALTIME
  ae-score "$model" "$folder" --maps "$work/maps" "${threads[@]}" -o "$model.csv" --force -q || return 1
  scored=$(($(wc -l <"$model.csv") - 1))
  speed=$(awk "BEGIN { printf \"%.1f\", $scored / ($EPOCHREALTIME - $started) }")
  ae-roc "$model.csv" --normal good "${truth[@]}" "${groups[@]}" --bootstrap 0 --summary "$model.json" --force -q \
    >/dev/null || return 1
  rm -rf "$work/maps"
  if [ -n "$boxed" ]; then
    ae-score "$model" "$boxed" "${rules[@]}" --regions "$model.regions.csv" "${threads[@]}" -o "$model.boxed.csv" \
      --force -q || return 1
    ae-roc "$model.boxed.csv" --normal good --boxes "$boxed/boxes" --regions "$model.regions.csv" --bootstrap 0 \
      --summary "$model.boxed.json" --force -q >/dev/null || return 1
    read -r hit wrong < <(boxes_of "$model.boxed.json")
  fi
  false_positives "$model.csv" >"$work/rates"
  figures_of "$model.json" | awk -v seed="$seed" -v rest="$train_seconds,$speed,$hit,$wrong" -v OFS=, '
    FNR == NR { rate[$1] = $2; next }
    { print $1, seed, $2, $3, $4, $5, $6, ($1 in rate ? rate[$1] : "-"), rest }' "$work/rates" -
}

header=group,seed,images,auroc,pixel_auroc,pixel_ap,aupro,false_positive_rate
header+=,train_seconds,images_per_second,boxes_hit,false_regions
{
  echo "$header"
  for seed in ${seeds//,/ }; do
    run_seed "$seed" || failed=$((failed + 1))
  done
} >"$work/runs.csv"
if [ "$output" = - ]; then
  cat "$work/runs.csv"
else
  save_runs "$work/runs.csv"
  awk -F, -v alpha="$alpha" '
    NR == 1 { next }
    !($1 in runs) { order[++groups] = $1; if (length($1) > width) width = length($1) }
    { runs[$1]++; images[$1] = $3; for (i = 4; i <= NF; i++) { sum[$1, i] += $i; if ($i == "-") unknown[$1, i] = 1 } }
    function figure(name, i, digits) {
      return (name, i) in unknown ? "-" : sprintf("%." digits "f", sum[name, i] / runs[name])
    }
    END {
      if (!groups) exit
      if (width < 5) width = 5
      printf "%-*s  %6s  %6s  %8s  %6s  %6s  %6s\n", width, "group", "images", "AUROC", "px AUROC", "px AP", "AUPRO",
             "FPR"
      for (g = 1; g <= groups; g++) {
        n = order[g]
        printf "%-*s  %6d  %6s  %8s  %6s  %6s  %6s\n", width, n, images[n], figure(n, 4, 4), figure(n, 5, 4),
               figure(n, 6, 4), figure(n, 7, 4), figure(n, 8, 4)
      }
      n = order[1]
      printf "\n%d %s; training %s s; %s images a second; FPR at p <= %s\n", runs[n], runs[n] == 1 ? "seed" : "seeds",
             figure(n, 9, 1), figure(n, 10, 1), alpha
      if (!((n, 11) in unknown)) {
        printf "boxes hit %s; false regions an image %s\n", figure(n, 11, 4), figure(n, 12, 4)
      }
    }' "$work/runs.csv"
fi
[ "$failed" -eq 0 ] || fail 1 "$failed runs failed; their errors are above"

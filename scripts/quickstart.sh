#!/usr/bin/env bash
# From sources to a result: installs packages, builds, learns benign breast cancer cases, scores all other rows and tells how
# well the malignant ones stand out. Everything is written to the folder given (default: quickstart).
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-quickstart}

scripts/setup.sh
cmake --preset release
cmake --build --preset release
bin=build/release/apps

"$bin/ae-train" configs/wdbc.json --out "$out/model" --force
"$bin/ae-score" "$out/model" configs/data/wdbc.csv --exclude-rows configs/data/wdbc.train.idx --explain 3 \
  -o "$out/scores.csv" --force
"$bin/ae-roc" "$out/scores.csv" --normal benign --choose youden -o "$out/roc.csv" --summary "$out/summary.json" \
  --plot "$out/roc.svg" --report "$out/report.html" --force
echo "Look at $out/roc.svg and $out/report.html."

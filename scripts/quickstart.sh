#!/usr/bin/env bash
# From sources to a result: installs packages, builds, learns benign breast cancer cases, scores all other rows and tells how
# well the malignant ones stand out. Everything is written to the folder given (default: quickstart).
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-quickstart}

# What apt says with nothing installed on Debian 13, which takes more than 12; the processor time is that of all of this on two cores of a fast and
# of a slow server.
cores=$(nproc)
least_seconds=460 most_seconds=1200
build=build/release
echo "This downloads up to 530 MB of Debian packages (2.4 GB on disk) where they are not installed yet, and builds three" \
  "programs below $build (0.7 GB), which takes some $(((least_seconds / cores + 59) / 60)) to $(((most_seconds / cores + 59) / 60)) minutes on this" \
  "machine's $cores cores when they are idle. The example itself takes seconds and goes to $out/." >&2

scripts/setup.sh
cmake --preset release
cmake --build --preset release --target ae-train --target ae-score --target ae-roc
bin=$build/apps

"$bin/ae-train" configs/wdbc.json --out "$out/model" --force
"$bin/ae-score" "$out/model" configs/data/wdbc.csv --exclude-rows configs/data/wdbc.train.idx --explain 3 \
  -o "$out/scores.csv" --force
"$bin/ae-roc" "$out/scores.csv" --normal benign --choose youden -o "$out/roc.csv" --summary "$out/summary.json" \
  --plot "$out/roc.svg" --report "$out/report.html" --force
echo "Look at $out/roc.svg and $out/report.html. ae-train, ae-score and ae-roc are in $bin; the other programs come there by" \
  "cmake --build --preset release. For a table of your own: $bin/ae-train normal.csv --out model"

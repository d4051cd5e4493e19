#!/usr/bin/env python3
"""How well holes of a table are filled, beside column means and most frequent levels.

    scripts/benchmark-imputation.py [options] TABLE.csv

Hides a share of the table's cells at random, trains on what is left (ae-train CONFIG --data), fills the holes
(ae-impute) and compares with what stood there. Printed per mask and as means: of numbers the root mean square error over
the hidden cells of all columns, in standard deviations of their column (NRMSE), beside that of the mean of the column's
cells that are left; of categories the share of right levels, beside that of the most frequent level that is left. A
column is of numbers when all its cells are; empty cells stay empty and are not judged.

  --config FILE    what to train (default: configs/table-impute.json)
  --set POINTER=V  override one of its settings, as of ae-train (repeatable)
  --rate R         share of the cells that is hidden (default: 0.2)
  --masks K,...    seeds of the masks (default: 0,1,2,3,4)
  --ignore NAME    leave this column out of the table (repeatable)
  --samples M      as of ae-impute (default: 1)
  --threads N      as of the programs (default: their own choice)
  --bin FOLDER     the programs (default: $AETOOLS_BIN, else the PATH)
"""

import argparse
import csv
import math
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent


def is_number(text):
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def call(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())


def filled_in(options, rows, holes, folder):
    hidden = [{name: "" if (r, name) in holes else text for name, text in row.items()} for r, row in enumerate(rows)]
    write(folder / "holes.csv", hidden)
    program = Path(options.bin) if options.bin else None
    train, impute = (program / name if program else name for name in ("ae-train", "ae-impute"))
    threads = ["--threads", options.threads] if options.threads else []
    overrides = [part for text in options.set for part in ("--set", text)]
    call(train, options.config, "--data", folder / "holes.csv", "--out", folder / "model", "-q", *overrides, *threads)
    call(impute, folder / "model", folder / "holes.csv", "-o", folder / "filled.csv", "-q", "--samples",
         options.samples, *threads)  # fmt: skip
    return hidden, read(folder / "filled.csv")


def judge(rows, hidden, filled, holes):
    """NRMSE of the filled numbers and of column means; share of right levels, filled and most frequent."""
    squares = [0.0, 0.0]
    right = [0, 0]
    numbers = categories = 0
    for name in rows[0]:
        places = [r for r in range(len(rows)) if (r, name) in holes]
        left = [row[name] for row in hidden if row[name] != ""]
        if all(is_number(row[name]) for row in rows if row[name] != ""):
            everything = [float(row[name]) for row in rows if row[name] != ""]
            middle = sum(everything) / len(everything)
            variance = sum((x - middle) ** 2 for x in everything) / len(everything)
            if variance == 0:
                continue
            mean = sum(map(float, left)) / len(left)
            for r in places:
                truth = float(rows[r][name])
                squares[0] += (float(filled[r][name]) - truth) ** 2 / variance
                squares[1] += (mean - truth) ** 2 / variance
            numbers += len(places)
        else:
            most = Counter(left).most_common(1)[0][0]
            right[0] += sum(filled[r][name] == rows[r][name] for r in places)
            right[1] += sum(most == rows[r][name] for r in places)
            categories += len(places)
    errors = [math.sqrt(s / numbers) if numbers else math.nan for s in squares]
    return errors + [n / categories if categories else math.nan for n in right]


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("table")
    parser.add_argument("--config", default=SOURCE / "configs" / "table-impute.json")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--rate", type=float, default=0.2)
    parser.add_argument("--masks", default="0,1,2,3,4")
    parser.add_argument("--ignore", action="append", default=[])
    parser.add_argument("--samples", default="1")
    parser.add_argument("--threads")
    parser.add_argument("--bin", default=os.environ.get("AETOOLS_BIN"))
    options = parser.parse_args()

    rows = [{name: text for name, text in row.items() if name not in options.ignore} for row in read(options.table)]
    print(f"{'mask':>6}{'NRMSE':>10}{'mean':>10}{'right':>10}{'mode':>10}")
    results = []
    for seed in options.masks.split(","):
        chance = random.Random(int(seed))
        holes = set()
        for r, row in enumerate(rows):
            holes.update((r, name) for name, text in row.items() if chance.random() < options.rate and text != "")
        with tempfile.TemporaryDirectory() as folder:
            hidden, filled = filled_in(options, rows, holes, Path(folder))
        results.append(judge(rows, hidden, filled, holes))
        print(f"{seed:>6}" + "".join(f"{value:>10.4f}" for value in results[-1]), flush=True)
    means = [sum(column) / len(results) for column in zip(*results)]
    print(f"{'means':>6}" + "".join(f"{value:>10.4f}" for value in means))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""How often ae-probe tells that codes add to controls where they do, and where they do not.

    scripts/benchmark-probe.py [options]

Makes up tables of survival: codes that are independent and normal, of which a direction by chance tells something, two
controls (an age, and a stage from 1 to 4) that tell something too, exponential times, and censoring at times that leave
about two thirds of the events. Each table is evaluated twice (ae-probe evaluate --controls): as it is, and with the
outcomes dealt out to other rows. Printed are in how many tables the verdict was right, "increment" of the first and "no
increment" of the second, with exact intervals of 95 percent; and of the tables as they are the mean C-indices: of the
direction itself, which no model can beat, among rows of the same stage and of similar age, and what was told of
held-out rows.

  --tables N       how many (default: 100)
  --rows N         rows of a table (default: 300)
  --codes N        (default: 16)
  --signal S       standard deviation of what the codes add to the log hazard (default: 0.6, a C-index of .65)
  --controls S     the same of each control (default: 0.4)
  --seed K         (default: 0)
  --jobs N         tables at a time (default: 1)
  --bin FOLDER     the program (default: $AETOOLS_BIN, else the PATH)
  --               what follows is passed on to ae-probe evaluate, such as --repeats 1
"""

import argparse
import csv
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CONTROLS = ["age", "stage"]


def simulated(options, seed):
    """Rows, and of each what the codes add to its log hazard."""
    chance = random.Random(f"{options.seed} {seed}")
    direction = [chance.gauss(0, 1) for _ in range(options.codes)]
    length = math.hypot(*direction)
    rows, truth = [], []
    for i in range(options.rows):
        codes = [chance.gauss(0, 1) for _ in range(options.codes)]
        age, stage = chance.gauss(0, 1), chance.randint(1, 4)
        truth.append(options.signal * sum(a * b for a, b in zip(direction, codes)) / length)
        # Stages of equal chance have the standard deviation sqrt(1.25).
        hazard = math.exp(truth[-1] + options.controls * (age + (stage - 2.5) / math.sqrt(1.25)))
        time, censored = chance.expovariate(hazard), chance.uniform(0, 3)
        rows.append({"id": f"r{i}", **{f"z{k}": f"{z:.6f}" for k, z in enumerate(codes)}, "age": f"{60 + 10 * age:.4f}",
                     "stage": stage, "time": f"{min(time, censored):.6f}", "event": int(time <= censored)})  # fmt: skip
    return rows, truth


def dealt_out(rows, seed):
    outcomes = [(row["time"], row["event"]) for row in rows]
    random.Random(f"outcomes {seed}").shuffle(outcomes)
    return [{**row, "time": time, "event": event} for row, (time, event) in zip(rows, outcomes)]


def concordance(rows, truth):
    """Of the truth, in pairs that the controls hardly tell apart: of one stage, and of ages within five years."""
    right = pairs = 0
    for a, risk in zip(rows, truth):
        if not a["event"]:
            continue
        for b, other in zip(rows, truth):
            alike = a["stage"] == b["stage"] and abs(float(a["age"]) - float(b["age"])) <= 5
            if alike and float(a["time"]) < float(b["time"]):
                pairs += 1
                right += risk > other
    return right / pairs


def evaluated(options, rows, folder, name):
    table = folder / f"{name}.csv"
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    program = Path(options.bin) / "ae-probe" if options.bin else "ae-probe"
    command = [program, "evaluate", table, "--time", "time", "--event", "event", "--summary", folder / f"{name}.json",
               "--threads", "1", "-q", *options.passed_on]  # fmt: skip
    for control in CONTROLS:
        command += ["--controls", control]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    table.unlink()
    return json.loads((folder / f"{name}.json").read_text())


def one_table(options, folder, seed):
    rows, truth = simulated(options, seed)
    return (
        evaluated(options, rows, folder, f"{seed}"),
        evaluated(options, dealt_out(rows, seed), folder, f"{seed}-dealt-out"),
        concordance(rows, truth),
        sum(row["event"] for row in rows) / len(rows),
    )


def binomial_interval(hits, tries):
    """Clopper and Pearson 1934, by bisection."""

    def tail(share, low, high):
        return sum(math.comb(tries, k) * share**k * (1 - share) ** (tries - k) for k in range(low, high + 1))

    def solved(above):
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if above(middle) else (middle, high)
        return low

    return (
        solved(lambda share: tail(share, hits, tries) > 0.025) if hits else 0.0,
        solved(lambda share: tail(share, 0, hits) < 0.025) if hits < tries else 1.0,
    )


def rate_line(what, verdicts, right):
    hits = verdicts.count(right)
    low, high = binomial_interval(hits, len(verdicts))
    return f'{what:24} "{right}" in {hits} of {len(verdicts)} tables ({100 * low:.0f} to {100 * high:.0f} %)'


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("--tables", type=int, default=100)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--codes", type=int, default=16)
    parser.add_argument("--signal", type=float, default=0.6)
    parser.add_argument("--controls", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--bin", default=os.environ.get("AETOOLS_BIN"))
    parser.add_argument("passed_on", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as workers:
        results = list(workers.map(lambda seed: one_table(options, Path(folder), seed), range(options.tables)))
    told, dealt, truth, events = zip(*results)

    def mean(numbers):
        return sum(numbers) / len(results)

    print(rate_line("codes that tell", [table["increment"] for table in told], "increment"))
    print(rate_line("outcomes dealt out", [table["increment"] for table in dealt], "no increment"))
    sets = [f'{mean([table["sets"][name]["c_index"] for table in told]):.3f} of {name}' for name in told[0]["sets"]]
    print(f"C-index: {mean(truth):.3f} of the truth given the controls; held out {', '.join(sets)}")
    error = mean([table["increments"][0]["c_index_standard_error"] for table in told])
    gains = [table["increments"][0]["c_index"] for table in told]
    spread = math.sqrt(sum((gain - mean(gains)) ** 2 for gain in gains) / max(1, len(gains) - 1))
    print(f"gain of both over controls: {mean(gains):.4f}, spread {spread:.4f}, standard error told {error:.4f}; "
          f"{100 * mean(events):.0f} % events")  # fmt: skip


if __name__ == "__main__":
    main()

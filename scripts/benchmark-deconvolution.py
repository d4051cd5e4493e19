#!/usr/bin/env python3
"""How long ae-deconvolve takes beside a plain one in NumPy, on the same file and on as many threads.

    scripts/benchmark-deconvolution.py [options]

Makes up a run of a double well that is observed with normal errors and biased until it is flat, as a COLVAR file. Both
read it, reweight it, choose the penalty on ten folds of held-out blocks, deconvolve, and do so again for resamples of
blocks of time. The plain one does the same by matrices as they are written down: Newton's steps on the penalised
likelihood. It makes histograms of blocks once, whose sums a resample is; most scripts gather the rows of a resample and make
its histogram anew, which --by-rows measures besides. Printed are seconds and their ratio, and by how much both free energies differ below 6.5 kT.

  --rows N         of the file (default: 1000000)
  --resamples N    (default: 200)
  --sigma X        of the errors (default: 0.2)
  --seed K         (default: 0)
  --threads N      that both may use (default: 1)
  --by-rows        also measure NumPy with resamples of rows
  --bin FOLDER     the program (default: $AETOOLS_BIN, else the PATH)
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = sys.argv[sys.argv.index("--threads") + 1] if "--threads" in sys.argv[:-1] else "1"
import numpy as np  # noqa: E402  (which looks at the variables when it is loaded)

FOLDS, BLOCKS = 10, 20


def double_well(x):
    return 6 * (x * x - 1) ** 2 + 0.3 * x


def simulated(options):
    """Observed values, drawn from their density times e^(-bias), and the bias, which flattens it up to 8 kT."""
    rng = np.random.default_rng(options.seed)
    step = 0.001
    grid = np.arange(-2.6, 2.6, step)
    error = np.exp(-((np.arange(-8 * options.sigma, 8 * options.sigma, step) / options.sigma) ** 2) / 2)
    blurred = np.convolve(np.exp(-double_well(grid)), error)
    places = grid[0] - 8 * options.sigma + step * np.arange(len(blurred))
    bias = np.maximum(np.log(blurred / blurred.max()), -8)
    total = np.cumsum(blurred * np.exp(-bias))
    drawn = places[np.searchsorted(total, rng.random(options.rows) * total[-1])]
    drawn += step * (rng.random(options.rows) - 0.5)
    return drawn, np.interp(drawn, places, bias)


def kernel(edges, sigma):
    from math import erf

    phi = np.vectorize(lambda z: (1 + erf(z / 2**0.5)) / 2)
    width = edges[1] - edges[0]
    points = [np.diff(phi((edges[:, None] - (edges[:-1] + (k + 0.5) / 8 * width)) / sigma), axis=0) for k in range(8)]
    return sum(points) / 8


class Plain:
    def __init__(self, blur):
        self.blur = blur
        bins = blur.shape[1]
        second = np.diff(np.eye(bins), 2, axis=0) * bins**1.5
        self.roughness = second.T @ second

    def likelihood(self, counts, exposure, u):
        p = np.exp(u - u.max())
        q = self.blur @ (p / p.sum())
        seen = counts > 0
        return (counts[seen] * np.log(q[seen] * exposure[seen])).sum() - counts.sum() * np.log(exposure @ q)

    def fit(self, counts, exposure, penalty, start, tolerance):
        u = start
        value = penalty / 2 * u @ self.roughness @ u - self.likelihood(counts, exposure, u)
        for _ in range(200):
            p = np.exp(u - u.max())
            p /= p.sum()
            q = self.blur @ p
            total, seen = counts.sum(), exposure @ q
            slope = total * exposure / seen - np.where(counts > 0, counts / np.maximum(q, 1e-300), 0)
            share = p * (self.blur.T @ (exposure / seen)) * np.sqrt(total)
            moved = self.blur * p
            weight = total * exposure / seen / np.maximum(q, 1e-300)
            information = moved.T @ (moved * weight[:, None]) - np.outer(share, share) + penalty * self.roughness
            size = np.trace(information) / len(u) ** 2
            information += size + 1e-10 * size * len(u) * np.eye(len(u))
            gradient = p * (self.blur.T @ slope) + penalty * self.roughness @ u
            step = -np.linalg.solve(information, gradient)
            step -= step.mean()
            if -step @ gradient / 2 < tolerance:
                break
            length = min(1, 4 / np.abs(step).max())
            for _ in range(30):
                there = u + length * step
                next_value = penalty / 2 * there @ self.roughness @ there - self.likelihood(counts, exposure, there)
                if next_value < value:
                    break
                length /= 2
            else:
                break
            u, value = there, next_value
        return u - u.max()


def plain(path, sigma, bins, resamples, by_rows):
    """(free energy, standard errors) by bins."""
    _, values, bias = np.loadtxt(path, comments="#", unpack=True)
    edges = np.linspace(values.min(), values.max(), bins + 1)
    place = np.clip(((values - edges[0]) / (edges[-1] - edges[0]) * bins).astype(int), 0, bins - 1)
    block = np.arange(len(values)) * BLOCKS // len(values)
    weight = np.exp(bias - bias.max())

    def table(of):
        return np.bincount(place * BLOCKS + block, of, bins * BLOCKS).reshape(bins, BLOCKS)

    weights, squares = table(weight), table(weight**2)
    scale = squares.sum(1) / np.maximum(weights.sum(1), 1e-300)
    full = scale > 0
    scale = np.exp(np.interp(np.arange(bins), np.flatnonzero(full), np.log(scale[full])))
    exposure = scale.min() / scale
    model = Plain(kernel(edges, sigma))
    likelihoods, penalties = [], 10.0 ** np.arange(2, -10.1, -0.5)
    starts, best, worse = [np.zeros(bins)] * FOLDS, -np.inf, 0
    for penalty in penalties:
        row = []
        for fold in range(FOLDS):
            held_out = np.arange(BLOCKS) % FOLDS == fold
            starts[fold] = model.fit(weights[:, ~held_out].sum(1) / scale, exposure, 0.9 * penalty, starts[fold], 1e-3)
            row.append(model.likelihood(weights[:, held_out].sum(1) / scale, exposure, starts[fold]))
        likelihoods.append(row)
        worse = 0 if sum(row) >= best - 1 else worse + 1
        best = max(best, sum(row))
        if worse == 4:
            break
    likelihoods = np.array(likelihoods)
    losses = likelihoods[likelihoods.sum(1).argmax()] - likelihoods
    errors = losses.std(1, ddof=1) / np.sqrt(FOLDS)
    penalty = penalties[np.argmax((losses.mean(1) <= 2 * errors) & (losses.sum(1) <= 6))]
    u = model.fit(weights.sum(1) / scale, exposure, penalty, np.zeros(bins), 1e-8)
    rng, drawn = np.random.default_rng(0), []
    for _ in range(resamples):
        chosen = rng.integers(0, BLOCKS, BLOCKS)
        if by_rows:
            rows = np.concatenate([np.arange(-(-b * len(values) // BLOCKS), -(-(b + 1) * len(values) // BLOCKS)) for b in chosen])
            sums = np.bincount(place[rows], weight[rows], bins)
        else:
            sums = weights @ np.bincount(chosen, minlength=BLOCKS)
        again = model.fit(sums / scale, exposure, penalty, u, 1e-3)
        drawn.append(-again + np.log(np.exp(again).sum()))
    return -u, np.std(drawn, axis=0) if drawn else None


def program(path, options, folder):
    name = Path(options.bin) / "ae-deconvolve" if options.bin else "ae-deconvolve"
    command = [name, path, "--cv", "s", "--bias", "bias", "--kt", "1", "--sigma", options.sigma, "--bootstrap",
               options.resamples, "--threads", options.threads, "-o", folder, "--force", "-q"]  # fmt: skip
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr.strip())
    with open(folder / "fes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}
    return columns, json.loads((folder / "summary.json").read_text())


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--sigma", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--by-rows", action="store_true")
    parser.add_argument("--bin", default=os.environ.get("AETOOLS_BIN"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "COLVAR"
        values, bias = simulated(options)
        with open(path, "w", encoding="utf-8") as file:
            file.write("#! FIELDS time s bias\n")
            np.savetxt(file, np.column_stack([np.arange(options.rows), values, bias]), fmt=" %d %.9g %.9g")
        began = time.perf_counter()
        columns, summary = program(path, options, Path(folder) / "out")
        ours = time.perf_counter() - began
        theirs = {}
        for by_rows in (False, True) if options.by_rows else (False,):
            began = time.perf_counter()
            energies, _ = plain(path, options.sigma, len(columns["x"]), options.resamples, by_rows)
            theirs["resamples of rows" if by_rows else "resamples of histograms"] = time.perf_counter() - began
    low = double_well(columns["x"]) - double_well(np.linspace(-2, 2, 4001)).min() < 6.5
    difference = (columns["F"] - energies)[low]
    difference -= difference.mean()
    print(f"{options.rows} rows, {len(columns['x'])} bins, {options.resamples} resamples, threads: {options.threads}: "
          f"ae-deconvolve {ours:.2f} s")  # fmt: skip
    for name, seconds in theirs.items():
        print(f"NumPy, {name}: {seconds:.2f} s, ratio {seconds / ours:.1f}")
    print(f"free energies differ by up to {np.abs(difference).max():.3f} kT below 6.5 kT; "
          f"barrier {summary['barrier']:.2f} +- {summary['barrier_se']:.2f} kT of 6.30")  # fmt: skip


if __name__ == "__main__":
    main()

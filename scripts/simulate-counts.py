#!/usr/bin/env python3
"""Simulates counts of single cells: for examples and tests, with known types of cells.

    scripts/simulate-counts.py FOLDER [--cells 300] [--genes 200] [--types 2] [--seed 0]

writes a 10x folder (matrix.mtx.gz, features.tsv.gz, barcodes.tsv.gz), and types.txt with each cell's type. Needs NumPy.
"""

import argparse
import gzip
from pathlib import Path

import numpy as np


def simulated(cells, genes, seed, types=2, markers=0.1, depth=1.0):
    """(counts [cells, genes], type of each cell): negative binomial counts of dispersion 0.5 around a mean that is the
    product of a gene's level (log-normal), a cell's depth (log-normal, sigma 0.3) and, of a tenth of the genes, the
    type's factor (log-normal, sigma 1.5)."""
    random = np.random.default_rng(seed)
    of_type = random.integers(types, size=cells)
    level = np.exp(random.normal(-1, 1, genes)) * depth
    factor = np.where(random.random((types, genes)) < markers, np.exp(random.normal(0, 1.5, (types, genes))), 1)
    mean = np.exp(random.normal(0, 0.3, cells))[:, None] * level * factor[of_type]
    return random.poisson(random.gamma(2, mean / 2)), of_type


def names(count, prefix):
    return [f"{prefix}{i:04}" for i in range(count)]


def write_folder(folder, counts, version=3, symbols=None, compressed=True):
    """A 10x folder: matrix.mtx genes x cells with its names."""
    folder.mkdir()
    cells, genes = counts.shape
    symbols = symbols or names(genes, "GENE")
    gene, cell = np.nonzero(counts.T)
    lines = ["%%MatrixMarket matrix coordinate integer general", "%", f"{genes} {cells} {len(gene)}"]
    lines += [f"{g + 1} {c + 1} {counts[c, g]}" for c, g in sorted(zip(cell, gene))]
    type_of = "\tGene Expression" if version == 3 else ""
    files = {
        "matrix.mtx": lines,
        "features.tsv" if version == 3 else "genes.tsv": [f"ENSG{i:011}\t{s}{type_of}" for i, s in enumerate(symbols)],
        "barcodes.tsv": names(cells, "CELL"),
    }
    for name, content in files.items():
        text = "".join(line + "\n" for line in content).encode()
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(text))
        else:
            (folder / name).write_bytes(text)
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    for name, default in {"cells": 300, "genes": 200, "types": 2, "seed": 0}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    counts, of_type = simulated(asked.cells, asked.genes, asked.seed, asked.types)
    write_folder(asked.folder, counts)
    (asked.folder / "types.txt").write_text("".join(f"type{t}\n" for t in of_type))


if __name__ == "__main__":
    main()

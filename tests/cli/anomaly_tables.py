"""Tables with planted anomalies, in a folder as scripts/benchmark-tabular.sh reads it."""

import gzip
import random

from support import write_csv


def number_rows(count=260, anomalies=40, seed=1):
    """Four columns that one hidden number decides; in an anomaly (label 1) one of them belongs to another row."""
    chance = random.Random(seed)
    rows = []
    for i in range(count):
        hidden = [chance.uniform(-1, 1)] * 4
        if i < anomalies:
            hidden[chance.randrange(4)] += chance.choice([-1.5, 1.5])
        a, b, c, d = hidden
        noise = [chance.gauss(0, 0.2) for _ in range(4)]
        rows.append({"a": a + noise[0], "b": 3 - 2 * b + noise[1], "c": c * c + noise[2], "d": 1e4 * (d + noise[3])})
        rows[-1]["label"] = int(i < anomalies)
    chance.shuffle(rows)
    return rows


def mixed_rows(count=320, anomalies=40, seed=2, missing=0.08):
    """Numbers, categories, a constant column and empty cells; in an anomaly the category is another row's."""
    chance = random.Random(seed)
    rows = []
    for i in range(count):
        x = chance.uniform(-1, 1)
        level = 0 if x < -0.3 else 1 if x < 0.3 else 2
        if i < anomalies:
            level = (level + chance.choice([1, 2])) % 3
        row = {
            "x": x,
            "y": 2 * x + chance.gauss(0, 0.1),
            "z": 100 - 30 * x + chance.gauss(0, 2),
            "colour": ["red", "green", "blue"][level],
            "large": "yes" if x > 0 else "no",
            "fixed": 7,
        }
        for column in ("x", "y", "z", "large"):
            if chance.random() < missing:
                row[column] = ""
        rows.append({**row, "label": int(i < anomalies)})
    chance.shuffle(rows)
    return rows


def write_benchmark(folder, tables, seeds=(0, 1)):
    """tables: file name (NAME.csv or NAME.csv.gz) to rows. Each split trains on half of the normal rows."""
    (folder / "splits").mkdir(parents=True)
    for file, rows in tables.items():
        name = file.split(".")[0]
        write_csv(folder / f"{name}.csv", rows)
        if file.endswith(".gz"):
            (folder / file).write_bytes(gzip.compress((folder / f"{name}.csv").read_bytes()))
            (folder / f"{name}.csv").unlink()
        normal = [i for i, row in enumerate(rows) if row["label"] == 0]
        for seed in seeds:
            chosen = sorted(random.Random(seed).sample(normal, len(normal) // 2))
            (folder / f"splits/{name}.seed{seed}.train.idx").write_text("".join(f"{i}\n" for i in chosen))
    return folder

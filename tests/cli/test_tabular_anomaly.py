"""The anomaly recipes for tables and the score heads, as a user would run them from the shell."""

import csv
import io
import json
import math
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import join_safetensors, one_error, split_safetensors

pytestmark = pytest.mark.skipif(os.environ.get("AETOOLS_WITH_TORCH") == "0", reason="built without LibTorch")

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
RECIPES = [CONFIGS / "tabular-anomaly.json", CONFIGS / "tabular-anomaly-private.json"]


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def normal_row(source, constant="7"):
    """Two numbers that follow from one hidden one, a category that follows from its sign, and a constant."""
    hidden = source.gauss(0, 1)
    return {
        "length": f"{hidden + source.gauss(0, 0.1):.4f}",
        "weight": f"{2 * hidden + source.gauss(0, 0.1):.4f}",
        "speed": f"{source.gauss(5, 2):.4f}",
        "kind": ("short" if hidden < 0 else "long"),
        "batch": constant,
    }


def write_table(path, rows):
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def table(count, seed, missing=0.0, label="0"):
    source = random.Random(seed)
    rows = [normal_row(source) for _ in range(count)]
    for row in rows:
        for name in ("length", "weight", "speed", "kind"):
            if source.random() < missing:
                row[name] = "NA"
        row["label"] = label
    return rows


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_the_recipes_find_planted_anomalies_and_name_their_column(run, tmp_path, recipe):
    write_table(tmp_path / "train.csv", table(400, 1, missing=0.05))
    test = table(300, 2)
    planted = {}
    for row, (column, value) in enumerate([("length", "3"), ("weight", "-6"), ("kind", "round"), ("batch", "8")] * 5):
        test[row] = {**test[row], column: value, "label": "1"}
        if column == "weight":
            test[row].update(length="2", kind="long")
        if column == "length":
            test[row].update(weight="-4", kind="short")
        planted[row] = column
    write_table(tmp_path / "test.csv", test)
    assert run("ae-train", recipe, "--data", "train.csv", "--out", "model", "-q").code == 0
    scored = run("ae-score", "model", "test.csv", "--alpha", "0.05", "--explain", "2", "-q")
    assert scored.code == 0
    rows = rows_of(scored.stdout)
    scores = [float(row["score"]) for row in rows]
    assert min(scores[:20]) > sorted(scores[20:])[int(0.95 * 280)]
    flagged = sum(row["flag"] == "1" for row in rows[20:]) / 280
    assert flagged < 0.1
    named = sum(rows[i]["top1_column"] == planted[i] for i in range(20))
    assert named >= 18
    for i in range(0, 20, 4):
        if rows[i]["top1_column"] == "length":
            assert float(rows[i]["top1_expected"]) < 1  # the cell says 3, the weight beside it -2


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
@pytest.mark.parametrize("count", [2, 10])
def test_the_recipes_work_from_few_rows(run, tmp_path, recipe, count):
    write_table(tmp_path / "train.csv", table(count, 1, missing=0.1))
    write_table(tmp_path / "test.csv", table(50, 2, missing=0.1))
    trained = run("ae-train", recipe, "--data", "train.csv", "--out", "model", "-q")
    assert (trained.code, trained.stdout) == (0, ""), trained.stderr
    scored = run("ae-score", "model", "test.csv", "-q")
    assert scored.code == 0
    assert all(math.isfinite(float(row["score"])) for row in rows_of(scored.stdout))


def test_a_single_training_row_is_refused(run, tmp_path):
    write_table(tmp_path / "one.csv", table(1, 1))
    write_table(tmp_path / "three.csv", table(3, 1))
    for data, settings in (("one.csv", ()), ("three.csv", ("--set", "/training/validation_fraction=0.9"))):
        refused = run("ae-train", RECIPES[0], "--data", data, "--out", "model", *settings, "-q")
        one_error(refused, 4, data, "at least two")
        assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("head", [
    '{"type": "loss"}', '{"type": "normalized"}', '{"type": "mahalanobis", "latent": true}',
    '{"type": "masked", "repeats": 2}',
    '{"type": "fusion", "members": [{"type": "neighbours"}, {"type": "normalized"}]}'],
    ids=lambda head: json.loads(head)["type"])
def test_an_ensemble_scores_with_every_head(run, tmp_path, head):
    write_table(tmp_path / "train.csv", table(150, 1, missing=0.05))
    test = table(60, 2, missing=0.05)
    for row in test[:10]:
        row.update(length="9", label="1")
    write_table(tmp_path / "test.csv", test)
    config = {
        "data": {"path": "train.csv", "label": "label", "normal": 0},
        "model": {"type": "dense", "hidden": [16], "latent": 2, "members": 3},
        "training": {"epochs": 40},
        "score": json.loads(head),
    }
    (tmp_path / "ensemble.json").write_text(json.dumps(config))
    trained = run("ae-train", "ensemble.json", "--out", "model", "-q")
    assert trained.code == 0, trained.stderr
    scored = run("ae-score", "model", "test.csv", "--explain", "5", "-q")
    rows = rows_of(scored.stdout)
    assert min(float(row["score"]) for row in rows[:10]) > max(float(row["score"]) for row in rows[10:])
    for row in rows:
        shares = [float(row[f"top{k}_share"]) for k in range(1, 6) if row[f"top{k}_share"]]
        assert sum(shares) == float(row["score"])
    assert all(row["top1_column"] == "length" for row in rows[:10])


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_the_same_seed_gives_the_same_bytes(run, tmp_path, recipe):
    write_table(tmp_path / "train.csv", table(60, 1, missing=0.05))
    for folder in ("a", "b"):
        assert run("ae-train", recipe, "--data", "train.csv", "--out", folder, "-q").code == 0
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()
    assert run("ae-score", "a", "train.csv", "-q").stdout == run("ae-score", "b", "train.csv", "-q").stdout


def test_p_values_keep_their_promise_on_fresh_rows(run, tmp_path):
    rates = []
    for seed in range(4):
        write_table(tmp_path / "train.csv", table(150, 10 + seed))
        write_table(tmp_path / "test.csv", table(400, 20 + seed))
        run("ae-train", RECIPES[0], "--data", "train.csv", "--out", "model", "--force", "-q")
        rows = rows_of(run("ae-score", "model", "test.csv", "--alpha", "0.1", "-q").stdout)
        rates.append(sum(row["flag"] == "1" for row in rows) / len(rows))
    assert 0.05 < sum(rates) / len(rates) < 0.15


def test_alphas_beyond_counting_go_by_a_named_tail(run, tmp_path):
    write_table(tmp_path / "train.csv", table(200, 1))
    write_table(tmp_path / "test.csv", [{**row, "length": "40"} for row in table(1, 2)] + table(50, 3))
    assert run("ae-train", RECIPES[0], "--data", "train.csv", "--out", "model", "-q").code == 0
    plain = rows_of(run("ae-score", "model", "test.csv", "--alpha", "0.01", "-q").stdout)
    assert "tail_p_value" not in plain[0]
    outcome = run("ae-score", "model", "test.csv", "--alpha", "1e-4")
    assert "generalised Pareto" in outcome.stderr
    rows = rows_of(outcome.stdout)
    assert float(rows[0]["p_value"]) == pytest.approx(1 / 201)
    assert 0 < float(rows[0]["tail_p_value"]) < 1e-4 and rows[0]["flag"] == "1"
    for row in rows:
        assert float(row["tail_p_value"]) <= float(row["p_value"])
        assert row["flag"] == ("1" if float(row["tail_p_value"]) <= 1e-4 else "0")


def test_a_stale_calibration_is_told_and_fails_only_when_asked(run, tmp_path):
    write_table(tmp_path / "train.csv", table(300, 1))
    write_table(tmp_path / "fresh.csv", table(300, 2))
    moved = [{**row, "speed": f"{float(row['speed']) + 6:.4f}"} for row in table(300, 3)]
    write_table(tmp_path / "moved.csv", moved)
    assert run("ae-train", RECIPES[0], "--data", "train.csv", "--out", "model", "-q").code == 0
    fresh = run("ae-score", "model", "fresh.csv", "--alpha", "0.05", "--fail-on-drift", "-q")
    assert (fresh.code, fresh.stderr) == (0, "")
    stale = run("ae-score", "model", "moved.csv", "--alpha", "0.05", "-q")
    assert stale.code == 0
    assert "do not score as the 300 normal rows" in stale.stderr
    asked = run("ae-score", "model", "moved.csv", "--fail-on-drift", "-q")
    assert asked.code == 3
    assert asked.stdout == run("ae-score", "model", "moved.csv", "-q").stdout
    assert run("ae-score", "model", "moved.csv", "-q").stderr == ""


def test_trimmed_training_distrusts_the_planted_rows(run, tmp_path):
    rows = table(300, 1)
    planted = list(range(7, 300, 20))
    for i in planted:
        rows[i].update(length="9", weight="-9")
    write_table(tmp_path / "train.csv", rows)
    config = {
        "data": {"path": "train.csv", "label": "label", "normal": 0},
        "model": {"type": "dense", "hidden": [16], "latent": 2},
        "training": {"epochs": 40, "learning_rate": 0.01, "trim": 0.05, "validation_fraction": 0,
                     "checkpoint": {"seconds": 0}},
        "score": {"type": "neighbours", "judge": "normalized"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert run("ae-train", "config.json", "--out", "model", "-q").code == 0
    told = [int(line) for line in (tmp_path / "model" / "distrusted.idx").read_text().split()]
    assert len(told) == 15 and told == sorted(told)
    assert len(set(told) & set(planted)) >= 13
    assert json.loads((tmp_path / "model" / "run.json").read_text())["distrusted"]["rows"] == 15

    # Interrupted after every step and continued: the same bytes.
    process = None
    for attempt in range(200):
        arguments = ["--out", "again", "-q"] + (["--resume"] if attempt else [])
        process = subprocess.Popen(
            [Path(os.environ["AETOOLS_BIN"]) / "ae-train", "config.json", *arguments], cwd=tmp_path
        )
        try:
            process.wait(timeout=0.7 if attempt < 3 else 60)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if process.returncode == 0:
            break
        time.sleep(0.01)
    assert process.returncode == 0
    for name in ("model.safetensors", "distrusted.idx"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()


def test_a_score_head_with_missing_or_misshapen_arrays_is_refused(run, tmp_path):
    write_table(tmp_path / "train.csv", table(30, 1))
    assert run("ae-train", RECIPES[0], "--data", "train.csv", "--out", "model", "-q").code == 0
    header, tensors = split_safetensors((tmp_path / "model" / "model.safetensors").read_bytes())
    del header["__metadata__"]["sha256"]
    for name in ("head.0.rows", "head.medians", "head.1.whitening.weights", "head.2.curve.spread"):
        renamed = {("head.other" if key == name else key): value for key, value in header.items()}
        longer = {**header, name: {**header[name], "shape": [*header[name]["shape"], 1]}}
        for damaged in (renamed, longer):
            (tmp_path / "bad.safetensors").write_bytes(join_safetensors(damaged, tensors))
            outcome = run("ae-score", "bad.safetensors", "train.csv", "-q")
            assert (outcome.code, outcome.stdout) == (4, ""), outcome.stderr
            assert name.split(".")[-1] in outcome.stderr and "bad.safetensors" in outcome.stderr
            assert outcome.stderr.count("\n") == 1


def test_missing_cells_of_training_rows_hide_no_anomaly(run, tmp_path):
    """Tightly tied columns, a quarter of the training cells missing: rows that lack the strange cell are not its like."""
    source = random.Random(5)
    columns = [f"x{j}" for j in range(6)]

    def row(strange):
        level = 10 * source.randrange(3)
        cells = [level + source.gauss(0, 0.5) for _ in columns]
        if strange:
            cells[source.randrange(6)] += source.choice([-1, 1]) * 2.5
        return cells, level

    def write(name, rows, missing):
        lines = [",".join(["id", *columns])]
        lines += [",".join([f"r{i}", *("" if source.random() < missing else f"{x:.3f}" for x in cells)]) for i, cells in enumerate(rows)]
        (tmp_path / name).write_text("\n".join(lines) + "\n")

    train = [row(False)[0] for _ in range(600)]
    tested = [row(i >= 300) for i in range(400)]
    write("test.csv", [cells for cells, _ in tested], 0)
    for missing in (0.06, 0.25):
        write("train.csv", train, missing)
        assert run("ae-train", "train.csv", "--out", "m", "--force", "-q").code == 0
        outcome = run("ae-score", "m", "test.csv", "--explain", "1", "-q")
        assert outcome.code == 0, outcome.stderr
        rows = rows_of(outcome.stdout)
        scores = [float(r["score"]) for r in rows]
        good, bad = scores[:300], scores[300:]
        auroc = sum((b > g) + 0.5 * (b == g) for b in bad for g in good) / len(good) / len(bad)
        assert auroc > 0.97, (missing, auroc)
        alarms = sum(float(r["p_value"]) <= 0.05 for r in rows[:300]) / 300
        assert 0.01 < alarms < 0.09, (missing, alarms)
        far = [r for r, (_, level) in zip(rows, tested) if abs(float(r["top1_expected"]) - level) > 5]
        assert len(far) <= 4, (missing, len(far))

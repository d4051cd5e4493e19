"""Tables of numbers and categories with holes: what is filled in, how sure, and by which recipe."""

import math
import random
import subprocess
import sys

import pytest
from support import CONFIGS, SOURCE, needs_torch, one_error, rows_of, write_config, write_csv

pytestmark = needs_torch

IMPUTE = CONFIGS / "table-impute.json"
LEVELS = ["low", "middle", "high"]


def level(x):
    return LEVELS[0] if x < -0.4 else LEVELS[1] if x < 0.4 else LEVELS[2]


def whole_rows(count=240, seed=3):
    """Every column is a function of x, which itself is one of y."""
    chance = random.Random(seed)
    xs = [chance.uniform(-1, 1) for _ in range(count)]
    return [{"x": f"{x:.4f}", "y": f"{3 * x - 1:.4f}", "z": f"{x * x:.4f}", "level": level(x)} for x in xs]


def with_holes(rows, share=0.2, seed=5):
    """At least one of x and y is left, so that every hole follows from what is left."""
    chance = random.Random(seed)
    holes = []
    for row in rows:
        empty = {name for name in row if chance.random() < share} - {chance.choice("xy")}
        holes.append({name: "" if name in empty else text for name, text in row.items()})
    return holes


@pytest.fixture(scope="module")
def filler(bin_folder, tmp_path_factory):
    """A model of the recipe, the rows as they are, and with the holes that it was trained on."""
    home = tmp_path_factory.mktemp("filler")
    rows = whole_rows()
    holes = with_holes(rows)
    write_csv(home / "holes.csv", holes)
    command = [bin_folder / "ae-train", IMPUTE, "--data", home / "holes.csv", "--out", home / "model", "-q"]
    done = subprocess.run(command, capture_output=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, b"")
    return home / "model", rows, holes


def test_holes_of_both_kinds_follow_from_the_other_columns(run, filler, tmp_path):
    model, rows, holes = filler
    write_csv(tmp_path / "holes.csv", holes)
    outcome = run("ae-impute", model, "holes.csv", "--mark", "marks.csv", "-q")
    assert (outcome.code, outcome.stderr) == (0, "")
    filled = rows_of(outcome.stdout)
    errors = {name: [] for name in "xyz"}
    right = []
    for row, hole, full in zip(rows, holes, filled):
        assert all(full[name] == text for name, text in hole.items() if text)
        for name in errors:
            if not hole[name]:
                errors[name].append(float(full[name]) - float(row[name]))
        # Beside a border, nothing but x itself could tell.
        if not hole["level"] and min(abs(float(row["x"]) - b) for b in (-0.4, 0.4)) > 0.1:
            right.append(full["level"] == row["level"])
    spread = {"x": 0.577, "y": 1.732, "z": 0.298}  # of a uniform x: 1 / sqrt(3), 3 / sqrt(3), sqrt(4 / 45)
    for name, found in errors.items():
        assert len(found) > 20
        assert math.sqrt(sum(e * e for e in found) / len(found)) < 0.25 * spread[name], name
    assert len(right) > 20 and sum(right) >= 0.95 * len(right)

    marks = rows_of((tmp_path / "marks.csv").read_text())
    assert list(marks[0]) == ["id", "column", "value", "probability"]
    assert len(marks) == sum(text == "" for row in holes for text in row.values())
    for mark in marks:
        assert mark["value"] == filled[int(mark["id"])][mark["column"]]
        if mark["column"] == "level":
            assert 1 / 3 - 1e-3 <= float(mark["probability"]) <= 1
        else:
            assert mark["probability"] == ""


def test_the_probability_of_a_level_is_its_share_where_nothing_is_known(run, tmp_path):
    chance = random.Random(11)
    rows = [{"x": f"{chance.gauss(0, 1):.3f}", "coin": "head" if chance.random() < 0.7 else "tail"} for _ in range(2000)]
    share = sum(row["coin"] == "head" for row in rows) / len(rows)
    write_csv(tmp_path / "table.csv", rows)
    config = {
        "data": {"path": "table.csv"},
        "model": {"type": "dense", "hidden": [8], "latent": 2, "members": 2},
        "training": {"epochs": 40, "corruption": [{"type": "mask", "rate": 0.5}], "learning_rate": 0.005},
    }
    done = run("ae-train", write_config(tmp_path / "config.json", config), "--out", "model", "-q")
    assert (done.code, done.stderr) == (0, "")
    write_csv(tmp_path / "holes.csv", [{"x": "NA", "coin": "NA"}, {"x": rows[0]["x"], "coin": ""}])
    found = {}
    for samples in (1, 64):
        outcome = run("ae-impute", "model", "holes.csv", "--mark", f"{samples}.csv", "--samples", samples, "-q")
        assert outcome.code == 0
        marks = rows_of((tmp_path / f"{samples}.csv").read_text())
        found[samples] = {int(m["id"]): float(m["probability"]) for m in marks if m["column"] == "coin"}
        assert all(m["value"] == "head" for m in marks if m["column"] == "coin")
        assert found[samples][0] == pytest.approx(share, abs=0.04)
    # Nothing tells x, a standard normal number: what it may be is as wide as that.
    assert list(marks[0]) == ["id", "column", "value", "probability", "sd"]
    assert [float(mark["sd"]) for mark in marks if mark["column"] == "x"] == [pytest.approx(1, abs=0.1)]
    assert all(mark["sd"] == "" for mark in marks if mark["column"] == "coin")
    outcome = run("ae-impute", "model", "table.csv", "--evaluate", "masked", "--rate", 0.3, "--samples", 16, "-q")
    columns = {row["column"]: row for row in rows_of(outcome.stdout)}
    assert float(columns["x"]["coverage"]) == pytest.approx(0.9, abs=0.04)
    assert columns["all"]["coverage"] == columns["x"]["coverage"] and columns["coin"]["coverage"] == ""
    assert found[64][0] == found[1][0]  # there is nothing left to hide
    # Half of the samples see x and half do not: the mean of both, up to the chance in 64 coins.
    assert found[64][1] == pytest.approx((found[1][0] + found[1][1]) / 2, abs=0.25 * abs(found[1][1] - found[1][0]))


def test_a_hole_is_never_filled_with_a_level_that_training_did_not_see(run, tmp_path):
    rows = whole_rows(40)
    write_csv(tmp_path / "table.csv", rows)
    write_csv(tmp_path / "holes.csv", [dict(row, level="") for row in rows])
    config = {
        "data": {"path": "table.csv"},
        "model": {"type": "dense", "hidden": [4], "latent": 2},
        "training": {"epochs": 1, "learning_rate": 1e-6, "corruption": [{"type": "mask"}]},
    }
    write_config(tmp_path / "config.json", config)
    for seed in range(4):  # of first weights, as likely to prefer the unseen level as any other
        done = run("ae-train", "config.json", "--out", f"m{seed}", "-q", "--set", f"/training/seed={seed}")
        assert done.code == 0
        filled = run("ae-impute", f"m{seed}", "holes.csv", "-q")
        assert {row["level"] for row in rows_of(filled.stdout)} <= set(LEVELS)
        projected = run("ae-purify", f"m{seed}", "table.csv", "-q")
        assert {row["level"] for row in rows_of(projected.stdout)} <= set(LEVELS)


@pytest.mark.parametrize("text", ["inf", "-Infinity", "1e999"])
def test_an_infinite_cell_is_an_error(run, filler, tmp_path, text):
    write_csv(tmp_path / "holes.csv", [{"x": text, "y": "", "z": "0.5", "level": ""}])
    one_error(run("ae-impute", filler[0], "holes.csv", "-o", "out.csv"), 4, "holes.csv:2", '"x"', text, "finite")
    assert not (tmp_path / "out.csv").exists()


def test_the_benchmark_hides_fills_and_judges_both_kinds(bin_folder, tmp_path):
    write_csv(tmp_path / "table.csv", whole_rows(120))
    done = subprocess.run(
        [sys.executable, SOURCE / "scripts" / "benchmark-imputation.py", "table.csv", "--masks", "1,2", "--bin", bin_folder]
        + ["--set", "/model/members=1", "--set", "/training/epochs=100"],
        capture_output=True, text=True, cwd=tmp_path, timeout=300,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    head, *lines = [line.split() for line in done.stdout.splitlines()]
    assert head == ["mask", "NRMSE", "mean", "right", "mode"] and [line[0] for line in lines] == ["1", "2", "means"]
    for i in range(1, 5):
        assert float(lines[2][i]) == pytest.approx((float(lines[0][i]) + float(lines[1][i])) / 2, abs=1e-4)
    nrmse, mean, right, mode = map(float, lines[2][1:])
    assert mean == pytest.approx(1, abs=0.15) and mode == pytest.approx(0.4, abs=0.15)
    assert nrmse < 0.6 * mean and right > mode + 0.3

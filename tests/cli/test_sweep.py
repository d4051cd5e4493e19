"""scripts/sweep.sh: every combination is trained once, and the table says what ae-train and ae-roc say."""

import json
import subprocess

import pytest
from support import CONFIGS, SOURCE, WDBC, needs_torch, rows_of

pytestmark = needs_torch

BASE = ["--", CONFIGS / "wdbc.json", "--set", "/training/epochs=3"]


@pytest.fixture(scope="module")
def sweep(bin_folder, tmp_path_factory):
    home = tmp_path_factory.mktemp("sweep")

    def run_script(*arguments):
        command = ["bash", SOURCE / "scripts/sweep.sh", "--bin", bin_folder, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=home, timeout=300)
        return done.returncode, done.stdout, done.stderr

    run_script.home = home
    return run_script


def test_a_grid_with_seeds_is_trained_scored_and_told_and_continued(sweep):
    grid = ["-o", "out", "--vary", "/model/latent=2 4", "--score", WDBC, "--normal", "benign"]
    code, printed, told = sweep(*grid, "--seeds", "0,1", "-j", 2, "--threads", 1, *BASE)
    assert (code, printed) == (0, ""), told
    rows = rows_of((sweep.home / "out/results.csv").read_text())
    assert [(row["/model/latent"], row["/training/seed"]) for row in rows] == [("2", "0"), ("2", "1"), ("4", "0"), ("4", "1")]
    for row in rows:
        place = sweep.home / "out/runs" / row["run"]
        manifest = json.loads((place / "run.json").read_text())
        summary = json.loads((place / "summary.json").read_text())
        config = json.loads((place / "config.json").read_text())
        assert (str(config["model"]["latent"]), str(config["training"]["seed"])) == (row["/model/latent"], row["/training/seed"])
        assert (int(row["epochs"]), row["model"]) == (3, manifest["model_sha256"][:8])
        metrics = rows_of((place / "metrics.csv").read_text())
        best = metrics[int(row["best_epoch"]) - 1]
        assert (row["train_loss"], row["validation_loss"]) == (best["train_loss"], best["validation_loss"])
        assert float(row["auroc"]) == summary["auroc"]["value"]
        assert [float(row["auroc_low"]), float(row["auroc_high"])] == summary["auroc"]["interval"]
        assert float(row["auprc"]) == summary["auprc"]["value"]
    assert len({row["train_loss"] for row in rows}) == 4

    # One run is interrupted, one is new; those that are complete are not touched.
    (sweep.home / "out/runs" / rows[0]["run"] / "run.json").unlink()
    kept = sweep.home / "out/runs" / rows[1]["run"] / "scores.csv"
    before = kept.stat().st_mtime_ns
    code, _, told = sweep(*grid, "--seeds", "0,1,2", *BASE)
    assert code == 0, told
    again = rows_of((sweep.home / "out/results.csv").read_text())
    assert len(again) == 6 and [row for row in again if row["/training/seed"] != "2"][1:] == rows[1:]
    assert again[0]["train_loss"] == rows[0]["train_loss"]
    assert kept.stat().st_mtime_ns == before

    # Another table to score is another question.
    lines = WDBC.read_text().splitlines(keepends=True)
    (sweep.home / "fewer.csv").write_text("".join(lines[:400]))
    grid[grid.index(WDBC)] = "fewer.csv"
    code, _, told = sweep(*grid, "--seeds", "0,1", *BASE)
    assert code == 0, told
    assert len(rows_of(kept.read_text())) == 399


def test_labels_may_be_of_a_column_that_the_models_do_not_know(sweep):
    lines = WDBC.read_text().splitlines()
    column = lines[0].split(",").index("diagnosis")
    plain = [",".join(cell for i, cell in enumerate(line.split(",")) if i != column) for line in lines]
    (sweep.home / "plain.csv").write_text("\n".join(plain) + "\n")
    code, _, told = sweep("-o", "labels", "--vary", "/model/latent=2", "--score", WDBC, "--label", "diagnosis", "--normal",
                          "benign", *BASE, "--data", "plain.csv", "--set", '/data/label=""', "--set", "/data/normal=[]",
                          "--set", '/data/rows=""')
    assert code == 0, told
    assert 0.5 < float(rows_of((sweep.home / "labels/results.csv").read_text())[0]["auroc"]) < 1


def test_values_are_no_patterns_of_files(sweep):
    (sweep.home / "2").write_text("")
    code, _, told = sweep("-o", "patterns", "--vary", "/model/hidden=[2] [3]", *BASE)
    assert code == 0, told
    rows = rows_of((sweep.home / "patterns/results.csv").read_text())
    assert [row["/model/hidden"] for row in rows] == ["[2]", "[3]"]


def test_folds_are_scored_on_the_rows_that_they_leave_out(sweep):
    benign = [i for i, line in enumerate(WDBC.read_text().splitlines()[1:]) if line.endswith("benign")]
    for name, rows in (("a b.idx", benign[::2]), ("c.idx", benign[1::2])):
        (sweep.home / name).write_text("".join(f"{row}\n" for row in rows))
    code, _, told = sweep("-o", "folds", "--folds", "a b.idx,c.idx", "--score", WDBC, "--normal", "benign", *BASE)
    assert code == 0, told
    rows = rows_of((sweep.home / "folds/results.csv").read_text())
    assert [row["/data/rows"] for row in rows] == ["a b.idx", "c.idx"]
    for row in rows:
        place = sweep.home / "folds/runs" / row["run"]
        left_out = set(map(int, (sweep.home / row["/data/rows"]).read_text().split()))
        scored = {int(score["id"]) for score in rows_of((place / "scores.csv").read_text())}
        assert scored == set(range(569)) - left_out


def test_a_run_that_fails_is_named_and_the_others_are_told(sweep):
    code, _, told = sweep("-o", "failing", "--vary", "/model/latent=0 3", *BASE)
    assert code == 1 and "/model/latent" in told and "run latent=0 failed" in told
    rows = rows_of((sweep.home / "failing/results.csv").read_text())
    assert [(row["/model/latent"], row["epochs"]) for row in rows] == [("0", ""), ("3", "3")]


def test_without_anything_to_vary_there_is_one_run(sweep):
    code, _, told = sweep("-o", "one", *BASE)
    assert code == 0, told
    (row,) = rows_of((sweep.home / "one/results.csv").read_text())
    assert row["run"] == "run" and row["epochs"] == "3" and "auroc" not in row


@pytest.mark.parametrize("arguments, word", [
    (["--vary", "latent=2", "-o", "x", *BASE], "/POINTER"),
    (BASE, "-o DIR"),
    (["-o", "x"], "behind --"),
    (["-o", "x", "--seeds", "a", *BASE], "--seeds"),
    (["-o", "x", "--normal", "benign", *BASE], "--score"),
    (["-o", "x", "--folds", "none.idx", *BASE], "none.idx"),
    (["-o", "x", "--nonsense", "1", *BASE], "--nonsense"),
])
def test_usage_errors_are_exit_2(sweep, arguments, word):
    code, printed, told = sweep(*arguments)
    assert (code, printed) == (2, "") and word in told and told.count("\n") == 1
    assert not (sweep.home / "x").exists()


def test_help_is_the_scripts_beginning(sweep):
    code, printed, _ = sweep("--help")
    assert code == 0 and "--vary" in printed and "results.csv" in printed

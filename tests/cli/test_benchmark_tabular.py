"""scripts/benchmark-tabular.sh on a folder of two small tables."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from anomaly_tables import mixed_rows, number_rows, write_benchmark
from support import CONFIGS, SOURCE, needs_torch, rows_of, wait_for

pytestmark = needs_torch

SCRIPT = SOURCE / "scripts" / "benchmark-tabular.sh"
IMAGES = SOURCE / "scripts" / "benchmark-images.sh"
TABLES = {"numbers.csv": number_rows(), "mixed.csv.gz": mixed_rows()}
NORMAL = {name.split(".")[0]: sum(row["label"] == 0 for row in rows) for name, rows in TABLES.items()}


@pytest.fixture(scope="module")
def benchmark(bin_folder, tmp_path_factory):
    """benchmark("--seeds", "0", folder, ...), and the folder."""
    home = tmp_path_factory.mktemp("benchmark")
    folder = write_benchmark(home / "two tables", TABLES)
    (folder / "baselines.csv").write_text(
        "set,rows,weak_auroc,weak_auprc,strong_auroc,strong_auprc\nnumbers,260,.01,.01,1,1\nmixed,320,.01,,,\n"
    )

    def run_script(*arguments):
        command = ["bash", SCRIPT, "--bin", bin_folder, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=home, timeout=300)
        return done.returncode, done.stdout, done.stderr

    run_script.folder, run_script.home = folder, home
    return run_script


@pytest.fixture(scope="module")
def ran(benchmark):
    keep = benchmark.home / "kept"
    code, table, errors = benchmark("--config", CONFIGS / "tabular.json", "--set", "/training/epochs=60", "--seeds",
                                    "0,1", "--jobs", 2, "--alpha", 0.1, "--fdr", 0.2, "--keep", keep, "-o", "runs.csv",
                                    benchmark.folder)
    assert (code, errors) == (0, "")
    return table, rows_of((benchmark.home / "runs.csv").read_text()), keep


def test_every_split_is_trained_on_its_rows_and_scored_on_the_others(ran):
    _, runs, keep = ran
    assert [(run["set"], run["seed"]) for run in runs] == [(name, seed) for name in sorted(NORMAL) for seed in "01"]
    for run in runs:
        rows = len(TABLES["mixed.csv.gz" if run["set"] == "mixed" else "numbers.csv"])
        assert int(run["training_rows"]) == NORMAL[run["set"]] // 2
        assert int(run["training_rows"]) + int(run["scored_rows"]) == rows
        assert f'"seed": {run["seed"]}' in (keep / f"{run['set']}.seed{run['seed']}/config.json").read_text()
        assert float(run["train_seconds"]) > 0
        speed = int(run["scored_rows"]) / float(run["score_seconds"])
        assert float(run["score_rows_per_second"]) == pytest.approx(speed, rel=0.01, abs=1)


def test_figures_agree_with_scikit_learn_and_a_slow_benjamini_hochberg(ran):
    metrics = pytest.importorskip("sklearn.metrics")
    _, runs, keep = ran
    for run in runs:
        rows = rows_of((keep / f"{run['set']}.seed{run['seed']}.csv").read_text())
        truth = [row["label"] == "1" for row in rows]
        scores = [float(row["score"]) for row in rows]
        p = [float(row["p_value"]) for row in rows]
        assert float(run["auroc"]) == pytest.approx(metrics.roc_auc_score(truth, scores), abs=1e-9)
        assert float(run["auprc"]) == pytest.approx(metrics.average_precision_score(truth, scores), abs=1e-9)
        assert float(run["auroc"]) > 0.7  # these anomalies are easy
        alarms = [value <= 0.1 for value, anomaly in zip(p, truth) if not anomaly]
        assert float(run["false_positive_rate"]) == pytest.approx(sum(alarms) / len(alarms), abs=1e-6)
        cut = max([q for q in p if q <= 0.2 * sum(other <= q for other in p) / len(p)], default=-1)
        found = [not anomaly for q, anomaly in zip(p, truth) if q <= cut]
        expected = sum(found) / len(found) if found else 0
        assert float(run["false_discovery_rate"]) == pytest.approx(expected, abs=1e-6)


def test_the_table_shows_means_over_splits_and_wins_against_the_baselines(ran):
    table, runs, _ = ran
    shown = {line.split()[0]: line.split() for line in table.splitlines() if line}
    mean = {}
    for name in ("mixed", "numbers"):
        auroc, auprc = ([float(run[what]) for run in runs if run["set"] == name] for what in ("auroc", "auprc"))
        mean[name] = sum(auroc) / 2
        assert float(shown[name][2]) == pytest.approx(mean[name], abs=1e-4)
        assert float(shown[name][3]) == pytest.approx(sum(auprc) / 2, abs=1e-4)
    assert float(shown["mean"][1]) == pytest.approx(sum(mean.values()) / 2, abs=1e-4)
    both = f"{sum(mean.values()) / 2:.4f}"
    assert re.search(rf"^weak +2 of 2, mean {both} : 0.0100 +1 of 1, mean [0-9.]+ : 0.0100$", table, re.M)
    assert re.search(rf"^strong +0 of 1, mean {mean['numbers']:.4f} : 1.0000 ", table, re.M)


def test_a_failed_run_is_told_and_the_others_are_shown(benchmark):
    folder = shutil.copytree(benchmark.folder, benchmark.home / "broken")
    (folder / "mixed.csv.gz").write_bytes(b"\x1f\x8b broken")
    code, table, errors = benchmark("--config", CONFIGS / "tabular.json", "--set", "/training/epochs=1", "--seeds",
                                    "1,7", folder)
    assert code == 1, errors
    assert "mixed.csv.gz" in errors and "1 of 2 runs failed" in errors
    assert "splits/numbers.seed7.train.idx; left out" in errors
    assert "\nnumbers " in table and "\nmixed " not in table


def running(process):
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()  # a zombie has ended
    except FileNotFoundError:
        return False


def test_a_stopped_benchmark_leaves_no_program_running_and_no_files(benchmark, bin_folder, tmp_path):
    started = tmp_path / "started"
    slow = tmp_path / "slow"
    slow.mkdir()
    for program in ("ae-score", "ae-roc"):
        (slow / program).symlink_to(bin_folder / program)
    (slow / "ae-train").write_text(f'#!/bin/sh\necho $$ >"{slow}/pid"; mv "{slow}/pid" "{started}"; exec sleep 100\n')
    (slow / "ae-train").chmod(0o755)
    command = ["bash", SCRIPT, "--bin", slow, "--config", CONFIGS / "tabular.json", benchmark.folder]
    (tmp_path / "temporary").mkdir()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          env={**os.environ, "TMPDIR": str(tmp_path / "temporary")}) as script:
        wait_for(started.exists)
        script.send_signal(signal.SIGTERM)
        assert script.wait(timeout=60) == 143
    wait_for(lambda: not running(started.read_text().strip()))
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        ([], 2, "no folder"),
        (["--seed", "1", "."], 2, "unknown option --seed"),
        (["--seeds", "a", "."], 2, "--seeds a"),
        (["--alpha", "2", "."], 2, "2: --alpha"),
        (["--jobs", "0", "."], 2, "--jobs 0"),
        (["--config", "none.json", "."], 2, "none.json"),
        (["--config", CONFIGS / "tabular.json", "none"], 4, "none: no such folder"),
        (["--config", CONFIGS / "tabular.json", CONFIGS], 4, "no table with splits"),
        (["--config", CONFIGS / "tabular.json", "-o", "taken", "."], 2, "taken exists"),
    ],
)
def test_a_wrong_command_is_one_clear_line(benchmark, arguments, code, words):
    (benchmark.home / "taken").write_text("")
    found, output, errors = benchmark(*arguments)
    assert (found, output) == (code, "")
    assert errors.count("error: ") == 1 and words in errors


@pytest.mark.parametrize("script", [SCRIPT, IMAGES])
def test_help_tells_every_option(script):
    done = subprocess.run(["bash", script, "--help"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    common = (SOURCE / "scripts" / "benchmark.bash").read_text().split("read_options() {")[1].split("\nis_share")[0]
    own = script.read_text().split("own_option() {")[1].split("\n}")[0]
    options = set(re.findall(r"--[a-z-]+", common + own)) - {"--help"}
    assert {"--config", "--force", "--jobs" if script == SCRIPT else "--boxed"} <= options
    explained = re.findall(r"(--[a-z-]+)(?= [A-Z]| +[a-z])", "\n".join(re.findall("^  .*", done.stdout, re.M)))
    assert options - set(explained) == set()

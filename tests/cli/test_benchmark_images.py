"""scripts/benchmark-images.sh on a small folder of drawn boards: its figures against scikit-learn on what it kept."""

import json
import subprocess

import numpy
import pytest
from pictures import write_png
from support import SOURCE, needs_torch, rows_of

metrics = pytest.importorskip("sklearn.metrics")
pytestmark = needs_torch

SCRIPT = SOURCE / "scripts" / "benchmark-images.sh"
SIZE = 32
FAST = ["--set", "/training/epochs=2", "--set", "/model/width=4", "--set", "/data/resize/scale=1", "--threads", 1]


def board(rng):
    x = numpy.arange(SIZE) + rng.integers(0, 8)
    return numpy.where((x // 4 % 2 == 0)[None, :].repeat(SIZE, 0), 40, 210) + rng.integers(-9, 10, (SIZE, SIZE))


def write_boards(folder):
    rng = numpy.random.default_rng(0)
    manifest = ["file,line"]
    for i in range(30):
        write_png(folder / f"train/good/{i:02}.png", board(rng).astype(numpy.uint8))
    for kind, count in (("good", 24), ("spot", 12)):
        for i in range(count):
            image, name = board(rng), f"{kind}/{i:02}"
            if kind == "spot":
                mask = numpy.zeros((SIZE, SIZE), numpy.uint8)
                y, x = rng.integers(6, 20, 2)
                mask[y : y + 6, x : x + 6] = 255
                image[mask > 0] = 255 - image[mask > 0]
                write_png(folder / f"ground_truth/{name}_mask.png", mask)
                (folder / "boxes").mkdir(exist_ok=True)
                (folder / f"boxes/{i:02}.csv").write_text(f"x1,y1,x2,y2,type\n{x},{y},{x + 6},{y + 6},spot\n")
            write_png(folder / f"test/{name}.png", image.astype(numpy.uint8))
            manifest.append(f"test/{name}.png,{'new' if i % 3 == 0 else 'old'}")
    (folder / "manifest.csv").write_text("\n".join(manifest) + "\n")


@pytest.fixture(scope="module")
def benchmark(bin_folder, tmp_path_factory):
    home = tmp_path_factory.mktemp("benchmark")
    write_boards(home / "drawn boards")

    def run_script(*arguments):
        command = ["bash", SCRIPT, "--bin", bin_folder, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=home, timeout=300)
        return done.returncode, done.stdout, done.stderr

    run_script.folder, run_script.home = home / "drawn boards", home
    return run_script


def test_figures_are_those_of_the_scores_kept(benchmark):
    code, table, errors = benchmark(*FAST, "--seeds", "0,3", "--group-by", "line", "--alpha", 0.2, "--keep", "kept",
                                    "-o", "runs.csv", benchmark.folder)
    assert (code, errors) == (0, "")
    runs = rows_of((benchmark.home / "runs.csv").read_text())
    assert {(run["group"], run["seed"]) for run in runs} == {(g, s) for g in ("all", "new", "old") for s in "03"}
    line = {row["file"]: row["line"] for row in rows_of((benchmark.folder / "manifest.csv").read_text())}
    for run in runs:
        rows = [row for row in rows_of((benchmark.home / f"kept/seed{run['seed']}.csv").read_text())
                if run["group"] in ("all", line[row["id"]])]
        assert int(run["images"]) == len(rows)
        bad = [row["label"] != "good" for row in rows]
        expected = metrics.roc_auc_score(bad, [float(row["score"]) for row in rows])
        assert float(run["auroc"]) == pytest.approx(expected, abs=1e-9)
        good = [float(row["p_value"]) <= 0.2 for row in rows if row["label"] == "good"]
        assert float(run["false_positive_rate"]) == pytest.approx(sum(good) / len(good), abs=1e-5)
        summary = json.loads((benchmark.home / f"kept/seed{run['seed']}.json").read_text())
        part = next((group for group in summary["groups"] if group["name"] == run["group"]), summary)
        for area, name in (("pixel_auroc", "auroc"), ("pixel_ap", "average_precision"), ("aupro", "aupro_30")):
            assert float(run[area]) == pytest.approx(part["pixels"][name], abs=1e-9)
        assert run["boxes_hit"] == run["false_regions"] == "-"
        assert float(run["train_seconds"]) > 0 and float(run["images_per_second"]) > 0
    shown = {words[0]: words for words in map(str.split, table.splitlines()) if words}
    for group in ("all", "new", "old"):
        mean = sum(float(run["auroc"]) for run in runs if run["group"] == group) / 2
        assert float(shown[group][2]) == pytest.approx(mean, abs=6e-5)


def test_boxes_and_missing_masks(benchmark):
    bare = benchmark.home / "bare"
    for part in ("train", "test"):
        bare.mkdir(exist_ok=True)
        (bare / part).symlink_to(benchmark.folder / part)
    code, text, errors = benchmark(*FAST, "--seeds", "1", "--boxed", benchmark.folder, "--minimum-area", 2, "-o", "-",
                                   bare)
    assert (code, errors) == (0, "")
    (run,) = rows_of(text)
    assert (run["group"], run["images"], run["pixel_ap"]) == ("all", "36", "-")
    assert 0 <= float(run["boxes_hit"]) <= 1 and float(run["false_regions"]) >= 0


@pytest.mark.parametrize("arguments, code, words", [
    ([], 2, "no folder given"),
    (["--seeds", "a", "."], 2, "--seeds a"),
    (["--alpha", "5", "."], 2, "--alpha"),
    (["nowhere"], 4, "no test/good"),
    (["--colour", "."], 2, "unknown option --colour"),
])
def test_wrong_use_is_told(benchmark, arguments, code, words):
    answer, out, errors = benchmark(*arguments)
    assert (answer, out) == (code, "")
    assert words in errors


def test_a_failed_run_is_told(benchmark):
    code, _, errors = benchmark("--set", "/training/epochs=none", "--seeds", "0", benchmark.folder)
    assert code == 1
    assert "1 runs failed" in errors

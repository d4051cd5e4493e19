"""ae-purify on images: against the reconstructions and scores of ae-score, NumPy and SciPy."""

import csv
import json
import subprocess

import numpy as np
import pytest
from pictures import read_png, write_png
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest
from support import needs_torch, one_error

pytestmark = needs_torch


def board(rng, height=24, width=32):
    y, x = np.mgrid[:height, :width]
    return np.clip(110 + 60 * np.sin((x + y + rng.integers(0, 8)) * 2 * np.pi / 8) + rng.normal(0, 6, (height, width)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory, bin_folder):
    """(folder, pixels of what is purified): a network that has seen stripes."""
    folder = tmp_path_factory.mktemp("purify")
    rng = np.random.default_rng(3)
    for i in range(30):
        write_png(folder / f"good/{i:02}.png", board(rng))
    pixels = np.array([board(rng) for _ in range(5)])
    pixels[3:, 5:12, 10:20] = 250
    for i, image in enumerate(pixels):
        write_png(folder / ("seen/bad" if i >= 3 else "seen/good") / f"{i}.png", image)
    config = {"data": {"type": "images", "path": "good"}, "model": {"type": "conv", "levels": 2, "width": 8, "code": 4},
              "training": {"epochs": 10, "batch_size": 8, "learning_rate": 0.005, "validation_fraction": 0.33}}
    (folder / "config.json").write_text(json.dumps(config))
    subprocess.run([bin_folder / "ae-train", "config.json", "--out", "model", "-q"], cwd=folder, check=True, timeout=300)
    return folder, pixels


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def column(rows, name):
    return np.array([float(row[name]) for row in rows])


def test_a_reconstruction_is_that_of_ae_score(run, tmp_path, model):
    folder, pixels = model
    assert run("ae-score", folder / "model", folder / "seen", "-o", "s.csv", "--reconstructions", "expected", "-q").code == 0
    assert run("ae-purify", folder / "model", folder / "seen", "-o", "pure", "--table", "t.csv", "-q").code == 0
    rows, scores = table(tmp_path / "t.csv"), table(tmp_path / "s.csv")
    assert [(row["id"], row["label"]) for row in rows] == [(row["id"], row["label"]) for row in scores]
    assert np.allclose(column(rows, "loss_before"), column(scores, "score"), rtol=1e-5)
    assert run("ae-purify", folder / "model", folder / "seen", "-o", "pure.npy", "--table", "u.csv", "-q").code == 0
    assert table(tmp_path / "u.csv") == rows
    pure = np.load(tmp_path / "pure.npy")
    assert pure.shape == (5, 24, 32) and pure.dtype == np.float32 and pure.min() >= 0 and pure.max() <= 1
    order = [int(row["id"].split("/")[-1][0]) for row in rows]
    for i, row in zip(order, rows):
        png = read_png(tmp_path / "pure" / row["id"])
        assert np.array_equal(png, read_png(tmp_path / "expected" / row["id"]))
        assert np.abs(png / 255 - pure[order.index(i)]).max() <= 0.5 / 255 + 1e-6
    step = pure.astype(float) - pixels[order] / 255
    assert np.allclose(column(rows, "distance_l2"), np.sqrt((step**2).sum((1, 2))), rtol=1e-5)
    assert np.allclose(column(rows, "distance_linf"), np.abs(step).max((1, 2)), rtol=1e-5)
    # Those with a patch are moved further than others, and all are nearer to what the network knows.
    bad = np.array([row["label"] == "bad" for row in rows])
    assert column(rows, "distance_l2")[bad].min() > column(rows, "distance_l2")[~bad].max()
    assert (column(rows, "loss_after") < column(rows, "loss_before"))[bad].all()


def test_controls_are_what_numpy_and_scipy_make_of_the_pixels(run, tmp_path, model):
    folder, pixels = model
    np.save(tmp_path / "x.npy", pixels)

    def purified(*purifiers):
        chain = [part for purifier in purifiers for part in ("--purifier", purifier)]
        assert run("ae-purify", folder / "model", "x.npy", "-o", "o.npy", "--table", "o.csv", *chain, "--force", "-q").code == 0
        return np.load(tmp_path / "o.npy"), table(tmp_path / "o.csv")

    same, rows = purified("identity")
    assert np.array_equal(same, (pixels / np.float32(255)).astype(np.float32))
    assert set(column(rows, "distance_l2")) == {0} and np.array_equal(column(rows, "loss_before"), column(rows, "loss_after"))
    hard, _ = purified("threshold:0.4")
    assert np.array_equal(hard, (pixels / np.float32(255) >= np.float32(0.4)).astype(np.float32))
    soft, _ = purified("blur:1.5")
    expected = np.array([gaussian_filter(image / 255, 1.5, mode="mirror", truncate=4) for image in pixels])
    assert np.abs(soft - expected).max() < 2e-3  # the two end their kernels at different lengths
    both, _ = purified("blur:1.5", "threshold")
    assert np.mean(both != (soft >= 0.5)) == 0
    twice, _ = purified("reconstruction:2")
    again, _ = purified("reconstruction", "reconstruction")
    once, _ = purified("reconstruction")
    assert np.array_equal(twice, again) and not np.array_equal(twice, once)
    np.save(tmp_path / "y.npy", once)
    assert run("ae-purify", folder / "model", "y.npy", "-o", "z.npy", "-q").code == 0
    assert np.abs(np.load(tmp_path / "z.npy").clip(0, 1) - twice).max() < 1e-4
    assert run("ae-purify", folder / "model", "x.npy", "-o", "w.npy", "--steps", "2", "-q").code == 0
    assert np.array_equal(np.load(tmp_path / "w.npy"), twice)


def test_noise_is_normal_and_that_of_its_seed(run, tmp_path, model):
    folder, pixels = model
    np.save(tmp_path / "x.npy", np.full((4, 24, 32), 0.5, np.float32))

    def noise(*more):
        assert run("ae-purify", folder / "model", "x.npy", "-o", "o.npy", *more, "--force", "-q").code == 0
        return np.load(tmp_path / "o.npy")

    step = (noise("--purifier", "noise:0.1") - 0.5) / 0.1
    assert kstest(step.ravel(), "norm").pvalue > 0.001
    assert np.abs(np.corrcoef(step.reshape(4, -1)) - np.eye(4)).max() < 0.2  # of each image its own
    assert np.array_equal(noise("--purifier", "noise:0.1", "--seed", "0"), noise("--purifier", "noise:0.1"))
    other = (noise("--purifier", "noise:0.1", "--seed", "1") - 0.5) / 0.1
    assert abs(np.corrcoef(step.ravel(), other.ravel())[0, 1]) < 0.1
    twice = (noise("--purifier", "noise:0.1", "--purifier", "noise:0.1") - 0.5) / 0.1
    assert abs(np.corrcoef(step.ravel(), (twice - step).ravel())[0, 1]) < 0.1 and 1.3 < twice.std() < 1.53
    # What comes next is given what the noise made.
    np.save(tmp_path / "x.npy", noise("--purifier", "noise:0.1"))
    once = noise("--purifier", "reconstruction")
    np.save(tmp_path / "x.npy", np.full((4, 24, 32), 0.5, np.float32))
    assert np.abs(noise("--purifier", "noise:0.1", "--purifier", "reconstruction") - once).max() < 1e-6


@pytest.mark.parametrize("images", [1000, 40])
def test_a_projection_is_that_of_numpy(run, tmp_path, model, images):
    """More images than pixels, and fewer."""
    folder, pixels = model
    rng = np.random.default_rng(4)
    patterns = rng.normal(0, 1, (6, 24 * 32)) * (10 - np.arange(6))[:, None] / 100
    clean = (0.5 + 0.2 * rng.normal(0, 1, (images, 6)) @ patterns + rng.normal(0, 1e-3, (images, 768))).clip(0, 1).astype(np.float32)
    np.save(tmp_path / "clean.npy", clean.reshape(-1, 24, 32))
    np.save(tmp_path / "x.npy", pixels)
    command = ["ae-purify", folder / "model", "x.npy", "--clean", "clean.npy", "--force", "-q"]
    assert run(*command, "-o", "o.npy", "--purifier", "pca:6").code == 0
    mean = clean.astype(float).mean(0)
    axes = np.linalg.svd(clean.astype(float) - mean, full_matrices=False)[2][:6]
    expected = mean + (pixels.reshape(5, -1) / 255 - mean) @ axes.T @ axes
    found = np.load(tmp_path / "o.npy").reshape(5, -1)
    assert np.abs(found - expected.clip(0, 1)).max() < 1e-5
    one_error(run(*command, "-o", "p.npy"), 2, "--clean", "--detector", "pca")
    told = run(*command, "-o", "p.npy", "--purifier", f"pca:{min(images, 769)}")
    assert told.code == 4 and f"at most {min(images - 1, 768)} components" in told.stderr
    one_error(run(*command, "-o", "p.npy", "--purifier", "pca:2.5"), 2, "whole number")
    one_error(run(*command[:3], "-o", "p.npy", "--purifier", "pca:2"), 2, "--clean")
    one_error(run(*command[:3], "-o", "clean.npy", "--purifier", "pca:2", "--clean", "clean.npy", "--force"), 2, "clean.npy", "is an input")


def test_what_cannot_be_done_is_one_line(run, tmp_path, model, trained):
    folder, pixels = model
    np.save(tmp_path / "x.npy", pixels)
    command = ["ae-purify", folder / "model", "x.npy", "-q"]
    one_error(run(*command), 2, "standard output", "-o")
    for purifier, words in (("sharpen", ["\"sharpen\"", "threshold:LEVEL"]), ("blur:0", ["\"blur:0\"", "0.05"]),
                            ("blur:x", ["\"blur:x\""]), ("identity:2", ["\"identity:2\""]), ("reconstruction:1.5", ["whole number"])):
        one_error(run(*command, "-o", "o.npy", "--purifier", purifier), 2, *words)
    one_error(run(*command, "-o", "o.npy", "--purifier", "identity", "--steps", "2"), 2, "reconstruction:2")
    one_error(run(*command, "-o", "o.npy", "--missing", "x"), 2, "for tables")
    one_error(run(*command, "-o", "x.npy", "--force"), 2, "is an input")
    one_error(run("ae-purify", trained, "t.csv", "--table", "u.csv", "-q"), 2, "for images")
    one_error(run(*command, "-o", "o.csv"), 2, ".npy", "folder")
    write_png(tmp_path / "in/a.png", pixels[0])
    before = (tmp_path / "in/a.png").read_bytes()
    one_error(run("ae-purify", folder / "model", "in", "-o", "in", "--force", "-q"), 2, "a.png", "is an input")
    assert (tmp_path / "in/a.png").read_bytes() == before
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("")
    one_error(run(*command, "-o", "full"), 2, "not empty")
    write_png(tmp_path / "two/a.png", pixels[0])
    write_png(tmp_path / "two/b.png", pixels[0][:, :24])
    one_error(run("ae-purify", folder / "model", "two", "-o", "o.npy", "-q"), 4, "b.png", "one size")
    (tmp_path / "two/b.png").write_bytes(b"no image")
    told = run("ae-purify", folder / "model", "two", "-o", "o.npy")
    assert told.code == 4 and "b.png" in told.stderr and np.load(tmp_path / "o.npy").shape == (1, 24, 32)
    assert run("ae-purify", folder / "model", "two", "-o", "p.npy", "--unreadable", "ignore", "-q").code == 0
    one_error(run("ae-purify", folder / "model", "two", "-o", "q.npy", "--unreadable", "stop", "-q"), 4, "b.png")
    assert not (tmp_path / "q.npy").exists()

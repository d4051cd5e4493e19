"""ae-purify on images: against the reconstructions and scores of ae-score, NumPy and SciPy."""

import csv
import json
import subprocess

import numpy as np
import pytest
from pictures import read_png, write_png
from scipy.ndimage import gaussian_filter
from scipy.stats import kstest
from support import needs_torch, one_error, split_safetensors

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


def linear_model(folder, bin_folder, name, images, latent, seed=0):
    """An autoencoder of one layer each way, little trained; (its weights, where it is)."""
    np.save(folder / f"{name}-train.npy", images.astype(np.float32))
    config = {"data": {"type": "images", "path": f"{name}-train.npy"}, "model": {"type": "dense_images", "hidden": [], "latent": latent},
              "loss": {"terms": [{"type": "mse"}]}, "score": {"type": "map", "normalize": "none", "reduction": "mean", "border": 0},
              "training": {"epochs": 8, "batch_size": 16, "learning_rate": 0.01, "validation_fraction": 0.1, "seed": seed}}
    (folder / f"{name}.json").write_text(json.dumps(config))
    subprocess.run([bin_folder / "ae-train", f"{name}.json", "--out", name, "-q"], cwd=folder, check=True, timeout=300)
    header, data = split_safetensors((folder / name / "model.safetensors").read_bytes())
    return {key: np.frombuffer(data[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])
            for key, entry in header.items() if key != "__metadata__" and entry["dtype"] == "F32"}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, bin_folder):
    """(folder, images of three kinds, weights): a linear model of each kind, and one of all."""
    folder = tmp_path_factory.mktemp("kinds")
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:8, :8] / 8
    waves = [lambda p: np.sin(6 * x + p), lambda p: np.sin(6 * y + p), lambda p: np.sin(6 * (x + y) + p)]

    def images(kind, count):
        waved = [0.5 + 0.3 * waves[kind](rng.uniform(0, 6)) + rng.normal(0, 0.05, (8, 8)) for _ in range(count)]
        return np.clip(waved, 0, 1).astype(np.float32)

    weights = [linear_model(folder, bin_folder, f"kind{k}", images(k, 200), 4, k) for k in range(3)]
    seen = np.concatenate([images(k, 20) for k in range(3)])[rng.permutation(60)]
    np.save(folder / "seen.npy", seen)
    return folder, seen, weights


def test_a_descent_over_codes_ends_at_the_least_squares_of_a_linear_decoder(run, tmp_path, kinds):
    folder, seen, weights = kinds

    def purified(*chain, images="seen.npy"):
        parts = [part for purifier in chain for part in ("--purifier", purifier)]
        assert run("ae-purify", "kind0", images, "-o", "latent.npy", *parts, "--force", "-q", cwd=folder).code == 0
        return np.load(folder / "latent.npy")

    found = purified("latent:60")
    directions, origin = weights[0]["model.output.weight"].astype(float), weights[0]["model.output.bias"].astype(float)
    step = seen.reshape(60, 64) - origin
    nearest = origin + np.linalg.lstsq(directions, step.T, rcond=None)[0].T @ directions.T
    assert np.abs(found.reshape(60, 64) - nearest).max() < 1e-3
    assert np.array_equal(found, purified("latent"))  # the usual numbers
    once = purified("reconstruction")

    def errors(made):
        return ((made - seen) ** 2).sum((1, 2))

    few = errors(purified("latent:3"))
    assert (few <= errors(once) + 1e-5).all() and (errors(found) <= few + 1e-5).all() and few.mean() < 0.98 * errors(once).mean()
    # An image's answer is its own, and what comes before is done before.
    np.save(folder / "some.npy", seen[[41, 7]])
    assert np.array_equal(purified("latent:7:3", images="some.npy"), purified("latent:7:3")[[41, 7]])
    np.save(folder / "hard.npy", (seen >= np.float32(0.5)).astype(np.float32))
    assert np.array_equal(purified("threshold:0.5", "latent:9"), purified("latent:9", images="hard.npy"))


def test_of_several_models_the_one_that_errs_least_answers(run, tmp_path, kinds):
    folder, seen, _ = kinds
    others = ["--among", "kind1", "--among", "kind2/model.safetensors"]

    def purified(model, *more, images="seen.npy"):
        assert run("ae-purify", model, images, "-o", "o.npy", "--table", "o.csv", *more, "--force", "-q", cwd=folder).code == 0
        return np.load(folder / "o.npy"), table(folder / "o.csv")

    alone = np.array([purified(f"kind{k}")[0] for k in range(3)])
    errors = ((alone.astype(float) - seen) ** 2).mean((2, 3))
    best = errors.argmin(0)
    assert set(best) == {0, 1, 2}
    found, rows = purified("kind0", "--purifier", "nearest", *others)
    assert [int(row["nearest"]) for row in rows] == best.tolist()
    assert np.array_equal(found, alone[best, np.arange(60)])
    assert list(rows[0]).index("nearest") == list(rows[0]).index("distance_linf") + 1
    assert "nearest" not in purified("kind0")[1][0]
    step = found.astype(float) - seen
    assert np.allclose(column(rows, "distance_l2"), np.sqrt((step**2).sum((1, 2))), rtol=1e-5)
    # Behind another purifier it compares with what that made.
    hard = (seen >= np.float32(0.5)).astype(np.float32)
    np.save(folder / "hard.npy", hard)
    behind, chain_rows = purified("kind0", "--purifier", "threshold:0.5", "--purifier", "nearest", *others)
    direct, hard_rows = purified("kind0", "--purifier", "nearest", *others, images="hard.npy")
    assert np.array_equal(behind, direct) and [r["nearest"] for r in chain_rows] == [r["nearest"] for r in hard_rows]
    np.save(folder / "some.npy", seen[[41, 7]])
    assert np.array_equal(purified("kind0", "--purifier", "nearest", *others, images="some.npy")[0], found[[41, 7]])


def test_models_that_cannot_be_compared_or_descended_are_one_line(run, tmp_path, kinds, model, trained):
    folder, _, _ = kinds
    command = ["ae-purify", folder / "kind0", folder / "seen.npy", "-o", "o.npy", "-q"]
    one_error(run(*command, "--purifier", "nearest"), 2, "--purifier nearest", "--among PATH")
    one_error(run(*command, "--among", folder / "kind1"), 2, "--among", "nearest")
    one_error(run(*command, "--purifier", "nearest", "--among", model[0] / "model"), 2, "24 x 32 pixels, not 8 x 8 pixels")
    one_error(run(*command, "--purifier", "nearest", "--among", trained), 2, "--among", "tables")
    one_error(run(*command, "--purifier", "nearest", "--among", "none"), 4, "none")
    one_error(run(*command[:4], folder / "kind1" / "model.safetensors", "-q", "--force", "--purifier", "nearest", "--among", folder / "kind1"),
              2, "folder")
    one_error(run(*command, "--purifier", "nearest", "--among", folder / "kind1", "--table", folder / "kind1/model.safetensors", "--force"),
              2, "--table", "is an input")
    one_error(run("ae-purify", trained, "t.csv", "--among", folder / "kind1", "-q"), 2, "for images")
    for text, words in (("latent:0", ["\"latent:0\"", "latent:STEPS:STARTS with a whole number from 1 to 10000"]),
                        ("latent:2.5", ["whole number"]), ("latent:9:x", ["STARTS a whole number from 1 to 1000"]),
                        ("latent:9:1.5", ["STARTS a whole number"]), ("latent:9:2:1", ["latent:STEPS:STARTS, without more"]),
                        ("latent:", ["STEPS:STARTS with a whole number"]), ("nearest:2", ["\"nearest:2\"; expected nearest"])):
        one_error(run(*command, "--purifier", text), 2, *words)


def test_a_network_with_skips_or_tiles_has_no_code_to_descend_from(run, tmp_path, bin_folder):
    rng = np.random.default_rng(5)
    np.save(tmp_path / "x.npy", rng.random((12, 16, 16)).astype(np.float32))
    training = {"epochs": 1, "batch_size": 4, "validation_fraction": 0.3}
    for name, data, family, words in (("skips", {}, "unet", ["skip connections"]), ("tiles", {"tile": {"size": 8}}, "conv", ["tiles"])):
        config = {"data": {"type": "images", "path": "x.npy", **data}, "model": {"type": family, "levels": 2, "width": 4},
                  "training": training}
        (tmp_path / "c.json").write_text(json.dumps(config))
        assert run("ae-train", "c.json", "--out", name, "-q").code == 0
        one_error(run("ae-purify", name, "x.npy", "-o", "o.npy", "--purifier", "latent", "-q"), 2, "--purifier latent", *words)

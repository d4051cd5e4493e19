"""ae-purify --audit-manifold: against closed forms of projections, and NumPy's singular vectors of the nearest images."""

import base64
import csv
import json
import re
import signal
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from pictures import write_idx, write_png
from support import SOURCE, catches, needs_torch, one_error, wait_for

pytestmark = needs_torch

SIDE = 8
WORD = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(x):
    x = (x + GOLDEN) & WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def normal_numbers(seed, purpose, a, b, count):
    """As base/random.hpp describes them: splitmix64 by a counter, and Box and Muller."""
    key = mix(seed)
    for letter in purpose.encode():
        key = mix(key ^ letter)
    key = mix(mix(mix(key ^ a) ^ b))
    half = (count + 1) // 2
    words = [mix((key + GOLDEN * (i + 1)) & WORD) for i in range(half)]
    first, second = (np.array([word >> shift & 0xFFFFFF for word in words]) / 2**24 for shift in (40, 8))
    size = np.sqrt(-2 * np.log(first + 2.0**-25))
    return np.concatenate([size * np.cos(2 * np.pi * second), size * np.sin(2 * np.pi * second)])[:count]


@pytest.fixture(scope="module")
def model(tmp_path_factory, bin_folder):
    """A folder with digits and a small network that has seen others with noise."""
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("manifold")
    digits = (load_digits().images / 16).astype(np.float32)[np.random.default_rng(0).permutation(1797)]
    np.save(folder / "train.npy", digits[40:440])
    np.save(folder / "test.npy", digits[:40])
    config = {"data": {"type": "images", "path": "train.npy"}, "model": {"type": "conv", "levels": 2, "width": 8, "code": 4},
              "training": {"epochs": 6, "batch_size": 32, "learning_rate": 0.005, "validation_fraction": 0.1, "seed": 1}}
    (folder / "config.json").write_text(json.dumps(config))
    subprocess.run([bin_folder / "ae-train", "config.json", "--out", "model", "-q"], cwd=folder, check=True, timeout=300)
    return folder


@pytest.fixture
def audit(run, model, tmp_path):
    """audit("x.npy", "clean.npy", ...): lines of manifold.csv as dicts of numbers, the summary."""

    def audit(images, clean, *more):
        outcome = run("ae-purify", model / "model", images, "--audit-manifold", "audit", "--clean", clean, *more, "--force")
        assert outcome.code == 0, outcome
        with open(tmp_path / "audit/manifold.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        numbers = {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0] if name not in ("id", "label")}
        summary = json.loads((tmp_path / "audit/manifold.json").read_text())
        audit.said, audit.told = outcome.stdout, outcome.stderr
        return numbers, summary

    return audit


def tangent_axes(image, clean, neighbours, components):
    """Of the flat image, by a full sort and an SVD in double precision; also the neighbours' distances."""
    distances = np.sqrt(((clean - image) ** 2).sum(1))
    order = [i for i in np.argsort(distances, kind="stable") if distances[i] > 0][:neighbours]
    near = clean[order]
    _, strengths, axes = np.linalg.svd(near - near.mean(0), full_matrices=False)
    return axes[:components], distances[order], (strengths[:components] ** 2).sum() / (strengths**2).sum()


@pytest.mark.parametrize("purifiers", [["reconstruction"], ["blur:0.8", "reconstruction:2"]])
def test_everything_is_what_numpy_makes_of_perturbed_arrays(run, audit, model, tmp_path, purifiers):
    rng = np.random.default_rng(1)
    # In the middle of what pixels may be, since arrays that leave [0, 1] are no images.
    images, train = (np.float32(0.3) + np.float32(0.4) * np.load(model / f"{name}.npy") for name in ("test", "train"))
    count, neighbours, components, directions, length, seed = 12, 25, 6, 3, 0.4, 7
    attacked = (images + rng.choice([-0.15, 0.15], images.shape)).clip(0, 1).astype(np.float32)
    attacked[4] = images[4]
    # Of the audited images themselves some are among the clean ones.
    clean = np.concatenate([train, images[:5]])
    for name, array in (("x", images), ("attacked", attacked), ("clean", clean)):
        np.save(tmp_path / f"{name}.npy", array)
    chain = [part for purifier in purifiers for part in ("--purifier", purifier)]
    found, summary = audit("x.npy", "clean.npy", "--attacked", "attacked.npy", "--first", count, "--neighbours", neighbours,
                           "--components", components, "--directions", directions, "--step-length", length, "--seed", seed,
                           *chain)
    steps, expected = [], {"nearest": [], "farthest": [], "variance": [], "attack_tangent_share": [], "attack_distance": []}
    flat = images.reshape(len(images), -1).astype(float)
    for i in range(count):
        axes, distances, share = tangent_axes(flat[i], clean.reshape(len(clean), -1).astype(float), neighbours, components)
        for k in range(directions):
            normal = normal_numbers(seed, "manifold direction", i, k, SIDE * SIDE)
            within = normal @ axes.T @ axes
            for step in (within, normal - within):
                steps.append(length * step / np.linalg.norm(step))
        whole = attacked.reshape(len(images), -1)[i].astype(float) - flat[i]
        within = whole @ axes.T @ axes
        steps += [within, whole - within]
        expected["nearest"].append(distances[0])
        expected["farthest"].append(distances[-1])
        expected["variance"].append(share)
        expected["attack_distance"].append(np.linalg.norm(whole) if whole.any() else np.nan)
        expected["attack_tangent_share"].append((within @ within) / (whole @ whole) if whole.any() else np.nan)
    steps = np.array(steps).reshape(count, 2 * directions + 2, -1)
    moved = (flat[:count, None] + steps).astype(np.float32)
    np.save(tmp_path / "moved.npy", np.concatenate([images[:count].reshape(count, -1), moved.reshape(-1, SIDE * SIDE)]).reshape(-1, SIDE, SIDE))
    assert run("ae-purify", model / "model", "moved.npy", "-o", "after.npy", *chain, "-q").code == 0
    after = np.load(tmp_path / "after.npy").astype(float).reshape(-1, SIDE * SIDE)
    left = np.linalg.norm(after[count:].reshape(steps.shape) - after[:count, None], axis=2)
    with np.errstate(invalid="ignore"):
        gains = left / np.linalg.norm(steps, axis=2)
    expected["tangent_gain"] = gains[:, 0:-2:2].mean(1)
    expected["orthogonal_gain"] = gains[:, 1:-2:2].mean(1)
    expected["attack_tangent_gain"], expected["attack_orthogonal_gain"] = gains[:, -2], gains[:, -1]
    expected["components"] = np.full(count, components)
    assert set(expected) == set(found)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-4, err_msg=name)
    assert np.isnan(found["attack_tangent_gain"]).sum() == 1  # the image that was left as it was
    assert (summary["images"], summary["among_clean"], summary["attack"]["unchanged"]) == (count, 5, 1)
    # The summary, and its intervals by another bootstrap.
    resampled = rng.integers(0, count, (4000, count))
    tangent, orthogonal = expected["tangent_gain"], expected["orthogonal_gain"]
    for figure, mean, means, each in (
            (summary["tangent_gain"], tangent.mean(), tangent[resampled].mean(1), tangent),
            (summary["orthogonal_gain"], orthogonal.mean(), orthogonal[resampled].mean(1), orthogonal),
            (summary["ratio"], tangent.mean() / orthogonal.mean(), tangent[resampled].mean(1) / orthogonal[resampled].mean(1),
             tangent / orthogonal)):
        assert figure["mean"] == pytest.approx(mean, abs=1e-4) and figure["median"] == pytest.approx(np.median(each), abs=1e-4)
        low, high = np.percentile(means, [2.5, 97.5])
        np.testing.assert_allclose(figure["interval"], [low, high], atol=0.15 * (high - low))
    changed = [i for i in range(count) if i != 4]
    for figure, each in ((summary["attack"]["tangent_gain"], gains[:, -2]), (summary["attack"]["orthogonal_gain"], gains[:, -1]),
                         (summary["attack"]["tangent_share"], np.array(expected["attack_tangent_share"])),
                         (summary["predictor"], tangent - gains[:, -1])):
        assert figure["images"] == count - 1
        assert figure["mean"] == pytest.approx(each[changed].mean(), abs=1e-4)
        assert figure["median"] == pytest.approx(np.median(each[changed]), abs=1e-4)


@pytest.fixture
def subspace(tmp_path):
    """(four orthonormal patterns, a fifth one): clean.npy and x.npy lie in the space of the four."""
    rng = np.random.default_rng(2)
    patterns = np.linalg.qr(rng.normal(0, 1, (SIDE * SIDE, 5)))[0].T
    for name, count in (("clean", 300), ("x", 50)):
        codes = rng.normal(0, 0.3, (count, 4))
        np.save(tmp_path / f"{name}.npy", (0.5 + codes @ patterns[:4]).astype(np.float32).reshape(-1, SIDE, SIDE))
    return patterns[:4], patterns[4]


def test_a_projection_on_the_subspace_leaves_what_is_in_it_and_takes_off_the_rest(audit, subspace, tmp_path):
    patterns, off = subspace
    images = np.load(tmp_path / "x.npy")
    np.save(tmp_path / "attacked.npy", (images.reshape(50, -1) + 0.3 * patterns[1] + 0.4 * off).astype(np.float32).reshape(images.shape))
    found, summary = audit("x.npy", "clean.npy", "--purifier", "pca:4", "--components", "4", "--neighbours", "40",
                           "--attacked", "attacked.npy")
    assert np.abs(found["tangent_gain"] - 1).max() < 1e-4 and found["orthogonal_gain"].max() < 1e-4
    assert np.abs(found["attack_tangent_gain"] - 1).max() < 1e-4 and found["attack_orthogonal_gain"].max() < 1e-4
    np.testing.assert_allclose(found["attack_tangent_share"], 0.36, atol=1e-4)
    np.testing.assert_allclose(found["attack_distance"], 0.5, atol=1e-4)
    np.testing.assert_allclose(found["variance"], 1, atol=1e-6)
    assert summary["predictor"]["mean"] == pytest.approx(1, abs=1e-4)
    # More components than the images differ in are not made up.
    found, _ = audit("x.npy", "clean.npy", "--purifier", "pca:4", "--components", "10", "--neighbours", "40", "--first", "3")
    assert (found["components"] >= 4).all() and found["orthogonal_gain"].max() < 1e-4


def test_directions_point_everywhere_alike(audit, subspace):
    """A projection on two of four dimensions leaves a share of the square that is uniform in [0, 1]: on average, 2/3 of
    the length."""
    found, summary = audit("x.npy", "clean.npy", "--purifier", "pca:2", "--components", "4", "--neighbours", "40",
                           "--directions", "300")
    assert summary["tangent_gain"]["mean"] == pytest.approx(2 / 3, abs=0.01)  # 15,000 draws of a standard deviation of 0.24
    assert found["orthogonal_gain"].max() < 1e-4
    low, high = summary["tangent_gain"]["interval"]
    assert low < 2 / 3 < high and high - low < 0.02


def test_controls_and_what_is_drawn_at_random(audit, model, tmp_path):
    images, train = model / "test.npy", model / "train.npy"
    np.save(tmp_path / "attacked.npy", (0.9 * np.load(images)).astype(np.float32))
    found, summary = audit(images, train, "--purifier", "identity", "--attacked", "attacked.npy")
    for name in ("tangent_gain", "orthogonal_gain", "attack_tangent_gain", "attack_orthogonal_gain"):
        assert set(found[name]) == {1.0}, name
    assert summary["ratio"]["mean"] == 1 and summary["predictor"]["mean"] == 0
    # A step is compared with the same draw of the noise, so that it alone makes no difference.
    found, _ = audit(images, train, "--purifier", "noise:0.5")
    assert np.abs(found["tangent_gain"] - 1).max() < 1e-4
    chain = ["--purifier", "noise:0.2", "--purifier", "reconstruction"]
    found, _ = audit(images, train, *chain)
    again, _ = audit(images, train, *chain, "--threads", "1")
    assert np.abs(found["tangent_gain"] - again["tangent_gain"]).max() < 1e-5
    other, _ = audit(images, train, *chain, "--seed", "1")
    assert np.abs(found["tangent_gain"] - other["tangent_gain"]).min() > 0
    # A threshold takes most small steps off altogether: of such an image there is no ratio, of the means there is one.
    found, summary = audit(images, train, "--purifier", "threshold:0.5", "--step-length", "0.5")
    assert 0 < (found["orthogonal_gain"] == 0).sum() < len(found["orthogonal_gain"])
    assert summary["ratio"]["mean"] == pytest.approx(found["tangent_gain"].mean() / found["orthogonal_gain"].mean())
    moved = found["orthogonal_gain"] > 0
    assert summary["ratio"]["median"] == pytest.approx(np.median(found["tangent_gain"][moved] / found["orthogonal_gain"][moved]))
    # Some resamples hold none that moves: no upper end.
    found, summary = audit(images, train, "--purifier", "threshold:0.5", "--step-length", "0.5", "--first", "3")
    assert summary["ratio"] is None or summary["ratio"]["interval"] is None or all(map(np.isfinite, summary["ratio"]["interval"]))
    # Of a single image there is no interval; without an attack no predictor.
    _, summary = audit(images, train, "--first", "1")
    assert summary["tangent_gain"]["interval"] is None and summary["attack"] is None and summary["predictor"] is None
    # The images of others are not the attacked ones.
    np.save(tmp_path / "attacked.npy", np.load(images)[::-1])
    audit(images, train, "--attacked", "attacked.npy")
    assert "in the same order" in audit.told


def test_the_page_shows_the_images_of_the_table(audit, model, tmp_path):
    np.save(tmp_path / "attacked.npy", (0.9 * np.load(model / "test.npy")).astype(np.float32))
    found, summary = audit(model / "test.npy", model / "train.npy", "--attacked", "attacked.npy", "--first", "20")
    page = (tmp_path / "audit/manifold.html").read_text()
    (picture,) = re.findall(r"data:image/svg\+xml;base64,([^\"]+)", page)
    svg = ElementTree.fromstring(base64.b64decode(picture))
    circles = [e for e in svg.iter("{http://www.w3.org/2000/svg}circle") if e.get("class") == "mark series-0"]
    *circles, _ = circles  # the last one is the legend's
    assert len(circles) == 20
    for name, place in (("orthogonal_gain", "cx"), ("tangent_gain", "cy")):
        slope, offset = np.polyfit(found[name], [float(e.get(place)) for e in circles], 1)
        assert np.abs(slope * found[name] + offset - [float(e.get(place)) for e in circles]).max() < 0.02
        assert (slope > 0) == (place == "cx")
    for name in ("tangent_gain", "orthogonal_gain", "ratio", "predictor"):
        assert f"{summary[name]['mean']:.3f}" in page and f"{summary[name]['mean']:.3f}" in audit.said
    assert summary["model"] in (tmp_path / "audit/manifold.json").read_text()


def test_what_cannot_be_audited_is_one_line(run, model, trained, tmp_path):
    images, train = np.load(model / "test.npy"), model / "train.npy"
    np.save(tmp_path / "x.npy", images)

    def failed(code, *words, images="x.npy", clean=train, more=()):
        one_error(run("ae-purify", model / "model", images, "--audit-manifold", "audit", "--clean", clean, *more, "-q"), code, *words)
        assert not list((tmp_path / "audit").glob("manifold*")) if (tmp_path / "audit").exists() else True

    one_error(run("ae-purify", model / "model", "x.npy", "--audit-manifold", "audit", "-q"), 2, "--clean")
    one_error(run("ae-purify", model / "model", "x.npy", "-o", "o.npy", "--neighbours", "9", "-q"), 2, "--audit-manifold")
    one_error(run("ae-purify", trained, "t.csv", "--audit-manifold", "audit", "--clean", "x.npy", "-q"), 2, "for images")
    failed(2, "--output", more=("-o", "o.npy"))
    failed(2, "--components 9", "--neighbours", more=("--neighbours", "9", "--components", "9"))
    failed(2, "64 pixels", more=("--neighbours", "100", "--components", "64"))
    failed(4, "40 images", "--neighbours 60", clean="x.npy")
    failed(2, "--clean", "empty", clean="")
    failed(2, "--unreadable ignore", "--attacked", more=("--attacked", "x.npy", "--unreadable", "ignore"))
    failed(4, "39 images", "equal to", clean="x.npy", more=("--neighbours", "40"))
    np.save(tmp_path / "same.npy", np.repeat(images[:1] / 2, 80, 0))
    failed(4, "all the same", clean="same.npy")
    np.save(tmp_path / "few.npy", images[:30])
    failed(4, "few.npy: 30 images", "40", "--first", more=("--attacked", "few.npy"))
    np.save(tmp_path / "large.npy", np.zeros((80, 12, 12), np.float32))
    failed(4, "--clean", "12 x 12", "8 x 8", clean="large.npy")
    failed(4, "--attacked", "12 x 12", "8 x 8", more=("--attacked", "large.npy"))
    write_png(tmp_path / "two/a.png", (images[0] * 255).astype(np.uint8))
    write_png(tmp_path / "two/b.png", np.zeros((12, 12), np.uint8))
    failed(4, "b.png", "12 x 12", "one size", images="two")
    (tmp_path / "two/b.png").write_bytes(b"no image")
    failed(4, "b.png", images="two", more=("--unreadable", "stop"))
    told = run("ae-purify", model / "model", "two", "--audit-manifold", "audit", "--clean", train, "-q")
    assert told.code == 4 and "b.png" in told.stderr and (tmp_path / "audit/manifold.csv").exists()
    one_error(run("ae-purify", model / "model", "x.npy", "--audit-manifold", "audit", "--clean", train, "-q"), 2, "--force")
    before = (tmp_path / "audit/manifold.csv").read_bytes()
    (tmp_path / "audit/manifold.json").unlink()
    (tmp_path / "audit/manifold.json").symlink_to(tmp_path / "x.npy")
    one_error(run("ae-purify", model / "model", "x.npy", "--audit-manifold", "audit", "--clean", train, "-q", "--force"), 2, "is an input")
    assert (tmp_path / "audit/manifold.csv").read_bytes() == before


def test_it_is_stopped_by_a_signal_and_leaves_nothing_behind(bin_folder, model, tmp_path):
    process = subprocess.Popen([bin_folder / "ae-purify", model / "model", model / "test.npy", "--audit-manifold", tmp_path / "audit",
                                "--clean", model / "train.npy", "--directions", "10000"], stderr=subprocess.PIPE)  # fmt: skip
    wait_for(lambda: catches(process, signal.SIGTERM) and (tmp_path / "audit").exists())
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM and b"stopped by SIGTERM" in told, told
    assert not (tmp_path / "audit").exists()


def test_the_benchmark_of_the_predictor_ranks_purifiers_as_scipy_does(bin_folder, tmp_path):
    """Digits of scikit-learn where MNIST's would be: the figures mean nothing, how they come about is the same."""
    from scipy.stats import spearmanr
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(1797)
    for part, rows in (("train", order[:400]), ("t10k", order[400:440])):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", digits.images[rows] * 15)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", digits.target[rows])
    subprocess.run([bin_folder / "ae-train", "--recipe", "mnist-classifier", "--data", tmp_path / "train-images-idx3-ubyte",
                    "--out", tmp_path / "classifier", "--set", "/objective/network=mlp", "-q"], check=True, timeout=300)
    command = [sys.executable, SOURCE / "scripts" / "benchmark-predictor.py", tmp_path / "classifier", "--mnist", tmp_path, "--out",
               tmp_path / "out", "--images", "20", "--steps", "3", "--restarts", "1", "--epochs", "1", "--bin", bin_folder,
               "--only", "no noise", "--only", "signs 0.3, code of 8", "--only", "gaussian 0.6"]
    first, again = (subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=300) for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    assert again.stdout == first.stdout
    told = json.loads((tmp_path / "out" / "predictor.json").read_text())
    assert [row["name"] for row in told["purifiers"]] == ["no noise", "signs 0.3, code of 8", "gaussian 0.6"]
    expected = spearmanr(*([row[key] for row in told["purifiers"]] for key in ("predictor", "withstood"))).statistic
    assert told["rank_correlation"] == pytest.approx(expected)
    for row in told["purifiers"]:
        folder = tmp_path / "out" / row["name"].replace(" ", "-").replace(",", "")
        assert row["predictor"] == json.loads((folder / "audit" / "manifold.json").read_text())["predictor"]["mean"]
        lines = csv.DictReader((folder / "attack" / "report.csv").open())
        worst = [line for line in lines if line["threat"] == "all" and line["defence"] == "purifier" and line["eps"] == "0.1"]
        assert [float(line["accuracy"]) for line in worst] == [row["withstood"]]

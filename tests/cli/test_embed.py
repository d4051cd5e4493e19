"""ae-embed: latent codes of every kind, and the canonical basis of linear networks, against NumPy."""

import csv
import io
import json
import os
import resource
import signal
import subprocess
import warnings

import numpy as np
import pytest
from count_matrices import simulated, write_h5ad
from pictures import write_png
from support import (
    CONFIGS, WDBC, catches, needs_torch, one_error, read_safetensors, rows_of, split_safetensors, wait_for,
    write_config,
)

pytestmark = needs_torch

PCA = CONFIGS / "linear-pca.json"
PLAIN = ["--set", "/data/scaling=none"]  # network units are those of the table


def table(path, values, hide=0.0, seed=0):
    """A CSV file of an array, with a share of its cells left empty."""
    hidden = np.random.default_rng(seed).random(values.shape) < hide
    with open(path, "w", encoding="utf-8") as file:
        file.write(",".join(f"c{j}" for j in range(values.shape[1])) + "\n")
        for row, holes in zip(values, hidden):
            file.write(",".join("" if hole else repr(float(cell)) for cell, hole in zip(row, holes)) + "\n")
    return np.where(hidden, np.nan, values)


def measurements(rows, columns, rank=5, noise=0.3, seed=1):
    """Float32, so that a network sees what NumPy sees."""
    generator = np.random.default_rng(seed)
    factors = generator.normal(size=(rows, rank)) * np.linspace(3, 1, rank)
    values = factors @ generator.normal(size=(rank, columns)) + noise * generator.normal(size=(rows, columns)) + 2
    return values.astype(np.float32).astype(np.float64)


def codes_of(text):
    """(header, codes) of a CSV file of codes."""
    lines = list(csv.reader(io.StringIO(text)))
    at = [i for i, name in enumerate(lines[0]) if "z" in name]
    return lines[0], np.array([[float(line[i] or "nan") for i in at] for line in lines[1:]])


def weights_of(path):
    """Tensors of a model's network by name, read without the programs."""
    header, data = split_safetensors(path.read_bytes())
    header.pop("__metadata__")
    weights = {}
    for name, entry in header.items():
        if name.startswith("model.") and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            weights[name.removeprefix("model.")] = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return weights


def best_projection(values, count):
    """Error of the rank-count projection, its axes (one a column) and the scores, by a singular value decomposition."""
    apart = values - values.mean(0)
    left, lengths, right = np.linalg.svd(apart, full_matrices=False)
    return (lengths[count:] ** 2).sum(), right[:count].T, left[:, :count] * lengths[:count]


def angle(one, other):
    """The largest principal angle of two spans, in degrees."""
    one, other = np.linalg.qr(one)[0], np.linalg.qr(other)[0]
    return np.degrees(np.arcsin(min(1, np.linalg.norm(other - one @ (one.T @ other), 2))))


def train_pca(run, data, count, *more):
    done = run("ae-train", PCA, "--data", data, "--out", "pca", "--set", f"/model/latent={count}", *PLAIN, *more, "-q")
    assert (done.code, done.stdout, done.stderr) == (0, "", "")


# --- Codes ---


def test_codes_are_what_the_encoder_says(run, tmp_path):
    """A dense network's, computed from the weights by NumPy."""
    values = measurements(300, 7)
    table(tmp_path / "t.csv", values)
    config = {
        "data": {"path": "t.csv", "scaling": "none"},
        "model": {"type": "dense", "hidden": [9], "activation": "tanh", "latent": 3},
        "training": {"epochs": 5},
    }
    done = run("ae-train", write_config(tmp_path / "c.json", config), "--out", "m", "-q")
    assert done.code == 0, done.stderr
    written = run("ae-embed", "m", "t.csv", "-o", "z.csv")
    assert (written.code, written.stdout) == (0, "") and "300 codes" in written.stderr
    header, codes = codes_of((tmp_path / "z.csv").read_text())
    assert header == ["id", "z0", "z1", "z2"]
    weights = weights_of(tmp_path / "m/model.safetensors")
    hidden = np.tanh(values @ weights["encoder_0.affine.weight"].T + weights["encoder_0.affine.bias"])
    truth = hidden @ weights["bottleneck.weight"].T + weights["bottleneck.bias"]
    assert np.abs(codes - truth).max() < 1e-4 and truth.std(0).min() > 0.01

    assert run("ae-embed", "m", "t.csv", "-o", "z.npy", "-q") == (0, "", "")
    array = np.load(tmp_path / "z.npy")
    assert array.dtype == np.dtype("<f4") and np.array_equal(array, codes.astype(np.float32))
    piped = run("ae-embed", "m", "-", "-q", stdin=(tmp_path / "t.csv").read_bytes())
    assert piped.stdout == (tmp_path / "z.csv").read_text()


def test_ids_labels_and_kept_columns_pass_through(run, trained, tmp_path):
    head, *lines = WDBC.read_text().splitlines()
    (tmp_path / "t.csv").write_text(
        "\n".join([head + ",site", *(f'{line},"ward {i % 3}, east"' for i, line in enumerate(lines))]) + "\n"
    )
    rows = rows_of(run("ae-embed", trained, "t.csv", "--keep", "site", "-q").stdout)
    truth = rows_of((tmp_path / "t.csv").read_text())
    assert len(rows) == 569 and list(rows[0])[:2] == ["id", "z0"] and list(rows[0])[-2:] == ["label", "site"]
    assert [(row["id"], row["label"], row["site"]) for row in rows] == [
        (str(i), row["diagnosis"], row["site"]) for i, row in enumerate(truth)
    ]
    one_error(run("ae-embed", trained, "t.csv", "--keep", "z0", "-q"), 2, "z0")


def test_any_number_of_threads_and_any_way_to_read_give_the_same_bytes(run, trained, tmp_path):
    head, *lines = WDBC.read_bytes().splitlines(keepends=True)
    (tmp_path / "many.csv").write_bytes(head + b"".join(lines) * 20)
    one, two = (run("ae-embed", trained, "many.csv", "--threads", n, "-q") for n in (1, 3))
    assert one.code == 0 and one == two and one.stdout.count("\n") == 20 * 569 + 1
    first = one.stdout.splitlines()[1:570]
    again = one.stdout.splitlines()[570:1139]
    # BLAS sums a row in an order that its place in a block decides, which may change the last bit.
    codes = [np.array([line.split(",")[1:7] for line in lines], float) for lines in (first, again)]
    np.testing.assert_allclose(*codes, rtol=1e-4, atol=1e-6)
    alone = run("ae-embed", trained, "-", "-q", stdin=head + lines[7]).stdout.splitlines()[1]
    np.testing.assert_allclose(np.array(alone.split(",")[1:7], float), codes[0][7], rtol=1e-4, atol=1e-6)


def test_the_loss_stands_behind_the_codes(run, trained, tmp_path):
    plain = run("ae-embed", trained, WDBC, "-q")
    with_loss = run("ae-embed", trained, WDBC, "--loss", "-q")
    assert (with_loss.code, with_loss.stderr) == (0, "")
    rows, codes = rows_of(with_loss.stdout), rows_of(plain.stdout)
    scores = rows_of(run("ae-score", trained, WDBC, "-q").stdout)
    assert [{k: v for k, v in row.items() if k != "loss"} for row in rows] == codes
    assert all(float(row["loss"]) == pytest.approx(float(score["score"]), rel=1e-5) for row, score in zip(rows, scores))
    one_error(run("ae-embed", trained, WDBC, "--loss", "-o", "z.h5ad", "-q"), 2, "--loss", ".h5ad")


def test_an_error_model_is_what_numpy_makes_of_reconstructions_and_codes(run, tmp_path):
    rng = np.random.default_rng(21)
    values = measurements(6000, 6, rank=2)
    truth = 3 + 2 * values[:, 0] + 0.5 * rng.normal(size=6000)
    weight = rng.uniform(0.5, 2, 6000)
    names = [*(f"c{i}" for i in range(6)), "true", "w"]
    np.savetxt(tmp_path / "t.csv", np.column_stack([values, truth, weight]), delimiter=",", header=",".join(names), comments="", fmt="%.9g")
    config = {"data": {"path": "t.csv", "columns": {"true": "ignore", "w": "ignore"}},
              "model": {"type": "dense", "hidden": [16], "latent": 2}, "training": {"epochs": 15}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert run("ae-train", "config.json", "--out", "model", "-q").code == 0
    command = ["ae-embed", "model", "t.csv", "--loss", "-o", "codes.csv", "--force", "-q", "--error-model", "errors.json"]
    assert run(*command, "--true", "true", "--weight", "w").code == 0
    with open(tmp_path / "codes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert set(rows[0]) == {"id", "z0", "z1", "loss"}
    told = json.loads((tmp_path / "errors.json").read_text())
    assert run("ae-purify", "model", "t.csv", "-o", "r.csv", "-q").code == 0
    error = np.genfromtxt(tmp_path / "r.csv", delimiter=",", skip_header=1)[:, :6] - np.genfromtxt(tmp_path / "t.csv", delimiter=",", skip_header=1)[:, :6]
    cells = told["reconstruction"]["cells"]
    assert told["rows"] == 6000 == sum(cell["rows"] for cell in cells) and 30 <= len(cells) <= 64
    assert min(cell["rows"] for cell in cells) >= 90
    # Each row lies in the box of some cell, of which only means are told: those of the nearest by code, for most.
    codes = np.array([[float(row["z0"]), float(row["z1"])] for row in rows])
    centres, scale = np.array([cell["code"] for cell in cells]), np.array(told["reconstruction"]["code_scale"])
    nearest = ((codes[:, None] - centres[None]) ** 2 / scale**2).sum(2).argmin(1)
    for k in np.argsort([-cell["rows"] for cell in cells])[:20]:
        own = nearest == k
        mean = np.average(error[own], axis=0, weights=weight[own])
        assert np.abs(mean - cells[k]["bias"]).max() < 6 * error[own].std(0).max() / np.sqrt(own.sum())
    # All cells together are all rows, to the last digit but those of the files.
    share = np.array([cell["rows"] for cell in cells]) / 6000
    assert np.allclose(share @ np.array([cell["bias"] for cell in cells]), error.mean(0), atol=0.1 * error.std())
    square = share @ (np.array([cell["bias"] for cell in cells]) ** 2 + np.array([cell["spread"] for cell in cells]) ** 2)
    assert np.allclose(square, (error**2).mean(0), rtol=0.1)
    residuals = np.array(told["reconstruction"]["residuals"])
    assert residuals.shape == (256, 6) and np.abs(residuals.std(0) - 1).max() < 0.2
    # The blur: groups of as many rows of like truth, and a weighted line in each.
    order = np.argsort(truth, kind="stable")
    for name, observed in (("z1", codes[:, 1]), ("loss", np.array([float(row["loss"]) for row in rows]))):
        points = told["blur"][name]
        assert len(points) == 42 and points[0]["x"] == pytest.approx(truth.min()) and points[-1]["x"] == pytest.approx(truth.max())
        for point, group in zip(points[1:-1], np.array_split(order, 40)):
            w, x, y = weight[group], truth[group], observed[group]
            slope, at_0 = np.polyfit(x - np.average(x, weights=w), y, 1, w=np.sqrt(w))
            rest = y - at_0 - slope * (x - np.average(x, weights=w))
            effective = w.sum() ** 2 / (w**2).sum()
            sigma = np.sqrt(np.average(rest**2, weights=w) * effective / (effective - 2))
            assert point["x"] == pytest.approx(np.average(x, weights=w), rel=1e-6, abs=1e-6)
            assert point["mean"] == pytest.approx(at_0, rel=1e-4, abs=1e-4) and point["sigma"] == pytest.approx(sigma, rel=1e-3)
    # Weights count relative to each other, however large they are; those of a few rows tell nothing.
    for factor, name in ((1, "1"), (1e300, "2"), (1e-200, "3")):
        scaled = np.column_stack([values, truth, weight * factor])
        np.savetxt(tmp_path / "s.csv", scaled, delimiter=",", header=",".join(names), comments="", fmt="%.9g")
        assert run("ae-embed", "model", "s.csv", "-o", "s.npy", "--force", "-q", "--error-model", f"e{name}.json", "--true", "true", "--weight", "w").code == 0
    one, two, three = (json.loads((tmp_path / f"e{i}.json").read_text())["blur"]["z0"] for i in (1, 2, 3))
    for other in (two, three):
        assert [p["sigma"] for p in one] == pytest.approx([p["sigma"] for p in other], rel=1e-6)
    np.savetxt(tmp_path / "s.csv", np.column_stack([values, truth, np.exp(60 * rng.uniform(size=6000) ** 9)]), delimiter=",",
               header=",".join(names), comments="", fmt="%.9g")
    one_error(run("ae-embed", "model", "s.csv", "-o", "u.npy", "-q", "--error-model", "u.json", "--true", "true", "--weight", "w"), 4, "weights")
    assert run(*command).code == 0
    assert "blur" not in json.loads((tmp_path / "errors.json").read_text())


def test_an_error_model_that_cannot_be_made_is_one_line(run, trained, tmp_path):
    np.savetxt(tmp_path / "t.csv", measurements(150, 4), delimiter=",", header="a,b,c,d", comments="")
    assert run("ae-train", "--data", "t.csv", "--recipe", "linear-pca", "--set", "/model/latent=2", "--out", "m", "-q").code == 0
    text = (tmp_path / "t.csv").read_text().splitlines()
    (tmp_path / "same.csv").write_text("\n".join([text[0] + ",t", *(line + ",1" for line in text[1:])]) + "\n")
    (tmp_path / "word.csv").write_text("\n".join([text[0] + ",t", *(line + ",x" for line in text[1:])]) + "\n")
    (tmp_path / "few.csv").write_text("\n".join(text[:50]) + "\n")
    for arguments, code, words in ((["same.csv", "--true", "t"], 4, ["\"t\" is always 1"]), (["word.csv", "--true", "t"], 4, ["\"x\"", "a number"]),
                                   (["few.csv"], 4, ["49 rows"]), (["t.csv", "--true", "q"], 2, ["\"q\""]), (["t.csv", "--true", "label"], 2, ["\"label\"", "rename"])):
        done = run("ae-embed", "m", *arguments, "-o", "z.csv", "--error-model", "e.json", "-q")
        assert done.code == code, done.stderr
        one_error(done, code, *words)
        assert not (tmp_path / "z.csv").exists() and not (tmp_path / "e.json").exists()
    one_error(run("ae-embed", "m", "t.csv", "--true", "a", "-q"), 2, "--error-model")
    one_error(run("ae-embed", "m", "t.csv", "--error-model", "e.csv", "-q"), 2, ".json")


def test_the_codes_of_several_networks_stand_side_by_side(run, tmp_path):
    arguments = ["--set", "/training/epochs=3", "--set", "/model/members=2", "-q", "--set", "/model/latent=3"]
    assert run("ae-train", CONFIGS / "wdbc.json", "--out", "m", *arguments).code == 0
    header, codes = codes_of(run("ae-embed", "m", WDBC, "-q").stdout)
    assert header == ["id", "z0", "z1", "z2", "z3", "z4", "z5", "label"]
    assert codes.shape == (569, 6) and np.abs(codes[:, :3] - codes[:, 3:]).max() > 0.1


def test_a_variational_network_gives_its_mean_every_time(run):
    assert run("ae-train", CONFIGS / "wdbc-vae.json", "--out", "m", "--set", "/training/epochs=3", "-q").code == 0
    one, two = (run("ae-embed", "m", WDBC, "-q") for _ in range(2))
    assert one.code == 0 and one == two


def test_images_have_codes_and_tiles_have_their_own(run, tmp_path):
    generator = np.random.default_rng(0)
    for i in range(6):
        write_png(tmp_path / f"good/{i}.png", generator.integers(0, 255, (48, 48), np.uint8))
    config = {
        "data": {"type": "images", "path": "good"},
        "model": {"type": "conv", "levels": 2, "width": 4, "code": 2},
        "training": {"epochs": 1, "validation_fraction": 0.34},
    }
    write_config(tmp_path / "c.json", config)
    done = run("ae-train", "c.json", "--out", "whole", "-q")
    assert done.code == 0, done.stderr
    header, codes = codes_of(run("ae-embed", "whole", "good", "-q").stdout)
    assert header == ["id", *(f"z{i}" for i in range(2 * 12 * 12))] and codes.shape == (6, 288)  # 48 / 2^2
    # Another size has another code: it is named and left out.
    write_png(tmp_path / "other/0.png", generator.integers(0, 255, (48, 48), np.uint8))
    write_png(tmp_path / "other/1.png", generator.integers(0, 255, (40, 48), np.uint8))
    told = run("ae-embed", "whole", "other", "-o", "z.csv")
    assert told.code == 4 and "1.png: 40 x 48" in told.stderr and "48 x 48" in told.stderr
    assert len((tmp_path / "z.csv").read_text().splitlines()) == 2
    assert run("ae-embed", "whole", "other", "--unreadable", "ignore", "-q").code == 0
    one_error(run("ae-embed", "whole", "other", "--keep", "x", "-q"), 2, "images", "--keep")

    config["data"]["tile"] = {"size": 32}
    write_config(tmp_path / "c.json", config)
    assert run("ae-train", "c.json", "--out", "tiled", "-q").code == 0
    rows = rows_of(run("ae-embed", "tiled", "good/0.png", "-q").stdout)
    assert [row["id"] for row in rows] == ["0.png:0:0", "0.png:0:16", "0.png:16:0", "0.png:16:16"]
    assert len(rows[0]) == 1 + 2 * 8 * 8


# --- Refusals ---


def test_what_cannot_be_done_is_told_in_one_line(run, trained, tmp_path):
    for name in ("z.txt", "z", "z.csv.gz", "z.h5"):
        one_error(run("ae-embed", trained, WDBC, "-o", name, "-q"), 2, name, ".csv or .npy")
    one_error(run("ae-embed", trained, WDBC, "--linear", "-o", "z.csv", "-q"), 2, "--linear", "hidden layers", "linear")
    one_error(run("ae-embed", trained, "missing.csv", "-o", "z.csv", "-q"), 4, "missing.csv")
    one_error(run("ae-embed", trained, WDBC, "--unreadable", "stop", "-q"), 2, "--unreadable")
    (tmp_path / "bad.csv").write_text(WDBC.read_text().replace("17.99", "much", 1))
    one_error(run("ae-embed", trained, "bad.csv", "-o", "z.npy", "-q"), 4, "bad.csv:2", "much")
    assert list(tmp_path.glob("z*")) == [] and not (tmp_path / "pca_check.json").exists()
    none = ["--set", "/data/label=diagnosis", "--set", "/data/normal=benign", "-q"]
    assert run("ae-train", WDBC, "--out", "none", *none).code == 0
    one_error(run("ae-embed", "none", WDBC, "-q"), 2, "holds no network", "ae-embed")


def test_rows_that_cannot_be_read_keep_their_place(run, trained, tmp_path):
    (tmp_path / "bad.csv").write_text(WDBC.read_text().replace("20.57", "much", 1))
    told = run("ae-embed", trained, "bad.csv", "--bad-rows", "report", "-o", "z.npy")
    assert told.code == 4 and "1 of 569 rows" in told.stderr
    array = np.load(tmp_path / "z.npy")
    assert array.shape[0] == 569 and np.isnan(array[1]).all() and np.isfinite(np.delete(array, 1, 0)).all()
    assert run("ae-embed", trained, "bad.csv", "--bad-rows", "skip", "-o", "skipped.npy", "-q").code == 0
    np.testing.assert_allclose(np.load(tmp_path / "skipped.npy"), np.delete(array, 1, 0), rtol=1e-4, atol=1e-6)
    header = WDBC.read_text().splitlines()[0] + "\n"
    empty = run("ae-embed", trained, "-", "--allow-empty", "-q", stdin=header)
    assert empty.code == 0 and empty.stdout.startswith("id,z0,") and empty.stdout.count("\n") == 1


def test_a_stopped_run_leaves_nothing(bin_folder, trained, tmp_path):
    process = subprocess.Popen([bin_folder / "ae-embed", trained, "-", "-o", tmp_path / "z.npy", "-q"],
                               stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdin.write(b"".join(WDBC.read_bytes().splitlines(keepends=True)[:50]))
    process.stdin.flush()
    wait_for(lambda: catches(process, signal.SIGTERM))
    process.send_signal(signal.SIGTERM)
    process.wait(30)  # before its input ends, which would end it as well
    process.stdin.close()
    process.stderr.close()
    assert process.returncode == 128 + signal.SIGTERM
    assert not (tmp_path / "z.npy").exists()


# --- Linear networks ---


@pytest.mark.parametrize("rows,columns", [(400, 12), (20, 60), (30, 30)])
def test_a_linear_network_is_principal_component_analysis(run, tmp_path, rows, columns):
    values = measurements(rows, columns)
    table(tmp_path / "t.csv", values)
    count = 4
    train_pca(run, "t.csv", count)
    best, axes, scores = best_projection(values, count)

    # The model, from its weights.
    weights = weights_of(tmp_path / "pca/model.safetensors")
    encoder, decoder = weights["bottleneck.weight"].astype(float), weights["output.weight"].astype(float)
    restored = (values @ encoder.T + weights["bottleneck.bias"]) @ decoder.T + weights["output.bias"]
    error = ((values - restored) ** 2).sum()
    assert -1e-7 <= error / best - 1 <= 1e-6
    assert angle(axes, decoder) <= 0.1

    # What ae-embed says of it, and writes.
    told = run("ae-embed", "pca", "t.csv", "--linear", "-o", "z.csv", "-q")
    assert told == (0, "", "")
    check = json.loads((tmp_path / "pca_check.json").read_text())
    assert (check["compared_with"], check["judged"], check["missing_cells"]) == ("svd", "network", 0)
    for name in ("excess_error", "network_excess_error", "decoder_excess_error"):
        assert -1e-7 <= check[name] <= 1e-6, name
    assert check["excess_error"] == pytest.approx(error / best - 1, abs=1e-9)
    assert check["largest_angle_degrees"] <= 0.1 and max(check["angles_degrees"]) == check["largest_angle_degrees"]
    total = ((values - values.mean(0)) ** 2).sum()
    assert check["explained_variance"] == pytest.approx(1 - error / total, abs=1e-9)
    assert check["optimal_explained_variance"] == pytest.approx(1 - best / total, abs=1e-12)
    assert check["deviations"] == pytest.approx(scores.std(0), rel=1e-5)
    assert check["optimal_deviations"] == pytest.approx(scores.std(0), rel=1e-9)
    assert min(check["axis_cosines"]) >= 0.9999
    header, codes = codes_of((tmp_path / "z.csv").read_text())
    assert header == ["id", *(f"z{k}" for k in range(count))]
    signs = np.sign(axes[np.abs(axes).argmax(0), range(count)])
    assert np.abs(codes - scores * signs).max() < 1e-4 * np.abs(scores).max()
    # Such a model's own codes are canonical already.
    _, plain = codes_of(run("ae-embed", "pca", "t.csv", "-q").stdout)
    assert np.abs(plain - codes).max() < 1e-4 * np.abs(scores).max()


def test_the_check_sees_a_network_that_is_not_trained_to_the_end(run, tmp_path):
    values = measurements(300, 10)
    table(tmp_path / "t.csv", values)
    best, axes, _ = best_projection(values, 3)
    by_descent = ["--set", '/objective={"type": "reconstruction"}', "--set", "/training/epochs=4"]
    train_pca(run, "t.csv", 3, *by_descent)
    assert run("ae-embed", "pca", "t.csv", "--linear", "-o", "z.csv", "-q").code == 0
    check = json.loads((tmp_path / "pca_check.json").read_text())
    weights = weights_of(tmp_path / "pca/model.safetensors")
    restored = (values @ weights["bottleneck.weight"].T + weights["bottleneck.bias"]) @ weights["output.weight"].T
    error = ((values - restored - weights["output.bias"]) ** 2).sum()
    assert check["excess_error"] == pytest.approx(error / best - 1, rel=1e-4) and check["excess_error"] > 0.01
    decoder = weights["output.weight"].astype(float)
    assert check["largest_angle_degrees"] == pytest.approx(angle(axes, decoder), rel=1e-3)
    assert check["largest_angle_degrees"] > 1
    # Whatever the network, its codes are written in an orthonormal basis, uncorrelated, and ordered.
    _, codes = codes_of((tmp_path / "z.csv").read_text())
    covariance = np.cov(codes.T)
    assert np.abs(codes.mean(0)).max() < 1e-4
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-4 * covariance.max()
    assert (np.diff(np.diag(covariance)) < 0).all()


def em_error(values, count, rounds=3000):
    """Least squares on observed cells alone, a row weighing as much whatever it has: slow, row by row."""
    observed = np.isfinite(values)
    weights = 1 / observed.sum(1)
    filled = np.where(observed, values, np.nanmean(values, 0))
    center = filled.mean(0)
    axes = np.linalg.svd(filled - center, full_matrices=False)[2][:count].T
    before = np.inf
    for _ in range(rounds):
        codes = np.array([
            np.linalg.lstsq(axes[o], row[o] - center[o], rcond=None)[0] for row, o in zip(values, observed)
        ])
        error = sum(w * ((row[o] - center[o] - axes[o] @ code) ** 2).sum()
                    for row, o, code, w in zip(values, observed, codes, weights))
        if before - error < 1e-11 * error:
            break
        before = error
        design = np.column_stack([codes, np.ones(len(codes))])
        for j in range(values.shape[1]):
            o = observed[:, j]
            root = np.sqrt(weights[o])[:, None]
            solution = np.linalg.lstsq(design[o] * root, values[o, j] * root[:, 0], rcond=None)[0]
            axes[j], center[j] = solution[:-1], solution[-1]
    return error / len(values), axes


def test_with_missing_cells_the_optimum_is_that_of_the_observed_ones(run, tmp_path):
    values = table(tmp_path / "t.csv", measurements(90, 8, rank=3, noise=0.5), hide=0.1)
    best, axes = em_error(values, 2)
    train_pca(run, "t.csv", 2)
    assert run("ae-embed", "pca", "t.csv", "--linear", "-o", "z.csv", "-q") == (0, "", "")
    check = json.loads((tmp_path / "pca_check.json").read_text())
    assert (check["compared_with"], check["judged"]) == ("em", "decoder") and check["converged"]
    assert check["missing_cells"] == np.isnan(values).sum() > 50
    assert -1e-7 <= check["excess_error"] <= 1e-6
    assert check["largest_angle_degrees"] <= 0.1
    # The same from the weights and codes, and against the slow optimum.
    decoder = weights_of(tmp_path / "pca/model.safetensors")["output.weight"].astype(float)
    assert angle(axes, decoder) <= 0.1
    center = weights_of(tmp_path / "pca/model.safetensors")["output.bias"].astype(float)
    error = 0
    for row in values:
        o = np.isfinite(row)
        error += np.linalg.lstsq(decoder[o], row[o] - center[o], rcond=None)[1].sum() / o.sum()
    assert -1e-6 <= error / len(values) / best - 1 <= 1e-6
    # The network's own encoder takes what is missing for the mean: that is told, and worse.
    assert check["network_excess_error"] > 0.01


def test_scaled_columns_and_a_label_give_the_components_of_the_correlations(run, tmp_path):
    done = run("ae-train", PCA, "--data", WDBC, "--set", "/data/label=diagnosis", "--out", "pca", "-q")
    assert done == (0, "", "")
    assert run("ae-embed", "pca", WDBC, "--linear", "-o", "z.npy", "--check", "check.json", "-q") == (0, "", "")
    values = np.array([line.split(",")[:30] for line in WDBC.read_text().splitlines()[1:]], float)
    _, axes, scores = best_projection((values - values.mean(0)) / values.std(0), 8)
    signs = np.sign(axes[np.abs(axes).argmax(0), range(8)])
    codes = np.load(tmp_path / "z.npy").astype(float)
    # Up to the divisor of the standard deviations, n or n - 1.
    cosines = (codes * scores * signs).sum(0) / np.linalg.norm(codes, axis=0) / np.linalg.norm(scores, axis=0)
    assert cosines.min() > 1 - 1e-8
    assert np.linalg.norm(codes) / np.linalg.norm(scores) == pytest.approx(1, abs=1e-3)
    check = json.loads((tmp_path / "check.json").read_text())
    assert check["excess_error"] <= 1e-6 and check["rows"] == 569 and check["columns"] == 30


def test_the_check_goes_beside_the_output_and_overwrites_nothing(run, tmp_path):
    table(tmp_path / "t.csv", measurements(50, 6))
    train_pca(run, "t.csv", 2)
    (tmp_path / "out").mkdir()
    assert run("ae-embed", "pca", "t.csv", "--linear", "-o", "out/z.csv", "-q").code == 0
    assert sorted(os.listdir(tmp_path / "out")) == ["pca_check.json", "z.csv"]
    one_error(run("ae-embed", "pca", "t.csv", "--linear", "-o", "out/y.csv", "-q"), 2, "pca_check.json", "--force")
    assert run("ae-embed", "pca", "t.csv", "--linear", "-o", "out/y.csv", "--force", "-q").code == 0
    piped = run("ae-embed", "pca", "-", "--linear", "-q", stdin=(tmp_path / "t.csv").read_bytes())
    assert piped.stdout == (tmp_path / "out/y.csv").read_text() and (tmp_path / "pca_check.json").exists()
    one = run("ae-embed", "pca", "t.csv", "--linear", "--threads", "1", "--check", "one.json", "-q").stdout
    two = run("ae-embed", "pca", "t.csv", "--linear", "--threads", "2", "--check", "two.json", "-q").stdout
    assert one == two and (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


@pytest.mark.parametrize("settings,words", [
    (['/model={"type": "dense", "latent": 2}'], ["/model/hidden", "linear"]),
    (['/loss/terms=[{"type": "l1"}]'], ["/loss/terms", "mse"]),
    (["/model/latent=9"], ["/model/latent", "9 principal components of 6 columns"]),
    (["/training/trim=0.1"], ["/training/trim"]),
    (['/training/corruption=[{"type": "mask"}]'], ["/training/corruption"]),
])
def test_the_objective_takes_only_what_it_is_the_optimum_of(run, tmp_path, settings, words):
    table(tmp_path / "t.csv", measurements(50, 6))
    changes = [word for setting in settings for word in ("--set", setting)]
    done = run("ae-train", PCA, "--data", "t.csv", "--set", "/model/latent=2", *changes, "--out", "m", "-q")
    one_error(done, 2, *words)


def test_a_column_of_categories_is_named(run, tmp_path):
    lines = ["a,b,colour", *(f"{i % 7},{i % 5},{'red' if i % 2 else 'blue'}" for i in range(40))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    arguments = ["--data", "t.csv", "--set", "/model/latent=1", "--out", "m", "-q"]
    outcome = run("ae-train", PCA, *arguments)
    assert outcome.code == 2 and "colour" in outcome.stderr and outcome.stderr.count("error") == 1


def test_an_objective_without_epochs_resumes_as_done(run, tmp_path):
    table(tmp_path / "t.csv", measurements(50, 6))
    train_pca(run, "t.csv", 2)
    before = (tmp_path / "pca/model.safetensors").read_bytes()
    again = run("ae-train", PCA, "--data", "t.csv", "--out", "pca", "--set", "/model/latent=2", *PLAIN, "--resume")
    assert again.code == 0 and "already complete" in again.stderr
    assert (tmp_path / "pca/model.safetensors").read_bytes() == before
    metadata, _ = read_safetensors(tmp_path / "pca/model.safetensors")
    assert json.loads(metadata["config"])["objective"] == {"type": "principal_components"}


# --- .h5ad ---


def test_codes_go_into_a_copy_of_an_h5ad_file(run, tmp_path):
    """obsm["X_ae"], and all else as it was."""
    h5py = pytest.importorskip("h5py")
    counts, types = simulated(120, 60, 1)
    write_h5ad(tmp_path / "in.h5ad", counts, label=[f"type{t}" for t in types], compression="gzip")
    config = {"data": {"type": "counts", "path": "in.h5ad", "genes": 30},
              "model": {"type": "dense", "hidden": [8], "latent": 3}, "training": {"epochs": 2, "seed": 0}}
    assert run("ae-train", write_config(tmp_path / "c.json", config), "--out", "m", "-q").code == 0
    assert run("ae-embed", "m", "in.h5ad", "-o", "z.npy", "-q") == (0, "", "")
    codes = np.load(tmp_path / "z.npy")
    assert run("ae-embed", "m", "in.h5ad", "-o", "z.h5ad", "-q") == (0, "", "")
    assert run("ae-embed", "m", "z.h5ad", "-o", "again.h5ad", "-q") == (0, "", "")
    for name in ("z.h5ad", "again.h5ad"):
        with h5py.File(tmp_path / "in.h5ad") as before, h5py.File(tmp_path / name) as after:
            made = after["obsm/X_ae"]
            assert made.dtype == np.dtype("<f4") and np.array_equal(made[:], codes)
            assert made.attrs["encoding-type"] == "array" and after["obsm"].attrs["encoding-type"] == "dict"
            assert set(after) == {*before, "obsm"} and set(after["obs"]) == {"_index", "type"}
            assert np.array_equal(after["X/data"][:], before["X/data"][:])
            assert np.array_equal(after["obs/type/codes"][:], before["obs/type/codes"][:])
    # What is written is read: the same scores.
    assert run("ae-score", "m", "in.h5ad", "-q") == run("ae-score", "m", "z.h5ad", "-q")
    anndata = pytest.importorskip("anndata")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="anndata")
        assert np.array_equal(anndata.read_h5ad(tmp_path / "again.h5ad").obsm["X_ae"], codes)


def test_of_tables_ids_labels_and_kept_columns_become_obs(run, trained, tmp_path):
    h5py = pytest.importorskip("h5py")
    head, *lines = WDBC.read_text().splitlines()
    lines[3] = "x" + lines[3]  # cannot be read
    (tmp_path / "t.csv").write_text("\n".join([head + ",site", *(f"{line},w{i % 3}" for i, line in enumerate(lines))]) + "\n")
    arguments = ["ae-embed", trained, "t.csv", "--keep", "site", "--bad-rows", "report", "-q", "-o"]
    assert run(*arguments, "z.csv").code == run(*arguments, "z.h5ad").code
    truth = rows_of((tmp_path / "z.csv").read_text())
    with h5py.File(tmp_path / "z.h5ad") as root:
        codes = root["obsm/X_ae"][:]
        expected = [[float(row[f"z{i}"] or "nan") for i in range(codes.shape[1])] for row in truth]
        assert np.array_equal(codes, np.float32(expected), equal_nan=True) and np.isnan(codes).any(1).sum() == 1
        obs = root["obs"]
        assert obs.attrs["column-order"].tolist() == ["label", "site"]
        for column, of_table in {"_index": "id", "label": "label", "site": "site"}.items():
            assert obs[column].asstr()[:].tolist() == [row[of_table] for row in truth]
        assert "X" not in root and root["var/_index"].shape == (0,)
    one_error(run("ae-embed", trained, "t.csv", "--keep", "a/b", "-o", "y.h5ad", "-q"), 2)
    anndata = pytest.importorskip("anndata")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="anndata")
        data = anndata.read_h5ad(tmp_path / "z.h5ad")
    assert data.shape == (569, 0) and list(data.obs["site"]) == [row["site"] for row in truth]


@pytest.mark.parametrize("bytes_left", [500, 3000, 20000])
def test_an_h5ad_file_that_fills_the_disk_leaves_nothing(bin_folder, trained, tmp_path, bytes_left):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, bytes_left))

    if os.environ.get("AETOOLS_COVERAGE") == "1":
        pytest.skip("programs that count their lines write those into files too")
    done = subprocess.run([bin_folder / "ae-embed", trained, WDBC, "-o", "z.h5ad"], preexec_fn=limit, cwd=tmp_path,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "z.h5ad" in done.stderr and "File too large" in done.stderr, done.stderr
    assert done.stderr.count("\n") == 1 and [path.name for path in tmp_path.iterdir()] == ["model"]

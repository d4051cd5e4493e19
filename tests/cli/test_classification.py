"""The objective "classification": the classifier that it writes, asked by PyTorch, on the digits of scikit-learn and on
drawn images, and training on attacked images against training without."""

import csv
import json
import os
import signal
import subprocess

import numpy as np
import pytest
from pictures import write_idx, write_png
from support import SOURCE, needs_torch, one_error, read_safetensors, rows_of, wait_for, write_config

pytestmark = needs_torch
torch = pytest.importorskip("torch")

TRAINING = {"epochs": 8, "batch_size": 32, "learning_rate": 0.003, "validation_fraction": 0.1}
CONFIG = {"data": {"type": "images"}, "objective": {"type": "classification", "width": 8}, "model": {"type": "none"},
          "training": TRAINING}


@pytest.fixture(scope="module")
def digits(tmp_path_factory, bin_folder):
    """1,597 digits to train on and 200 others, as IDX files with their labels, and a classifier of them."""
    from sklearn.datasets import load_digits

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("digits")
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.images))
    images, labels = np.round(data.images * 255 / 16)[order], data.target[order]
    for name, part in {"train": slice(200, None), "test": slice(0, 200)}.items():
        write_idx(folder / f"{name}-images-idx3-ubyte", images[part])
        write_idx(folder / f"{name}-labels-idx1-ubyte", labels[part])
    write_config(folder / "config.json", CONFIG)
    train(bin_folder, folder, "plain")
    return folder, torch.tensor(images[:200] / 255).float().unsqueeze(1), torch.tensor(labels[:200])


def train(bin_folder, folder, out, *settings):
    done = subprocess.run(
        [bin_folder / "ae-train", "config.json", "--data", "train-images-idx3-ubyte", "--out", out, "--threads", "1",
         *(word for setting in settings for word in ("--set", setting))],
        cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stderr


def predictions(path, images):
    with torch.no_grad():
        return torch.jit.load(str(path))(images).argmax(1)


def metrics(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_digits_are_told_apart_and_all_who_ask_get_the_same_answers(run, digits, tmp_path):
    folder, images, labels = digits
    network = torch.jit.load(str(folder / "plain/classifier.pt"))
    assert network.classes == [str(digit) for digit in range(10)] and network.made_by.startswith("ae-train ")
    told = predictions(folder / "plain/classifier.pt", images)
    accuracy = (told == labels).float().mean().item()
    assert accuracy > 0.95
    with pytest.raises(Exception, match="expected images"):
        network(torch.zeros(2, 1, 9, 8))

    config = {"data": {"type": "images"}, "model": {"type": "conv", "levels": 2, "width": 4, "code": 2},
              "score": {"type": "map"}, "training": {"epochs": 1}}
    purifier = run("ae-train", write_config(tmp_path / "purifier.json", config), "--data",
                   folder / "test-images-idx3-ubyte", "--out", "purifier", "-q")
    assert purifier.code == 0, purifier
    for given in ("plain", "plain/classifier.pt"):
        done = run("ae-purify", "purifier", folder / "test-images-idx3-ubyte", "-o", "p.npy", "--table", "t.csv", "--classifier",
                   folder / given, "--force", "-q")
        assert done.code == 0, done
        rows = rows_of((tmp_path / "t.csv").read_text())
        assert [row["predicted_before"] for row in rows] == [str(k) for k in told.tolist()]
        assert [row["class"] for row in rows] == [str(k) for k in labels.tolist()]
        purified = torch.tensor(np.load(tmp_path / "p.npy")).reshape(200, 1, 8, 8)
        assert [row["predicted_after"] for row in rows] == [
            str(k) for k in predictions(folder / "plain/classifier.pt", purified).tolist()]
        done = run("ae-attack", folder / given, folder / "test-images-idx3-ubyte", "--eps", "0", "--attack", "noise", "-o",
                   "attacked", "--force", "-q")
        assert done.code == 0, done
        (clean,) = [row for row in rows_of((tmp_path / "attacked/report.csv").read_text()) if row["attack"] == "clean"]
        assert float(clean["accuracy"]) == pytest.approx(accuracy, abs=1e-6)


def test_what_is_told_of_the_training_is_so(bin_folder, digits):
    folder, _, _ = digits
    told = train(bin_folder, folder, "told", "/training/epochs=2").splitlines()
    rows = metrics(folder / "told")
    assert set(rows[0]) == {"epoch", "train_loss", "validation_loss", "seconds", "learning_rate", "train_cross_entropy",
                            "train_error", "validation_cross_entropy", "validation_error"}
    assert [row["validation_loss"] for row in rows] == [row["validation_cross_entropy"] for row in rows]
    best = min(rows, key=lambda row: row["validation_loss"])
    assert f"accuracy {100 * (1 - best['validation_error']):.2f}%" in told[-1] and "told/classifier.pt: " in told[-1]
    # With all but two images held out, these and the whole file are nearly the same.
    train(bin_folder, folder, "whole", "/training/epochs=1", "/training/validation_fraction=0.999")
    images = np.fromfile(folder / "train-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 1, 8, 8)
    labels = torch.tensor(np.fromfile(folder / "train-labels-idx1-ubyte", np.uint8)[8:].astype(np.int64))
    answers = torch.jit.load(str(folder / "whole/classifier.pt"))(torch.tensor(images).float() / 255)
    (row,) = metrics(folder / "whole")
    assert row["validation_error"] == pytest.approx((answers.argmax(1) != labels).float().mean().item(), abs=3e-3)
    assert row["validation_loss"] == pytest.approx(torch.nn.functional.cross_entropy(answers, labels).item(), rel=5e-3)


def test_repeated_or_from_a_cache_the_bytes_are_the_same(bin_folder, digits):
    folder, _, _ = digits
    for out, *settings in (("again",), ("made", "/data/cache=cache"), ("cached", "/data/cache=cache")):
        train(bin_folder, folder, out, *settings)
        for name in ("classifier.pt", "model.safetensors"):
            assert (folder / out / name).read_bytes() == (folder / "plain" / name).read_bytes(), (out, name)
    assert train(bin_folder, folder, "other", "/training/seed=1") is not None
    assert (folder / "other/classifier.pt").read_bytes() != (folder / "plain/classifier.pt").read_bytes()


def test_killed_while_it_trains_on_attacked_images_it_ends_with_the_same_bytes(bin_folder, digits):
    folder, _, _ = digits
    settings = ("/objective/eps=0.1", "/objective/steps=2", "/training/epochs=3", "/data/augment/shift=1",
                "/training/clip_gradient=1", "/training/checkpoint/seconds=0")
    train(bin_folder, folder, "whole-attacked", *settings)
    words = [word for setting in settings for word in ("--set", setting)]
    command = [bin_folder / "ae-train", "config.json", "--data", "train-images-idx3-ubyte", "--out", "killed", "--threads",
               "1", "-q", *words]
    state = folder / "killed/state.safetensors"
    for more in ([], ["--resume"], ["--resume"]):
        before = state.stat().st_mtime_ns if state.exists() else None
        process = subprocess.Popen(command + more, cwd=folder)
        wait_for(lambda: process.poll() is not None or state.exists() and state.stat().st_mtime_ns != before)
        process.kill()
        assert process.wait() == -signal.SIGKILL
    subprocess.run(command + ["--resume"], cwd=folder, check=True, timeout=300)
    for name in ("classifier.pt", "model.safetensors"):
        assert (folder / "killed" / name).read_bytes() == (folder / "whole-attacked" / name).read_bytes()


def test_trained_on_attacked_images_it_withstands_what_turns_a_plain_one(run, bin_folder, digits, tmp_path):
    folder, images, labels = digits
    train(bin_folder, folder, "robust", "/objective/eps=0.15", "/objective/steps=4", "/training/epochs=15")
    rows = metrics(folder / "robust")
    assert all(row["validation_attacked_error"] >= row["validation_error"] for row in rows)
    assert [row["validation_loss"] for row in rows] == [row["validation_attacked_cross_entropy"] for row in rows]
    left = {}
    for name in ("plain", "robust"):
        assert (predictions(folder / name / "classifier.pt", images) == labels).float().mean() > 0.9
        done = run("ae-attack", folder / name, folder / "test-images-idx3-ubyte", "--eps", "0.15", "--attack", "pgd", "--steps",
                   "20", "--loss", "ce", "--no-images", "-o", name, "-q")
        assert done.code == 0, done
        (row,) = [r for r in rows_of((tmp_path / name / "report.csv").read_text())
                  if (r["attack"], r["threat"]) == ("pgd", "classifier")]
        left[name] = float(row["accuracy"])
    assert left["robust"] > left["plain"] + 0.2, left


def draw_classes(folder, count=30, size=(12, 16), seed=0):
    """Stripes along, stripes across and a filled square, in colour with noise."""
    random = np.random.default_rng(seed)
    for name in ("cat", "ant", "dog"):
        for i in range(count):
            image = random.integers(0, 60, (*size, 3))
            if name == "cat":
                image[random.integers(2)::4] += 150
            elif name == "ant":
                image[:, random.integers(2)::4] += 150
            else:
                image[3:9, 4:12] += 150
            write_png(folder / name / f"{i}.png", image.astype(np.uint8))


@pytest.mark.parametrize("network, size", [("cnn", (12, 16)), ("mlp", (12, 16)), ("cnn", (40, 30))])
def test_a_folder_for_each_class_is_enough(run, tmp_path, network, size):
    draw_classes(tmp_path / "train", size=size)
    draw_classes(tmp_path / "new", 10, size, seed=1)
    write_config(tmp_path / "config.json", CONFIG)
    done = run("ae-train", "config.json", "--data", "train", "--out", "m", "--set", f"/objective/network={network}")
    assert done.code == 0, done
    assert "the folders are the classes: ant, cat, dog" in done.stderr and ", 3 classes" in done.stderr
    assert torch.jit.load(str(tmp_path / "m/classifier.pt")).classes == ["ant", "cat", "dog"]
    done = run("ae-attack", "m", "new", "--eps", "0", "--attack", "noise", "-o", "out", "-q")
    assert done.code == 0, done
    rows = rows_of((tmp_path / "out/samples.csv").read_text())
    assert [row["label"] for row in rows] == [row["id"].split("/")[0] for row in rows]
    assert sum(row["label"] == row["predicted"] for row in rows) >= 27
    # Numbers are classes by their place where no class is called by a number; names that are none of them are told.
    (tmp_path / "labels.csv").write_text("label\n" + "0\n" * 10 + "1\n" * 10 + "2\n" * 10)
    by_number = run("ae-attack", "m", "new", "--labels", "labels.csv", "--eps", "0", "--attack", "noise", "-o", "by", "-q")
    assert by_number.code == 0, by_number
    assert (tmp_path / "by/samples.csv").read_text() == (tmp_path / "out/samples.csv").read_text()
    (tmp_path / "labels.csv").write_text("label\n" + "cow\n" * 30)
    one_error(run("ae-attack", "m", "new", "--labels", "labels.csv", "-o", "never", "-q"), 4, '"cow"', "ant, cat, dog", "--classes")


def test_folders_called_as_the_classes_are_labels_where_images_are_purified(run, tmp_path):
    draw_classes(tmp_path / "train")
    draw_classes(tmp_path / "new", 5, seed=1)
    write_config(tmp_path / "config.json", CONFIG)
    assert run("ae-train", "config.json", "--data", "train", "--out", "m", "-q").code == 0
    config = {"data": {"type": "images"}, "model": {"type": "conv", "levels": 1, "width": 4, "code": 2},
              "score": {"type": "map"}, "training": {"epochs": 1}}
    done = run("ae-train", write_config(tmp_path / "purifier.json", config), "--data", "train/**", "--out", "purifier", "-q")
    assert done.code == 0, done
    done = run("ae-purify", "purifier", "new", "-o", "p.npy", "--table", "t.csv", "--classifier", "m", "--summary", "s.json", "-q")
    assert done.code == 0, done
    rows = rows_of((tmp_path / "t.csv").read_text())
    assert [row["class"] for row in rows] == ["ant"] * 5 + ["cat"] * 5 + ["dog"] * 5
    right = sum(row["class"] == row["predicted_before"] for row in rows)
    summary = json.loads((tmp_path / "s.json").read_text())
    assert right >= 13 and summary["labelled"] == 15
    assert summary["right_or_flagged"]["none"]["share"] == pytest.approx(right / 15)


def test_of_a_data_set_with_a_part_to_test_with_the_other_part_is_learned(run, tmp_path):
    draw_classes(tmp_path / "set/train", 8)
    draw_classes(tmp_path / "set/test", 4, seed=1)
    write_config(tmp_path / "config.json", {**CONFIG, "training": {"epochs": 1, "validation_fraction": 0}})
    done = run("ae-train", "config.json", "--data", "set", "--out", "m")
    assert done.code == 0 and "24 training images" in done.stderr and "of train, the folders are the classes" in done.stderr
    assert "training accuracy" in done.stderr


def test_what_cannot_be_classified_is_one_clear_line(run, digits, tmp_path):
    folder, _, _ = digits
    draw_classes(tmp_path / "three", 4)
    write_png(tmp_path / "loose/a.png", np.zeros((8, 8), np.uint8))
    write_png(tmp_path / "mixed/a.png", np.zeros((8, 8), np.uint8))
    write_png(tmp_path / "mixed/cat/a.png", np.zeros((8, 8), np.uint8))
    write_png(tmp_path / "one/cat/a.png", np.zeros((8, 8), np.uint8))
    write_png(tmp_path / "one/cat/b.png", np.ones((8, 8), np.uint8))
    np.save(tmp_path / "stack.npy", np.zeros((5, 8, 8), np.uint8))
    write_config(tmp_path / "config.json", CONFIG)

    def fails(code, *words, data="three", settings=()):
        outcome = run("ae-train", "config.json", "--data", data, "--out", "never", "-q",
                      *(word for setting in settings for word in ("--set", setting)))
        one_error(outcome, code, *words)
        assert not (tmp_path / "never").exists()

    fails(2, "/model/type", "dense", '"none"', settings=["/model/type=dense"])
    fails(2, "/data/tile/size", "whole", settings=["/data/tile/size=8"])
    fails(2, "/data/normal", "leave it out", settings=['/data/normal="cat"'])
    fails(2, "/training/corruption", "/data/augment", settings=['/training/corruption=[{"type": "gaussian"}]'])
    fails(2, "/training/trim", settings=["/training/trim=0.1"])
    fails(2, "/data/path", "stack.npy", "no labels", "a folder for each class", data="stack.npy")
    fails(2, "/data/path", "one", '"cat"', "two classes", data="one")
    fails(4, "loose", "a folder of", "for each class", data="loose")
    fails(4, "mixed", "beside the folders cat", data="mixed")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n3,4\n5,7\n")
    fails(2, "/data/type", "classes", data="table.csv", settings=["/data/type=table"])


def test_programs_that_reconstruct_or_score_say_who_takes_a_classifier(run, digits, tmp_path):
    folder, _, _ = digits
    for program, *arguments in (("ae-score", "test-images-idx3-ubyte"), ("ae-purify", "test-images-idx3-ubyte", "-o", "p.npy"),
                                ("ae-impute", "t.csv"), ("ae-embed", "test-images-idx3-ubyte"),
                                ("ae-export", "--torchscript", "x.pt")):
        one_error(run(program, "plain", *arguments, cwd=folder), 4, "plain/model.safetensors", "classifier", "ae-attack",
                  "plain/classifier.pt")
    one_error(run("ae-attack", tmp_path, "test-images-idx3-ubyte", "-o", "out", cwd=folder), 4, "classifier.pt", "classification")
    shown = run("ae-info", folder / "plain")
    assert shown.code == 0 and "10 classes: 0, 1, 2" in shown.stdout and "calibration" not in shown.stdout
    told = json.loads(run("ae-info", folder / "plain", "--json").stdout)
    assert told["classes"] == [str(digit) for digit in range(10)]
    metadata, tensors = read_safetensors(folder / "plain/model.safetensors")
    assert metadata["format"] == "aetools classifier" and json.loads(metadata["classes"]) == told["classes"]
    weights = {name: entry["shape"] for name, entry in tensors.items()}
    assert weights["model.convolution1.weight"] == [8, 1, 5, 5] and weights["model.outputs.weight"] == [10, 64]


def test_another_run_in_the_folder_leaves_no_classifier_behind(run, tmp_path):
    draw_classes(tmp_path / "three", 4)
    write_config(tmp_path / "config.json", {**CONFIG, "training": {"epochs": 1}})
    assert run("ae-train", "config.json", "--data", "three", "--out", "m", "-q").code == 0
    config = {"data": {"type": "images"}, "model": {"type": "conv", "levels": 1, "width": 2, "code": 1}, "score": {"type": "map"},
              "training": {"epochs": 1}}
    done = run("ae-train", write_config(tmp_path / "other.json", config), "--data", "three/cat", "--out", "m", "--force", "-q")
    assert done.code == 0, done
    assert not (tmp_path / "m/classifier.pt").exists()


def test_mnist_is_fetched_whole_or_not_at_all(tmp_path):
    script = SOURCE / "scripts/fetch-mnist.sh"

    def fetch(*arguments, archive=tmp_path / "no.tgz"):
        return subprocess.run(["bash", script, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                              env={**os.environ, "MNIST_ARCHIVE": str(archive)})

    other = tmp_path / "other.tgz"
    other.write_bytes(b"not the digits")
    for archive, word in ((other, "SHA-256"), (tmp_path / "no.tgz", "no such file")):
        failed = fetch("mnist", archive=archive)
        assert failed.returncode == 1 and failed.stdout == "" and word in failed.stderr and failed.stderr.count("\n") == 1
        assert not (tmp_path / "mnist").exists()
    assert fetch("a", "b").returncode == 1
    (tmp_path / "mnist").mkdir()
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (tmp_path / "mnist" / name).write_text("here")
    there = fetch("mnist")
    assert there.returncode == 0 and "there" in there.stdout, there
    assert {path.read_text() for path in (tmp_path / "mnist").iterdir()} == {"here"}

"""Models that are trained further: more epochs of a complete run, and training that begins with a model's weights."""

import hashlib
import json

import numpy
import pytest
from support import CONFIGS, WDBC, needs_torch, one_error, read_safetensors, rows_of, split_safetensors

pytestmark = needs_torch

CONFIG = CONFIGS / "wdbc.json"


def epochs(count):
    return ["--set", f"/training/epochs={count}", "-q"]


def first_weight(path):
    header, tensors = split_safetensors(path.read_bytes())
    name = min(name for name in header if name.startswith("model.") and len(header[name]["shape"]) == 2)
    begin, end = header[name]["data_offsets"]
    return numpy.frombuffer(tensors[begin:end], numpy.float32)


def train(run, out, *settings):
    done = run("ae-train", CONFIG, "--out", out, *settings)
    assert done.code == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("settings", [
    ["/training/early_stopping/patience=0"],
    ["/training/engine=autograd", "/model/norm=batch", "/training/trim=0.1"],
    ['/training/schedule={"type": "plateau", "patience": 1}', "/model/members=2"],
    ['/model={"type": "variational", "hidden": [8], "latent": 3}', "/training/validation_fraction=0"],
], ids=["dense", "autograd", "plateau", "variational"])
def test_more_epochs_end_with_the_bytes_of_as_many_from_the_start(run, tmp_path, settings):
    settings = [word for setting in settings for word in ("--set", setting)]
    train(run, "whole", *settings, *epochs(9))
    train(run, "parts", *settings, *epochs(4))
    told = train(run, "parts", *settings, "--set", "/training/epochs=9", "--resume")
    assert "same, to the byte" in told
    whole, parts = ((tmp_path / out / "model.safetensors").read_bytes() for out in ("whole", "parts"))
    assert whole == parts
    metrics = [rows_of((tmp_path / out / "metrics.csv").read_text()) for out in ("whole", "parts")]
    assert [row["train_loss"] for row in metrics[0]] == [row["train_loss"] for row in metrics[1]]
    assert "already complete" in run("ae-train", CONFIG, "--out", "parts", *settings, "--set", "/training/epochs=9",
                                     "--resume").stderr
    assert not (tmp_path / "parts/state.safetensors").exists()


def test_a_schedule_that_depends_on_the_number_of_epochs_is_told(run, tmp_path):
    cosine = ["--set", '/training/schedule={"type": "cosine"}']
    train(run, "parts", *cosine, *epochs(4))
    told = train(run, "parts", *cosine, "--set", "/training/epochs=8", "--resume")
    assert "not the model of a run of 8" in told and "/training/schedule" in told and "in epoch 2 " in told
    rates = [float(row["learning_rate"]) for row in rows_of((tmp_path / "parts/metrics.csv").read_text())]
    assert len(rates) == 8
    train(run, "whole", *cosine, *epochs(8))
    whole = [float(row["learning_rate"]) for row in rows_of((tmp_path / "whole/metrics.csv").read_text())]
    assert rates[4:] == whole[4:] and rates[1:4] != whole[1:4]


def test_what_ended_early_stays_ended_and_fewer_epochs_are_refused(run, tmp_path):
    impatient = ["--set", "/training/early_stopping/patience=1", "--set", "/training/early_stopping/min_improvement=0.9"]
    train(run, "early", *impatient, *epochs(10))
    done = len(rows_of((tmp_path / "early/metrics.csv").read_text()))
    assert 1 < done < 10
    train(run, "early", *impatient, *epochs(20), "--resume")
    assert len(rows_of((tmp_path / "early/metrics.csv").read_text())) == done
    before = (tmp_path / "early/model.safetensors").read_bytes()
    refused = run("ae-train", CONFIG, "--out", "early", *impatient, *epochs(1), "--resume")
    one_error(refused, 2, "/training/epochs", f"{done} epochs are trained already")
    assert (tmp_path / "early/model.safetensors").read_bytes() == before


def test_only_the_same_run_is_continued(run, tmp_path):
    train(run, "a", *epochs(3))
    one_error(run("ae-train", CONFIG, "--out", "a", *epochs(6), "--set", "/training/seed=1", "--resume"), 2, "another config")
    one_error(run("ae-train", CONFIG, "--out", "a", *epochs(6), "--data", WDBC, "--set", "/data/normal=malignant", "--set",
                  '/data/rows=""', "--resume"), 2, "other data")
    (tmp_path / "a/last.safetensors").unlink()
    one_error(run("ae-train", CONFIG, "--out", "a", *epochs(6), "--resume"), 2, "--force")
    assert "already complete" in run("ae-train", CONFIG, "--out", "a", "--set", "/training/epochs=3", "--resume").stderr


def test_training_begins_with_a_models_weights(run, tmp_path):
    train(run, "first", *epochs(20))
    told = train(run, "second", "--from", "first", "--set", "/training/epochs=1", "--set", "/training/learning_rate=1e-12")
    assert "first/model.safetensors" in told
    weights = [first_weight(tmp_path / out / "model.safetensors") for out in ("first", "second")]
    assert numpy.allclose(*weights, atol=1e-6)  # a step of nearly nothing
    losses = [rows_of((tmp_path / out / "metrics.csv").read_text())[-1]["train_loss"] for out in ("first", "second")]
    random = rows_of((tmp_path / "first/metrics.csv").read_text())[0]["train_loss"]
    assert float(losses[1]) < 0.8 * float(random)
    manifest = json.loads((tmp_path / "second/run.json").read_text())
    digest = hashlib.sha256((tmp_path / "first/model.safetensors").read_bytes()).hexdigest()
    assert manifest["from"]["sha256"] == digest
    # The same again is the same, and is told apart from a run that began at random.
    again = run("ae-train", CONFIG, "--out", "second", "--from", "first", "--set", "/training/epochs=1", "--set",
                "/training/learning_rate=1e-12", "--resume")
    assert "already complete" in again.stderr
    one_error(run("ae-train", CONFIG, "--out", "second", *epochs(1), "--set", "/training/learning_rate=1e-12", "--resume"), 2,
              "another config")


@pytest.mark.parametrize("settings, words", [
    (["--set", "/model/latent=5"], ["another architecture", "[6, 16]", "[5, 16]"]),
    (["--set", "/model/hidden=[32]"], ["another architecture"]),
    (["--set", '/model={"type": "linear", "latent": 6}'], ["another architecture"]),
    (["--set", "/data/columns={\"mean_radius\": \"ignore\"}"], ["column 1", '"mean_radius"', '"mean_texture"']),
    (["--set", '/model={"type": "none"}', "--set", '/score={"type": "neighbours"}'], ["no network"]),
], ids=["latent", "hidden", "linear", "columns", "none"])
def test_another_architecture_or_other_columns_are_refused(run, tmp_path, trained, settings, words):
    refused = run("ae-train", CONFIG, "--out", "other", "--from", trained, *epochs(2), *settings)
    one_error(refused, 2, "--from", *words)
    assert not (tmp_path / "other/model.safetensors").exists()


def test_what_is_no_model_is_no_beginning(run, tmp_path):
    one_error(run("ae-train", CONFIG, "--out", "m", *epochs(1), "--from", WDBC), 4, "wdbc.csv")
    one_error(run("ae-train", CONFIG, "--out", "m", *epochs(1), "--from", "none"), 4, "none")


def test_a_run_writes_its_curve(trained):
    text = (trained / "training.svg").read_text()
    assert text.startswith("<?xml") and "held out" in text
    metadata, _ = read_safetensors(trained / "model.safetensors")
    assert f"epoch {json.loads(metadata['training'])['best_epoch']}</text>" in text

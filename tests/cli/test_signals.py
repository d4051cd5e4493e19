"""A stop signal at any moment ends a program soon, and training continues from there to the same bytes."""

import json
import random
import signal
import subprocess
import time

import numpy as np
import pytest
from support import CONFIGS, catches, needs_torch, wait_for, write_config

pytestmark = needs_torch

# Much more than is allowed for, but far less than what is interrupted here would take.
SOON = 20


def write_table(path, rows, columns):
    table = np.random.default_rng(0).normal(size=(rows, columns))
    np.savetxt(path, table, delimiter=",", header=",".join(f"c{j}" for j in range(columns)), comments="", fmt="%.5f")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signals")
    write_table(folder / "large.csv", 12000, 40)
    write_table(folder / "small.csv", 300, 40)
    return folder


def start(program, *arguments):
    return subprocess.Popen([program, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def stopped(process):
    """What it told, having been told to stop."""
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=SOON)
    assert process.returncode == 128 + signal.SIGTERM, told
    assert b"SIGTERM" in told and told.count(b"\n") == 1, told
    return told.decode()


def test_a_signal_that_comes_twice_at_once_is_one(bin_folder, folder, tmp_path):
    """As `timeout` sends it, to the program and then to its group: what was learned is kept."""
    config = {"data": {"path": str(folder / "large.csv")}, "model": {"type": "dense", "hidden": [64], "latent": 3},
              "training": {"epochs": 100000, "batch_size": 64, "validation_fraction": 0, "seed": 0}}  # fmt: skip
    write_config(tmp_path / "config.json", config)
    for out in ("a", "b", "c"):
        training = start(bin_folder / "ae-train", tmp_path / "config.json", "--out", tmp_path / out)
        wait_for(lambda: catches(training, signal.SIGTERM))
        time.sleep(1.5)
        training.send_signal(signal.SIGTERM)
        time.sleep(0.03)  # two that wait together would be one
        if training.poll() is None:
            training.send_signal(signal.SIGTERM)
        _, told = training.communicate(timeout=SOON)
        assert training.returncode == 128 + signal.SIGTERM and b"stopped by SIGTERM" in told, told
        assert (tmp_path / out / "state.safetensors").exists()


COSTLY = {
    "neighbours": {"type": "neighbours", "judge": "local", "k": 300, "whiten": True},
    "prototypes": {"type": "prototypes", "max_cells": 100000, "cell": 2},
    "masked": {"type": "masked", "groups": 40, "repeats": 64},
}


@pytest.mark.parametrize("head", COSTLY)
def test_a_head_that_is_fitted_can_be_stopped_and_what_was_learned_is_kept(bin_folder, run, folder, tmp_path, head):
    config = {"data": {"path": str(folder / "large.csv")}, "model": {"type": "linear", "latent": 3},
              "training": {"epochs": 2, "batch_size": 512, "seed": 0}, "score": COSTLY[head]}
    write_config(tmp_path / "config.json", config)
    command = [bin_folder / "ae-train", tmp_path / "config.json", "--out", tmp_path / "m", "-v"]
    training = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not training.stderr.readline().startswith("ae-train: epoch 2: "):
        assert training.poll() is None
    time.sleep(1)
    training.send_signal(signal.SIGTERM)
    begin = time.monotonic()
    told = training.communicate(timeout=120)[1]
    assert time.monotonic() - begin < SOON
    assert training.returncode == 128 + signal.SIGTERM and "after the last epoch" in told and "--resume" in told, told
    assert (tmp_path / "m/state.safetensors").exists() and not (tmp_path / "m/model.safetensors").exists()
    # It continues with the head, not with training.
    training = subprocess.Popen([*command, "--resume"], stderr=subprocess.PIPE, text=True)
    while "continuing after epoch 2" not in (line := training.stderr.readline()):
        assert line and training.poll() is None
    time.sleep(0.5)
    training.send_signal(signal.SIGTERM)
    told = training.communicate(timeout=SOON)[1]
    assert training.returncode == 128 + signal.SIGTERM and "after the last epoch" in told and "epoch 3" not in told


RECIPES = ["tabular-anomaly", "tabular-anomaly-private", "tabular", "wdbc-vae"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_training_stopped_at_random_moments_ends_with_the_same_bytes(bin_folder, folder, tmp_path, recipe):
    config = json.loads((CONFIGS / f"{recipe}.json").read_text())
    config["data"] = {"path": str(folder / "small.csv")}
    config["training"].pop("early_stopping", None)
    if "epochs" in config["training"]:
        config["training"]["epochs"] = 20
    write_config(tmp_path / "config.json", config)

    def train(out):
        return start(bin_folder / "ae-train", tmp_path / "config.json", "--out", tmp_path / out, "--resume", "-q")

    begin = time.monotonic()
    whole = train("whole")
    assert (whole.wait(120), whole.stderr.read()) == (0, b"")
    took = time.monotonic() - begin
    chance = random.Random(recipe)
    for _ in range(6):
        training = train("cut")
        time.sleep(chance.uniform(0, took))
        training.send_signal(signal.SIGTERM)
        told = training.communicate(timeout=SOON)[1]
        # Before the signal is listened to it ends by it; after the end nothing is left to stop.
        assert training.returncode in (0, -signal.SIGTERM, 128 + signal.SIGTERM), told
    last = train("cut")
    assert (last.wait(120), last.stderr.read()) == (0, b"")
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == names
    assert (tmp_path / "cut/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


def test_every_line_of_a_log_is_json_when_asked(bin_folder, folder, tmp_path):
    write_config(tmp_path / "config.json", {"data": {"path": str(folder / "small.csv")},
                                            "training": {"epochs": 2, "validation_fraction": 0.2}})

    def lines_of(program, *arguments):
        done = subprocess.run([bin_folder / program, *map(str, arguments), "--log-json"], capture_output=True, text=True,
                              timeout=60)
        return done, [json.loads(line) for line in done.stderr.splitlines()]

    done, lines = lines_of("ae-train", tmp_path / "config.json", "--out", tmp_path / "m", "-v")
    assert done.returncode == 0 and done.stdout == ""
    assert {line["level"] for line in lines} == {"debug", "info"}
    assert all(line["program"] == "ae-train" and line["time"].endswith("Z") for line in lines)
    assert any(line["message"].startswith("epoch 2: loss ") for line in lines)
    done, lines = lines_of("ae-score", tmp_path / "m", folder / "none.csv")
    assert done.returncode == 4 and [line["level"] for line in lines] == ["error"]
    assert "none.csv" in lines[0]["message"]
    done, lines = lines_of("ae-score", "--alpha", "2")
    assert done.returncode == 2 and {line["level"] for line in lines} == {"error"}
    wider = "\n".join(line + ",1" for line in (folder / "small.csv").read_text().splitlines())
    (tmp_path / "wider.csv").write_text(wider.replace(",1\n", ",more\n", 1) + "\n")
    done, lines = lines_of("ae-score", tmp_path / "m", tmp_path / "wider.csv", "-o", tmp_path / "s")
    assert done.returncode == 0 and "warning" in {line["level"] for line in lines}, lines


def test_scoring_stops_in_the_middle_of_a_block(bin_folder, folder, tmp_path):
    write_config(tmp_path / "config.json", {
        "data": {"path": str(folder / "small.csv")}, "model": {"type": "none"},
        "training": {"validation_fraction": 0}, "score": COSTLY["neighbours"] | {"k": 250}})
    trained = start(bin_folder / "ae-train", tmp_path / "config.json", "--out", tmp_path / "m", "-q")
    assert (trained.wait(60), trained.stderr.read()) == (0, b"")
    scores = tmp_path / "scores.csv"
    scoring = start(bin_folder / "ae-score", tmp_path / "m", *[folder / "large.csv"] * 20, "-o", scores)
    wait_for(lambda: catches(scoring, signal.SIGTERM))
    time.sleep(1)
    stopped(scoring)
    assert not scores.exists()

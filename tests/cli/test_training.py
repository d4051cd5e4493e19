"""Families, optimisers and schedules; interruptions and how they end."""

import hashlib
import json
import math
import random
import signal
import subprocess
import time

import pytest
from support import CONFIGS, FAST, WDBC, needs_torch, one_error, read_safetensors, rows_of, split_safetensors, wait_for

pytestmark = needs_torch

CONFIG = CONFIGS / "wdbc.json"
FEW = ["--set", "/training/epochs=6", "-q"]


@pytest.mark.parametrize(
    "changes",
    [
        ["/model/tied=true"],
        ["/model/dropout=0.3"],
        ["/model/norm=batch"],
        ["/model/norm=layer", "/model/activation=gelu"],
        ["/model/hidden=[]"],
        ['/model={"type": "linear", "latent": 4}'],
        ['/model={"type": "variational", "hidden": [16], "latent": 3, "norm": "batch", "dropout": 0.1}'],
        ["/model/members=3", "/model/norm=batch", "/training/trim=0.05", '/score={"type": "mahalanobis"}'],
        ['/training/optimizer={"type": "sgd", "momentum": 0.9, "nesterov": true}', "/training/clip_gradient=1"],
        ['/training/optimizer={"type": "adamw"}', '/loss/terms=[{"type": "huber", "delta": 2}]'],
        ['/loss/terms=[{"type": "l1", "weight": 2}, {"type": "mse", "columns": "mean_*"}]'],
        ['/training/corruption=[{"type": "swap"}, {"type": "mask", "varied": true}]'],
        ["/training/validation_fraction=0"],
    ],
    ids=lambda changes: changes[0][:45],
)
def test_every_kind_of_model_trains_reproducibly_and_scores(run, tmp_path, changes):
    settings = [argument for change in changes for argument in ("--set", change)]
    for out in ("first", "second"):
        outcome = run("ae-train", CONFIG, "--out", out, *FEW, *settings)
        assert (outcome.code, outcome.stdout, outcome.stderr) == (0, "", "")
    first = (tmp_path / "first/model.safetensors").read_bytes()
    assert (tmp_path / "second/model.safetensors").read_bytes() == first
    scores = rows_of(run("ae-score", "first", WDBC, "-q").stdout)
    assert len(scores) == 569
    assert all(math.isfinite(float(row["score"])) and 0 < float(row["p_value"]) <= 1 for row in scores)
    _, tensors = read_safetensors(tmp_path / "first/model.safetensors")
    if "/model/tied=true" in changes:
        whole = run("ae-train", CONFIG, "--out", "untied", *FEW)
        assert whole.code == 0
        size = lambda path: sum(math.prod(e["shape"]) for e in read_safetensors(tmp_path / path)[1].values())
        assert size("first/model.safetensors") < 0.6 * size("untied/model.safetensors")
    if "/training/validation_fraction=0" in changes:
        told = run("ae-score", "first", WDBC)
        assert "no calibration scores" in told.stderr
        assert {row["p_value"] for row in rows_of(told.stdout)} == {"1"}


def learning_rates(tmp_path):
    return [float(row["learning_rate"]) for row in rows_of((tmp_path / "run/metrics.csv").read_text())]


def test_schedules_follow_their_formulas(run, tmp_path):
    def rates(schedule, *more):
        done = run("ae-train", CONFIG, "--out", "run", "--force", "-q", "--set", f"/training/schedule={schedule}",
                   "--set", "/training/epochs=12", "--set", "/training/learning_rate=0.01", *more)
        assert (done.code, done.stderr) == (0, "")
        return learning_rates(tmp_path)

    cosine = rates('{"type": "cosine", "floor": 0.1}')
    assert cosine == pytest.approx([0.01 * (0.1 + 0.9 * (1 + math.cos(math.pi * e / 11)) / 2) for e in range(12)])
    step = rates('{"type": "step", "every": 5, "factor": 0.5}')
    assert step == pytest.approx([0.01 * 0.5 ** (e // 5) for e in range(12)])
    # Steps this long go astray sooner or later, so that there is a plateau.
    plateau = rates('{"type": "plateau", "patience": 0, "factor": 0.5, "floor": 0.2}', "--set",
                    "/training/epochs=40")
    assert plateau[-1] < plateau[0]
    losses = [float(row["validation_loss"]) for row in rows_of((tmp_path / "run/metrics.csv").read_text())]
    expected, factor, best, waited = [], 1.0, math.inf, 0
    for loss in losses:
        expected.append(0.01 * factor)
        if loss < best:
            best, waited = loss, 0
        elif (waited := waited + 1) > 0:
            factor, waited = max(0.2, factor * 0.5), 0
    assert plateau == pytest.approx(expected)


def test_rows_count_by_their_weights(run, tmp_path):
    """A linear network of one number finds the axis of the weighted covariance matrix."""
    numpy = pytest.importorskip("numpy")
    rng = numpy.random.default_rng(2)
    first, second = rng.normal(size=(600, 1)) * [2, 2], rng.normal(size=(900, 1)) * [3, -3]
    points = numpy.concatenate([first, second]) + 0.3 * rng.normal(size=(1500, 2))
    weights = numpy.concatenate([rng.uniform(0, 4, 600), rng.uniform(0, 0.2, 900)])
    weights[::50] = 0
    points[::50] += [6, -6]  # of no weight
    order = rng.permutation(1500)
    table = "\n".join(f"{x:.5f},{y:.5f},{w:.6g}" for (x, y), w in zip(points[order], weights[order]))
    (tmp_path / "table.csv").write_text("x,y,w\n" + table + "\n")
    config = {"data": {"path": "table.csv", "weight": "w", "scaling": "none"}, "model": {"type": "linear", "latent": 1},
              "loss": {"terms": [{"type": "mse"}]},
              "training": {"epochs": 60, "batch_size": 50, "learning_rate": 0.02, "validation_fraction": 0.2}}
    (tmp_path / "c.json").write_text(json.dumps(config))

    def axis(*settings):
        outcome = run("ae-train", "c.json", "--out", "m", "--force", *settings, "-q")
        assert (outcome.code, outcome.stderr) == (0, "")
        header, numbers = split_safetensors((tmp_path / "m/model.safetensors").read_bytes())
        begin, end = header["model.output.weight"]["data_offsets"]
        found = numpy.frombuffer(numbers[begin:end], "<f4")
        return found / numpy.linalg.norm(found)

    def truth(w):
        return numpy.linalg.eigh(numpy.cov(points.T, aweights=w))[1][:, -1]

    weighted, plain = truth(weights), truth(numpy.ones(1500))
    assert abs(weighted @ plain) < 0.3
    for engine in ("dense", "autograd"):
        assert abs(axis("--set", f"/training/engine={engine}") @ weighted) > 0.998, engine
    assert abs(axis("--set", "/data/weight=", "--set", '/data/columns={"w":"ignore"}') @ plain) > 0.99

    (tmp_path / "table.csv").write_text("x,y,w\n1,2,3\n2,1,-1\n")
    one_error(run("ae-train", "c.json", "--out", "m", "--force", "-q"), 4, "table.csv:3:5", '"-1"', "expected a weight")
    (tmp_path / "table.csv").write_text("x,y,w\n1,2,0\n2,1,0\n3,5,0\n")
    one_error(run("ae-train", "c.json", "--out", "m", "--force", "-q"), 4, "weights of all")


def test_the_weight_of_kl_rises_from_nothing(run, tmp_path):
    terms = '[{"type": "mse"}, {"type": "kl", "weight": 0.5, "warm_up": 100000}]'
    arguments = ["--set", "/training/epochs=4", "-q", "--set", '/model={"type": "variational", "latent": 3}']
    assert run("ae-train", CONFIG, "--out", "slow", *arguments, "--set", f"/loss/terms={terms}").code == 0
    slow = rows_of((tmp_path / "slow/metrics.csv").read_text())
    assert float(slow[0]["train_kl"]) < 1e-4
    assert run("ae-train", CONFIG, "--out", "at once", *arguments, "--set",
               f"/loss/terms={terms.replace('100000', '0')}").code == 0
    fast = rows_of((tmp_path / "at once/metrics.csv").read_text())
    assert float(fast[0]["train_kl"]) > 100 * float(slow[0]["train_kl"])
    missing = run("ae-train", CONFIG, "--out", "none", *arguments, "--set", '/loss/terms=[{"type": "mse"}]')
    one_error(missing, 2, "/loss/terms", "kl")


class Sitting:
    """One start of a long training that can be interrupted."""

    def __init__(self, bin_folder, folder, *settings):
        command = [bin_folder / "ae-train", CONFIG, "--out", "run", "--resume", *LONG, *settings]
        self.process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)

    def end(self, signal_number):
        self.process.send_signal(signal_number)
        _, told = self.process.communicate(timeout=60)
        return self.process.returncode, told.decode()


# Long enough to be interrupted; the slower engine gives the time for it, or wide layers do.
LONG = ["--set", "/training/epochs=300", "--set", "/training/early_stopping/patience=0", "--set",
        "/training/engine=autograd"]


@pytest.fixture(scope="module")
def uninterrupted(bin_folder, tmp_path_factory):
    """The bytes of model.safetensors by the settings of its checkpoints, which are part of it."""
    known = {}

    def bytes_of(*settings):
        if settings not in known:
            folder = tmp_path_factory.mktemp("whole")
            command = [bin_folder / "ae-train", CONFIG, "--out", folder / "run", "-q", *LONG, *settings]
            subprocess.run(command, check=True, timeout=120)
            known[settings] = (folder / "run/model.safetensors").read_bytes()
        return known[settings]

    return bytes_of


@pytest.mark.parametrize("signal_number, name", [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "SIGINT")])
def test_a_stop_signal_saves_and_resume_ends_with_the_same_bytes(bin_folder, run, tmp_path, uninterrupted,
                                                                signal_number, name):
    sitting = Sitting(bin_folder, tmp_path)
    wait_for((tmp_path / "run/config.json").exists)
    time.sleep(0.1)
    code, told = sitting.end(signal_number)
    assert code == 128 + signal_number, told
    assert name in told and "--resume" in told
    assert (tmp_path / "run/state.safetensors").exists()
    # Nothing that was begun is forgotten or started over by accident.
    refused = run("ae-train", CONFIG, "--out", "run", *LONG)
    one_error(refused, 2, "--resume", "--force")
    other = run("ae-train", CONFIG, "--out", "run", "--resume", "-q", *LONG, "--set", "/training/seed=1")
    one_error(other, 2, "state.safetensors", "another config")
    resumed = run("ae-train", CONFIG, "--out", "run", "--resume", *LONG)
    assert resumed.code == 0 and "continuing" in resumed.stderr
    assert (tmp_path / "run/model.safetensors").read_bytes() == uninterrupted()
    again = run("ae-train", CONFIG, "--out", "run", "--resume", *LONG)
    assert again.code == 0 and "already complete" in again.stderr
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "config.json", "last.safetensors", "metrics.csv", "model.safetensors", "run.json", "training.svg"]


def test_an_ensemble_continues_to_the_same_bytes(bin_folder, run, tmp_path, uninterrupted):
    settings = ("--set", "/model/members=3", "--set", "/training/clip_gradient=1", "--set",
                "/training/checkpoint/epochs=25", "--set", "/training/checkpoint/seconds=1e9")
    sitting = Sitting(bin_folder, tmp_path, *settings)
    wait_for((tmp_path / "run/state.safetensors").exists)
    assert sitting.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert run("ae-train", CONFIG, "--out", "run", "--resume", "-q", *LONG, *settings).code == 0
    assert (tmp_path / "run/model.safetensors").read_bytes() == uninterrupted(*settings)


def test_kill_9_at_ten_moments_ends_with_the_same_bytes(bin_folder, run, tmp_path, uninterrupted):
    settings = ("--set", "/training/checkpoint/seconds=0.02")
    chance = random.Random(5)
    state = tmp_path / "run/state.safetensors"

    def stamp():
        return state.stat().st_mtime_ns if state.exists() else None

    hits = 0
    for moment in range(10):
        before = stamp()
        sitting = Sitting(bin_folder, tmp_path, *settings)
        if moment % 3 < 2:  # at work, just after a state was saved; else also while starting and reading
            wait_for(lambda: stamp() != before or sitting.process.poll() is not None)
            time.sleep(chance.uniform(0, 0.03))
        else:
            time.sleep(chance.uniform(0, 0.6))
        hits += sitting.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert hits >= 8
    assert run("ae-train", CONFIG, "--out", "run", "--resume", "-q", *LONG, *settings).code == 0
    assert (tmp_path / "run/model.safetensors").read_bytes() == uninterrupted(*settings)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "config.json", "last.safetensors", "metrics.csv", "model.safetensors", "run.json", "training.svg"]


DENSE = ("--set", "/training/engine=dense", "--set", "/model/hidden=[384, 128]", "--set", "/model/norm=batch", "--set",
         "/model/dropout=0.1", "--set", "/model/members=2", "--set", "/training/corruption=[{\"type\": \"mask\"}]")


def test_the_dense_engine_killed_at_six_moments_ends_with_the_same_bytes(bin_folder, run, tmp_path, uninterrupted):
    settings = (*DENSE, "--set", "/training/checkpoint/seconds=0.02")
    chance = random.Random(6)
    state = tmp_path / "run/state.safetensors"
    hits = 0
    for _ in range(6):
        before = state.stat().st_mtime_ns if state.exists() else None
        sitting = Sitting(bin_folder, tmp_path, *settings)
        wait_for(lambda: (state.exists() and state.stat().st_mtime_ns != before) or sitting.process.poll() is not None)
        time.sleep(chance.uniform(0, 0.03))
        hits += sitting.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert hits >= 4
    assert run("ae-train", CONFIG, "--out", "run", "--resume", "-q", *LONG, *settings, timeout=600).code == 0
    assert (tmp_path / "run/model.safetensors").read_bytes() == uninterrupted(*settings)


def test_the_dense_engine_answers_alike_on_any_number_of_threads(run, tmp_path):
    weights = []
    for threads in ("1", "2"):
        done = run("ae-train", CONFIG, "--out", threads, *FEW, *DENSE, "--threads", threads)
        assert (done.code, done.stderr) == (0, "")
        header, tensors = split_safetensors((tmp_path / threads / "model.safetensors").read_bytes())
        weights.append({name: tensors[slice(*entry["data_offsets"])]
                        for name, entry in header.items() if name.startswith("model.")})
    assert weights[0] == weights[1]


def test_engines_learn_alike(run, tmp_path):
    losses = {}
    for engine in ("auto", "dense", "autograd"):
        done = run("ae-train", CONFIG, "--out", engine, "-q", "--set", f"/training/engine={engine}", "--set",
                   "/training/epochs=40", "--set", "/training/corruption=[]")
        assert (done.code, done.stderr) == (0, "")
        losses[engine] = [float(row["validation_loss"]) for row in rows_of((tmp_path / engine / "metrics.csv").read_text())]
    assert losses["auto"] == losses["dense"]
    assert losses["dense"] == pytest.approx(losses["autograd"], rel=1e-3)
    assert losses["dense"] != losses["autograd"]  # or there would be nothing to compare


def test_the_dense_engine_tells_that_training_diverged(run):
    told = run("ae-train", CONFIG, "--out", "run", "-q", "--set", "/training/engine=dense", "--set",
               "/training/learning_rate=1e6", "--set", '/training/optimizer={"type": "sgd"}')
    one_error(told, 1, "training diverged", "learning_rate")


def test_checkpoints_every_few_epochs_survive_kill_9(bin_folder, run, tmp_path, uninterrupted):
    settings = ("--set", "/training/checkpoint/epochs=3", "--set", "/training/checkpoint/seconds=1e9")
    sitting = Sitting(bin_folder, tmp_path, *settings)
    wait_for((tmp_path / "run/state.safetensors").exists)
    # A model follows the state, which does not wait for it, and once it is there it is whole.
    wait_for((tmp_path / "run/model.safetensors").exists)
    assert run("ae-score", "run", WDBC, "-q").code == 0
    assert sitting.end(signal.SIGKILL)[0] == -signal.SIGKILL
    assert run("ae-train", CONFIG, "--out", "run", "--resume", "-q", *LONG, *settings).code == 0
    assert (tmp_path / "run/model.safetensors").read_bytes() == uninterrupted(*settings)


def test_a_damaged_state_is_refused(bin_folder, run, tmp_path):
    sitting = Sitting(bin_folder, tmp_path)
    wait_for((tmp_path / "run/config.json").exists)
    time.sleep(0.1)
    sitting.end(signal.SIGTERM)
    state = tmp_path / "run/state.safetensors"
    whole = state.read_bytes()
    for damaged in (whole[:-9], whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], b"", b"{}" * 50):
        state.write_bytes(damaged)
        one_error(run("ae-train", CONFIG, "--out", "run", "--resume", "-q", *LONG), 4, "state.safetensors")
    model = (tmp_path / "run/model.safetensors").read_bytes() if (tmp_path / "run/model.safetensors").exists() else b""
    state.write_bytes(model or whole)
    if model:
        one_error(run("ae-train", CONFIG, "--out", "run", "--resume", "-q", *LONG), 4, "state.safetensors")


def test_two_trainings_do_not_share_a_folder(bin_folder, run, tmp_path):
    sitting = Sitting(bin_folder, tmp_path)
    wait_for((tmp_path / "run/config.json").exists)
    second = run("ae-train", CONFIG, "--out", "run", "--force", "-q", *LONG)
    code, _ = sitting.end(signal.SIGKILL)
    if code == -signal.SIGKILL:  # it was still running
        one_error(second, 2, "another ae-train")


def test_a_divergence_keeps_the_last_good_model(run, tmp_path):
    # A warm-up that never ends raises the rate from epoch to epoch until plain gradient descent explodes.
    rising = ["--set", '/training/schedule={"type": "cosine", "warm_up": 1000}', "--set", "/training/learning_rate=100",
              "--set", '/training/optimizer={"type": "sgd", "momentum": 0}', "--set", "/training/epochs=1000",
              "--set", "/training/early_stopping/patience=0", "--set", "/model/activation=relu"]
    outcome = run("ae-train", CONFIG, "--out", "run", "-q", *rising)
    one_error(outcome, 1, "training diverged", "in epoch", "keeps the weights of epoch")
    metadata, _ = read_safetensors(tmp_path / "run/model.safetensors")
    best = json.loads(metadata["training"])["best_epoch"]
    assert f"keeps the weights of epoch {best};" in outcome.stderr
    metrics = rows_of((tmp_path / "run/metrics.csv").read_text())
    assert all(math.isfinite(float(row["validation_loss"])) for row in metrics)
    assert int(outcome.stderr.split("in epoch ")[1].split(";")[0]) == len(metrics) + 1
    losses = [float(row["validation_loss"]) for row in metrics]
    assert losses.index(min(losses)) + 1 == best
    scores = [float(row["score"]) for row in rows_of(run("ae-score", "run", WDBC, "-q").stdout)]
    assert len(scores) == 569 and all(map(math.isfinite, scores))


def test_the_manifest_tells_what_was_run(run, tmp_path):
    assert run("ae-train", CONFIG, "--out", "run", "--threads", 1, *FAST).code == 0
    manifest = json.loads((tmp_path / "run/run.json").read_text())
    assert manifest["threads"] == 1 and manifest["seed"] == 0
    assert manifest["model_sha256"] == hashlib.sha256((tmp_path / "run/model.safetensors").read_bytes()).hexdigest()
    assert manifest["data_sha256"] == hashlib.sha256(WDBC.read_bytes()).hexdigest()
    assert manifest["arguments"][1] == str(CONFIG)

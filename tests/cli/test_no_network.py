"""`"model": {"type": "none"}`: heads that ask no network need none, and what needs one says so."""

import json

import pytest
from support import CONFIGS, WDBC, needs_torch, one_error, read_safetensors, rows_of

pytestmark = needs_torch

ARGUMENTS = ["--data", WDBC, "--set", "/data/label=diagnosis", "--set", "/data/normal=benign"]


@pytest.fixture
def model(run, tmp_path):
    outcome = run("ae-train", CONFIGS / "tabular-anomaly.json", *ARGUMENTS, "--out", "model")
    assert outcome.code == 0, outcome.stderr
    assert "no network trained" in outcome.stderr and " 0 weights" in outcome.stderr
    return tmp_path / "model"


def test_the_scores_are_those_with_a_network_that_nothing_asks(run, model):
    network = ["--set", "/model/type=linear", "--set", "/training/epochs=1"]
    other = run("ae-train", CONFIGS / "tabular-anomaly.json", *ARGUMENTS, *network, "--out", "other", "-q")
    assert other.code == 0, other.stderr
    alone, beside = (run("ae-score", name, WDBC, "--explain", "3", "-q") for name in ("model", "other"))
    assert alone.code == beside.code == 0
    scores = [[{**row, "model": ""} for row in rows_of(answer.stdout)] for answer in (alone, beside)]
    assert len(scores[0]) == 569 and scores[0] == scores[1]


def test_the_model_file_holds_no_tensor_of_a_network(model):
    metadata, tensors = read_safetensors(model / "model.safetensors")
    assert json.loads(metadata["config"])["model"] == {"type": "none"}
    assert tensors and all(name.startswith("head.") for name in tensors)
    assert json.loads(metadata["training"])["epochs"] == 0
    assert (model / "metrics.csv").read_text() == "epoch,train_loss,validation_loss,seconds,learning_rate\n"


def test_resuming_a_complete_run_does_nothing(run, model):
    before = (model / "model.safetensors").read_bytes()
    outcome = run("ae-train", CONFIGS / "tabular-anomaly.json", *ARGUMENTS, "--out", "model", "--resume")
    assert outcome.code == 0 and "already complete" in outcome.stderr
    assert (model / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("program", ["ae-impute", "ae-purify", "ae-embed"])
def test_what_needs_a_network_says_so_in_one_line(run, model, program):
    one_error(run(program, "model", WDBC, "-o", "out.csv", "-q"), 2, "holds no network", program, "/model/type=dense")


def test_a_head_that_asks_the_network_is_refused(run):
    outcome = run("ae-train", CONFIGS / "wdbc.json", "--set", '/model={"type": "none"}', "--out", "model", "-q")
    one_error(outcome, 2, "/score/type", '"loss"', '"neighbours" or "prototypes" or "fusion"')


def test_trimming_by_a_network_that_is_not_there_is_refused(run):
    outcome = run(
        "ae-train", CONFIGS / "tabular-anomaly.json", *ARGUMENTS, "--set", "/training/trim=0.1", "--out", "model", "-q"
    )
    one_error(outcome, 2, "/training/trim", "none")

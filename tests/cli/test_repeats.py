"""Rows that come several times over: p-values must hold for new rows all the same."""

import json

import numpy as np
import pytest
from support import needs_torch, read_safetensors, rows_of, write_config

pytestmark = needs_torch

COLUMNS = 6


def draw(seed, rows):
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).normal(size=(2, COLUMNS))
    return random.normal(size=(rows, 2)) @ mixing + 0.3 * random.normal(size=(rows, COLUMNS))


def write_table(path, table):
    header = ",".join(f"c{j}" for j in range(COLUMNS))
    np.savetxt(path, table, delimiter=",", header=header, comments="", fmt="%.17g")


def repeated(table, times):
    """Every row so often, shuffled."""
    rows = np.repeat(np.arange(len(table)), times)
    np.random.default_rng(1).shuffle(rows)
    return table[rows]


NONE = {"type": "none"}
NETWORK = {"type": "linear", "latent": 2}
HEADS = {
    "loss": (NETWORK, 0.4, {"type": "loss"}),
    "mahalanobis": (NETWORK, 0.4, {"type": "mahalanobis"}),
    "members": ({"type": "dense", "hidden": [8], "latent": 2, "members": 2}, 0.4, {"type": "normalized"}),
    "masked": (NETWORK, 0.4, {"type": "masked"}),
    "neighbours": (NONE, 0, {"type": "neighbours"}),
    "neighbours of some rows": (NONE, 0, {"type": "neighbours", "max_rows": 500}),
    "local neighbours": (NONE, 0, {"type": "neighbours", "judge": "local", "k": 10, "whiten": True}),
    "prototypes": (NONE, 0, {"type": "prototypes"}),
    "fusion": (NETWORK, 0.4, {"type": "fusion", "members": [{"type": "neighbours", "judge": "normalized"},
                                                             {"type": "normalized"}]}),
}


@pytest.mark.parametrize("head, times", [(head, 6) for head in HEADS] + [("loss", 2), ("neighbours", 2), ("prototypes", 2)])
def test_new_rows_are_flagged_as_often_as_alpha_says(run, tmp_path, head, times):
    distinct, new = 400, 1500
    model, fraction, score = HEADS[head]
    training = {"validation_fraction": fraction, "seed": 0}
    if model is not NONE:
        training |= {"epochs": 12, "batch_size": 64, "learning_rate": 0.01}
    write_config(tmp_path / "config.json", {"data": {}, "model": model, "score": score, "training": training})
    write_table(tmp_path / "train.csv", repeated(draw(1, distinct), times))
    write_table(tmp_path / "new.csv", repeated(draw(2, new), 2))
    told = run("ae-train", "config.json", "--data", "train.csv", "--out", "m")
    assert told.code == 0, told.stderr
    assert f"{distinct * (times - 1)} of these rows repeat another one" in told.stderr
    scored = run("ae-score", "m", "new.csv", "-q")
    assert scored.code == 0, scored.stderr
    rate = np.mean([float(row["p_value"]) <= 0.05 for row in rows_of(scored.stdout)])
    # Identical rows count once, so that as many scores calibrate as there are different rows. The rate among many new
    # rows is then beta-distributed about 0.05, and sampling those adds its own part.
    metadata, _ = read_safetensors(tmp_path / "m/model.safetensors")
    calibration = len(json.loads(metadata["calibration"]))
    expected = distinct if model is NONE else fraction * distinct
    assert expected - 3 <= calibration <= expected
    deviation = np.sqrt(0.05 * 0.95 * (1 / calibration + 1 / new))
    assert abs(rate - 0.05) < 3.5 * deviation, rate


def test_the_choice_is_the_same_from_a_cache(run, tmp_path):
    write_table(tmp_path / "train.csv", repeated(draw(3, 60), 3))
    config = {"data": {"path": "train.csv"}, "model": {"type": "linear", "latent": 2},
              "training": {"epochs": 2, "validation_fraction": 0.3, "seed": 0}}
    write_config(tmp_path / "config.json", config)
    models = []
    for out, more in (("a", []), ("b", ["--set", '/data/cache="cache"']), ("c", ["--set", '/data/cache="cache"'])):
        told = run("ae-train", "config.json", "--out", out, *more)
        assert told.code == 0 and "120 of these rows repeat another one" in told.stderr, told.stderr
        models.append((tmp_path / out / "model.safetensors").read_bytes())
    assert models[0] == models[1] == models[2]

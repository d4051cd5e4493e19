"""ae-probe against scikit-learn, scipy and slow references, and what it refuses."""

import csv
import json
import os
import shutil
import signal
import subprocess
import time
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import r2_score, roc_auc_score
from support import CONFIGS, SOURCE, needs_torch, one_error, rows_of, wait_for, write_config, write_csv

PROBE = CONFIGS / "data" / "probe.csv"
CODES = [f"z{k}" for k in range(8)]
SURVIVAL = ["--time", "time", "--event", "event"]


@pytest.fixture(scope="module")
def rows():
    with open(PROBE, newline="") as file:
        return list(csv.DictReader(file))


def column(rows, name):
    return np.array([float(row[name]) for row in rows])


def standardised(rows, names=CODES):
    x = np.column_stack([column(rows, name) for name in names])
    return (x - x.mean(0)) / x.std(0)


def summary_of(run, folder, *arguments):
    outcome = run("ae-probe", *arguments, "--summary", "s.json", "--force")
    assert outcome.code == 0, outcome.stderr
    return json.loads((folder / "s.json").read_text())


def concordance(time, event, prediction, fold=None):
    """Over all pairs, by the definition."""
    right = pairs = 0
    for i in range(len(time)):
        later = (time > time[i]) | ((time == time[i]) & ~event)
        if not event[i]:
            continue
        if fold is not None:
            later &= fold == fold[i]
        pairs += later.sum()
        right += (prediction[i] > prediction[later]).sum() + (prediction[i] == prediction[later]).sum() / 2
    return right / pairs


def breslow(beta, x, time, event):
    """The negative log partial likelihood, by the definition."""
    eta = x @ beta
    at_risk = time[None, :] >= time[:, None]
    return -sum(eta[i] - np.log(np.exp(eta[at_risk[i]]).sum()) for i in np.flatnonzero(event))


def fitted(run, folder, *arguments):
    outcome = run("ae-probe", "fit", PROBE, "--features", "z*", *arguments, "-o", "m.json", "--force", "-q")
    assert (outcome.code, outcome.stderr) == (0, "")
    model = json.loads((folder / "m.json").read_text())
    return model, np.array([c["standardised_coefficients"] for c in model["columns"]])


def test_cox_maximises_the_penalised_partial_likelihood(run, tmp_path, rows):
    x, time, event = standardised(rows), column(rows, "time"), column(rows, "event") == 1
    _, found = fitted(run, tmp_path, *SURVIVAL, "--ties", "breslow", "--penalty", "0.05")
    truth = minimize(lambda b: breslow(b, x, time, event) / len(x) + 0.05 / 2 * b @ b, np.zeros(8), tol=1e-12).x
    assert np.abs(found[:, 0] - truth).max() < 1e-5


@pytest.mark.parametrize("penalty", [0.02, 1])
def test_two_classes_are_those_of_scikit_learn(run, tmp_path, rows, penalty):
    model, found = fitted(run, tmp_path, "--label-column", "relapse", "--penalty", penalty)
    y = np.array([row["relapse"] for row in rows])
    truth = LogisticRegression(C=1 / (len(y) * penalty), solver="newton-cg", tol=1e-9).fit(standardised(rows), y)
    assert model["classes"] == ["no", "yes"]
    assert np.abs(found[:, 0] - truth.coef_[0]).max() < 1e-6
    assert abs(model["intercepts"][0] - truth.intercept_[0]) < 1e-6


def test_several_classes_are_those_of_scikit_learn(run, tmp_path, rows):
    thirds = [str(min(2, int(float(row["time"]) // 15))) for row in rows]
    write_csv(tmp_path / "t.csv", [{**{c: row[c] for c in CODES}, "third": t} for row, t in zip(rows, thirds)])
    assert run("ae-probe", "fit", "t.csv", "--label-column", "third", "--penalty", "0.1", "-o", "m.json").code == 0
    model = json.loads((tmp_path / "m.json").read_text())
    found = np.array([c["standardised_coefficients"] for c in model["columns"]]).T
    truth = LogisticRegression(C=1 / (len(thirds) * 0.1), multi_class="multinomial", solver="newton-cg", tol=1e-9)
    truth.fit(standardised(rows), thirds)
    assert np.abs(found - truth.coef_).max() < 1e-6
    done = run("ae-probe", "apply", "m.json", "t.csv", "-q")
    probabilities = truth.predict_proba(standardised(rows))
    for row, expected, likeliest in zip(rows_of(done.stdout), probabilities, truth.predict(standardised(rows))):
        assert row["prediction"] == likeliest
        assert abs(float(row["probability_1"]) - expected[1]) < 1e-6


def test_ridge_is_that_of_scikit_learn(run, tmp_path, rows):
    model, found = fitted(run, tmp_path, "--target", "response", "--penalty", "0.3")
    y = column(rows, "response")
    truth = Ridge(alpha=0.3 * len(y)).fit(standardised(rows), y)
    assert np.abs(found[:, 0] - truth.coef_).max() < 1e-9
    done = run("ae-probe", "apply", "m.json", PROBE, "-q")
    predicted = column(rows_of(done.stdout), "prediction")
    assert np.abs(predicted - truth.predict(standardised(rows))).max() < 1e-9
    assert [row["id"] for row in rows_of(done.stdout)] == [row["id"] for row in rows]


def test_a_fitted_cox_model_tells_survival_at_a_time(run, tmp_path, rows):
    model, coefficients = fitted(run, tmp_path, *SURVIVAL, "--penalty", "0", "--ties", "breslow")
    time, event, eta = column(rows, "time"), column(rows, "event") == 1, standardised(rows) @ coefficients[:, 0]
    hazard = sum(1 / np.exp(eta[time >= t]).sum() for t in time[event] if t <= 20)  # Breslow 1974
    predicted = rows_of(run("ae-probe", "apply", "m.json", PROBE, "--horizon", "20", "-q").stdout)
    assert np.abs(column(predicted, "prediction") - eta).max() < 1e-6
    assert np.abs(column(predicted, "survival") - np.exp(-hazard * np.exp(eta))).max() < 1e-6
    assert {row["risk_group"] for row in predicted} == {"1", "2", "3"}
    counts = [sum(row["risk_group"] == g for row in predicted) for g in "123"]
    assert max(counts) - min(counts) <= 1


def test_held_out_figures_are_those_of_the_predictions(run, tmp_path, rows):
    once = ["--features", "z*", "--repeats", "1", "-o", "p.csv"]
    told = summary_of(run, tmp_path, "evaluate", PROBE, *once, *SURVIVAL)
    predicted = rows_of((tmp_path / "p.csv").read_text())
    time, event = column(predicted, "time"), column(predicted, "event") == 1
    prediction, fold = column(predicted, "prediction"), column(predicted, "fold")
    assert abs(told["c_index"] - concordance(time, event, prediction, fold)) < 1e-12
    assert abs(told["sets"]["latent"]["c_index_pooled"] - concordance(time, event, prediction)) < 1e-12
    low, high = told["c_index_interval"]
    assert 0.5 < low < told["c_index"] < high < 1
    told = summary_of(run, tmp_path, "evaluate", PROBE, *once, "--label-column", "relapse")
    predicted = rows_of((tmp_path / "p.csv").read_text())
    truth = np.array([row["label"] == "yes" for row in predicted])
    fold, prediction = column(predicted, "fold"), column(predicted, "prediction")
    pairs = right = 0
    for f in range(5):
        here = fold == f
        pairs += truth[here].sum() * (~truth[here]).sum()
        right += truth[here].sum() * (~truth[here]).sum() * roc_auc_score(truth[here], prediction[here])
    assert abs(told["auc"] - right / pairs) < 1e-12
    told = summary_of(run, tmp_path, "evaluate", PROBE, *once, "--target", "response")
    predicted = rows_of((tmp_path / "p.csv").read_text())
    assert abs(told["r2"] - r2_score(column(predicted, "target"), column(predicted, "prediction"))) < 1e-12


def test_codes_that_tell_more_than_age_are_an_increment_and_noise_is_none(run, tmp_path):
    arguments = ["evaluate", PROBE, *SURVIVAL, "--controls", "age", "--repeats", "2"]
    told = summary_of(run, tmp_path, *arguments, "--features", "z*")
    assert told["increment"] == "increment" and told["increments"][0]["c_index_interval"][0] > 0
    both, latent = told["increments"]
    assert both["p_value"] < 1e-4 and "note" not in both and "p_value" not in latent
    assert "one-sided score test" in told["increment_test"]
    told = summary_of(run, tmp_path, *arguments, "--features", "z4", "--features", "z5")
    assert told["increment"] == "no increment" and told["increments"][0]["p_value"] > 0.025
    assert abs(norm.sf(told["increments"][0]["z"]) / told["increments"][0]["p_value"] - 1) < 1e-9
    assert told["validity"] == "transductive"


@pytest.mark.parametrize("outcome", ["--label-column=kind", "--target=y"])
def test_a_weak_signal_is_an_increment_and_the_same_codes_dealt_out_are_none(run, tmp_path, outcome):
    """Of all families; the first code goes with the control, which alone is no reason for an increment."""
    random = np.random.default_rng(5)
    age, codes = random.normal(size=200), random.normal(size=(200, 6))
    codes[:, 0] += age
    y = age + 0.5 * codes[:, 1:3].sum(1) + random.normal(size=200) * 1.5
    for name, z in (("as.csv", codes), ("dealt.csv", np.column_stack([codes[:, 0], random.permutation(codes[:, 1:])]))):
        write_csv(tmp_path / name, [{**{f"z{k}": v for k, v in enumerate(z[i])}, "age": age[i], "y": y[i],
                                     "kind": "abc"[int(y[i] > -0.7) + int(y[i] > 0.7)]} for i in range(200)])
    arguments = ["--features", "z*", outcome, "--controls", "age", "--repeats", "2"]
    assert summary_of(run, tmp_path, "evaluate", "as.csv", *arguments)["increment"] == "increment"
    assert summary_of(run, tmp_path, "evaluate", "dealt.csv", *arguments)["increment"] == "no increment"


def test_outcomes_may_stand_in_another_table(run, tmp_path, rows):
    write_csv(tmp_path / "codes.csv", [{"id": r["id"], **{c: r[c] for c in CODES}} for r in rows])
    write_csv(tmp_path / "clinic.csv", [{"case": r["id"], "time": r["time"], "event": r["event"], "age": r["age"]}
                                        for r in reversed(rows)][:-5])
    arguments = ["codes.csv", "--labels", "clinic.csv", "--id", "case", *SURVIVAL, "--penalty", "0.1"]
    outcome = run("ae-probe", "fit", *arguments, "-o", "m.json")
    assert outcome.code == 0 and "5 rows without an outcome are left out" in outcome.stderr
    write_csv(tmp_path / "beside.csv", [{k: r[k] for k in ["id", *CODES, "time", "event"]} for r in rows[5:]])
    assert run("ae-probe", "fit", "beside.csv", *SURVIVAL, "--penalty", "0.1", "-o", "n.json").code == 0
    first, second = (json.loads((tmp_path / name).read_text()) for name in ("m.json", "n.json"))
    assert first["columns"] == second["columns"]


def test_the_reconstruction_loss_is_one_more_column(run, tmp_path, rows):
    write_csv(tmp_path / "scores.csv", [{"id": r["id"], "score": i * 0.5} for i, r in enumerate(rows)])
    model, _ = fitted(run, tmp_path, "--target", "response", "--scores", "scores.csv", "--penalty", "1")
    assert [c["name"] for c in model["columns"]] == [*CODES, "reconstruction_loss"]
    assert abs(model["columns"][-1]["mean"] - 0.5 * 299 / 2) < 1e-9


def test_a_model_of_the_reconstruction_loss_is_applied_to_scores(run, tmp_path, rows):
    losses = {r["id"]: (i * 37) % 50 / 10 for i, r in enumerate(rows)}
    write_csv(tmp_path / "scores.csv", [{"id": key, "loss": loss} for key, loss in reversed(losses.items())])
    from_scores = ["--scores", "scores.csv", "--score-column", "loss"]
    fitted(run, tmp_path, "--target", "response", *from_scores, "--penalty", "0.3")
    done = run("ae-probe", "apply", "m.json", PROBE, *from_scores, "-q")
    assert (done.code, done.stderr) == (0, "")
    x = np.column_stack([*(column(rows, name) for name in CODES), [losses[r["id"]] for r in rows]])
    x = (x - x.mean(0)) / x.std(0)
    truth = Ridge(alpha=0.3 * len(x)).fit(x, column(rows, "response")).predict(x)
    assert np.abs(column(rows_of(done.stdout), "prediction") - truth).max() < 1e-9
    one_error(run("ae-probe", "apply", "m.json", PROBE), 4, "reconstruction_loss", "--scores")
    write_csv(tmp_path / "few.csv", [{"id": r["id"], "loss": 1} for r in rows[1:]])
    one_error(run("ae-probe", "apply", "m.json", PROBE, "--scores", "few.csv", "--score-column", "loss"), 4, "few.csv",
              rows[0]["id"])
    fitted(run, tmp_path, "--target", "response", "--penalty", "0.3")
    one_error(run("ae-probe", "apply", "m.json", PROBE, *from_scores), 2, "--scores")


VALUE = {"--loss": [], "--one-standard-error": [], "--ties": ["efron"], "--confidence": ["0.5"], "--margin": ["0.5"]}
ONLY_OF = {
    "fit evaluate": "--time --event --label-column --positive --target --labels --id --features --ignore --controls "
                    "--ties --penalty --one-standard-error --inner-folds --risk-groups --seed --confidence --summary "
                    "--coefficients",
    "evaluate": "--folds --repeats --nested --set --loss --against --against-set --margin --plot --page",
    "apply": "--horizon",
}  # fmt: skip


@pytest.mark.parametrize("action", ["fit", "apply", "evaluate"])
def test_options_that_an_action_would_not_read_are_refused(run, tmp_path, action):
    fitted(run, tmp_path, *SURVIVAL, "--penalty", "1")
    arguments = [action, PROBE, "--features", "z*", *SURVIVAL] if action != "apply" else [action, "m.json", PROBE]
    for options in (options.split() for actions, options in ONLY_OF.items() if action not in actions.split()):
        for option in options:
            done = run("ae-probe", *arguments, option, *VALUE.get(option, ["3"]))
            one_error(done, 2, f"{option} is not for {action}")


def test_every_option_has_its_actions(declarations):
    """A new one is to be put where it belongs, here and in the program."""
    arguments = declarations["ae-probe"]["arguments"]
    declared = {argument["names"][-1] for argument in arguments if not argument["positional"]}
    of_all_programs = {"--help", "--version", "--verbose", "--quiet", "--log-json", "--threads", "--force"}
    of_all_actions = {"--id-column", "--scores", "--score-column", "--missing", "--missing-cells", "--output"}
    assert set(" ".join(ONLY_OF.values()).split()) | of_all_actions | of_all_programs == declared


def test_missing_cells_are_refused_or_the_mean_of_the_training_rows(run, tmp_path, rows):
    some = [{c: r[c] for c in [*CODES, "response"]} for r in rows]
    some[3]["z1"] = "NA"
    write_csv(tmp_path / "t.csv", some)
    arguments = ["t.csv", "--target", "response", "--penalty", "0.5", "-o", "m.json"]
    one_error(run("ae-probe", "fit", *arguments), 4, "t.csv:5:", '"z1"', "--missing-cells mean")
    assert run("ae-probe", "fit", *arguments, "--missing-cells", "mean", "-q").code == 0
    model = json.loads((tmp_path / "m.json").read_text())
    observed = np.array([float(r["z1"]) for i, r in enumerate(rows) if i != 3])
    assert abs(model["columns"][1]["mean"] - observed.mean()) < 1e-12
    assert abs(model["columns"][1]["standard_deviation"] - observed.std()) < 1e-12


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["fit", PROBE], 2, ["--time", "--label-column", "--target"]),
        (["fit", PROBE, "--time", "time"], 2, ["--event"]),
        (["fit", PROBE, "--target", "response", "--label-column", "relapse"], 2, ["different models"]),
        (["fit", PROBE, "--target", "response"], 4, ["probe.csv:2:", "relapse", "--ignore"]),
        (["fit", PROBE, "--features", "z*", "--target", "respnse"], 4, ["response"]),
        (["fit", PROBE, "--features", "z*", "--time", "time", "--event", "age"], 4, ["probe.csv:2:", "censored"]),
        (["fit", PROBE, "--features", "q*", "--target", "response"], 4, ["q*"]),
        (["fit", PROBE, "--features", "z*", "--label-column", "relapse", "--positive", "maybe"], 2, ["maybe", "yes"]),
        (["evaluate", PROBE, "--features", "z*", *SURVIVAL, "--folds", "200"], 2, ["--folds 200", "186 events"]),
        (["apply", PROBE, PROBE], 4, ["JSON"]),
        (["apply", PROBE], 2, ["model"]),
        (["fit", PROBE, PROBE, "--target", "response"], 2, ["one table"]),
        (["evaluate", PROBE, "--features", "z*", "--target", "response", "--plot", "a.svg"], 2, ["--plot"]),
        (["fit", PROBE, "--features", "z*", "--target", "response", "--ties", "efron"], 2, ["--ties", "--time"]),
        (["fit", PROBE, "--features", "z*", "--target", "response", "--risk-groups", "3"], 2, ["--risk-groups"]),
        (["fit", PROBE, "--features", "z*", "--target", "response", "--score-column", "a"], 2, ["--scores"]),
        (["fit", PROBE, "--features", "z*", "--target", "response", "--penalty", "1", "--inner-folds", "5"], 2,
         ["--inner-folds"]),
        (["fit", PROBE, "--features", "z*", "--target", "response", "--against", PROBE], 2, ["--against", "fit"]),
        (["evaluate", PROBE, "--features", "z*", "--target", "response", "--margin", "0.1"], 2, ["--against"]),
        (["evaluate", PROBE, "--features", "z*", "--target", "response", "--against", PROBE, "--against-set", "/a=1"],
         2, ["--nested"]),
    ],
)
def test_what_is_wrong_is_one_line(run, arguments, code, words):
    one_error(run("ae-probe", *arguments), code, *words)


def test_damaged_models_are_refused(run, tmp_path):
    fitted(run, tmp_path, *SURVIVAL)
    whole = json.loads((tmp_path / "m.json").read_text())
    for change in [
        {"columns": []},
        {"columns": whole["columns"] + whole["columns"][:1]},
        {"family": "probit"},
        {"baseline": {"time": [1], "cumulative_hazard": []}},
        {"intercepts": [0, 0]},
        {"version": 99},
    ]:
        (tmp_path / "bad.json").write_text(json.dumps({**whole, **change}))
        one_error(run("ae-probe", "apply", "bad.json", PROBE), 4, "bad.json: /")
    (tmp_path / "cut.json").write_text(json.dumps(whole)[:500])
    one_error(run("ae-probe", "apply", "cut.json", PROBE), 4, "cut.json", "JSON")


def test_picture_and_page_hold_together(run, tmp_path):
    outcome = run("ae-probe", "evaluate", PROBE, "--features", "z*", *SURVIVAL, "--controls", "age", "--repeats", "1",
                  "--plot", "km.svg", "--page", "p.html", "--coefficients", "c.csv")
    assert outcome.code == 0, outcome.stderr
    assert "both - controls" in outcome.stdout and "increment, p < 0.0001" in outcome.stdout
    picture = ElementTree.parse(tmp_path / "km.svg").getroot()
    paths = picture.iter("{http://www.w3.org/2000/svg}path")
    curves = [path for path in paths if path.get("class", "").startswith("curve group")]
    assert len(curves) == 6  # three in the plot, three keys beside the numbers at risk
    page = (tmp_path / "p.html").read_text()
    assert "increment, p &lt; 0.0001" in page
    assert "Kaplan-Meier" in page and "http://" not in page.replace("http://www.w3.org", "")
    spread = rows_of((tmp_path / "c.csv").read_text())
    strongest = next(row for row in spread if (row["set"], row["column"]) == ("both", "z0"))
    assert float(strongest["same_sign"]) == 1 and float(strongest["standardised"]) > 0.2


def write_codes(path, rows, names, ids=None):
    write_csv(path, [{"id": r["id"], **{f"z{k}": r[name] for k, name in enumerate(names)}} for r in ids or rows])


def test_codes_are_compared_on_the_same_folds(run, tmp_path, rows):
    write_codes(tmp_path / "strong.csv", rows, ["z0", "z1", "z2"])
    write_codes(tmp_path / "weak.csv", rows, ["z4", "z5"], ids=rows[::-1])  # matched by id, not by place
    write_csv(tmp_path / "clinic.csv", [{c: r[c] for c in ["id", "time", "event", "age"]} for r in rows])
    common = ["--labels", "clinic.csv", *SURVIVAL, "--repeats", "2"]
    told = summary_of(run, tmp_path, "evaluate", "strong.csv", *common, "--against", "weak.csv", "-o", "p.csv")
    write_codes(tmp_path / "alone.csv", rows, ["z4", "z5"])
    alone = summary_of(run, tmp_path, "evaluate", "alone.csv", *common)
    assert told["sets"]["against"] == alone["sets"]["latent"]
    (comparison,) = told["comparisons"]
    assert abs(comparison["c_index"] - (told["c_index"] - alone["c_index"])) < 1e-12
    assert told["comparison"] == "better" and comparison["c_index_interval"][0] > 0
    assert "prediction_against" in (tmp_path / "p.csv").read_text().splitlines()[0]
    told = summary_of(run, tmp_path, "evaluate", "weak.csv", *common, "--against", "strong.csv")
    assert told["comparison"] == "worse"
    told = summary_of(run, tmp_path, "evaluate", "weak.csv", *common, "--against", "strong.csv", "--margin", "0.9")
    assert told["comparison"] == "not worse by more than 0.9"
    told = summary_of(run, tmp_path, "evaluate", "strong.csv", *common, "--against", "strong.csv", "--controls", "age")
    assert [c["of"] + c["over"] for c in told["comparisons"]] == ["latentagainst", "bothboth_against"]
    assert all(c["c_index_interval"] == [0, 0] for c in told["comparisons"])
    assert list(told["sets"]) == ["latent", "controls", "both", "against", "both_against"]
    write_codes(tmp_path / "few.csv", rows[1:], ["z4"])
    one_error(run("ae-probe", "evaluate", "strong.csv", *common, "--against", "few.csv"), 4, "few.csv", rows[0]["id"])


def test_any_number_of_threads_gives_the_same_bytes(run, tmp_path):
    arguments = ["evaluate", PROBE, "--features", "z*", *SURVIVAL, "--controls", "age", "--repeats", "2", "-q"]
    for threads in (1, 3):
        done = run("ae-probe", *arguments, "--threads", threads, "-o", f"{threads}.csv", "--coefficients",
                   f"c{threads}.csv", "--summary", f"{threads}.json")
        assert done.code == 0, done.stderr
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "3.csv").read_bytes()
    assert (tmp_path / "c1.csv").read_bytes() == (tmp_path / "c3.csv").read_bytes()
    one, three = (json.loads((tmp_path / f"{threads}.json").read_text()) for threads in (1, 3))
    assert {**one, "command": 0} == {**three, "command": 0}


def normal_error(told, name):
    """The standard error that an interval tells."""
    low, high = told[f"{name}_interval"]
    return (high - low) / 2 / 1.959964


def test_errors_count_the_rows_that_models_learned_from(run, tmp_path, rows):
    """The part of held-out rows alone, computed anew from the predictions, is less than the error that is told."""
    told = summary_of(run, tmp_path, "evaluate", PROBE, "--features", "z*", "--target", "response", "--repeats", "1",
                      "--penalty", "0.1", "-o", "p.csv")
    predicted = rows_of((tmp_path / "p.csv").read_text())
    truth, prediction = column(predicted, "target"), column(predicted, "prediction")
    errors, deviations = (truth - prediction) ** 2, (truth - truth.mean()) ** 2
    influence = -(errors - errors.sum() / deviations.sum() * deviations) / deviations.sum()
    of_held_out = np.sqrt((influence**2).sum())
    assert of_held_out < told["r2_standard_error"] < 1.5 * of_held_out
    assert abs(normal_error(told, "r2") - told["r2_standard_error"]) < 1e-6


def test_the_same_seed_gives_the_same_bytes(run, tmp_path):
    arguments = ["evaluate", PROBE, "--features", "z*", "--label-column", "relapse", "--repeats", "1"]
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert run("ae-probe", *arguments, "--seed", seed, "-o", f"{name}.csv", "-q").code == 0
    a, b, c = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert a == b != c


FAKE_TRAIN = """#!/usr/bin/python3
import json, pathlib, sys
arguments = sys.argv[1:]
if arguments[-1] == "--print-config":
    config = pathlib.Path(arguments[0])
    print(config.read_text() if config.exists() else "{}")
    sys.exit()
given = dict(zip(arguments[1::2], arguments[2::2]))
folder = pathlib.Path(given["--out"])
folder.mkdir()
table = pathlib.Path(given["--data"]).read_text().splitlines()
with open(sys.argv[0] + ".log", "ab", 0) as log:  # each call in one piece: several run at a time
    log.write((json.dumps({"arguments": arguments, "table": table}) + "\\n").encode())
(folder / "seen").write_text("\\n".join(line.split(",")[0] for line in table[1:]))
"""
# The code of a row that the encoder was trained on is what stands in the table's column `answer`, of another one nothing.
FAKE_EMBED = """#!/usr/bin/python3
import csv, pathlib, sys
seen = set((pathlib.Path(sys.argv[1]) / "seen").read_text().splitlines())
rows = list(csv.DictReader(open(sys.argv[2])))
with open(sys.argv[sys.argv.index("-o") + 1], "w") as out:
    out.write("id,z0\\n")
    for row in reversed(rows):
        noise = int(row["id"][1:]) * 7919 % 101 / 101
        out.write(f"{row['id']},{float(row['answer']) + noise / 2 if row['id'] in seen else noise * 1.5}\\n")
"""

PRINTS_CONFIG = """#!/bin/sh
case "$*" in *--print-config) echo '{}'; exit ;; esac
"""


@pytest.fixture
def run_nested(bin_folder, tmp_path):
    """ae-probe with programs beside it that stand for ae-train and ae-embed."""
    programs = tmp_path / "programs"
    programs.mkdir()
    shutil.copy(bin_folder / "ae-probe", programs)

    def write(name, text):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    write("ae-train", FAKE_TRAIN)
    write("ae-embed", FAKE_EMBED)

    def start(*arguments):
        environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
        (tmp_path / "scratch").mkdir(exist_ok=True)
        command = [programs / "ae-probe", "evaluate", "t.csv", "--label-column", "relapse", "--nested", "config.json",
                   "--repeats", "1", *arguments]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, text=True, stderr=subprocess.PIPE,
                                stdout=subprocess.PIPE)

    start.write = write
    start.log = lambda: [json.loads(line) for line in (programs / "ae-train.log").read_text().splitlines()]
    return start


@pytest.fixture
def nested_table(tmp_path, rows):
    write_csv(tmp_path / "t.csv", [{"id": r["id"], "answer": int(r["relapse"] == "yes"), "relapse": r["relapse"],
                                    "age": r["age"]} for r in rows])
    return tmp_path / "t.csv"


def test_a_nested_encoder_sees_neither_held_out_rows_nor_outcomes_and_a_leak_is_told(run_nested, nested_table, tmp_path):
    process = run_nested("--summary", "s.json", "-o", "p.csv", "--controls", "age", "--set", "/training/epochs=3",
                         "--threads", "1")
    said, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
    told = json.loads((tmp_path / "s.json").read_text())
    assert told["validity"] == "nested" and "transductive - nested" in said
    assert told["leak"]["transductive"] > 0.95 and abs(told["auc"] - 0.5) < 0.1
    assert told["leak"]["verdict"] == "leak" and told["leak"]["auc_interval"][0] > 0.3
    every, *folds = run_nested.log()
    assert len(every["table"]) == 301 and len(folds) == 5
    fold_of = {row["id"]: row["fold"] for row in rows_of((tmp_path / "p.csv").read_text())}
    for fold, call in enumerate(folds):
        assert call["table"][0] == "id,answer"  # neither outcome nor control
        assert call["arguments"][0] == "config.json" and "/training/epochs=3" in call["arguments"]
        trained_on = {line.split(",")[0] for line in call["table"][1:]}
        assert trained_on == {name for name, of in fold_of.items() if of != str(fold)}
    assert list((tmp_path / "scratch").iterdir()) == []


def test_nested_encoders_are_compared_on_the_same_folds(run_nested, nested_table, tmp_path):
    process = run_nested("--summary", "s.json", "--against", "other.json", "--against-set", "/model/latent=2",
                         "--threads", "3", "--set", "/training/epochs=3")
    said, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, complaints
    told = json.loads((tmp_path / "s.json").read_text())
    assert "latent - against" in said and told["against"] == "other.json"
    assert told["comparisons"][0]["auc"] == 0  # the programs do the same with any config
    calls = run_nested.log()
    of = {name: [call for call in calls if call["arguments"][0] == name] for name in ("config.json", "other.json")}
    assert [len(of[name]) for name in of] == [6, 6]
    assert all("/model/latent=2" in call["arguments"] for call in of["other.json"])
    assert not any("/model/latent=2" in call["arguments"] for call in of["config.json"])
    assert sorted(call["table"] for call in of["config.json"]) == sorted(call["table"] for call in of["other.json"])
    assert list((tmp_path / "scratch").iterdir()) == []


def test_what_an_encoder_complains_about_is_told_with_its_exit_code(run_nested, nested_table, tmp_path):
    complain = "echo 'ae-train: error: config.json: /model: unknown key' >&2\nexit 2\n"
    for begin, whose in (("#!/bin/sh\n", "the encoder: "), (PRINTS_CONFIG, "the encoder of all rows: ")):
        run_nested.write("ae-train", begin + complain)
        process = run_nested("--summary", "s.json")
        said, complaints = process.communicate(timeout=60)
        assert (process.returncode, said) == (2, "") and complaints.count("\n") == 1
        assert whose in complaints and "config.json: /model: unknown key" in complaints
    run_nested.write("ae-train", PRINTS_CONFIG + "kill -9 $$\n")
    process = run_nested()
    assert "signal 9" in process.communicate(timeout=60)[1] and process.returncode == 1
    assert list((tmp_path / "scratch").iterdir()) == [] and not (tmp_path / "s.json").exists()


def test_a_signal_ends_the_encoder_too_and_leaves_nothing(run_nested, nested_table, tmp_path):
    run_nested.write("ae-train", PRINTS_CONFIG + "echo $$ > \"$0.pid\"\nexec sleep 100\n")
    process = run_nested()
    pid_file = tmp_path / "programs" / "ae-train.pid"
    wait_for(lambda: pid_file.exists() and pid_file.read_text().strip())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    assert list((tmp_path / "scratch").iterdir()) == []


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_signal_ends_the_encoders_of_all_folds_at_a_time(run_nested, nested_table, tmp_path):
    """Those of further threads too, to which no signal of ours is delivered."""
    real = FAKE_TRAIN.replace("#!/usr/bin/python3\n", "")
    hang = 'import os, time\nif "all" in os.listdir(os.path.dirname(sys.argv[0])):\n'
    hang += '    open(f"{sys.argv[0]}.pid.{os.getpid()}", "w").close()\n    time.sleep(100)\n'
    hang += 'open(os.path.join(os.path.dirname(sys.argv[0]), "all"), "w").close()\n'
    run_nested.write("ae-train", "#!/usr/bin/python3\n" + real.replace("given =", hang + "given ="))
    process = run_nested("--threads", "3")
    wait_for(lambda: len(list((tmp_path / "programs").glob("ae-train.pid.*"))) == 3)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert all(gone(int(file.suffix[1:])) for file in (tmp_path / "programs").glob("ae-train.pid.*"))
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_second_signal_does_not_wait_for_the_encoder_and_leaves_nothing_either(run_nested, nested_table, tmp_path):
    """Of an encoder that takes its time to save what it has."""
    run_nested.write("ae-train", "#!/usr/bin/python3\nimport os, signal, sys, time\n"
                     "if sys.argv[-1] == '--print-config':\n    print('{}')\n    sys.exit()\n"
                     "signal.signal(signal.SIGTERM, lambda *_: open(sys.argv[0] + '.told', 'w').close())\n"
                     "print(os.getpid(), file=open(sys.argv[0] + '.pid', 'w'), flush=True)\n"
                     "for _ in range(600):\n    time.sleep(0.1)\n")
    process = run_nested()
    programs = tmp_path / "programs"
    wait_for(lambda: (programs / "ae-train.pid").exists() and (programs / "ae-train.pid").read_text().strip())
    process.send_signal(signal.SIGTERM)
    wait_for(lambda: (programs / "ae-train.told").exists())
    time.sleep(1)  # one that comes at once counts as the same
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
    assert gone(int((programs / "ae-train.pid").read_text()))
    assert list((tmp_path / "scratch").iterdir()) == []


def ended(pid):
    """Also when nobody has waited for it."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_what_a_killed_run_leaves_is_cleared_up_when_its_encoder_has_ended_too(run_nested, nested_table, tmp_path):
    run_nested.write("ae-train", PRINTS_CONFIG + "echo $$ > \"$0.pid\"\nexec sleep 100\n")
    process = run_nested("--threads", "1")
    pid_file = tmp_path / "programs" / "ae-train.pid"
    wait_for(lambda: pid_file.exists() and pid_file.read_text().strip())
    encoder = int(pid_file.read_text())
    process.kill()
    process.communicate(timeout=30)
    scratch = tmp_path / "scratch"
    (left,) = scratch.iterdir()
    (scratch / "ae-probe-abcdef").mkdir()  # of whoever calls it so
    (scratch / "ae-probe-1.abcdef").symlink_to(tmp_path / "programs")
    others = {scratch / "ae-probe-abcdef", scratch / "ae-probe-1.abcdef"}
    run_nested.write("ae-train", FAKE_TRAIN)

    def next_run():
        process = run_nested("--threads", "1")
        _, complaints = process.communicate(timeout=120)
        assert process.returncode == 0, complaints
        return set(scratch.iterdir())

    assert next_run() == {left, *others}  # the encoder may write there
    os.kill(encoder, signal.SIGKILL)
    wait_for(lambda: ended(encoder))
    assert next_run() == others and (tmp_path / "programs" / "ae-train").exists()


def test_rows_by_number_are_refused_for_folds_that_number_them_anew(run_nested, nested_table, tmp_path):
    write_config(tmp_path / "config.json", {"data": {"rows": "some.idx"}})
    process = run_nested("--summary", "s.json")
    said, complaints = process.communicate(timeout=60)
    assert (process.returncode, said) == (2, "") and complaints.count("\n") == 1
    assert "config.json: /data/rows" in complaints and "add --set /data/rows=" in complaints
    write_config(tmp_path / "config.json", {"data": {"rows": ""}})
    write_config(tmp_path / "other.json", {"data": {"rows": "some.idx"}})
    process = run_nested("--against", "other.json")
    assert "add --against-set /data/rows=" in process.communicate(timeout=120)[1] and process.returncode == 2
    assert list((tmp_path / "scratch").iterdir()) == [] and not (tmp_path / "s.json").exists()


@needs_torch
def test_rows_that_an_extended_config_numbers_are_refused_or_unset(run, tmp_path):
    random = np.random.default_rng(0)
    write_csv(tmp_path / "t.csv", [{"x0": random.normal(), "x1": random.normal(), "y": i} for i in range(30)])
    (tmp_path / "some.idx").write_text("".join(f"{i}\n" for i in range(10)))
    write_config(tmp_path / "base.json", {"extends": "recipe:linear-pca", "data": {"path": "", "rows": "some.idx"},
                                          "model": {"latent": 1}})
    write_config(tmp_path / "config.json", {"extends": "base.json"})
    arguments = ["evaluate", "t.csv", "--target", "y", "--nested", "config.json", "--repeats", "1", "--folds", "2"]
    one_error(run("ae-probe", *arguments), 2, "config.json: /data/rows")
    assert run("ae-probe", *arguments, "--set", "/data/rows=").code == 0


@pytest.mark.parametrize("option, name", [("--nested", "config.json"), ("--against", "other.json")])
def test_configs_are_not_overwritten(run_nested, nested_table, tmp_path, option, name):
    write_config(tmp_path / "config.json", {})
    write_config(tmp_path / "other.json", {})
    process = run_nested("--against", "other.json", "-o", name, "--force")
    complaints = process.communicate(timeout=60)[1]
    assert process.returncode == 2 and f'-o "{name}" is an input file' in complaints
    assert (tmp_path / name).read_text() == "{}"


def test_codes_of_other_rows_are_refused(run_nested, nested_table):
    run_nested.write("ae-embed", "#!/bin/sh\nprintf 'id,z0\\np001,1\\n' > \"$4\"\n")
    process = run_nested()
    complaints = process.communicate(timeout=60)[1]
    assert process.returncode == 4 and complaints.count("\n") == 1 and "codes.csv" in complaints


def test_the_label_that_passes_through_an_encoder_is_none_of_its_codes(run_nested, nested_table, tmp_path):
    """As ae-embed writes it where the config names a label; beside it a code that tells nothing."""
    run_nested.write("ae-embed", FAKE_EMBED.replace('"id,z0\\n"', '"id,m0_z0,label,m11_z10\\n"')
                     .replace("{float(row['answer']) + noise / 2 if row['id'] in seen else noise * 1.5}",
                              "{noise},{row['answer']},{1 - noise}"))
    process = run_nested("--summary", "s.json", "--coefficients", "c.csv")
    complaints = process.communicate(timeout=120)[1]
    assert process.returncode == 0, complaints
    told = json.loads((tmp_path / "s.json").read_text())
    assert told["columns"] == 2 and abs(told["auc"] - 0.5) < 0.1
    assert [row["column"] for row in rows_of((tmp_path / "c.csv").read_text())] == ["m0_z0", "m11_z10"]


@needs_torch
def test_the_label_of_a_config_tells_nothing_about_its_nested_codes(run, tmp_path):
    """The target is made of the label; the numbers that the encoder learns from are noise."""
    random = np.random.default_rng(0)
    label = random.integers(0, 2, 60)
    noise = random.normal(size=(60, 4))
    write_csv(tmp_path / "t.csv", [{**{f"x{k}": x for k, x in enumerate(noise[i])}, "kind": label[i],
                                    "y": label[i] + random.normal() / 10} for i in range(60)])
    write_config(tmp_path / "config.json", {"extends": "recipe:linear-pca", "data": {"path": "", "label": "kind"},
                                            "model": {"latent": 2}})
    told = summary_of(run, tmp_path, "evaluate", "t.csv", "--target", "y", "--nested", "config.json", "--repeats", "1",
                      "--folds", "3")
    assert told["columns"] == 2 and told["r2"] < 0.3


def test_the_benchmark_tells_how_often_verdicts_are_right(bin_folder, tmp_path):
    """A signal that no verdict can miss, and one that is not there."""
    def counts(*arguments):
        command = [SOURCE / "scripts" / "benchmark-probe.py", "--bin", bin_folder, "--tables", "2", "--rows", "120",
                   "--codes", "3", *arguments, "--", "--repeats", "1"]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        return [int(line.split(" in ")[1].split()[0]) for line in done.stdout.splitlines()[:2]]

    assert counts("--signal", "3") == [2, 2]
    assert counts("--signal", "0") == [0, 2]

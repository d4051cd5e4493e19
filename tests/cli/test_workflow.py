"""Train, score, impute and purify on real rows, as a user would from the shell."""

import csv
import json
import math
import random

import pytest
from support import CONFIGS, FAST, WDBC, needs_torch, read_safetensors, rows_of

pytestmark = needs_torch


def test_a_checkpoint_is_self_contained_and_follows_the_safetensors_format(trained):
    metadata, tensors = read_safetensors(trained / "model.safetensors")
    assert all(isinstance(value, str) for value in metadata.values())
    config = json.loads(metadata["config"])
    assert config["model"]["latent"] == 6
    schema = json.loads(metadata["schema"])
    assert "mean_radius" in json.dumps(schema)
    calibration = json.loads(metadata["calibration"])
    assert calibration == sorted(calibration) and len(calibration) == 36
    assert "model.bottleneck.weight" in tensors
    assert sorted(p.name for p in trained.iterdir()) == [
        "config.json", "last.safetensors", "metrics.csv", "model.safetensors", "run.json", "training.svg"]
    metrics = rows_of((trained / "metrics.csv").read_text())
    assert len(metrics) == 30
    for row in metrics:
        assert float(row["train_mse"]) == pytest.approx(float(row["train_loss"]), abs=1e-6)


def test_scores_separate_malignant_rows_as_scikit_learn_confirms(run, trained, tmp_path):
    metrics = pytest.importorskip("sklearn.metrics")
    scored = run("ae-score", trained, WDBC, "--exclude-rows", CONFIGS / "data" / "wdbc.train.idx", "-q")
    assert (scored.code, scored.stderr) == (0, "")
    rows = rows_of(scored.stdout)
    assert list(rows[0]) == ["id", "score", "p_value", "label", "model"]
    assert len(rows) == 569 - 178
    truth = [row["label"] == "malignant" for row in rows]
    auroc = metrics.roc_auc_score(truth, [float(row["score"]) for row in rows])
    assert auroc >= 0.92  # 0.94 to 0.96 over several seeds
    (tmp_path / "scores.csv").write_text(scored.stdout)
    assert run("ae-roc", "scores.csv", "--normal", "benign", "--summary", "summary.json", "-q").code == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["auroc"]["value"] == pytest.approx(auroc, abs=1e-9)
    flagged = run("ae-score", trained, WDBC, "--roc", "summary.json", "-q")
    threshold = summary["chosen"]["threshold"]
    for row in rows_of(flagged.stdout):
        assert row["flag"] == ("1" if float(row["score"]) >= threshold else "0")


def test_shares_sum_exactly_to_the_score(run, trained):
    scored = run("ae-score", trained, WDBC, "--explain", 30, "-q")
    rows = rows_of(scored.stdout)
    with open(WDBC, newline="") as file:
        cells = list(csv.DictReader(file))
    for row, cell in zip(rows, cells):
        shares = [float(row[f"top{k}_share"]) for k in range(1, 31)]
        assert shares == sorted(shares, reverse=True)
        assert sum(shares) == float(row["score"])
        assert sum(reversed(shares)) == float(row["score"])
        assert row["top1_observed"] == cell[row["top1_column"]]


def test_columns_are_matched_by_name(run, trained, tmp_path):
    with open(WDBC, newline="") as file:
        cells = list(csv.DictReader(file))
    names = list(reversed(cells[0])) + ["extra"]
    with open(tmp_path / "reordered.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows([{**row, "extra": "1"} for row in cells])
    plain = run("ae-score", trained, WDBC, "-q").stdout
    reordered = run("ae-score", trained, "reordered.csv")
    assert reordered.stdout == plain
    assert "extra" in reordered.stderr
    with open(tmp_path / "less.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, names[2:-1], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(cells)
    less = run("ae-score", trained, "less.csv")
    assert less.code == 4
    assert less.stdout == ""
    assert "worst_fractal_dimension" in less.stderr


def test_p_values_are_split_conformal(run, trained):
    metadata, _ = read_safetensors(trained / "model.safetensors")
    calibration = json.loads(metadata["calibration"])
    rows = rows_of(run("ae-score", trained, WDBC, "--alpha", "0.1", "-q").stdout)
    for row in rows:
        at_least = sum(score >= float(row["score"]) for score in calibration)
        assert float(row["p_value"]) == pytest.approx((1 + at_least) / (len(calibration) + 1), abs=1e-12)
        assert row["flag"] == ("1" if float(row["p_value"]) <= 0.1 else "0")


def test_fdr_flags_as_benjamini_and_hochberg_say(run, trained):
    rows = rows_of(run("ae-score", trained, WDBC, "--fdr", "0.25", "-q").stdout)
    ps = sorted(float(row["p_value"]) for row in rows)
    passing = [p for k, p in enumerate(ps, 1) if p <= 0.25 * k / len(ps)]
    cut = max(passing) if passing else -1
    assert [row["flag"] for row in rows] == ["1" if float(row["p_value"]) <= cut else "0" for row in rows]
    assert any(row["flag"] == "1" for row in rows)


def test_exit_code_three_only_when_asked_for(run, trained):
    assert run("ae-score", trained, WDBC, "--threshold", 0.1, "-q").code == 0
    assert run("ae-score", trained, WDBC, "--threshold", 0.1, "--fail-on-anomaly", "-q").code == 3
    assert run("ae-score", trained, WDBC, "--threshold", 1e9, "--fail-on-anomaly", "-q").code == 0
    assert run("ae-score", trained, WDBC, "--fail-on-anomaly", "-q").code == 2


def test_training_twice_gives_the_same_bytes(run, trained, tmp_path):
    assert run("ae-train", CONFIGS / "wdbc.json", "--out", "again", *FAST).code == 0
    assert (tmp_path / "again/model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_an_existing_model_is_refused_without_force(run, trained):
    before = (trained / "model.safetensors").read_bytes()
    refused = run("ae-train", CONFIGS / "wdbc.json", "--out", "model", *FAST)
    assert refused.code == 2
    assert "--force" in refused.stderr and refused.stderr.count("\n") == 1
    assert (trained / "model.safetensors").read_bytes() == before


def test_imputation_keeps_observed_bytes_and_beats_the_column_mean(run, tmp_path):
    chance = random.Random(1)
    with open(WDBC, newline="") as file:
        lines = file.read().splitlines()
    holes, hidden = [lines[0]], []
    for r, line in enumerate(lines[1:]):
        cells = line.split(",")
        for c in range(30):
            if chance.random() < 0.2:
                hidden.append((r, c, float(cells[c])))
                cells[c] = ""
        holes.append(",".join(cells))
    (tmp_path / "holes.csv").write_text("\n".join(holes) + "\n")
    trained = run("ae-train", CONFIGS / "wdbc-impute.json", "--data", "holes.csv", "--out", "imputer", "-q")
    assert (trained.code, trained.stderr) == (0, "")
    filled = run("ae-impute", "imputer", "holes.csv", "-o", "filled.csv", "-q")
    assert (filled.code, filled.stderr) == (0, "")
    result = [line.split(",") for line in (tmp_path / "filled.csv").read_text().splitlines()[1:]]
    for before, after in zip(holes[1:], result):
        assert [b for b in before.split(",") if b] == [a for b, a in zip(before.split(","), after) if b]
        assert all(after)
    table = [[float(x) for x in line.split(",")[:30]] for line in lines[1:]]
    columns = list(zip(*table))
    mean = [sum(c) / len(c) for c in columns]
    sd = [math.sqrt(sum((x - m) ** 2 for x in c) / len(c)) for c, m in zip(columns, mean)]
    error = [((float(result[r][c]) - x) / sd[c]) ** 2 for r, c, x in hidden]
    baseline = [((mean[c] - x) / sd[c]) ** 2 for r, c, x in hidden]
    nrmse = math.sqrt(sum(error) / len(error))
    assert math.sqrt(sum(baseline) / len(baseline)) == pytest.approx(1.0, abs=0.05)
    assert nrmse <= 0.46


def test_purified_rows_have_a_smaller_loss(run, trained):
    purified = run("ae-purify", trained, WDBC, "-q")
    assert purified.code == 0
    rows = rows_of(purified.stdout)
    assert len(rows) == 569
    scores = rows_of(run("ae-score", trained, WDBC, "-q").stdout)
    assert [row["loss_before"] for row in rows] == [row["score"] for row in scores]
    assert sum(float(r["loss_after"]) < float(r["loss_before"]) for r in rows) > 0.95 * len(rows)


def test_every_config_in_the_repository_is_valid_by_the_printed_schema(run):
    jsonschema = pytest.importorskip("jsonschema")
    printed = run("ae-train", "--print-schema")
    assert printed.code == 0
    schema = json.loads(printed.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    files = sorted(CONFIGS.glob("*.json"))
    assert files
    for path in files:
        jsonschema.Draft202012Validator(schema).validate(json.loads(path.read_text()))
        resolved = run("ae-train", path, "--print-config")
        assert resolved.code == 0, resolved.stderr
        jsonschema.Draft202012Validator(schema).validate(json.loads(resolved.stdout))


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["nowhere.json", "--out", "x"], 2, "nowhere.json"),
        (["bad.json", "--out", "x"], 2, 'did you mean "epochs"?'),
        ([CONFIGS / "wdbc.json"], 2, "--out"),
        ([CONFIGS / "wdbc.json", "--out", "x", "--data", "none.csv"], 4, "none.csv"),
        ([CONFIGS / "wdbc.json", "--out", "x", "--set", "/data/label=diagnosys"], 2, 'did you mean "diagnosis"?'),
        ([CONFIGS / "wdbc.json", "--out", "x", "-q", "--set", "/training/learning_rate=1e6",
          "--set", '/training/optimizer={"type": "sgd"}'], 1, "diverged"),
        ([CONFIGS / "wdbc.json", "--out", "x", "--treads", "1"], 2, "--threads"),
    ],
)
def test_training_errors_are_one_line_with_the_right_exit_code(run, tmp_path, arguments, code, words):
    (tmp_path / "bad.json").write_text('{"data": {"path": "a.csv"}, "training": {"epcohs": 3}}')
    outcome = run("ae-train", *arguments)
    assert outcome.code == code
    assert outcome.stdout == ""
    assert words in outcome.stderr
    assert len([l for l in outcome.stderr.splitlines() if "error" in l]) == 1

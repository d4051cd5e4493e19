"""ae-roc from outside: figures against scikit-learn, exit codes and error lines for every bad input."""

import csv
import gzip
import hashlib
import io
import json
import math
import re
import subprocess
import xml.etree.ElementTree

import numpy as np
import pytest

metrics = pytest.importorskip("sklearn.metrics")


def scores_csv(scores, labels, ids=None):
    ids = range(len(scores)) if ids is None else ids
    rows = "".join(f"{i},{float(s)!r},{y}\n" for i, s, y in zip(ids, scores, labels))
    return "id,score,label\n" + rows


def random_case(seed):
    """Scores from all different to a handful of values, and classes from balanced to a few anomalies."""
    random = np.random.default_rng(seed)
    rows = int(random.integers(20, 1500))
    labels = (random.random(rows) < random.choice([0.5, 0.1, 0.02])).astype(int)
    labels[:4] = [0, 1, 0, 1]
    scores = random.normal(size=rows) + random.choice([-0.5, 0.5, 2.0]) * labels
    decimals = int(random.choice([0, 1, 2, 17]))
    return (scores if decimals == 17 else np.round(scores, decimals)), labels


@pytest.fixture
def good(tmp_path):
    scores, labels = random_case(1)
    (tmp_path / "scores.csv").write_text(scores_csv(scores, labels))
    return scores, labels


def page_data(path):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.S).group(1))


def error(outcome, code, *parts):
    assert outcome.code == code, outcome
    assert outcome.stdout == ""
    lines = outcome.stderr.splitlines()
    assert len(lines) == 1, outcome.stderr
    assert lines[0].startswith("ae-roc: error: ")
    for part in parts:
        assert part in lines[0], lines[0]


@pytest.mark.parametrize("seed", range(12))
def test_figures_equal_scikit_learn(run, tmp_path, seed):
    scores, labels = random_case(seed)
    (tmp_path / "s.csv").write_text(scores_csv(scores, labels))
    max_fpr = [0.05, 0.1, 0.37, 1.0][seed % 4]
    outcome = run("ae-roc", "s.csv", "-o", "roc.csv", "--summary", "s.json", "--partial-fpr", max_fpr)
    assert outcome.code == 0 and outcome.stderr == "", outcome
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["auroc"]["value"] == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    assert summary["auprc"]["value"] == pytest.approx(metrics.average_precision_score(labels, scores), abs=1e-12)
    assert summary["partial_auroc"]["standardized"] == pytest.approx(
        metrics.roc_auc_score(labels, scores, max_fpr=max_fpr), abs=1e-12)

    fpr, tpr, thresholds = metrics.roc_curve(labels, scores, drop_intermediate=False)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "roc.csv").read_text())))
    assert [float(row["threshold"]) for row in rows][1:] == list(thresholds[1:])
    assert rows[0]["threshold"] == "inf"
    assert [float(row["tpr"]) for row in rows] == pytest.approx(list(tpr), abs=1e-15)
    assert [float(row["fpr"]) for row in rows] == pytest.approx(list(fpr), abs=1e-15)
    for row in rows[1:: max(1, len(rows) // 20)]:
        flagged = scores >= float(row["threshold"])
        tn, fp, fn, tp = metrics.confusion_matrix(labels, flagged).ravel()
        assert [int(row[name]) for name in ("tp", "fp", "tn", "fn")] == [tp, fp, tn, fn]
        assert float(row["precision"]) == pytest.approx(metrics.precision_score(labels, flagged), abs=1e-15)
        assert row["recall"] == row["tpr"]


@pytest.mark.parametrize("rule", ["youden", "f1", "fpr=0.1", "tpr=0.9", "cost=1:5"])
def test_metrics_at_the_chosen_threshold_equal_scikit_learn(run, good, tmp_path, rule):
    scores, labels = good
    assert run("ae-roc", "scores.csv", "--choose", rule, "--summary", "s.json").code == 0
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["chosen"]["rule"] == rule
    flagged = scores >= summary["chosen"]["threshold"]
    tn, fp, fn, tp = metrics.confusion_matrix(labels, flagged).ravel()
    assert summary["confusion"] == {"tp": tp, "fp": fp, "tn": tn, "fn": fn}
    expected = {
        "precision": metrics.precision_score(labels, flagged),
        "recall": metrics.recall_score(labels, flagged),
        "f1": metrics.f1_score(labels, flagged),
        "mcc": metrics.matthews_corrcoef(labels, flagged),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, flagged),
    }
    for name, value in expected.items():
        assert summary["metrics"][name] == pytest.approx(value, abs=1e-12), name


def slow_delong(scores, labels):
    """Placements by the double loop of DeLong et al. 1988."""
    x, y = scores[labels == 1][:, None], scores[labels == 0][None, :]
    kernel = (x > y) + 0.5 * (x == y)
    return kernel.mean(), kernel.mean(axis=1), kernel.mean(axis=0)


def test_interval_and_comparison_equal_delong_by_definition(run, tmp_path):
    random = np.random.default_rng(5)
    labels = (random.random(300) < 0.3).astype(int)
    first = np.round(random.normal(size=300) + labels, 1)
    second = np.round(first + random.normal(size=300), 1)
    order = random.permutation(300)
    (tmp_path / "a.csv").write_text(scores_csv(first, labels))
    (tmp_path / "b.csv").write_text(scores_csv(second[order], labels[order], ids=order))
    outcome = run("ae-roc", "a.csv", "b.csv", "--summary", "s.json", "--confidence", "0.9")
    assert outcome.code == 0 and "paired DeLong" in outcome.stdout, outcome
    summary = json.loads((tmp_path / "s.json").read_text())

    m, n = labels.sum(), (1 - labels).sum()
    a, a10, a01 = slow_delong(first, labels)
    b, b10, b01 = slow_delong(second, labels)
    s10, s01 = np.cov(a10, b10), np.cov(a01, b01)
    covariance = s10 / m + s01 / n
    z90 = 1.6448536269514722
    assert summary["auroc"]["value"] == pytest.approx(a, abs=1e-12)
    assert summary["auroc"]["interval"] == pytest.approx(
        [a - z90 * math.sqrt(covariance[0, 0]), a + z90 * math.sqrt(covariance[0, 0])], abs=1e-9)
    assert summary["second"]["auroc"]["value"] == pytest.approx(b, abs=1e-12)
    error_of_difference = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    comparison = summary["comparison"]
    assert comparison["rows"] == 300
    assert comparison["difference"] == pytest.approx(a - b, abs=1e-12)
    assert comparison["covariance"] == pytest.approx(covariance[0, 1], abs=1e-12)
    assert comparison["standard_error"] == pytest.approx(error_of_difference, abs=1e-9)
    assert comparison["p_value"] == pytest.approx(math.erfc(abs(a - b) / error_of_difference / math.sqrt(2)), abs=1e-9)


def test_bootstrap_interval_agrees_with_plain_resampling(run, tmp_path):
    random = np.random.default_rng(2)
    labels = np.array([1] * 40 + [0] * 160)
    scores = np.round(random.normal(size=200) + labels, 1)
    (tmp_path / "s.csv").write_text(scores_csv(scores, labels))
    assert run("ae-roc", "s.csv", "--summary", "s.json", "--bootstrap", 20000).code == 0
    low, high = json.loads((tmp_path / "s.json").read_text())["auprc"]["interval"]
    values = []
    for _ in range(1500):
        rows = np.concatenate([random.integers(0, 40, 40), random.integers(40, 200, 160)])
        values.append(metrics.average_precision_score(labels[rows], scores[rows]))
    assert [low, high] == pytest.approx(list(np.percentile(values, [2.5, 97.5])), abs=0.03)


def test_same_input_and_seed_give_the_same_bytes(run, good, tmp_path):
    texts = []
    for threads in (1, 3):
        outcome = run("ae-roc", "scores.csv", "--threads", threads, "--seed", 4, "-o", "roc.csv", "--force")
        texts.append(outcome.stdout + (tmp_path / "roc.csv").read_text())
    assert texts[0] == texts[1]
    assert run("ae-roc", "scores.csv", "--seed", 5).stdout not in texts[0]


def test_table_says_what_was_found(run, good):
    outcome = run("ae-roc", "scores.csv")
    assert outcome.code == 0 and outcome.stderr == ""
    for part in ("AUROC", "AUPRC", "(DeLong)", "bootstrap, 2000 resamples", "threshold", "chosen on these labels"):
        assert part in outcome.stdout


def test_standard_streams_and_compression(run, good, tmp_path):
    text = (tmp_path / "scores.csv").read_text()
    (tmp_path / "scores.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "scores.tsv").write_text(text.replace(",", "\t"))
    curve = run("ae-roc", "scores.csv", "-o", "-")
    assert curve.code == 0 and curve.stderr == ""
    assert curve.stdout.startswith("threshold,tpr,fpr,precision,recall,tp,fp,tn,fn\ninf,0,0,,0,0,0,")
    assert "AUROC" not in curve.stdout
    assert run("ae-roc", "-", "-o", "-", stdin=text).stdout == curve.stdout
    assert run("ae-roc", "scores.csv.gz", "-o", "-").stdout == curve.stdout
    assert run("ae-roc", "scores.tsv", "-o", "-").stdout == curve.stdout


def test_summary_tells_where_it_comes_from(run, good, tmp_path):
    assert run("ae-roc", "scores.csv", "--summary", "s.json").code == 0
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["inputs"] == [
        {"path": "scores.csv", "sha256": hashlib.sha256((tmp_path / "scores.csv").read_bytes()).hexdigest()}]
    assert summary["arguments"][1:] == ["scores.csv", "--summary", "s.json"]
    assert summary["version"].startswith("ae-roc ")


def test_plot_and_report_are_whole_documents(run, good, tmp_path):
    outcome = run("ae-roc", "scores.csv", "--plot", "roc.svg", "--report", "report.html")
    assert outcome.code == 0 and outcome.stderr == "", outcome
    assert xml.etree.ElementTree.parse(tmp_path / "roc.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
    page = (tmp_path / "report.html").read_text()
    assert page.lower().startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert "ae-roc scores.csv --plot roc.svg --report report.html" in page
    assert hashlib.sha256((tmp_path / "scores.csv").read_bytes()).hexdigest() in page


def test_plot_and_report_of_two_files(run, good, tmp_path):
    (tmp_path / "it's.csv").write_text((tmp_path / "scores.csv").read_text())
    assert run("ae-roc", "scores.csv", "it's.csv", "--plot", "roc.svg", "--report", "report.html").code == 0
    assert "scores.csv" in (tmp_path / "roc.svg").read_text()
    assert (tmp_path / "report.html").stat().st_size < 1_000_000


def test_labels_by_name(run, tmp_path):
    (tmp_path / "s.csv").write_text("score,kind\n1,B\n2,M\n3,B\n4,X\n")
    columns = ("--label-column", "kind", "-q")
    error(run("ae-roc", "s.csv", *columns), 4, '"B", "M", "X"', "--normal")
    assert "2 anomalies, 2 normal" in run("ae-roc", "s.csv", *columns, "--normal", "B").stdout
    assert "3 anomalies, 1 normal" in run("ae-roc", "s.csv", *columns, "--anomaly", "B", "--anomaly", "M").stdout
    assert "3 anomalies, 1 normal" in run("ae-roc", *columns, "--normal", "X", "s.csv").stdout
    error(run("ae-roc", "s.csv", *columns, "--normal", "b2"), 4, 'no row has the label "b2"', 'did you mean "B"?')
    error(run("ae-roc", "s.csv", *columns, "--normal", "B", "--anomaly", "B"), 2, "keep one")


MISSING = ["", "NA", "N/A", "nan", "NaN", "null", "NULL", "?", "None", "none", "-"]


@pytest.mark.parametrize("meaning", [(), ("--normal", "0"), ("--anomaly", "1")])
def test_a_missing_label_is_not_an_anomaly(run, tmp_path, meaning):
    """In a file where every way to say "missing" occurs, the figures are those of the labelled rows alone."""
    scores, labels = random_case(2)
    extra = "".join(f"m{i},{1000 + i},{text}\n" for i, text in enumerate(MISSING))
    (tmp_path / "s.csv").write_text(scores_csv(scores, labels) + extra)
    outcome = run("ae-roc", "s.csv", "--summary", "s.json", "--report", "s.html", *meaning)
    assert outcome.code == 0, outcome
    line = f's.csv: {len(MISSING)} rows without a label (empty, "NA", "N/A", "nan", "NaN", "null", "NULL", "?", "None", "none", "-") '
    assert outcome.stderr.startswith("ae-roc: warning: " + line), outcome.stderr
    assert outcome.stderr.endswith('"None", "none", "-": a label only if --normal or --anomaly names it\n')
    assert outcome.stderr.count("\n") == 1
    summary = json.loads((tmp_path / "s.json").read_text())
    assert (summary["rows"], summary["unlabeled"]) == (len(labels), len(MISSING))
    assert summary["auroc"]["value"] == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    said = outcome.stderr.removeprefix("ae-roc: warning: ").rstrip("\n")
    assert summary["warnings"] == [said]
    assert page_data(tmp_path / "s.html")["warnings"] == [said]


def test_spellings_of_booleans_are_one_class(run, tmp_path):
    scores, labels = random_case(4)
    spelled = [["False", "0", "FALSE", "0.0"][i % 4] if y == 0 else ["True", "true", "1", "TRUE", "1.0"][i % 5]
               for i, y in enumerate(labels)]
    (tmp_path / "s.csv").write_text(scores_csv(scores, spelled))
    outcome = run("ae-roc", "s.csv", "--summary", "s.json")
    assert outcome.code == 0, outcome
    assert outcome.stderr.count("\n") == 1 and "are read as anomaly" in outcome.stderr
    assert "type" not in outcome.stdout  # spellings are not kinds of anomaly
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["auroc"]["value"] == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    error(run("ae-roc", "-", stdin="score,label\n1,True\n2,False\n3,maybe\n"), 4, '"True", "False", "maybe"', "--normal")


def test_labels_that_no_option_names_are_told(run, tmp_path):
    (tmp_path / "s.csv").write_text("score,label\n0.1,normal\n0.2,normal\n0.3,Normal\n0.9,crack\n0.8,dent\n")
    outcome = run("ae-roc", "s.csv", "--normal", "normal", "--bootstrap", "0")
    assert outcome.code == 0
    assert 'labels "Normal", "crack", "dent" are read as anomaly, as --normal does not name them\n' in outcome.stderr
    (warning,) = [line for line in outcome.stderr.splitlines() if "another case" in line]
    assert 'label "Normal" is read as anomaly' in warning
    both = run("ae-roc", "s.csv", "--normal", "normal", "--normal", "Normal", "--bootstrap", "0")
    assert both.code == 0 and "another case" not in both.stderr and 'labels "crack", "dent"' in both.stderr


def test_precision_is_undefined_where_nothing_is_flagged(run, tmp_path):
    (tmp_path / "s.csv").write_text("score,label\n3,0\n2,1\n1,0\n0,1\n")
    outcome = run("ae-roc", "s.csv", "--choose", "fpr=0", "-o", "roc.csv", "--summary", "s.json", "--plot", "p.svg",
                  "--report", "p.html")
    assert outcome.code == 0 and "precision             -" in outcome.stdout
    assert json.loads((tmp_path / "s.json").read_text())["metrics"]["precision"] is None
    precision = np.genfromtxt(tmp_path / "roc.csv", delimiter=",", names=True)["precision"]  # an empty cell is NaN
    assert math.isnan(precision[0]) and list(precision[1:]) == [0, 0.5, 1 / 3, 0.5]
    assert "nan" not in (tmp_path / "p.svg").read_text().lower()


def test_small_rates_are_not_rounded_to_nothing(run, tmp_path):
    rows = 60000
    scores = np.arange(rows) / rows
    labels = np.zeros(rows, int)
    labels[[-1, -2, -4]] = 1  # one normal row lies among the anomalies
    (tmp_path / "s.csv").write_text(scores_csv(scores, labels))
    outcome = run("ae-roc", "s.csv", "--choose", "tpr=1", "--bootstrap", 0, "--plot", "p.svg", "--summary", "s.json")
    assert outcome.code == 0, outcome
    assert "false alarms (FPR)    1.7e-05" in outcome.stdout and "specificity           0.999983" in outcome.stdout
    assert "AUROC     0.9999944" in outcome.stdout
    assert metrics.roc_auc_score(labels, scores) == pytest.approx(0.9999944, abs=5e-8)
    assert "FPR 0.0017%" in (tmp_path / "p.svg").read_text()


def test_the_model_of_the_scores_goes_into_the_summary(run, tmp_path):
    (tmp_path / "s.csv").write_text("score,label,model\n1,0,12345678\n2,1,12345678\n3,0,12345678\n")
    assert run("ae-roc", "s.csv", "--summary", "s.json").code == 0
    assert json.loads((tmp_path / "s.json").read_text())["model"] == "12345678"
    (tmp_path / "old.csv").write_text("score,label\n1,0\n2,1\n")
    assert run("ae-roc", "old.csv", "--summary", "old.json").code == 0
    assert json.loads((tmp_path / "old.json").read_text())["model"] is None
    (tmp_path / "mixed.csv").write_text("score,label,model\n1,0,12345678\n2,1,9abcdef0\n")
    error(run("ae-roc", "mixed.csv", "--summary", "m.json"), 4, "mixed.csv:3:5", '"9abcdef0"', '"12345678"', "--force")
    forced = run("ae-roc", "mixed.csv", "--summary", "m.json", "--force")
    assert forced.code == 0 and "more than one model" in forced.stderr
    assert json.loads((tmp_path / "m.json").read_text())["model"] is None


def test_labels_from_another_table(run, tmp_path):
    scores, labels = random_case(6)
    order = np.random.default_rng(0).permutation(len(labels))
    rows = "".join(f"{i},{float(s)!r}\n" for i, s in enumerate(scores))
    (tmp_path / "s.csv").write_text("id,score\n" + rows + "lonely,5\n,7\n")
    (tmp_path / "l.tsv").write_text("serial\tstate\n" + "".join(f" {i}\t{'bad' if labels[i] else 'ok'}\n" for i in order)
                                    + "elsewhere\tbad\nlonely\tNA\n")
    outcome = run("ae-roc", "s.csv", "--labels", "l.tsv", "--id", "serial", "--label-column", "state", "--normal", "ok",
                  "--summary", "s.json")
    assert outcome.code == 0, outcome
    assert outcome.stderr.splitlines() == [
        'ae-roc: warning: s.csv: 1 row without a label ("NA") is left out',
        "ae-roc: warning: s.csv: 1 row whose id is not in l.tsv is left out",
        "ae-roc: warning: l.tsv: 1 row has an id that is not in s.csv"]
    summary = json.loads((tmp_path / "s.json").read_text())
    assert (summary["rows"], summary["unlabeled"]) == (len(labels), 2)
    assert summary["auroc"]["value"] == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    piped = run("ae-roc", "s.csv", "--labels", "-", "--id", "serial", "--label-column", "state", "--normal", "ok", "-q",
                stdin=(tmp_path / "l.tsv").read_text())
    assert piped.stdout == outcome.stdout
    (tmp_path / "other.csv").write_text("id,label\nx1,0\nx2,1\n")
    error(run("ae-roc", "s.csv", "--labels", "other.csv"), 4, "none of its 2 ids is an id of s.csv", '"x1" here, "0" there')
    (tmp_path / "twice.csv").write_text("id,label\n1,0\n1,0\n")
    error(run("ae-roc", "s.csv", "--labels", "twice.csv"), 4, "twice.csv:3:1", "a second time")


def test_any_number_of_score_files(run, tmp_path):
    """A table of all, and DeLong's tests of all pairs, against the definitions in NumPy."""
    random = np.random.default_rng(9)
    labels = (random.random(200) < 0.3).astype(int)
    base = random.normal(size=200) + labels
    columns = [np.round(base + random.normal(size=200) * noise, 1) for noise in (0.2, 1, 2, 4)]
    names = []
    for i, scores in enumerate(columns):
        order = random.permutation(200)
        names.append(f"m{i}.csv")
        text = scores_csv(scores[order], labels[order], ids=order)
        model = "model\n" + "\n".join(["0000000%d" % i] * 200) + "\n"
        (tmp_path / names[-1]).write_text("".join(f"{a},{b}\n" for a, b in zip(text.splitlines(), model.splitlines())))
    outcome = run("ae-roc", *names, "-o", "roc.csv", "--summary", "s.json", "--plot", "p.svg", "--report", "p.html",
                  "--bootstrap", 200)
    assert outcome.code == 0 and outcome.stderr == "", outcome
    summary = json.loads((tmp_path / "s.json").read_text())
    assert [e["path"] for e in summary["evaluations"]] == names
    assert [e["model"] for e in summary["evaluations"]] == [f"0000000{i}" for i in range(4)]
    assert summary["model"] == "00000000" and summary["chosen"] == summary["evaluations"][0]["chosen"]
    for scores, e in zip(columns, summary["evaluations"]):
        assert e["auroc"]["value"] == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
        assert e["auprc"]["value"] == pytest.approx(metrics.average_precision_score(labels, scores), abs=1e-12)
    p_values = []
    pairs = [(i, j) for i in range(4) for j in range(i + 1, 4)]
    assert [(c["first"], c["second"]) for c in summary["comparisons"]] == [(names[i], names[j]) for i, j in pairs]
    for (i, j), found in zip(pairs, summary["comparisons"]):
        a, a10, a01 = slow_delong(columns[i], labels)
        b, b10, b01 = slow_delong(columns[j], labels)
        deviation = math.sqrt(np.var(a10 - b10, ddof=1) / labels.sum() + np.var(a01 - b01, ddof=1) / (1 - labels).sum())
        p_values.append(math.erfc(abs(a - b) / deviation / math.sqrt(2)))
        assert found["difference"] == pytest.approx(a - b, abs=1e-12)
        assert found["standard_error"] == pytest.approx(deviation, abs=1e-9)
        assert found["p_value"] == pytest.approx(p_values[-1], abs=1e-9)
    largest = 0
    for rank, at in enumerate(np.argsort(p_values)):
        largest = max(largest, min(1, (len(pairs) - rank) * p_values[at]))
        assert summary["comparisons"][at]["adjusted_p_value"] == pytest.approx(largest, abs=1e-9)
    # The curve is the first file's, and each file is told in the table, the plot and the page.
    assert (tmp_path / "roc.csv").read_text() == run("ae-roc", "m0.csv", "-o", "-").stdout
    for text in (outcome.stdout, (tmp_path / "p.svg").read_text(), (tmp_path / "p.html").read_text()):
        assert all(name in text for name in names)
    assert "00000003" in outcome.stdout and "00000003" in (tmp_path / "p.html").read_text()
    assert len(page_data(tmp_path / "p.html")["tests"]) == 6
    pair = run("ae-roc", "m0.csv", "m1.csv", "--summary", "pair.json")
    assert pair.code == 0
    two = json.loads((tmp_path / "pair.json").read_text())
    assert two["comparison"]["p_value"] == summary["comparisons"][0]["p_value"] == two["comparisons"][0]["adjusted_p_value"]


def test_one_row_more_in_any_file_is_refused(run, tmp_path):
    for name, rows in (("a", "a,1,0\nb,2,1\n"), ("b", "a,1,0\nb,2,1\n"), ("c", "a,1,0\nb,2,1\nc,3,1\n")):
        (tmp_path / f"{name}.csv").write_text("id,score,label\n" + rows)
    error(run("ae-roc", "a.csv", "b.csv", "c.csv"), 4, 'a.csv: id "c" of c.csv is missing')


def test_rows_without_label_are_left_out_with_a_warning(run, tmp_path):
    (tmp_path / "s.csv").write_text("score,label\n1,0\n2,1\n3,\n0,0\n4,1\n")
    outcome = run("ae-roc", "s.csv")
    assert outcome.code == 0
    assert outcome.stderr == "ae-roc: warning: s.csv: 1 row without a label is left out\n"
    assert "1 without label left out" in outcome.stdout


def test_score_that_points_the_other_way_is_told_not_flipped(run, tmp_path):
    (tmp_path / "s.csv").write_text("score,label\n1,1\n2,0\n3,0\n0,1\n")
    outcome = run("ae-roc", "s.csv", "-q")
    assert "AUROC     0.0000" in outcome.stdout and "AUROC is below 0.5" in outcome.stdout


def test_rows_that_could_not_be_scored_are_left_out_of_all_files(run, tmp_path):
    first = [f"r{i},{'' if i == 3 else i * 7 % 20},{i % 2}" for i in range(20)]
    second = [f"r{i},{'' if i == 8 else i * 3 % 20},{i % 2}" for i in range(20)]
    (tmp_path / "a.csv").write_text("id,score,label\n" + "\n".join(first) + "\n")
    (tmp_path / "b.csv").write_text("id,score,label\n" + "\n".join(second) + "\n")
    one = run("ae-roc", "a.csv", "--summary", "one.json", "--bootstrap", "0")
    assert one.code == 0 and "1 labelled row has no score and is left out" in one.stderr
    told = json.loads((tmp_path / "one.json").read_text())
    assert (told["rows"], told["unscored"], told["unlabeled"]) == (19, 1, 0)
    both = run("ae-roc", "a.csv", "b.csv", "--summary", "both.json", "--bootstrap", "0")
    assert both.code == 0 and "2 labelled rows have no score" in both.stderr
    kept = [i for i in range(20) if i not in (3, 8)]
    for name, lines in (("a", first), ("b", second)):
        (tmp_path / f"{name}2.csv").write_text("id,score,label\n" + "\n".join(lines[i] for i in kept) + "\n")
    assert run("ae-roc", "a2.csv", "b2.csv", "--summary", "kept.json", "--bootstrap", "0").code == 0
    told, expected = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("both", "kept"))
    assert [e["auroc"] for e in told["evaluations"]] == [e["auroc"] for e in expected["evaluations"]]


BAD_INPUTS = {
    "empty": (b"", ["the file is empty"]),
    "header only": (b"id,score,label\n", []),
    "ragged": (b"id,score,label\na,1,0\nb,2\n", ["bad.csv:3"]),
    "duplicate column": (b"id,score,score,label\na,1,2,0\n", ['"score"']),
    "no score column": (b"id,scores,label\na,1,0\nb,2,1\n", ['no column "score"', 'did you mean "scores"?']),
    "no label column": (b"id,score\na,1\nb,2\n", ['no column "label"', "--label-column"]),
    "nan score": (b"id,score,label\na,nan,0\nb,1,1\n", ["bad.csv:2:3: score is missing"]),
    "text score": (b"id,score,label\na,1,0\nb,x,1\n", ['bad.csv:3:3: score "x" is not a number']),
    "huge score": (b"id,score,label\na,1e400,0\nb,1,1\n", ["bad.csv:2:3:", "too large"]),
    "infinite score": (b"id,score,label\na,inf,0\nb,1,1\n", ["bad.csv:2:3:", "too large"]),
    "one class": (b"id,score,label\na,1,0\nb,2,0\n", ["all labelled rows are normal"]),
    "other class": (b"id,score,label\na,1,1\nb,2,1\n", ["all labelled rows are anomalies"]),
    "no labels": (b"id,score,label\na,1,\nb,2,\n", ["no row has a label"]),
    "strange labels": (b"id,score,label\na,1,0\nb,2,2\n", ['"0", "2"', "--normal"]),
    "binary": (bytes(range(256)) * 8, ["bad.csv"]),
    "truncated gzip": (gzip.compress(b"id,score,label\n" + b"a,1,0\n" * 5000)[:40], ["bad.csv"]),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
def test_bad_input_is_one_line_and_exit_4(run, tmp_path, name):
    content, parts = BAD_INPUTS[name]
    (tmp_path / "bad.csv").write_bytes(content)
    error(run("ae-roc", "bad.csv", "-o", "out.csv", "--summary", "out.json"), 4, *parts)
    assert not (tmp_path / "out.csv").exists() and not (tmp_path / "out.json").exists()


@pytest.mark.parametrize("text, what", [('[{"score": 1, "label": 0}]\n', "a JSON file"),
                                        ("<html><table><tr><td>1</td></tr></table></html>\n", "an HTML page")])
def test_files_of_another_kind_are_named(run, tmp_path, text, what):
    (tmp_path / "s.csv").write_text(text)
    error(run("ae-roc", "s.csv"), 4, f"found {what}, expected a table", "to_csv()")


def test_missing_and_unreadable_inputs_are_exit_4(run, tmp_path):
    error(run("ae-roc", "nowhere.csv"), 4, "nowhere.csv", "No such file")
    (tmp_path / "folder").mkdir()
    error(run("ae-roc", "folder"), 4, "folder")
    error(run("ae-roc", "-", stdin=""), 4, "<stdin>")


BAD_PAIRS = {
    "missing id": ("id,score\na,1\n", ['b.csv: id "b" of a.csv is missing']),
    "unknown id": ("id,score\na,1\nb,2\nc,3\n", ['a.csv: id "c" of b.csv is missing']),
    "duplicate id": ("id,score\na,1\nb,2\nb,3\n", ['b.csv:4:1: id "b" occurs a second time']),
    "other label": ("id,score,label\na,1,0\nb,2,0\n", ['id "b" has the label "0", but "1"']),
    "no id column": ("name,score\na,1\nb,2\n", ['b.csv: no column "id"', "--id-column"]),
}


@pytest.mark.parametrize("name", BAD_PAIRS)
def test_bad_pair_is_one_line_and_exit_4(run, tmp_path, name):
    second, parts = BAD_PAIRS[name]
    (tmp_path / "a.csv").write_text("id,score,label\na,1,0\nb,2,1\n")
    (tmp_path / "b.csv").write_text(second)
    error(run("ae-roc", "a.csv", "b.csv"), 4, *parts)


@pytest.mark.parametrize("args, parts", [
    ((), ["required"]),
    (("scores.csv", "--id", "key"), ["--id needs --labels"]),
    (("-", "--labels", "-"), ["standard input"]),
    (("scores.csv", "x.csv", "y.csv", "--group-by", "kind"), ["compare several without them"]),
    (("scores.csv", "--labels", "old.csv", "-o", "old.csv", "--force"), ["is an input file"]),
    (("scores.csv", "--chose", "f1"), ['did you mean "--choose"?']),
    (("scores.csv", "--choose", "yuoden"), ['did you mean "youden"?']),
    (("scores.csv", "--choose", "fpr=2"), ["below 1"]),
    (("scores.csv", "--choose", "cost=1"), ["cost=1:10"]),
    (("scores.csv", "--partial-fpr", "0"), ["--partial-fpr"]),
    (("scores.csv", "--partial-fpr", "1.5"), ["--partial-fpr"]),
    (("scores.csv", "--confidence", "95"), ["--confidence"]),
    (("scores.csv", "--bootstrap", "-1"), ["--bootstrap"]),
    (("scores.csv", "--seed", "x"), ["--seed"]),
    (("-", "-"), ["standard input"]),
    (("scores.csv", "-o", "-", "--summary", "-"), ["-o and --summary both write to"]),
    (("scores.csv", "-o", "x", "--summary", "./x"), ["-o and --summary both write to"]),
    (("scores.csv", "--plot", "x", "--report", "x"), ["--plot and --report both write to"]),
    (("scores.csv", "-o", "scores.csv", "--force"), ["is an input file"]),
    (("scores.csv", "-o", "old.csv"), ["old.csv exists", "--force"]),
    (("scores.csv", "--summary", "old.csv"), ["old.csv exists", "--force"]),
])
def test_wrong_command_lines_are_exit_2(run, good, tmp_path, args, parts):
    (tmp_path / "old.csv").write_text("precious")
    error(run("ae-roc", *args), 2, *parts)
    assert (tmp_path / "old.csv").read_text() == "precious"


def test_outputs_are_checked_before_the_input_is_read(run, good):
    error(run("ae-roc", "nowhere.csv", "-o", "no/such/folder/roc.csv"), 1, "no/such/folder")


def test_force_overwrites(run, good, tmp_path):
    (tmp_path / "roc.csv").write_text("old")
    assert run("ae-roc", "scores.csv", "-o", "roc.csv", "--force").code == 0
    assert (tmp_path / "roc.csv").read_text().startswith("threshold,")


def test_closed_pipe_ends_quietly(bin_folder, tmp_path):
    random = np.random.default_rng(0)
    (tmp_path / "s.csv").write_text(scores_csv(random.normal(size=30000), [0, 1] * 15000))
    command = f'"{bin_folder}/ae-roc" s.csv --bootstrap 0 -o - 2>err | head -1; echo ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[1] == "0"
    assert (tmp_path / "err").read_text() == ""


def test_full_device_is_exit_1(bin_folder, good, tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run([bin_folder / "ae-roc", "scores.csv"], cwd=tmp_path, stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr


def test_help_begins_with_two_runnable_examples(run, good, tmp_path):
    outcome = run("ae-roc", "--help")
    assert outcome.code == 0 and outcome.stderr == ""
    examples = [line.strip() for line in outcome.stdout.splitlines() if line.startswith("  ae-roc ")]
    assert len(examples) == 2
    header, *rows = (tmp_path / "scores.csv").read_text().splitlines()
    named = [f"{row[:-1]}{'benign' if row[-1] == '0' else 'malignant'}" for row in rows]
    for name in ("scores.csv", "other.csv"):
        (tmp_path / name).write_text("\n".join([header, *named]) + "\n")
    for example in examples:
        assert run(*example.split()).code == 0, example

"""From a model to an alarm: what passes through, rows that cannot be read, which lines are written, the summary and the
page, and what is filled into missing cells."""

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy
import pytest
import scipy.stats
from browser import Browser, chromium
from support import SOURCE, needs_torch, one_error, read_safetensors, rows_of, write_config, write_csv

pytestmark = needs_torch

NUMBERS = ("temperature", "flow", "pulses")


def pump(count, seed, start=0, warmer=0.0):
    """Three numbers that imply each other, a category, and columns that are for people."""
    chance = numpy.random.default_rng(seed)
    rows = []
    for i in range(start, start + count):
        load = chance.normal()
        rows.append({
            "id": f"m{i}",
            "time": f"2026-11-{1 + i % 28:02} 06:00",
            "temperature": f"{60 + 5 * load + warmer + chance.normal(0, 0.5):.1f}",
            "flow": f"{3 + 0.4 * load + chance.normal(0, 0.05):.2f}",
            "pulses": str(round(500 + 80 * load + chance.normal(0, 8))),
            "grade": "high" if load > 0.5 else "low",
            "spare": "",
        })
    return rows


@pytest.fixture(scope="module")
def trained_pump(bin_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pump")
    write_csv(folder / "train.csv", pump(400, 1))
    write_config(folder / "config.json", {
        "data": {"path": "train.csv", "columns": {"id": "ignore", "time": "ignore", "spare": "numeric"}},
        "model": {"type": "dense", "hidden": [16], "latent": 2},
        "training": {"epochs": 60, "validation_fraction": 0.5, "seed": 3},
    })
    command = [bin_folder / "ae-train", "config.json", "--out", "model", "-q"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def model(trained_pump, tmp_path):
    shutil.copytree(trained_pump, tmp_path, dirs_exist_ok=True)
    return "model"


def digest_of(folder):
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:8]


def scored(outcome, code=0):
    assert outcome.code == code, outcome.stderr
    return rows_of(outcome.stdout)


# --- what passes through ---


def test_scores_name_their_model_and_keep_columns(run, model, tmp_path):
    day = pump(20, 2)
    for row in day:
        row["state"] = 'fine, "so far"'
        row["label"] = "calm"
    write_csv(tmp_path / "day.csv", day)
    outcome = run("ae-score", model, "day.csv", "--keep", "time,id", "--keep", "state", "--label", "grade", "--explain", 1)
    header = outcome.stdout.splitlines()[0]
    assert header == "id,score,p_value,label,time,state,top1_column,top1_share,top1_observed,top1_expected,model"
    rows = scored(outcome)
    assert [(row["id"], row["time"], row["state"], row["label"]) for row in rows] == [
        (row["id"], row["time"], row["state"], row["grade"]) for row in day]
    assert {row["model"] for row in rows} == {digest_of(tmp_path / model)}
    # The columns that pass through are not told to be ignored, others are.
    assert "ignoring 1 column that the model was not trained on: \"label\"" in outcome.stderr
    plain = scored(run("ae-score", model, "day.csv", "-q"))
    assert [row["score"] for row in plain] == [row["score"] for row in rows]
    assert [row["id"] for row in plain] == [str(i) for i in range(20)] and "label" not in plain[0]
    kept = scored(run("ae-score", model, "day.csv", "--keep", "label", "-q"))
    assert [row["label"] for row in kept] == ["calm"] * 20


@pytest.mark.parametrize("arguments, words", [
    (["--keep", "tiem"], ['"tiem"', 'did you mean "time"?']),
    (["--label", "state"], ['"state"', "its columns are"]),
    (["--keep", "score"], ["--keep", '"score"', "rename"]),
    (["--keep", "time,time"], ["--keep", '"time"', "twice"]),
    (["--reasons"], ["--explain"]),
    (["--flagged-only"], ["--flagged-only needs a rule"]),
])
def test_what_cannot_pass_through_is_one_line(run, model, tmp_path, arguments, words):
    day = pump(3, 2)
    for row in day:
        row["score"] = "1"
    write_csv(tmp_path / "day.csv", day)
    one_error(run("ae-score", model, "day.csv", *arguments, "-q"), 2, *words)


def test_a_threshold_of_another_model_is_refused(run, model, tmp_path):
    write_csv(tmp_path / "day.csv", pump(30, 2))
    own = digest_of(tmp_path / model)
    (tmp_path / "own.json").write_text(json.dumps({"chosen": {"threshold": 0.5}, "model": own}))
    (tmp_path / "other.json").write_text(json.dumps({"chosen": {"threshold": 0.5}, "model": "00000000"}))
    (tmp_path / "old.json").write_text(json.dumps({"chosen": {"threshold": 0.5}}))
    expected = scored(run("ae-score", model, "day.csv", "--threshold", 0.5, "-q"))
    assert {row["flag"] for row in expected} == {"0"} or {row["flag"] for row in expected} == {"0", "1"}
    fine = run("ae-score", model, "day.csv", "--roc", "own.json", "-q")
    assert (scored(fine), fine.stderr) == (expected, "")
    one_error(run("ae-score", model, "day.csv", "--roc", "other.json", "-q"), 2, "other.json", "00000000", own, "--force")
    for name, arguments in (("other.json", ["--force"]), ("old.json", [])):
        insisted = run("ae-score", model, "day.csv", "--roc", name, *arguments, "-q")
        assert scored(insisted) == expected
        assert insisted.stderr.count("\n") == 1 and name in insisted.stderr


# --- rows that cannot be read ---

BROKEN = {2: "temperature", 5: "ragged", 6: "blank", 9: "flow"}


def broken_day(path):
    rows = pump(12, 4)
    lines = [",".join(rows[0])]
    for i, row in enumerate(rows):
        what = BROKEN.get(i)
        if what in row:
            row[what] = "warm"
        line = ",".join(row.values())
        lines.append("m5,much" if what == "ragged" else "" if what == "blank" else line)
    path.write_text("\n".join(lines) + "\n")
    return rows


def test_bad_rows_are_reported_skipped_or_stop(run, model, tmp_path):
    rows = broken_day(tmp_path / "day.csv")
    write_csv(tmp_path / "good.csv", [row for i, row in enumerate(rows) if i not in BROKEN])
    good = {row["id"]: row for row in scored(run("ae-score", model, "good.csv", "--keep", "id", "-q"))}

    one_error(run("ae-score", model, "day.csv", "-q"), 4, "day.csv:4:", '"warm"')
    reported = run("ae-score", model, "day.csv", "--keep", "id,time", "--bad-rows", "report", "-o", "scores.csv")
    assert reported.code == 4
    lines = rows_of((tmp_path / "scores.csv").read_text())
    assert [(row["score"], row["p_value"]) for row in lines] == [
        ("", "") if i in BROKEN else (good[rows[i]["id"]]["score"], good[rows[i]["id"]]["p_value"]) for i in range(12)]
    assert [lines[i]["id"] for i in (2, 5, 6, 9)] == ["m2", "", "", "m9"]
    assert "4 could not be read (the first: day.csv:4:21)" in reported.stderr
    assert "4 of 12 rows could not be read" in reported.stderr and "day.csv:7:" in reported.stderr

    skipped = run("ae-score", model, "day.csv", "--bad-rows", "skip")
    found = scored(skipped)
    assert [row["id"] for row in found] == [str(i) for i in range(12) if i not in BROKEN]
    assert [row["score"] for row in found] == [row["score"] for row in good.values()]
    assert "8 rows scored, 4 could not be read (the first: day.csv:4:21)" in skipped.stderr

    waited = run("ae-score", model, "day.csv", "--bad-rows", "report", "--fdr", 1, "--keep", "id", "-q", "-o", "fdr.csv")
    assert waited.code == 4
    flags = [row["flag"] for row in rows_of((tmp_path / "fdr.csv").read_text())]
    assert flags == ["" if i in BROKEN else "1" for i in range(12)]


def test_a_block_of_nothing_but_bad_rows(run, model, tmp_path):
    rows = pump(5000, 5)
    for row in rows[:4500]:
        row["flow"] = "off"
    write_csv(tmp_path / "day.csv", rows)
    found = scored(run("ae-score", model, "day.csv", "--bad-rows", "skip", "-q"))
    assert [row["id"] for row in found] == [str(i) for i in range(4500, 5000)]
    for row in rows:
        row["flow"] = "off"
    write_csv(tmp_path / "day.csv", rows)
    one_error(run("ae-score", model, "day.csv", "--bad-rows", "skip", "-q"), 4, "none of the 5000 rows", "day.csv:2:")
    assert len(scored(run("ae-score", model, "day.csv", "--missing", "off", "-q"))) == 5000


def test_further_missing_texts_are_read_as_empty_cells_are(run, model, tmp_path):
    empty, marked = pump(20, 6), pump(20, 6)
    for i in range(0, 20, 3):
        empty[i]["flow"], marked[i]["flow"] = "", "-999"
        empty[i + 1 if i < 19 else i]["grade"], marked[i + 1 if i < 19 else i]["grade"] = "", "off"
    write_csv(tmp_path / "empty.csv", empty)
    write_csv(tmp_path / "marked.csv", marked)
    expected = run("ae-score", model, "empty.csv", "-q")
    assert run("ae-score", model, "marked.csv", "--missing", "-999", "--missing", "off", "-q") == expected
    assert run("ae-score", model, "marked.csv", "-q").stdout != expected.stdout
    # The option takes one text, wherever it stands: what follows is an input.
    twice = run("ae-score", model, "empty.csv", "marked.csv", "--missing", "-999", "--missing", "off", "-q")
    assert twice.code == 0
    for where in (["empty.csv", "--missing", "-999", "--missing", "off", "marked.csv"],
                  ["--missing", "-999", "--missing", "off", "empty.csv", "marked.csv"]):
        assert run("ae-score", model, *where, "-q") == twice
    kept = run("ae-score", model, "--keep", "time", "empty.csv", "empty.csv", "-q")
    assert kept.code == 0 and len(kept.stdout.splitlines()) == 41


def test_no_rows_are_fine_when_that_is_said(run, model, tmp_path):
    header = ",".join(pump(1, 1)[0]) + "\n"
    one_error(run("ae-score", model, "-", "-q", stdin=header), 4, "no rows")
    empty = run("ae-score", model, "-", "--allow-empty", "--alpha", 0.1, "--summary", "day.json", "-q", stdin=header)
    assert (empty.code, empty.stdout) == (0, "id,score,p_value,flag,model\n")
    assert json.loads((tmp_path / "day.json").read_text())["scored"] == 0
    assert run("ae-impute", model, "-", "--allow-empty", "-q", stdin=header).stdout == header
    purified = run("ae-purify", model, "-", "--allow-empty", "-q", stdin=header)
    assert purified.stdout == header.strip() + ",loss_before,loss_after\n"


# --- which lines, and how ---


def test_the_strangest_lines_and_flagged_ones(run, model, tmp_path):
    write_csv(tmp_path / "day.csv", pump(300, 7))
    everything = scored(run("ae-score", model, "day.csv", "--alpha", 0.1, "-q"))
    by_score = sorted(everything, key=lambda row: -float(row["score"]))
    assert scored(run("ae-score", model, "day.csv", "--alpha", 0.1, "--top", 7, "-q")) == by_score[:7]
    flagged = [row for row in everything if row["flag"] == "1"]
    assert 0 < len(flagged) < 300
    only = run("ae-score", model, "day.csv", "--alpha", 0.1, "--flagged-only")
    assert scored(only) == flagged and f"300 rows scored, {len(flagged)} flagged" in only.stderr
    discoveries = scored(run("ae-score", model, "day.csv", "--fdr", 0.9, "--flagged-only", "--top", 3, "-q"))
    assert all(row["flag"] == "1" for row in discoveries)


def test_json_lines_hold_what_the_table_holds(run, model, tmp_path):
    write_csv(tmp_path / "day.csv", pump(50, 8))
    arguments = ["day.csv", "--alpha", 0.1, "--keep", "time", "--explain", 2, "--reasons", "-q"]
    table = scored(run("ae-score", model, *arguments))
    objects = [json.loads(line) for line in run("ae-score", model, *arguments, "--format", "jsonl").stdout.splitlines()]
    assert [list(one) for one in objects] == [list(table[0])] * 50
    for row, one in zip(table, objects):
        for name, cell in row.items():
            number = name in ("score", "p_value", "flag") or name.endswith("_share")
            assert one[name] == (float(cell) if number else cell), name


def test_reasons_tell_per_cent_and_what_is_usual(run, model, tmp_path):
    day = pump(3, 9)
    day[1]["flow"] = "9.99"
    write_csv(tmp_path / "day.csv", day)
    row = scored(run("ae-score", model, "day.csv", "--explain", 4, "--reasons", "-q"))[1]
    told = re.findall(r"(\w+) (\S+) where (\S+) was expected(?: \(usually (\S+) to (\S+)\))?: ([\d.]+) %", row["reasons"])
    shares = {row[f"top{k}_column"]: float(row[f"top{k}_share"]) for k in range(1, 5)}
    positive = sum(share for share in shares.values() if share > 0)
    assert told[0][:2] == ("flow", "9.99")
    for name, _, expected, low, high, percent in told:
        assert float(percent) == pytest.approx(100 * shares[name] / positive, abs=0.5)
        if name in NUMBERS:
            assert float(low) < float(high)
    name, _, expected, low, high, _ = told[0]
    assert re.fullmatch(r"\d\.\d\d", expected) and float(low) <= float(expected) <= float(high)
    assert float(high) - float(low) < 1  # the spread of what is left of 0.4 when the others are known


# --- the summary ---


def test_the_summary_says_what_happened(run, model, tmp_path):
    day = pump(200, 10)
    day[3]["flow"] = "?!"
    write_csv(tmp_path / "day.csv", day)
    outcome = run("ae-score", model, "day.csv", "--alpha", 0.05, "--bad-rows", "skip", "--summary", "day.json", "-q")
    rows = scored(outcome)
    summary = json.loads((tmp_path / "day.json").read_text())
    assert (summary["scored"], summary["flagged"]) == (199, sum(row["flag"] == "1" for row in rows))
    assert summary["bad"]["count"] == 1 and summary["bad"]["first"].startswith("day.csv:5:")
    assert summary["rule"] == {"option": "--alpha", "value": 0.05}
    assert all((float(row["score"]) >= summary["threshold"]) == (row["flag"] == "1") for row in rows)
    assert summary["model"] == digest_of(tmp_path / model) and summary["inputs"] == ["day.csv"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", summary["start"]) and summary["start"] <= summary["end"]
    assert not summary["drift"]["drifted"]
    assert sum(column["drifted"] for column in summary["drift"]["columns"]) == 0
    one_error(run("ae-score", model, "day.csv", "--summary", "day.json", "-q"), 2, "day.json exists", "--force")
    plain = run("ae-score", model, "day.csv", "--bad-rows", "skip", "--summary", "plain.json", "-q")
    assert plain.code == 0
    plain = json.loads((tmp_path / "plain.json").read_text())
    assert (plain["flagged"], plain["rule"], plain["threshold"]) == (None, None, None)


def test_drift_by_column_is_that_of_scipy(run, model, tmp_path):
    """The model keeps 21 of the training values and how many lie below: at these, the distance is exact."""
    day = pump(300, 11, warmer=4.0)
    for row in day[:100]:
        row["flow"] = ""
    for row in day:
        row["grade"] = "low"
    write_csv(tmp_path / "day.csv", day)
    outcome = run("ae-score", model, "day.csv", "--alpha", 0.01, "--summary", "day.json", "--fail-on-drift", "-o", "s.csv")
    summary = json.loads((tmp_path / "day.json").read_text())
    columns = {column["column"]: column for column in summary["drift"]["columns"]}
    assert set(columns) == {*NUMBERS, "grade", "spare"}
    assert outcome.code == (3 if summary["drift"]["drifted"] else 0)
    p_values = [column["p_value"] for column in summary["drift"]["columns"]]
    assert p_values == sorted(p_values)

    profile = json.loads(read_safetensors(tmp_path / model / "model.safetensors")[0]["profile"])
    names = [*NUMBERS, "grade", "spare"]
    known = dict(zip(names, profile))
    assert known["temperature"]["rows"] == 200  # half of them were held out
    scaler = {c["name"]: c["scaler"] for c in json.loads(
        read_safetensors(tmp_path / model / "model.safetensors")[0]["schema"])["columns"] if "scaler" in c}
    for name in NUMBERS:
        values = numpy.array([float(row[name]) for row in day if row[name] != ""])
        scaled = ((values - scaler[name]["center"]) / scaler[name]["spread"]).astype(numpy.float32).astype(float)
        distance = max(
            max(abs(numpy.mean(scaled < knot) - below / known[name]["observed"]),
                abs(numpy.mean(scaled <= knot) - at_most / known[name]["observed"]))
            for knot, below, at_most in zip(known[name]["knots"], known[name]["below"], known[name]["at_most"]))
        assert columns[name]["distance"] == pytest.approx(distance, abs=1e-9)
        assert columns[name]["drifted"] == (name in ("temperature", "flow"))
    # flow: of 300 rows 100 are missing, of 200 in training none: the exact test tells.
    missing = scipy.stats.hypergeom.sf(99, 500, 100, 300)
    assert columns["flow"]["p_value"] == pytest.approx(4 * missing, rel=1e-6)
    assert (columns["flow"]["missing"], columns["flow"]["observed"]) == (100, 200)
    assert columns["grade"]["p_value"] == pytest.approx(
        2 * scipy.stats.chi2_contingency([known["grade"]["levels"], [0, 300]], correction=False).pvalue, rel=1e-6)


@pytest.mark.parametrize("rule", [["--threshold", 1], ["--alpha", 0.01], ["--fdr", 0.1]])
def test_drift_warns_under_every_rule(run, model, tmp_path, rule):
    write_csv(tmp_path / "day.csv", pump(200, 12, warmer=9.0))
    assert "train again" in run("ae-score", model, "day.csv", *rule, "-q").stderr
    assert run("ae-score", model, "day.csv", "-q").stderr == ""


# --- the page ---


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)[1])


def hostile_day(path):
    day = pump(120, 13)
    day[7]["flow"], day[7]["id"], day[7]["time"] = "9.99", '<img src=x onerror="alert(1)">', "</script><b>now</b>"
    write_csv(path, day)
    return day


def test_the_page_shows_the_strangest_rows(run, model, tmp_path):
    day = hostile_day(tmp_path / "day.csv")
    arguments = ["--keep", "id,time", "--label", "grade", "--alpha", 0.02, "-q"]
    rows = scored(run("ae-score", model, "day.csv", *arguments, "--page", "day.html"))
    text = (tmp_path / "day.html").read_text()
    assert "onerror" not in re.sub(r"(?s)<script type=.application/json.*?</script>", "", text) and "<b>now" not in text
    assert "https:" not in text
    data = data_of(tmp_path / "day.html")
    strangest = sorted(rows, key=lambda row: -float(row["score"]))
    assert [row["id"] for row in data["rows"]] == [row["id"] for row in strangest[:100]]
    assert data["rows"][0]["id"] == day[7]["id"] and data["rows"][0]["kept"] == [day[7]["time"]]
    assert [row["flagged"] for row in data["rows"]] == [row["flag"] == "1" for row in strangest[:100]]
    reason = data["rows"][0]["reasons"][0]
    assert (reason["column"], reason["observed"]) == ("flow", "9.99") and reason["percent"] > 50
    assert reason["at"] == 1 and 0 < reason["normal"][0] < reason["normal"][1] < 1 and 0 < reason["expected_at"] < 1
    assert sum(rows for _, _, rows, _ in data["bins"]) == 120
    assert sum(usual for _, _, _, usual in data["bins"]) == pytest.approx(120)
    assert (data["scored"], data["flagged"]) == (120, sum(row["flag"] == "1" for row in rows))
    assert len(scored(run("ae-score", model, "day.csv", "--top", 3, "--gallery", "few.html", "-q"))) == 3
    assert len(data_of(tmp_path / "few.html")["rows"]) == 3


@pytest.mark.skipif(chromium() is None, reason="needs Chromium")
def test_the_page_works_in_a_browser(run, model, tmp_path):
    hostile_day(tmp_path / "day.csv")
    run("ae-score", model, "day.csv", "--keep", "id,time", "--alpha", 0.02, "--page", "day.html", "-o", "s.csv", "-q")
    with Browser() as browser:
        for width, dark in ((1200, False), (420, True)):
            page = browser.open((tmp_path / "day.html").as_uri(), width=width, height=900, dark=dark)
            assert page.evaluate("document.querySelectorAll('#rows article').length") == 25
            assert page.evaluate("document.querySelector('#rows .name').textContent").startswith("<img src=x")
            assert page.evaluate("document.querySelectorAll('#columns tr').length") == 5
            assert page.evaluate("document.querySelectorAll('#histogram svg path.cut').length") == 1
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            page.evaluate("document.getElementById('only').click()")
            flagged = page.evaluate("document.querySelectorAll('#rows article').length")
            assert flagged == page.evaluate("document.querySelectorAll('#rows article.flagged-row').length") > 0
            assert page.problems == []
            if folder := os.environ.get("AETOOLS_SCREENSHOTS"):
                page.screenshot(os.path.join(folder, f"table-{width}.png"))


# --- what is filled in ---


def test_filled_cells_have_the_digits_of_their_column(run, model, tmp_path):
    day = pump(30, 14)
    for i, name in enumerate(("temperature", "flow", "pulses") * 10):
        day[i][name] = ""
    write_csv(tmp_path / "day.csv", day)
    outcome = run("ae-impute", model, "day.csv", "--mark", "filled.csv")
    filled = scored(outcome)
    marked = {(int(row["id"]), row["column"]): row["value"] for row in rows_of((tmp_path / "filled.csv").read_text())}
    assert len(marked) == 30 and "30 missing cells filled in 30 rows" in outcome.stderr
    # No training row had a value in "spare": it stays empty, and that is said.
    assert {row["spare"] for row in filled} == {""}
    assert 'column "spare" had no value in any training row, so its 30 missing cells stay missing' in outcome.stderr
    shapes = {"temperature": r"\d+\.\d", "flow": r"\d+\.\d\d", "pulses": r"\d+\.\d+"}
    for i, name in enumerate(("temperature", "flow", "pulses") * 10):
        assert filled[i][name] == marked[i, name] and re.fullmatch(shapes[name], marked[i, name]), marked[i, name]
    whole = scored(run("ae-impute", model, "day.csv", "--integers", "-q"))
    for i in range(2, 30, 3):
        assert whole[i]["pulses"] == str(round(float(filled[i]["pulses"])))
        assert {k: v for k, v in whole[i].items() if k != "pulses"} == {k: v for k, v in filled[i].items() if k != "pulses"}


@pytest.mark.parametrize("program", ["ae-impute", "ae-purify"])
def test_programs_that_write_tables_survive_bad_rows(run, model, tmp_path, program):
    rows = broken_day(tmp_path / "day.csv")
    write_csv(tmp_path / "good.csv", [row for i, row in enumerate(rows) if i not in BROKEN])
    good = run(program, model, "good.csv", "-q").stdout.splitlines()
    one_error(run(program, model, "day.csv", "-q"), 4, "day.csv:4:21")
    skipped = run(program, model, "day.csv", "--bad-rows", "skip")
    assert (skipped.code, skipped.stdout.splitlines()) == (0, good)
    assert "4 could not be read (the first: day.csv:4:21)" in skipped.stderr
    reported = run(program, model, "day.csv", "--bad-rows", "report", "-o", "out.csv", "-q")
    assert reported.code == 4 and "4 of 12 rows" in reported.stderr
    lines = (tmp_path / "out.csv").read_text().splitlines()
    untouched = [",".join(rows[i].values()) + ("" if program == "ae-impute" else ",,") for i in (2, 9)]
    assert [line for line in lines if "warm" in line] == untouched
    assert [line for line in lines if "warm" not in line] == good
    if program == "ae-impute":
        judged = run(program, model, "day.csv", "--bad-rows", "report", "--evaluate", "masked", "-o", "judged.csv", "-q")
        assert judged.code == 4 and "4 of 12 rows" in judged.stderr


@pytest.mark.parametrize("program", ["ae-score", "ae-impute", "ae-purify", "ae-embed"])
def test_of_many_bad_rows_ten_are_named(run, model, tmp_path, program):
    rows = pump(40, 5)
    for row in rows[3:33]:
        row["temperature"] = "warm"
    write_csv(tmp_path / "day.csv", rows)
    told = run(program, model, "day.csv", "--bad-rows", "report", "-o", "out.csv")
    assert told.code == 4
    assert [f"day.csv:{i}:" in told.stderr for i in range(5, 36)] == [True] * 10 + [False] * 21
    assert told.stderr.count("more rows cannot be read; they are counted at the end") == 1


# --- every morning ---


def test_the_morning_script_alarms_only_with_a_reason(model, tmp_path, bin_folder):
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}

    def morning(name, rows, *further):
        write_csv(tmp_path / name, rows)
        (tmp_path / "alarm.txt").unlink(missing_ok=True)
        command = [SOURCE / "scripts" / "every-morning.sh", "--model", model, "--in", name, "--out", "days", "--alpha",
                   "0.0001", "--alarm", "cat > alarm.txt", *further]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        alarm = tmp_path / "alarm.txt"
        assert done.stdout == done.stderr == ""
        return done.returncode, alarm.read_text() if alarm.exists() else ""

    old, kept = tmp_path / "days" / "old.scores.csv", tmp_path / "days" / "old.txt"
    old.parent.mkdir()
    for path in (old, kept):
        path.write_text("x")
        os.utime(path, (0, 0))
    assert morning("calm.csv", [row for row in pump(40, 15) if abs(float(row["temperature"]) - 60) < 5]) == (0, "")
    assert not old.exists() and kept.exists()
    for name in ("scores.csv", "page.html", "summary.json", "log"):
        assert (tmp_path / "days" / f"calm.{name}").exists()

    strange = pump(20, 16)
    strange[4]["flow"] = "9.99"
    code, alarm = morning("strange.csv", strange, "--", "--keep", "time")
    assert code == 3 and "strange: rows are flagged" in alarm and "days/strange.page.html" in alarm
    assert rows_of((tmp_path / "days" / "strange.scores.csv").read_text())[4]["reasons"].startswith("flow 9.99")

    # An alarm that cannot be given is told, and what the day was stays.
    command = [SOURCE / "scripts" / "every-morning.sh", "--model", model, "--in", "strange.csv", "--out", "days",
               "--alpha", "0.0001", "--alarm", "no-such-mailer"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 3 and "alarm command failed" in done.stderr and "strange: rows are flagged" in done.stderr

    code, alarm = morning("warm.csv", pump(200, 17, warmer=9.0))
    assert "drifted" in alarm
    torn = pump(5, 18)
    torn[1]["flow"] = "x"
    code, alarm = morning("torn.csv", torn)
    assert code == 4 and "torn.csv:3:" in alarm
    (tmp_path / "days" / "gone.summary.json").write_text('{"drift": {\n"drifted": true')
    Path(tmp_path / "gone.csv").unlink(missing_ok=True)
    command = [SOURCE / "scripts" / "every-morning.sh", "--model", model, "--in", "gone.csv", "--out", "days"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 4 and "gone" in done.stderr and "drifted" not in done.stderr

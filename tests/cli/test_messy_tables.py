"""Tables as people have them: what is read, what is said, and what is refused; the truth is the same table, plain."""

import json
import random

import pytest
from support import needs_torch, one_error, read_safetensors, rows_of, write_config, write_csv

pytestmark = needs_torch

CONFIG = {
    "model": {"type": "dense", "hidden": [16], "latent": 2, "activation": "tanh"},
    "training": {"epochs": 20, "batch_size": 32, "learning_rate": 0.01},
}
COLUMNS = ["x", "y", "z"]


def plain_rows(count, seed=1, anomalies=0):
    """x decides y and z, but for the last rows, which are the anomalies."""
    chance = random.Random(seed)
    rows = []
    for i in range(count):
        x = chance.uniform(-1, 1)
        of = x if i < count - anomalies else chance.uniform(-1, 1)
        rows.append({"x": f"{x:.5f}", "y": f"{2 * of + chance.gauss(0, 0.1):.5f}", "z": f"{1000 - 3000 * of:.3f}"})
    return rows


def train(run, folder, name, data=None, **config):
    config = {**CONFIG, "data": {"path": name, **(data or {})}, **config}
    write_config(folder / f"{name}.json", config)
    return run("ae-train", f"{name}.json", "--out", f"of {name}", "--force")


def fine(outcome):
    assert outcome.code == 0, outcome
    return outcome


def scores(run, model, table, *options):
    """Ids, scores and p-values, without the model's name."""
    rows = rows_of(fine(run("ae-score", model, table, *options)).stdout)
    return [{column: row[column] for column in ("id", "score", "p_value")} for row in rows]


def auroc(normal, anomalous):
    """By its definition: how often an anomaly has the larger score."""
    wins = sum((a > n) + (a == n) / 2 for a in anomalous for n in normal)
    return wins / (len(normal) * len(anomalous))


def table_of(rows, delimiter=",", header=True, cell=str):
    lines = [delimiter.join(rows[0])] if header else []
    return "\n".join(lines + [delimiter.join(cell(value) for value in row.values()) for row in rows]) + "\n"


def schema_of(folder, name):
    return json.loads(read_safetensors(folder / f"of {name}" / "model.safetensors")[0]["schema"])


def test_missing_tokens_among_numbers_are_missing(run, tmp_path):
    chance = random.Random(5)
    normal, mixed = plain_rows(250), plain_rows(120, seed=2, anomalies=60)
    holes = {id(row): [c for c in COLUMNS if chance.random() < 0.15] for row in normal + mixed}
    found = {}
    for token in ("", "None", "#DIV/0!"):
        name = f"{len(found)}.csv"
        for rows, file in ((normal, name), (mixed, f"new {name}")):
            write_csv(tmp_path / file, [{**row, **{c: token for c in holes[id(row)]}} for row in rows])
        trained = fine(train(run, tmp_path, name))
        assert "categorical" not in trained.stderr.replace("0 categorical", "")
        assert (f'taken for missing among numbers: "{token}" in "x" (' in trained.stderr) == (token == "None")
        found[token] = scores(run, f"of {name}", f"new {name}", "-q")
    assert found["None"] == found["#DIV/0!"] == found[""]
    values = [float(row["score"]) for row in found["None"]]
    assert auroc(values[:60], values[60:]) > 0.8


def test_a_decimal_comma_gives_the_same_scores(run, tmp_path):
    rows = plain_rows(250)
    (tmp_path / "plain.csv").write_text(table_of(rows))
    (tmp_path / "comma.csv").write_text(table_of(rows, ";", cell=lambda text: text.replace(".", ",")))
    (tmp_path / "quoted.csv").write_text(table_of(rows, cell=lambda text: '"' + text.replace(".", ",") + '"'))
    fine(train(run, tmp_path, "plain.csv"))
    expected = scores(run, "of plain.csv", "plain.csv")
    for name in ("comma.csv", "quoted.csv"):
        trained = fine(train(run, tmp_path, name))
        assert f"{name}: numbers have a decimal comma\n" in trained.stderr
        assert scores(run, f"of {name}", name) == expected
    assert scores(run, "of quoted.csv", "comma.csv") == expected
    one_error(run("ae-score", "of plain.csv", "comma.csv"), 4, "comma.csv:2:1", "looks like a decimal comma",
              "trained on numbers with a decimal point")
    one_error(run("ae-score", "of comma.csv", "plain.csv"), 4, "plain.csv:2:1", "looks like a decimal point")

    lines = (tmp_path / "comma.csv").read_text().splitlines()
    cells = lines[7].split(";")
    (tmp_path / "hole.csv").write_text("\n".join([lines[0], lines[1], ";".join([cells[0], "", cells[2]])]) + "\n")
    filled = fine(run("ae-impute", "of comma.csv", "hole.csv", "-q")).stdout.splitlines()
    assert filled[:2] == lines[:2]
    first, value, last = filled[2].split(";")
    assert (first, last) == (cells[0], cells[2]) and "," in value and "." not in value
    purified = fine(run("ae-purify", "of comma.csv", "comma.csv", "-o", "pure.csv", "-q"))
    assert purified.stdout == "" and "." not in (tmp_path / "pure.csv").read_text()


def test_thousands_marks_are_read_and_ambiguous_ones_refused(run, tmp_path):
    rows = [dict(row, z=str(round(float(row["z"])))) for row in plain_rows(250)]
    (tmp_path / "plain.csv").write_text(table_of(rows))
    fine(train(run, tmp_path, "plain.csv"))
    expected = scores(run, "of plain.csv", "plain.csv")
    grouped = [dict(row, z=f'{int(row["z"]):,}') for row in rows]
    (tmp_path / "english.csv").write_text(table_of(grouped, ";"))
    german = [{c: text.replace(",", "_").replace(".", ",").replace("_", ".") for c, text in row.items()} for row in grouped]
    (tmp_path / "german.csv").write_text(table_of(german, ";"))
    assert 'decimal point and the thousands mark ","' in fine(train(run, tmp_path, "english.csv")).stderr
    assert scores(run, "of english.csv", "english.csv") == expected
    one_error(train(run, tmp_path, "german.csv"), 4, 'column "z"', "/data/thousands")
    fine(train(run, tmp_path, "german.csv", {"thousands": "."}))
    assert scores(run, "of german.csv", "german.csv") == expected
    (tmp_path / "unclear.csv").write_text(table_of([{"x": row["z"], "y": str(i % 7)} for i, row in enumerate(grouped)], ";"))
    one_error(train(run, tmp_path, "unclear.csv"), 4, "could have a decimal comma or a thousands mark", "/data/decimal")
    fine(train(run, tmp_path, "unclear.csv", {"decimal": "."}))


def test_a_point_among_semicolons_that_nothing_explains_is_refused(run, tmp_path):
    chance = random.Random(4)
    rows = [{"n": str(chance.randrange(10, 90)), "amount": f"{chance.uniform(1, 900):.3f}"} for _ in range(120)]
    rows[:] = [row for row in rows if not row["amount"].startswith("0")]
    (tmp_path / "g.csv").write_text(table_of(rows, ";"))
    one_error(train(run, tmp_path, "g.csv"), 4, 'column "amount"', "/data/decimal", "/data/thousands")
    thousands = fine(train(run, tmp_path, "g.csv", {"thousands": "."}))
    assert 'the thousands mark "."' in thousands.stderr
    fine(train(run, tmp_path, "g.csv", {"decimal": "."}))
    whole = [dict(row, amount=row["amount"].replace(".", "")) for row in rows]
    (tmp_path / "whole.csv").write_text(table_of(whole, ";"))
    fine(train(run, tmp_path, "whole.csv", {"columns": {"*": "numeric"}}))
    one_error(run("ae-score", "of whole.csv", "g.csv"), 4, "g.csv:2:4", "a thousands mark or a decimal point")


def test_the_advice_about_a_missing_text_can_be_followed(run, tmp_path):
    rows = plain_rows(200)
    for row in rows[3:9]:
        row["y"] = "TBD"
    write_csv(tmp_path / "t.csv", rows)
    one_error(train(run, tmp_path, "t.csv"), 4, "--set '/data/also_missing=[\"TBD\"]'")
    fine(run("ae-train", "t.csv.json", "--out", "of t.csv", "--force", "--set", '/data/also_missing=["TBD"]'))
    assert "TBD" in schema_of(tmp_path, "t.csv")["missing"] and "" in schema_of(tmp_path, "t.csv")["missing"]


@pytest.mark.parametrize(
    "cell, looks",
    [("{}%", "a percentage"), ("$ {}", "an amount of money"), ("{} kg", "a number with a unit"), ("<{}", "a bound"),
     ("\u2212{}", "a number with a typographic minus"), ("'{}", "a number within quotes"),
     ("{} \u00b1 0.1", "a number with its uncertainty"), ("{}x10^3", "a number times a power of ten")],
)
def test_decorated_numbers_are_refused(run, tmp_path, cell, looks):
    write_csv(tmp_path / "t.csv", [dict(row, y=cell.format(row["x"].lstrip("-"))) for row in plain_rows(80)])
    one_error(train(run, tmp_path, "t.csv"), 4, "t.csv:2:", 'column "y"', "in 100 % of the cells looks like " + looks)
    assert not (tmp_path / "of t.csv").exists()


def test_what_names_or_counts_rows_is_set_aside(run, tmp_path):
    chance = random.Random(3)
    ids = chance.sample(range(10**6), 400)

    def dressed(rows, begin):
        return [
            {"": begin + i, "machine": ids[begin + i], "time": 1700000000 + (begin + i) // 3 * 60,
             "day": f"2024-01-{1 + (begin + i) // 20 % 30:02} 10:00", "note": f"seen by {ids[begin + i]}", **row}
            for i, row in enumerate(rows)
        ]

    write_csv(tmp_path / "plain.csv", plain_rows(250))
    write_csv(tmp_path / "new plain.csv", plain_rows(100, seed=9))
    write_csv(tmp_path / "dressed.csv", dressed(plain_rows(250), 0))
    write_csv(tmp_path / "new.csv", dressed(plain_rows(100, seed=9), 250))
    fine(train(run, tmp_path, "plain.csv"))
    trained = fine(train(run, tmp_path, "dressed.csv"))
    warnings = [line for line in trained.stderr.splitlines() if "warning" in line]
    assert len(warnings) == 1, warnings
    for name in ("index", "machine", "time", "day", "note"):
        assert f'"{name}" (' in warnings[0]
    assert '/data/columns/index = "numeric"' in warnings[0]
    scored = fine(run("ae-score", "of dressed.csv", "new.csv"))
    assert "warning" not in scored.stderr
    assert scores(run, "of dressed.csv", "new.csv") == scores(run, "of plain.csv", "new plain.csv")

    refused = train(run, tmp_path, "dressed.csv", {"unsuitable": "refuse"})
    assert refused.code == 4
    assert sum(": error: " in line or "dressed.csv: column" in line for line in refused.stderr.splitlines()) >= 5
    cached = fine(train(run, tmp_path, "dressed.csv", {"cache": "cache", "columns": {"machine": "numeric"}}))
    assert cached.stderr.count("set aside") == 1 and '"time" (' in cached.stderr
    roles = {column["name"]: column["role"] for column in schema_of(tmp_path, "dressed.csv")["columns"]}
    assert roles["machine"] == "numeric" and roles["time"] == roles["index"] == "ignore"


def test_numbers_with_a_zero_in_front_are_told(run, tmp_path):
    lines = ["x,zip,time"] + [f"{x},{['01067', '10115', '80331'][i % 3]},{'0.5' if i % 2 else '0'}"
                              for i, x in enumerate(random.Random(3).gauss(0, 1) for _ in range(90))]  # fmt: skip
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    told = fine(train(run, tmp_path, "t.csv")).stderr
    assert 'a 0 in front is how codes are written: "zip" ("01067" in 33 % of the cells)' in told
    assert '"time"' not in told
    assert "in front" not in fine(train(run, tmp_path, "t.csv", {"columns": {"zip": "categorical"}})).stderr


def test_arrays_lose_their_counters_too(run, tmp_path):
    numpy = pytest.importorskip("numpy")
    table = numpy.array([[float(row[c]) for c in COLUMNS] for row in plain_rows(250)])
    numpy.save(tmp_path / "plain.npy", table)
    numpy.save(tmp_path / "t.npy", numpy.hstack([table, numpy.arange(250.0)[:, None]]))
    fine(train(run, tmp_path, "plain.npy"))
    assert 'set aside, not learned from: "f3" (' in fine(train(run, tmp_path, "t.npy")).stderr
    assert scores(run, "of t.npy", "t.npy") == scores(run, "of plain.npy", "plain.npy")


def test_ordinary_tables_keep_all_their_columns(run, tmp_path):
    datasets = pytest.importorskip("sklearn.datasets")
    for name in ("iris", "breast_cancer"):
        data = getattr(datasets, f"load_{name}")()
        names = [column.replace(",", " ") for column in data.feature_names]
        rows = [dict(zip(names, map(repr, map(float, row))), target=target) for row, target in zip(data.data, data.target)]
        write_csv(tmp_path / f"{name}.csv", rows)
        trained = fine(train(run, tmp_path, f"{name}.csv", {"label": "target"}, training={"epochs": 1}))
        assert "set aside" not in trained.stderr, trained.stderr
        roles = [column["role"] for column in schema_of(tmp_path, f"{name}.csv")["columns"]]
        assert roles == ["numeric"] * len(names) + ["label"]


def test_a_copy_of_the_label_is_told(run, tmp_path):
    rows = [dict(row, verdict="ok" if i < 200 else "bad", code=int(i >= 200)) for i, row in enumerate(plain_rows(250))]
    write_csv(tmp_path / "t.csv", rows)
    for normal in ({}, {"normal": "ok"}):
        trained = fine(train(run, tmp_path, "t.csv", {"label": "verdict", **normal}))
        told = [line for line in trained.stderr.splitlines() if "gives the label away" in line]
        assert len(told) == 1 and '"code" (each of its values goes with one label)' in told[0], trained.stderr
        assert '"x"' not in told[0]


def test_a_label_that_the_table_lacks_is_told_with_its_origin_and_the_fix(run, tmp_path):
    write_csv(tmp_path / "t.csv", plain_rows(60))
    write_config(tmp_path / "mine.json", {"extends": "recipe:tabular-anomaly", "data": {"path": "t.csv"}})
    write_config(tmp_path / "own.json", {"extends": "recipe:tabular-anomaly", "data": {"path": "t.csv", "label": "y2"}})
    told = ('no column "', "--set /data/label=NAME", "--set /data/label= --set '/data/normal=[]'")
    for command, origin in ((["--recipe", "tabular", "--data", "t.csv"], "error: recipe:tabular: /data/label: "),
                            (["mine.json"], "error: mine.json, by recipe:tabular-anomaly: /data/label: "),
                            (["own.json"], "error: own.json: /data/label: "),
                            (["t.csv", "--set", "/data/label=w"], "error: --set /data/label: ")):
        one_error(run("ae-train", *command, "--out", "m", "-q"), 2, origin, *told)
    fine(run("ae-train", "mine.json", "--out", "m", "--set", "/data/label=", "--set", "/data/normal=[]"))


def test_what_is_taken_for_missing_and_what_may_be_is_told_when_scoring_too(run, tmp_path):
    rows = plain_rows(250)
    write_csv(tmp_path / "t.csv", rows)
    assert "taken for missing" not in fine(train(run, tmp_path, "t.csv")).stderr
    for i in (3, 50, 51):
        rows[i]["y"], rows[i]["z"] = "None", "-99999"
    write_csv(tmp_path / "new.csv", rows)
    told = [line for line in fine(run("ae-score", "of t.csv", "new.csv")).stderr.splitlines() if "new.csv: " in line]
    assert any(line.endswith('new.csv: taken for missing among numbers: "None" in "y" (3 rows)') for line in told)
    assert any('far from all other numbers: "-99999" in "z" (3 rows); ' in line and "--missing" in line for line in told)
    again = fine(run("ae-score", "of t.csv", "new.csv", "--missing", "-99999")).stderr
    assert "far from" not in again
    trained = fine(train(run, tmp_path, "new.csv"))
    assert 'far from all other numbers: "-99999" in 1 % of the cells of "z"' in trained.stderr
    assert "--set '/data/also_missing=[\"-99999\"]'" in trained.stderr


def test_how_many_cells_were_filled_and_replaced_is_told(run, tmp_path):
    rows = plain_rows(250)
    write_csv(tmp_path / "t.csv", rows)
    fine(train(run, tmp_path, "t.csv"))
    write_csv(tmp_path / "one.csv", [dict(rows[0], y="")])
    assert "1 missing cell filled in 1 row\n" in fine(run("ae-impute", "of t.csv", "one.csv")).stderr
    every = fine(run("ae-impute", "of t.csv", "one.csv", "--all-cells"))
    assert "1 missing cell filled and 2 observed cells replaced in 1 row\n" in every.stderr
    assert "1 row scored" in fine(run("ae-score", "of t.csv", "one.csv")).stderr
    (tmp_path / "ragged.csv").write_text("x,y,z\n0.1,,1\n0.1,2\n")
    some = run("ae-impute", "of t.csv", "ragged.csv", "--bad-rows", "report")
    assert some.code == 4 and some.stdout.count("\n") == 2
    assert "1 missing cell filled in 1 row, 1 could not be read (the first: ragged.csv:3" in some.stderr


def test_strange_lines_around_the_table(run, tmp_path):
    rows = plain_rows(250)
    numbered = [dict(zip(("0", "1", "2"), row.values())) for row in rows]
    plain = table_of(rows)
    (tmp_path / "plain.csv").write_text(plain)
    fine(train(run, tmp_path, "plain.csv"))
    expected = scores(run, "of plain.csv", "plain.csv")
    dresses = {
        "excel.csv": "sep=;\r\n" + table_of(rows, ";"),
        "comments.csv": "# from the pump, in May\n# by hand\n" + plain,
        "filled_up.csv": plain + ",,\n" * 40,
        "columns.csv": table_of(numbered),
        "frame.csv": table_of([{"": i, **row} for i, row in enumerate(numbered)]),
    }
    said = {"comments.csv": "skipped 2 comments", "filled_up.csv": "left out 40 rows", "columns.csv": "took the first line"}
    for name, text in dresses.items():
        (tmp_path / name).write_bytes(text.encode())
        trained = fine(train(run, tmp_path, name))
        assert said.get(name, "") in trained.stderr
        assert scores(run, f"of {name}", name) == expected, name
        if "0" not in text.splitlines()[0]:
            assert scores(run, "of plain.csv", name) == expected, name
            copied = fine(run("ae-impute", "of plain.csv", name, "-q")).stdout
            assert copied == text.replace(",,\n", ""), name

    # Amid the table such rows keep their number, and every line its score.
    lines = plain.splitlines()
    (tmp_path / "amid.csv").write_text("\n".join(lines[:101] + [",,"] + lines[101:]) + "\n")
    trained = fine(train(run, tmp_path, "amid.csv"))
    assert "left out 1 row without any cell" in trained.stderr
    scored = scores(run, "of amid.csv", "amid.csv")
    assert [row["id"] for row in scored] == [str(i) for i in range(251)]
    assert [row["score"] for row in scored if row["id"] != "100"] == [row["score"] for row in expected]

    for text, place in (("Pump report\n" + plain, "t.csv:1: "), ("Pump report,,\n" + plain, "t.csv:1: "),
                        ("May,report\n" + plain, "t.csv:2: "), ("May, report\n" + plain.replace(",", ";"), "t.csv:2: ")):
        (tmp_path / "t.csv").write_text(text)
        one_error(train(run, tmp_path, "t.csv"), 4, place, "titles above the table")
    for text in (plain.replace(",", " "), plain.replace(",", "   ")):
        (tmp_path / "t.csv").write_text(text)
        one_error(train(run, tmp_path, "t.csv"), 4, "t.csv:1: ", "cells between blanks")
    (tmp_path / "years.csv").write_text(plain.replace("x,y,z", "2015,2016,2017"))
    one_error(train(run, tmp_path, "years.csv"), 4, "years.csv:1: ", "/data/header")
    fine(train(run, tmp_path, "years.csv", {"header": "yes"}))
    assert scores(run, "of years.csv", "years.csv") == expected


@pytest.mark.parametrize("delimiter, units", [(";", ["[degC]", "[bar]", "[l/min]"]), (",", ["degC", "bar", "1/min"])])
def test_a_row_of_units_is_told_in_one_line(run, tmp_path, delimiter, units):
    rows = plain_rows(250)
    (tmp_path / "plain.csv").write_text(table_of(rows))
    fine(train(run, tmp_path, "plain.csv"))
    found = ", ".join(f'"{unit}" in "{name}"' for unit, name in zip(units, COLUMNS))
    told = f"t.csv:2: looks like a row of units: {found}, where numbers belong; remove the line, "
    for count in (6, 9, 250):
        lines = table_of(rows[:count], delimiter).splitlines()
        (tmp_path / "t.csv").write_text("\n".join([lines[0], delimiter.join(units), *lines[1:]]) + "\n")
        one_error(train(run, tmp_path, "t.csv"), 4, told, "/data/columns")
        one_error(run("ae-score", "of plain.csv", "t.csv", "-o", "out.csv"), 4, told)
    some = run("ae-score", "of plain.csv", "t.csv", "--bad-rows", "report")
    assert some.code == 4 and "250 rows scored, 1 could not be read (the first: t.csv:2)" in some.stderr

    (tmp_path / "t.csv").write_text("\n".join([*lines, *lines, *lines]) + "\n")
    again = 't.csv:252: is the header once more, "x", "y", "z", where numbers belong; remove the line'
    one_error(train(run, tmp_path, "t.csv"), 4, again)
    one_error(run("ae-score", "of plain.csv", "t.csv", "-o", "out.csv"), 4, again)


def test_a_file_that_may_be_cut_is_told(run, tmp_path):
    rows = plain_rows(250)
    whole = table_of(rows)
    (tmp_path / "t.csv").write_text(whole)
    assert "ends behind" not in fine(train(run, tmp_path, "t.csv")).stderr
    (tmp_path / "cut.csv").write_text(whole[: whole.rstrip().rfind(",") + 1])
    last = ",".join(list(rows[-1].values())[:2]) + ","
    told = f"cut.csv:251:{len(last) + 1}: the file ends behind a delimiter, without a last cell or a line's end"
    assert fine(train(run, tmp_path, "cut.csv")).stderr.count(told) == 1
    for program in ("ae-score", "ae-impute"):
        assert fine(run(program, "of t.csv", "cut.csv", "-q")).stderr.count(told) == 1, program
    for ending in ("", "\n", "\r\n"):  # whole lines, and values that look so
        text = whole.replace("\n", "\r\n") if ending == "\r\n" else whole
        (tmp_path / "fine.csv").write_bytes((text.rstrip() + ending).encode())
        assert "ends behind" not in fine(run("ae-score", "of t.csv", "fine.csv", "-q")).stderr
    (tmp_path / "fine.csv").write_text(whole[: whole.rstrip().rfind(",") + 1] + "\n")
    assert "ends behind" not in fine(run("ae-score", "of t.csv", "fine.csv", "-q")).stderr


def test_a_model_remembers_the_delimiter(run, tmp_path):
    rows = plain_rows(250)
    (tmp_path / "plain.csv").write_text(table_of(rows))
    (tmp_path / "bars.csv").write_text(table_of(rows, "|"))
    fine(train(run, tmp_path, "bars.csv", {"delimiter": "|"}))
    assert scores(run, "of bars.csv", "bars.csv") == scores(run, "of bars.csv", "plain.csv")

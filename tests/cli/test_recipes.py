"""Training without a config, by the recipes that come with the programs, and configs that build on others."""

import gzip
import json

import numpy
import pytest
from anomaly_tables import mixed_rows, number_rows
from pictures import write_png
from support import (
    CONFIGS, WDBC, join_safetensors, needs_torch, one_error, read_safetensors, rows_of, split_safetensors, write_config,
    write_csv,
)

pytestmark = needs_torch

FEW = ["--set", "/training/epochs=2", "-q"]


@pytest.fixture
def pump(tmp_path):
    """A table of normal rows, and one with anomalies (the first 40), both without any label."""
    rows = number_rows()
    unlabelled = [{k: v for k, v in row.items() if k != "label"} for row in sorted(rows, key=lambda row: -row["label"])]
    write_csv(tmp_path / "pump.csv", unlabelled[40:])
    write_csv(tmp_path / "new.csv", unlabelled)
    return tmp_path / "pump.csv"


def test_a_table_is_all_that_is_needed(run, pump, tmp_path):
    told = run("ae-train", "pump.csv", "--out", "m")
    assert (told.code, told.stdout) == (0, "")
    assert "recipe any-table" in told.stderr and "--print-recipe any-table" in told.stderr
    assert "all rows count as normal" in told.stderr and "/data/label" in told.stderr
    by_option = run("ae-train", "--data", "pump.csv", "--out", "by-option", "-q")
    by_name = run("ae-train", "--recipe", "any-table", "--data", "pump.csv", "--out", "by-name", "-q")
    assert (by_option, by_name) == ((0, "", ""), (0, "", ""))
    model = (tmp_path / "m/model.safetensors").read_bytes()
    assert (tmp_path / "by-option/model.safetensors").read_bytes() == model
    assert (tmp_path / "by-name/model.safetensors").read_bytes() == model
    scores = rows_of(run("ae-score", "m", "new.csv", "-q").stdout)
    strangest = sorted(range(len(scores)), key=lambda i: -float(scores[i]["score"]))[:40]
    assert sum(i < 40 for i in strangest) > 25  # of the 40 anomalies among 260 rows


def test_the_default_recipe_is_the_tested_one_with_nothing_known_of_labels(run, tmp_path):
    shown = json.loads(run("ae-train", "--recipe", "any-table", "--data", "t.csv", "--print-config").stdout)
    tested = json.loads(run("ae-train", CONFIGS / "tabular-anomaly.json", "--data", "t.csv", "--print-config").stdout)
    assert (shown["data"]["label"], shown["data"]["normal"]) == ("", [])
    assert (tested["data"]["label"], tested["data"]["normal"]) == ("label", ["0"])
    for key in ("label", "normal"):
        del shown["data"][key], tested["data"][key]
    assert shown == tested
    assert "extends" not in shown


@pytest.mark.parametrize("name", ["numbers.csv", "numbers.CSV", "numbers.tsv", "numbers", "numbers.csv.gz", "numbers.npy"])
def test_what_is_no_config_is_data(run, tmp_path, name):
    rows = [list(row.values())[:4] for row in number_rows(60, 0)]
    text = "a\tb\tc\td\n" if name.endswith(".tsv") else "a,b,c,d\n"
    text += "".join(text[1].join(map(str, row)) + "\n" for row in rows)
    if name.endswith(".npy"):
        numpy.save(tmp_path / name, numpy.array(rows))
    else:
        (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    told = run("ae-train", name, "--out", "m")
    assert told.code == 0, told.stderr
    assert "recipe any-table" in told.stderr and "60 training rows" in told.stderr


def test_a_config_may_have_any_name(run, pump, tmp_path):
    (tmp_path / "settings").write_text("\ufeff \n" + (CONFIGS / "wdbc.json").read_text().replace("data/", f"{CONFIGS}/data/"))
    told = run("ae-train", "settings", "--out", "m", "--set", "/training/epochs=2")
    assert told.code == 0 and "recipe" not in told.stderr, told.stderr
    (tmp_path / "broken.json").write_text("a,b\n1,2\n")
    one_error(run("ae-train", "broken.json", "--out", "m"), 2, "broken.json:1:1")
    one_error(run("ae-train", "none.json", "--out", "m"), 2, "none.json")
    one_error(run("ae-train", "none.csv", "--out", "other", "-q"), 4, "none.csv")


def test_a_folder_of_images_takes_the_recipe_of_images(run, tmp_path):
    for i in range(6):
        pixels = [[(x * y + i) % 256 for x in range(140)] for y in range(136)]
        write_png(tmp_path / "good" / f"{i}.png", numpy.array(pixels, numpy.uint8))
    told = run("ae-train", "good", "--out", "m", "--set", "/training/epochs=1", "--set", "/model/members=1")
    assert told.code == 0, told.stderr
    assert "recipe pcb-inspection" in told.stderr and "label" not in told.stderr
    config = json.loads((tmp_path / "m/config.json").read_text())
    assert config["data"]["type"] == "images" and config["data"]["tile"]["size"] == 64


def test_recipes_are_printed_named_and_refused(run, tmp_path):
    names = run("ae-train", "--print-recipe").stdout.split()
    assert "any-table" in names and "tabular-anomaly" in names and "pcb-inspection" in names
    for name in names:
        assert run("ae-train", "--print-recipe", name).stdout == (CONFIGS / f"{name}.json").read_text()
    for option in ("--recipe", "--print-recipe"):
        one_error(run("ae-train", option, "tabular-anomoly"), 2, "tabular-anomoly", "tabular-anomaly")
    one_error(run("ae-train", CONFIGS / "wdbc.json", "--recipe", "tabular", "--out", "m"), 2, "--recipe", "extends")
    one_error(run("ae-train", "a.csv", "--data", "b.csv", "--out", "m"), 2, "a.csv", "b.csv")
    one_error(run("ae-train", "--out", "m"), 2, "ae-train DATA.csv --out DIR")
    one_error(run("ae-train", WDBC, "-q"), 2, "--out")
    one_error(run("ae-train", "--recipe", "any-table", "--out", "m"), 2, "/data/path", "--data")


def test_the_recipes_that_messages_name_exist(run, tmp_path):
    names = run("ae-train", "--print-recipe").stdout.split()
    numpy.save(tmp_path / "table.npy", numpy.ones((4, 3)))
    numpy.save(tmp_path / "images.npy", numpy.ones((4, 8, 8)))
    (tmp_path / "counts.mtx").write_text("%%MatrixMarket matrix coordinate integer general\n2 2 1\n1 1 3\n")
    numpy.save(tmp_path / "larger.npy", numpy.ones((2, 2, 2, 2, 2)))
    write_config(tmp_path / "c.json", {"data": {"type": "counts", "path": "larger.npy"}})
    one_error(run("ae-train", "c.json", "--out", "m"), 4, "(2, 2, 2, 2, 2)", "[rows, columns]")
    for read_as, data, kind in (("images", "table.npy", "table"), ("table", "images.npy", "images"), ("counts", "table.npy", "table"),
                                ("counts", "images.npy", "images"), ("table", "counts.mtx", "counts")):
        write_config(tmp_path / "c.json", {"data": {"type": read_as, "path": data}})
        told = run("ae-train", "c.json", "--out", "m")
        one_error(told, 4, f'/data/type "{kind}" (to train: ae-train --recipe ')
        assert told.stderr.split("--recipe ")[1].split(")")[0] in names


def test_an_empty_text_is_no_file(run, trained):
    for command in (("ae-score", trained, WDBC, "--roc", ""), ("ae-score", trained, WDBC, "-o", ""), ("ae-score", trained, ""),
                    ("ae-probe", "evaluate", WDBC, "--target", "label", "--nested", "")):
        one_error(run(*command), 2, "found an empty text")


def test_every_config_that_names_no_data_is_a_recipe(run):
    names = set(run("ae-train", "--print-recipe").stdout.split())
    without_data = {path.stem for path in CONFIGS.glob("*.json") if '"data/' not in path.read_text()}
    assert names == without_data


def test_a_config_extends_a_recipe_and_a_file(run, pump, tmp_path):
    (tmp_path / "base").mkdir()
    write_config(tmp_path / "base/base.json", {"extends": "recipe:tabular", "data": {"label": "", "normal": [],
                                                                                     "path": "../pump.csv"}})
    write_config(tmp_path / "mine.json", {"extends": "base/base.json", "model": {"latent": 2}})
    shown = json.loads(run("ae-train", "mine.json", "--print-config").stdout)
    assert "extends" not in shown
    assert (shown["model"]["latent"], shown["model"]["hidden"]) == (2, [64, 32])
    assert shown["data"]["path"] == str(pump)
    assert run("ae-train", "mine.json", "--out", "m", *FEW) == (0, "", "")
    metadata, _ = read_safetensors(tmp_path / "m/model.safetensors")
    assert "extends" not in json.loads(metadata["config"])
    assert run("ae-train", tmp_path / "m/config.json", "--out", "again", "-q") == (0, "", "")  # the folder's own config
    tensors = [split_safetensors((tmp_path / out / "model.safetensors").read_bytes())[1] for out in ("m", "again")]
    assert tensors[0] == tensors[1]
    write_config(tmp_path / "wrong.json", {"extends": "base/base.json", "training": {"epocs": 1}})
    one_error(run("ae-train", "wrong.json", "--out", "w"), 2, "wrong.json: /training/epocs", "epochs")


def test_a_model_file_that_extends_is_refused(run, trained):
    path = trained / "model.safetensors"
    header, tensors = split_safetensors(path.read_bytes())
    config = {"extends": "recipe:tabular", **json.loads(header["__metadata__"]["config"])}
    header["__metadata__"]["config"] = json.dumps(config)
    del header["__metadata__"]["sha256"]
    path.write_bytes(join_safetensors(header, tensors))
    one_error(run("ae-score", trained, WDBC), 4, "extends")


@pytest.mark.parametrize("rows", [mixed_rows(), mixed_rows(30, 0), mixed_rows(8, 0, missing=0.3)], ids=len)
def test_messy_tables_train_without_a_config(run, tmp_path, rows):
    """Categories, a constant column, empty cells, few rows."""
    write_csv(tmp_path / "messy.csv", [{k: v for k, v in row.items() if k != "label"} for row in rows])
    told = run("ae-train", "messy.csv", "--out", "m")
    assert told.code == 0, told.stderr
    scored = run("ae-score", "m", "messy.csv", "-q")
    assert scored.code == 0 and len(rows_of(scored.stdout)) == len(rows), scored.stderr

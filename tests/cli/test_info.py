"""ae-info: what is told of a model, against what ae-train wrote beside it and in it."""

import hashlib
import json
import re
import shutil
import xml.etree.ElementTree as ElementTree

import pytest
from support import CONFIGS, SOURCE, WDBC, needs_torch, one_error, read_safetensors, rows_of

pytestmark = needs_torch


@pytest.fixture
def told(run, trained):
    done = run("ae-info", trained, "--json")
    assert (done.code, done.stderr) == (0, "")
    return json.loads(done.stdout)


@pytest.mark.parametrize("how", [[], ["--json", "--page", "info.html"]])
def test_metadata_of_other_types_is_a_damaged_file(run, trained, tmp_path, how):
    contents = (trained / "model.safetensors").read_bytes()
    length = int.from_bytes(contents[:8], "little")
    header = json.loads(contents[8 : 8 + length])
    training = json.loads(header["__metadata__"]["training"])
    header["__metadata__"]["training"] = json.dumps({**training, "epochs": "many", "training_rows": "some"})
    text = json.dumps(header).encode()
    (tmp_path / "odd.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + contents[8 + length :])
    one_error(run("ae-info", "odd.safetensors", *how), 4, "odd.safetensors", "damaged")


def test_json_tells_what_is_in_the_file(told, trained):
    path = trained / "model.safetensors"
    metadata, tensors = read_safetensors(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (told["sha256"], told["model"], told["bytes"]) == (digest, digest[:8], path.stat().st_size)
    assert told["recipe"] == json.loads(metadata["config"])
    assert told["schema"] == json.loads(metadata["schema"])
    assert told["versions"] == json.loads(metadata["versions"])
    assert told["training"] == json.loads(metadata["training"])
    scores = json.loads(metadata["calibration"])
    assert told["calibration"]["scores"] == len(scores) == 36
    assert told["calibration"]["smallest_p_value"] == pytest.approx(1 / 37)
    assert (told["calibration"]["lowest"], told["calibration"]["highest"]) == (min(scores), max(scores))
    assert told["calibration"]["tail"] is False  # of fewer than 60
    shapes = {f"model.{array['name']}": array["shape"] for array in told["network"]}
    shapes |= {f"head.{array['name']}": array["shape"] for array in told["head"]}
    assert shapes == {name: entry["shape"] for name, entry in tensors.items()}
    assert told["kind"] == "table" and told["geometry"] is None


def test_the_curve_is_that_of_the_metrics(told, trained):
    metrics = rows_of((trained / "metrics.csv").read_text())
    assert told["curve"]["train_loss"] == [float(row["train_loss"]) for row in metrics]
    assert told["curve"]["validation_loss"] == [float(row["validation_loss"]) for row in metrics]
    losses = told["curve"]["validation_loss"]
    assert told["curve"]["best_epoch"] == losses.index(min(losses)) + 1
    assert told["run"]["seed"] == 0 and told["run"]["model_sha256"] == told["sha256"]


def test_text_tells_columns_recipe_and_calibration(run, trained, told):
    text = run("ae-info", trained / "model.safetensors").stdout
    assert re.search(rf"(?m)^model +{told['model']}$", text)
    assert "30 numeric columns" in text and 'label "diagnosis" (normal: benign)' in text
    assert re.search(r"smallest p-value is 0\.027027", text)
    assert re.search(r"(?m)^  mean_radius +numeric +standard: centre ", text)
    assert re.search(r"(?m)^  diagnosis +label$", text)
    assert json.loads(text[text.index("\nrecipe\n") + 8 :]) == told["recipe"]


def test_plot_and_page(run, trained, tmp_path):
    assert run("ae-info", trained, "--plot", "curve.svg", "--page", "info.html", "-q").code == 0
    assert (tmp_path / "curve.svg").read_bytes() == (trained / "training.svg").read_bytes()
    root = ElementTree.parse(tmp_path / "curve.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    page = (tmp_path / "info.html").read_text()
    assert "data:image/svg+xml;base64," in page and "mean_radius" in page
    assert not re.search(r'(?:src|href)="https?:', page)
    one_error(run("ae-info", trained, "--page", "info.html")._replace(stdout=""), 2, "info.html", "--force")


def test_what_is_read_is_not_written_over(run, trained, tmp_path):
    before = {path.name: path.read_bytes() for path in trained.iterdir()}
    for option in ("--page", "--plot"):
        for name in ("model.safetensors", "run.json", "metrics.csv"):
            for model in ("model", "model/model.safetensors"):
                one_error(run("ae-info", model, option, f"model/{name}", "--force"), 2, option, name, "is an input file")
    one_error(run("ae-info", "model", "--page", "a", "--plot", "a"), 2, "both write to")
    assert {path.name: path.read_bytes() for path in trained.iterdir()} == before and not (tmp_path / "a").exists()
    assert run("ae-info", "model", "--plot", "model/training.svg", "--force", "-q").code == 0


def test_a_model_without_its_folder_has_no_curve_and_another_runs_metrics_are_not_taken(run, trained, tmp_path):
    shutil.copy(trained / "model.safetensors", tmp_path / "alone.safetensors")
    alone = json.loads(run("ae-info", "alone.safetensors", "--json").stdout)
    assert alone["curve"] is None and alone["run"] is None
    assert "no run.json" in run("ae-info", "alone.safetensors").stdout
    one_error(run("ae-info", "alone.safetensors", "--plot", "curve.svg"), 4, "training curve")
    assert not (tmp_path / "curve.svg").exists()
    manifest = json.loads((trained / "run.json").read_text())
    (trained / "run.json").write_text(json.dumps({**manifest, "model_sha256": "0" * 64}))
    assert "another model's" in run("ae-info", trained).stdout


def test_models_without_a_network_and_of_images_are_told(run, tmp_path):
    assert run("ae-train", WDBC, "--out", "any", "-q").code == 0
    text = run("ae-info", "any").stdout
    assert re.search(r"(?m)^network +none$", text) and "fusion" in text and "neighbours (" in text
    assert "no network was trained" in text
    assert re.search(r"(?m)^  diagnosis +categorical  2 levels: benign, malignant$", text)
    old = SOURCE / "tests/compat/0.1.0"
    for name in ("conv", "unet", "fusion", "variational"):  # written by an earlier version
        told = json.loads(run("ae-info", old / name, "--json").stdout)
        assert told["kind"] == ("images" if name in ("conv", "unet") else "table")
        assert told["calibration"]["scores"] > 0
    assert json.loads(run("ae-info", old / "conv", "--json").stdout)["geometry"]["channels"] in (1, 3)


def test_what_is_no_model_is_refused(run, trained, tmp_path):
    one_error(run("ae-info", "none"), 4, "none")
    one_error(run("ae-info", WDBC), 4, "wdbc.csv")
    data = bytearray((trained / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (tmp_path / "flipped.safetensors").write_bytes(data)
    one_error(run("ae-info", "flipped.safetensors"), 4, "flipped.safetensors")


def test_hostile_names_stay_text(run, tmp_path):
    table = "<script>alert(1)</script>,\"b\x1b[31m\"\n" + "".join(f"{i},{i * i}\n" for i in (3, 1, 2, 9, 4, 4, 7, 1))
    (tmp_path / "t.csv").write_text(table)
    assert run("ae-train", CONFIGS / "tabular.json", "--data", "t.csv", "--set", '/data/label=""', "--set",
               "/data/normal=[]", "--set", "/training/epochs=2", "--out", "m", "-q").code == 0
    assert "\x1b" not in run("ae-info", "m", "--page", "p.html").stdout
    page = (tmp_path / "p.html").read_text()
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page and "\x1b" not in page

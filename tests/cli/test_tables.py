"""Every kind of table and every kind of column, from the file to the score."""

import gzip
import json
import random
import shutil
import statistics
import struct
import subprocess

import pytest
from other_files import PDB, other_files
from support import CONFIGS, WDBC, needs_torch, one_error, read_safetensors, rows_of, write_config, write_csv

pytestmark = needs_torch

SMALL = {
    "model": {"type": "dense", "hidden": [16], "latent": 3, "activation": "tanh"},
    "training": {"epochs": 40, "batch_size": 32, "learning_rate": 0.01},
}


def mixed_rows(count=300, seed=1):
    """x decides everything else: y, z, the colour and the shape."""
    chance = random.Random(seed)
    rows = []
    for i in range(count):
        x = chance.uniform(-1, 1)
        rows.append(
            {
                "name": f"row {i}",
                "x": repr(x),
                "y": repr(2 * x + chance.gauss(0, 0.05)),
                "z": repr(100 - 30 * x + chance.gauss(0, 1)),
                "colour": "red" if x < -0.3 else "green" if x < 0.3 else "blue",
                "shape": "round" if x < 0 else "square",
                "fixed": "7",
            }
        )
    return rows


def mixed_config(tmp_path, rows, **changes):
    write_csv(tmp_path / "table.csv", rows)
    config = {"data": {"path": "table.csv", "id": "name"}, **json.loads(json.dumps(SMALL))}
    for room, fields in changes.items():
        config.setdefault(room, {}).update(fields)
    return write_config(tmp_path / "config.json", config)


def train(run, config, *more, out="model"):
    outcome = run("ae-train", config, "--out", out, "-q", *more)
    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, "", "")


@pytest.mark.parametrize("embedding", [0, 3], ids=["one-hot", "embedding"])
def test_categories_are_scored_explained_and_imputed(run, tmp_path, embedding):
    rows = mixed_rows()
    train(run, mixed_config(tmp_path, rows, model={"embedding": embedding}, training={"epochs": 80}))
    _, tensors = read_safetensors(tmp_path / "model/model.safetensors")
    assert any("embedding" in name for name in tensors) == (embedding > 0)
    metrics = rows_of((tmp_path / "model/metrics.csv").read_text())
    for row in metrics:
        parts = float(row["train_mse"]) + float(row["train_cross_entropy"])
        assert float(row["train_loss"]) == pytest.approx(parts, rel=1e-6)

    plain = rows_of(run("ae-score", "model", "table.csv", "-q").stdout)
    assert [row["id"] for row in plain] == [row["name"] for row in rows]
    typical = statistics.median(float(row["score"]) for row in plain)

    wrong = dict(rows[0], x="-0.9", y="-1.8", z="127", colour="blue", shape="round")
    unseen = dict(wrong, colour="violet")
    right = dict(wrong, colour="red")
    write_csv(tmp_path / "new.csv", [right, wrong, unseen])
    outcome = run("ae-score", "model", "new.csv", "--explain", 2)
    assert outcome.code == 0
    assert 'levels that training never saw: "colour" (1 row)' in outcome.stderr
    scores = rows_of(outcome.stdout)
    assert float(scores[0]["score"]) < 3 * typical + 0.1
    for scored in scores[1:]:
        assert float(scored["score"]) > 10 * float(scores[0]["score"])
        assert scored["top1_column"] == "colour"
        assert scored["top1_expected"] in ("red", "green")
    assert [scored["top1_observed"] for scored in scores[1:]] == ["blue", "violet"]

    write_csv(tmp_path / "holes.csv", [dict(row, colour="", shape="NA") for row in rows[:100]])
    filled = run("ae-impute", "model", "holes.csv", "-q")
    assert (filled.code, filled.stderr) == (0, "")
    filled = rows_of(filled.stdout)
    assert {row["colour"] for row in filled} <= {"red", "green", "blue"}
    assert sum(a["shape"] == b["shape"] for a, b in zip(filled, rows)) > 80  # blind guesses reach about 50


def test_terms_choose_columns_by_pattern(run, tmp_path):
    rows = mixed_rows()
    terms = [{"type": "mse", "weight": 0.5}, {"type": "cross_entropy", "columns": "colo?r", "weight": 3},
             {"type": "cross_entropy", "columns": ["shape"]}]
    config = mixed_config(tmp_path, rows, loss={"terms": terms}, training={"epochs": 3})
    train(run, config)
    for row in rows_of((tmp_path / "model/metrics.csv").read_text()):
        parts = [float(row[f"validation_{part}"]) for part in ("mse", "cross_entropy", "cross_entropy_2")]
        assert float(row["validation_loss"]) == pytest.approx(sum(parts), rel=1e-6)
    refused = run("ae-train", config, "--out", "other", "-q", "--set", f"/loss/terms={json.dumps(terms[:2])}")
    one_error(refused, 2, "/loss/terms", '"shape"')
    refused = run("ae-train", config, "--out", "other", "-q", "--set",
                  '/loss/terms=[{"type": "cross_entropy", "columns": "x"}]')
    assert refused.code == 2 and '"x"' in refused.stderr
    assert not (tmp_path / "other").exists()


NUMBERS = ["x", "y", "z"]


def number_rows(count=200):
    return [{"x": row["x"], "y": row["y"], "z": row["z"], "label": i % 2} for i, row in enumerate(mixed_rows(count))]


@pytest.fixture(scope="module")
def numbers_once(bin_folder, tmp_path_factory):
    """A folder with a table of numbers and, in "model", a model of it."""
    folder = tmp_path_factory.mktemp("numbers")
    write_csv(folder / "table.csv", number_rows())
    config = write_config(folder / "config.json", {"data": {"path": "table.csv", "label": "label"}, **SMALL})
    command = [bin_folder / "ae-train", config, "--out", folder / "model", "-q"]
    done = subprocess.run(command, capture_output=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return folder


@pytest.fixture
def numbers(run, tmp_path, numbers_once):
    """The same here, free to be changed: its rows, and the scores of the plain CSV file."""
    shutil.copytree(numbers_once, tmp_path, dirs_exist_ok=True)
    scored = run("ae-score", "model", "table.csv", "-q")
    assert (scored.code, scored.stderr) == (0, "")
    return number_rows(), scored.stdout


def test_text_tables_of_every_dress_give_the_same_scores_and_weights(run, tmp_path, numbers):
    rows, expected = numbers
    plain = (tmp_path / "table.csv").read_bytes()
    lines = plain.decode().splitlines()
    quoted = "\r\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in lines)
    dresses = {
        "table.tsv": plain.replace(b",", b"\t"),
        "semicolons.csv": plain.replace(b",", b";"),
        "windows.csv": b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n"),
        "quoted.csv": quoted.encode(),
        "no_last_line_end.csv": plain.rstrip(b"\n"),
        "table.csv.gz": gzip.compress(plain),
        "two_members.csv.gz": gzip.compress(plain[:1000]) + gzip.compress(plain[1000:]),
        "misnamed.csv": gzip.compress(plain),
    }
    if shutil.which("zstd"):
        dresses["table.csv.zst"] = subprocess.run(["zstd", "-qc"], input=plain, capture_output=True, check=True).stdout
    weights = (tmp_path / "model/model.safetensors").read_bytes()
    for name, content in dresses.items():
        (tmp_path / name).write_bytes(content)
        assert run("ae-score", "model", name, "-q") == (0, expected, ""), name
        assert run("ae-score", "model", "-", "-q", stdin=content) == (0, expected, ""), name
        # The model holds the path of its table, so only the tensors can be compared.
        train(run, tmp_path / "config.json", "--data", name, out=f"of {name}")
        other = (tmp_path / f"of {name}/model.safetensors").read_bytes()
        size = sum(e["data_offsets"][1] - e["data_offsets"][0]
                   for e in read_safetensors(tmp_path / "model/model.safetensors")[1].values())
        assert other[-size:] == weights[-size:], name


def test_numpy_arrays_are_tables_with_numbered_columns(run, tmp_path):
    numpy = pytest.importorskip("numpy")
    table = numpy.array([[float(row[c]) for c in NUMBERS] for row in number_rows()])
    table[3, 1] = numpy.nan
    with open(tmp_path / "table.csv", "w") as file:
        file.write("f0,f1,f2\n")
        for row in table:
            file.write(",".join("" if numpy.isnan(v) else repr(float(v)) for v in row) + "\n")
    write_config(tmp_path / "config.json", {"data": {"path": "table.csv"}, **SMALL})
    train(run, tmp_path / "config.json")
    expected = run("ae-score", "model", "table.csv", "-q", "--explain", 1)
    assert expected.code == 0
    numpy.save(tmp_path / "table.npy", table)
    numpy.save(tmp_path / "fortran.npy", numpy.asfortranarray(table))
    numpy.savez(tmp_path / "table.npz", features=table, other=table[:, 0])
    numpy.savez_compressed(tmp_path / "small.npz", table)
    for name in ("table.npy", "fortran.npy", "table.npz", "small.npz"):
        outcome = run("ae-score", "model", name, "-q")
        assert outcome.code == 0, outcome
        for mine, other in zip(rows_of(outcome.stdout), rows_of(expected.stdout)):
            assert mine["score"] == other["score"], name
        train(run, tmp_path / "config.json", "--data", name, out=f"of {name}")
    numpy.save(tmp_path / "single.npy", table.astype(numpy.float32))
    single = rows_of(run("ae-score", "model", "single.npy", "-q").stdout)
    for mine, other in zip(single, rows_of(expected.stdout)):
        assert float(mine["score"]) == pytest.approx(float(other["score"]), rel=1e-3, abs=1e-6)
    numpy.save(tmp_path / "narrow.npy", table[:, :2])
    one_error(run("ae-score", "model", "narrow.npy"), 4, "narrow.npy", '"f2"')
    numpy.save(tmp_path / "texts.npy", numpy.array([["a", "b", "c"]]))
    one_error(run("ae-score", "model", "texts.npy"), 4, "texts.npy")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "table.npy").read_bytes()[:-5])
    one_error(run("ae-score", "model", "cut.npy", "-o", "scores.csv"), 4, "cut.npy")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "small.npz").read_bytes()[:-50])
    one_error(run("ae-score", "model", "cut.npz", "-o", "scores.csv"), 4, "cut.npz")
    assert not (tmp_path / "scores.csv").exists()


def test_what_is_no_table_is_told_what_it_is_and_what_to_use(run, trained_once, tmp_path):
    numpy = pytest.importorskip("numpy")
    images = {
        "x.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "x.jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0",
        "x.bmp": b"BM" + struct.pack("<IIII", 70, 0, 54, 40),
        "x.tif": b"II*\0\x08\0\0\0",
        "train-images-idx3-ubyte.gz": gzip.compress(struct.pack(">HBBIII", 0, 8, 3, 1, 2, 2) + b"abcd"),
    }
    words = other_files(tmp_path)
    for name, content in images.items():
        (tmp_path / name).write_bytes(content)
        words[name] = ['/data/type "images"']
    numpy.save(tmp_path / "stack.npy", numpy.zeros((5, 8, 8)))
    words["stack.npy"] = ["(5, 8, 8)", '/data/type "images"']
    (tmp_path / "boards").mkdir()
    words["boards"] = ["a directory", '/data/type "images"']
    for name, told in words.items():
        expected = "(rows, columns)" if name == "stack.npy" else "an NPZ archive" if name in ("x.xlsx", "x.pt") else "a table"
        outcome = run("ae-score", trained_once, name, "-o", "out.csv")
        one_error(outcome, 4, f"{name}: ", f"expected {expected}")
        for word in told:
            assert word.lower() in outcome.stderr.lower(), (name, outcome.stderr)
        if (tmp_path / name).is_file() and name not in ("x.xlsx", "x.pt"):
            piped = run("ae-score", trained_once, "-", "-o", "out.csv", stdin=(tmp_path / name).read_bytes())
            assert piped.code == 4 and piped.stderr == outcome.stderr.replace(f" {name}: ", " <stdin>: ")
    for name in ("x.png", "x.pdb", "boards"):
        trained = run("ae-train", CONFIGS / "wdbc.json", "--data", name, "--out", "out", "-q", "--set", "/data/rows=")
        one_error(trained, 4, f"{name}: ", "expected a table", *words[name])
    assert not (tmp_path / "out.csv").exists() and not (tmp_path / "out").exists()


def test_a_table_that_begins_like_another_format_is_a_table(run, trained_once, tmp_path):
    header, *lines = WDBC.read_text().splitlines()
    plain = run("ae-score", trained_once, WDBC, "-q")
    assert plain.code == 0
    for first in ("HEADER", "ATOM  ", "data_x", "BM", "PAR1", "GIF89a", "REMARK 1", "BZh9", "RDX3", "X"):
        table = "\n".join([f"{first},{header}"] + [f"{PDB.split()[0]},{line}" for line in lines])
        (tmp_path / "table.csv").write_text(table)
        for outcome in (
            run("ae-score", trained_once, "table.csv", "-q"),
            run("ae-score", trained_once, "-", "-q", stdin=table),
        ):
            assert (outcome.code, outcome.stdout) == (plain.code, plain.stdout), first
            assert outcome.stderr.count("\n") == 1 and "ignoring 1 column" in outcome.stderr, first


def test_ids_and_labels_pass_through_whatever_is_in_them(run, tmp_path):
    rows = mixed_rows(120)
    names = ["with, comma", 'with "quotes"', "two\nlines", "carriage\r\nreturn", "blanks within", "é 你 🙂"]
    for row, name in zip(rows, names):
        row["name"] = name
    rows[7]["y"] = ""
    train(run, mixed_config(tmp_path, rows))
    scored = rows_of(run("ae-score", "model", "table.csv", "-q").stdout)
    assert [row["id"] for row in scored] == [row["name"] for row in rows]
    filled = run("ae-impute", "model", "table.csv", "-o", "filled.csv", "-q")
    assert (filled.code, filled.stderr) == (0, "")
    with open(tmp_path / "table.csv", newline="", encoding="utf-8") as before:
        with open(tmp_path / "filled.csv", newline="", encoding="utf-8") as after:
            before, after = before.read(), after.read()
    # One cell was empty; all other bytes are the same.
    hole = before.index(",,") + 1
    assert after[:hole] == before[:hole]
    assert after.endswith(before[hole:])
    assert float(after[hole : len(after) - len(before[hole:])]) == pytest.approx(2 * float(rows[7]["x"]), abs=1)


def test_rows_are_chosen_by_number(run, tmp_path, numbers):
    rows, everything = numbers
    lines = everything.splitlines()
    chosen = [5, 0, 199, 42]
    (tmp_path / "rows.idx").write_text("\n".join(map(str, chosen)))
    only = run("ae-score", "model", "table.csv", "--rows", "rows.idx", "-q")
    assert only.stdout.splitlines() == [lines[0]] + [lines[1 + i] for i in sorted(chosen)]
    others = run("ae-score", "model", "table.csv", "--exclude-rows", "rows.idx", "-q")
    assert others.stdout.splitlines() == [line for i, line in enumerate(lines) if i - 1 not in chosen]
    # A number beyond the table belongs to another table: nothing may look as if it had been left out.
    (tmp_path / "far.idx").write_text("3\n200\n")
    for option in ("--rows", "--exclude-rows"):
        one_error(run("ae-score", "model", "table.csv", option, "far.idx", "-o", "out.csv"), 4, "far.idx:2", "200 rows")
    (tmp_path / "all.idx").write_text("".join(f"{i}\n" for i in range(200)))
    one_error(run("ae-score", "model", "table.csv", "--exclude-rows", "all.idx", "-o", "out.csv"), 4, "no row")
    (tmp_path / "words.idx").write_text("1\ntwo\n")
    one_error(run("ae-score", "model", "table.csv", "--rows", "words.idx", "-o", "out.csv"), 4, "words.idx:2", '"two"')
    assert not (tmp_path / "out.csv").exists()

    (tmp_path / "first.idx").write_text("".join(f"{i}\n" for i in range(100)))
    train(run, tmp_path / "config.json", "--set", "/data/rows=first.idx", out="by rows")
    write_csv(tmp_path / "first.csv", rows[:100])
    train(run, tmp_path / "config.json", "--data", "first.csv", out="of the rows")
    answers = [run("ae-score", model, "table.csv", "-q").stdout for model in ("by rows", "of the rows")]
    scores = [[line.rpartition(",")[0] for line in answer.splitlines()] for answer in answers]  # but for the model
    assert scores[0] == scores[1]


def test_a_constant_column_that_changes_raises_a_bounded_alarm(run, tmp_path):
    rows = mixed_rows()
    train(run, mixed_config(tmp_path, rows))
    new = [rows[0], dict(rows[0], fixed="8"), dict(rows[0], fixed="1e30"), dict(rows[0], fixed="7.0")]
    write_csv(tmp_path / "new.csv", new)
    outcome = run("ae-score", "model", "new.csv", "--explain", 1)
    assert outcome.code == 0
    assert '"fixed" (2 rows)' in outcome.stderr
    same, changed, far, again = rows_of(outcome.stdout)
    assert again["score"] == same["score"]
    assert changed["top1_column"] == "fixed" and changed["top1_observed"] == "8" and float(changed["top1_expected"]) == 7
    assert far["score"] == changed["score"]
    # The alarm is 5 units, judged as a squared error, and one of six cells.
    assert float(changed["score"]) - float(same["score"]) == pytest.approx(25 / 6, rel=0.01)


@pytest.mark.parametrize("scaling", ["standard", "robust", "quantile", "none"])
def test_far_stays_far_under_every_scaling(run, tmp_path, scaling):
    chance = random.Random(2)
    rows = []
    for _ in range(300):
        x = chance.gauss(0, 1)
        rows.append({"x": repr(x), "y": repr(x + chance.gauss(0, 0.1)), "z": repr(x - chance.gauss(0, 0.1))})
    write_csv(tmp_path / "table.csv", rows)
    write_config(tmp_path / "config.json", {"data": {"path": "table.csv", "scaling": scaling}, **SMALL})
    train(run, tmp_path / "config.json")
    write_csv(tmp_path / "new.csv", [{"x": "0.1", "y": y, "z": "0.1"} for y in ("0.1", "5", "50", "5000", "5e200")])
    outcome = run("ae-score", "model", "new.csv", "-q")
    assert (outcome.code, outcome.stderr) == (0, "")
    scores = [float(row["score"]) for row in rows_of(outcome.stdout)]
    assert scores == sorted(scores) and len(set(scores)) == 5
    assert scores[3] > 100 * scores[2] > 10000 * scores[0]


def test_missing_texts_are_what_the_config_says(run, tmp_path):
    rows = number_rows()
    rows[10]["y"] = "-999"
    rows[11]["y"] = " unknown "
    write_csv(tmp_path / "table.csv", rows)
    config = {"data": {"path": "table.csv", "label": "label", "missing": ["-999", "unknown"]}, **SMALL}
    train(run, write_config(tmp_path / "config.json", config))
    hidden = [dict(rows[0], y="-999"), dict(rows[0], y="unknown"), rows[0]]
    write_csv(tmp_path / "new.csv", hidden)
    first, second, whole = rows_of(run("ae-score", "model", "new.csv", "--explain", 3, "-q").stdout)
    assert first["score"] == second["score"] != whole["score"]
    shares = {first[f"top{k}_column"]: float(first[f"top{k}_share"]) for k in (1, 2, 3)}
    assert shares["y"] == 0 and sum(shares.values()) == float(first["score"])
    write_csv(tmp_path / "new.csv", [dict(rows[0], y="")])
    one_error(run("ae-score", "model", "new.csv"), 4, "new.csv:2:", '"y"', "-999")


def test_samples_average_over_random_masks(run, tmp_path, numbers):
    rows, _ = numbers
    write_csv(tmp_path / "holes.csv", [dict(row, y="") for row in rows[:50]])
    one_error(run("ae-impute", "model", "holes.csv", "--samples", 8), 2, "--samples 8", "without mask corruption")
    train(run, tmp_path / "config.json", "--set", '/training/corruption=[{"type": "mask", "rate": 0.3}]', out="masked")
    one = run("ae-impute", "masked", "holes.csv", "-q")
    many = run("ae-impute", "masked", "holes.csv", "--samples", 8, "-q")
    assert one.code == many.code == 0 and one.stdout != many.stdout
    assert run("ae-impute", "masked", "holes.csv", "--samples", 8, "-q").stdout == many.stdout
    # The same row number sees the same masks, however the input is cut into blocks.
    for row, filled in zip(rows, rows_of(many.stdout)):
        assert filled["x"] == row["x"] and filled["z"] == row["z"]
        assert abs(float(filled["y"])) < 5


def test_only_observed_cells_are_hidden_by_the_evaluation(run, tmp_path, numbers):
    outcome = run("ae-impute", "model", "table.csv", "--evaluate", "masked", "--rate", 0.3, "--seed", 4, "-q")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert run("ae-impute", "model", "table.csv", "--evaluate", "masked", "--rate", 0.3, "--seed", 4, "-q") == outcome
    table = {row["column"]: row for row in rows_of(outcome.stdout)}
    assert sorted(table) == ["all", "x", "y", "z"]
    assert int(table["all"]["cells"]) == sum(int(table[c]["cells"]) for c in NUMBERS)
    assert 130 < int(table["all"]["cells"]) < 230  # 600 * 0.3 = 180, standard deviation 11
    assert float(table["all"]["baseline_error"]) == pytest.approx(1, abs=0.1)
    assert float(table["all"]["error"]) < float(table["all"]["baseline_error"])
    assert float(table["all"]["knn_error"]) < 1 and float(table["all"]["low_rank_error"]) < 1
    assert run("ae-impute", "model", "table.csv", "--evaluate", "masked", "--rate", 0.3, "--seed", 4, "-q", "-o",
               "figures.json").code == 0
    figures = {row["column"]: row for row in json.loads((tmp_path / "figures.json").read_text())}
    for name, row in table.items():
        assert figures[name]["knn_error"] == pytest.approx(float(row["knn_error"]), rel=1e-3)

"""Models that earlier versions wrote answer as they did then: every case of every version in tests/compat.

AETOOLS_COMPAT=exact asks for the same bytes, which holds where the files were written (the same processor, libraries
and compiler); elsewhere sums of single precision are rounded otherwise.
"""

import csv
import hashlib
import json
import os
import shlex
import shutil
import statistics
from pathlib import Path

import pytest
from pictures import read_npy
from support import SOURCE, needs_torch, one_error, read_safetensors, split_safetensors

pytestmark = needs_torch

MODEL, COMMANDS = "model.safetensors", "commands.txt"
COMPAT = SOURCE / "tests" / "compat"
CASES = sorted(path.parent for path in COMPAT.glob(f"*/*/{COMMANDS}"))
FIRST = COMPAT / "0.1.0"
EXACT = os.environ.get("AETOOLS_COMPAT") == "exact"
# Of the number and the median of its column together; of maps, of the largest value. With the kernels that LibTorch,
# BLAS and the programs have for other processors, tables were at most 9e-7 apart (shares of a score, which can nearly
# cancel, 1.2e-5), tables of images 5e-6 and maps 4e-5.
TIGHT, LOOSE = 3e-6, 1e-4
NEVER_ROUNDED = {"id", "label", "flag", "region", "x", "y", "width", "height", "area"}

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}-{case.name}")


def is_number(cell):
    try:
        return float(cell) == float(cell)
    except ValueError:
        return False


def check_table(expected, found, tolerance):
    """Names, texts and the order of rows are the same, numbers agree within the tolerance."""
    expected, found = list(csv.reader(expected.splitlines())), list(csv.reader(found.splitlines()))
    assert found[0] == expected[0]
    assert [len(row) for row in found] == [len(row) for row in expected]
    for (name, *cells), (_, *others) in zip(zip(*expected), zip(*found)):
        changed = [(cell, other) for cell, other in zip(cells, others) if cell != other]
        if not changed:
            continue
        assert all(is_number(cell) for pair in changed for cell in pair), (name, changed)
        assert name not in NEVER_ROUNDED and not name.endswith("_observed"), (name, changed)
        allowed = LOOSE if name.endswith("_share") else tolerance
        median = statistics.median(abs(float(cell)) for cell in cells if is_number(cell))
        for cell, other in changed:
            assert abs(float(other) - float(cell)) <= allowed * (abs(float(cell)) + median), (name, cell, other)


def check_map(expected, found, tolerance):
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    assert abs(found - expected).max() <= tolerance * abs(expected).max()


def columns_of_old(expected, found, model):
    """Since 0.2.0 scores say in a last column which model gave them: what stands before it, when `expected` has none."""
    digest = hashlib.sha256(model.read_bytes()).hexdigest()[:8]
    header, *lines = found.splitlines(keepends=True)
    if not header.endswith(",model\n") or expected.splitlines()[0].endswith(",model"):
        return found
    assert lines and all(line.endswith(f",{digest}\n") for line in lines)
    return header.removesuffix(",model\n") + "\n" + "".join(line.removesuffix(f",{digest}\n") + "\n" for line in lines)


def without_labels_of_folders(expected, found):
    """Since 0.2.0 folders for each class are labels: what else stands there, when `expected` has none."""
    header, *rows = list(csv.reader(found.splitlines()))
    if "label" not in header or "label" in expected.splitlines()[0].split(","):
        return found
    at = header.index("label")
    assert rows and all(row[at] == row[0].split("/")[0] for row in rows)
    return "".join(",".join(row[:at] + row[at + 1 :]) + "\n" for row in [header, *rows])


def check_file(expected, found, tolerance, model):
    if expected.suffix == ".csv":
        old = expected.read_bytes().decode()
        new = without_labels_of_folders(old, columns_of_old(old, found.read_bytes().decode(), model))
        assert old == new or not EXACT, f"{found} has other bytes"
        check_table(old, new, tolerance)
    elif expected.read_bytes() != found.read_bytes():
        assert not EXACT, f"{found} has other bytes"
        check_map(read_npy(expected), read_npy(found), tolerance)


def lay_out(case, folder):
    """What the commands of a case read, where they expect it; returns the model."""
    shutil.copytree(case.parent / "inputs", folder / "inputs")
    (folder / case.name).mkdir()
    return Path(shutil.copy(case / MODEL, folder / case.name))


def commands_of(case):
    return [shlex.split(line) for line in (case / COMMANDS).read_text().splitlines()]


@each_case
@pytest.mark.parametrize("threads", [1, 2])
def test_a_model_answers_as_the_version_that_wrote_it(run, tmp_path, case, threads):
    lay_out(case, tmp_path)
    for command in commands_of(case):
        outcome = run(*command, "--threads", threads, "-q")
        assert (outcome.code, outcome.stdout) == (0, ""), outcome.stderr
    answers = [path for path in sorted(case.rglob("*")) if path.is_file() and path.name not in {MODEL, COMMANDS}]
    assert answers
    for path in answers:
        tolerance = LOOSE if (case / "maps").exists() else TIGHT
        check_file(path, tmp_path / path.relative_to(case.parent), tolerance, case / MODEL)


@pytest.mark.parametrize("name", ["dense", "conv"])
def test_a_changed_byte_of_the_weights_is_noticed(run, tmp_path, name):
    model = lay_out(FIRST / name, tmp_path)
    data = bytearray(model.read_bytes())
    _, tensors = split_safetensors(data)
    data[-len(tensors) // 2] ^= 1
    model.write_bytes(data)
    one_error(run(*commands_of(FIRST / name)[0], "-q"), 4, MODEL, "sha256")


def test_every_kind_of_the_first_version_is_kept():
    models, heads = set(), set()
    for case in CASES:
        metadata, _ = read_safetensors(case / MODEL)
        assert json.loads(metadata["versions"])["aetools"] == case.parent.name
        if case.parent == FIRST:
            config = json.loads(metadata["config"])
            models.add(config["model"]["type"])
            heads.add(config["score"]["type"])
    assert models == {"dense", "linear", "variational", "conv", "unet", "conv_variational"}
    assert heads == {"loss", "normalized", "mahalanobis", "masked", "neighbours", "prototypes", "map", "fusion"}
    programs = {command[0] for case in CASES for command in commands_of(case)}
    assert programs >= {"ae-score", "ae-impute", "ae-purify"}


def test_the_comparison_of_tables_can_fail():
    table = "id,score,label,top1_column\na,0.25,usual,speed\n2,4,odd,weight\n"
    check_table(table, table.replace("0.25", "0.2500001"), TIGHT)
    for before, after in [
        ("0.25", "0.25001"),
        ("0.25", "nan"),
        ("0.25", ""),
        ("odd", "usual"),
        ("speed", "length"),
        ("2,4", "2.0,4"),
        ("score", "loss"),
        (",weight", ""),
        ("2,4,odd,weight\n", ""),
        ("a,0.25,usual,speed\n2,4,odd,weight\n", "2,4,odd,weight\na,0.25,usual,speed\n"),
    ]:
        with pytest.raises(AssertionError):
            check_table(table, table.replace(before, after), TIGHT)


def test_the_comparison_of_maps_can_fail():
    path = next(FIRST.glob("*/maps/**/*.npy"))
    expected = read_npy(path)
    changed = expected.copy()
    changed[0, 0] += 2 * LOOSE * expected.max()
    check_map(expected, expected.copy(), LOOSE)
    for found in (changed, expected[1:], expected * float("nan")):
        with pytest.raises(AssertionError):
            check_map(expected, found, LOOSE)

"""Bad input, damaged models, full disks, closed pipes and sudden death: the contract's exit codes, one line, no partial
output."""

import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import time

import pytest
from support import (CONFIGS, FAST, WDBC, catches, join_safetensors, needs_torch, one_error, rows_of,
                     split_safetensors, wait_for, write_csv)

pytestmark = needs_torch

HEADER, FIRST, SECOND = WDBC.read_text().splitlines()[:3]
CONFIG = CONFIGS / "wdbc.json"

# Sanitizers keep freed memory back for a while.
SANITIZED = os.environ.get("AETOOLS_SANITIZED") == "1"


def with_first_cell(text):
    return f"{HEADER}\n{FIRST}\n{text}{SECOND[SECOND.index(','):]}\n"


NAMES = HEADER.split(",")

# content, what the line must tell
BAD_TABLES = {
    "empty": (b"", ["empty"]),
    "only a header": (f"{HEADER}\n", ["no", "row", "header"]),
    "a header without line end": (HEADER, ["no", "row", "header"]),
    "a short row": (f"{HEADER}\n{FIRST}\n1,2\n", [":3", "found 2 cells", "expected 31"]),
    "a long row": (f"{HEADER}\n{FIRST},7\n", [":2", "found 32 cells", "expected 31"]),
    "an open quote": (f'{HEADER}\n"{FIRST}\n', [":2", "quote"]),
    "twice the same column": (f"{HEADER},{NAMES[3]}\n{FIRST},1\n", [":1", NAMES[3]]),
    "no cell is known": ("a,b\n1,2\n", [NAMES[0], NAMES[1], "are missing", "22 more"]),
    "one column is misspelt": (f"{HEADER.replace('mean_area', 'mean_aera')}\n{FIRST}\n",
                               ['"mean_area" is missing', 'did you mean "mean_aera"?']),
    "no header": (f"{FIRST.rsplit(',', 1)[0]}\n", ["no header"]),
    "a word": (with_first_cell("abc"), [":3:1", f'"{NAMES[0]}"', '"abc"']),
    "too large": (with_first_cell("1e400"), [":3:1", f'"{NAMES[0]}"', '"1e400"', "finite"]),
    "infinite": (with_first_cell("-inf"), [":3:1", f'"{NAMES[0]}"', '"-inf"', "finite"]),
    "hexadecimal": (with_first_cell("0x1p3"), [":3:1", f'"{NAMES[0]}"', '"0x1p3"']),
    "binary": (bytes(range(1, 256)) * 300 + b"\0" * 99, []),
    "a truncated gzip": (subprocess.run(["gzip", "-c"], input=WDBC.read_bytes(), capture_output=True).stdout[:9000],
                         []),
    "gzip of junk": (b"\x1f\x8b\x08" + random.Random(1).randbytes(5000), []),
    "zstd of junk": (b"\x28\xb5\x2f\xfd" + random.Random(2).randbytes(5000), []),
    "npy of junk": (b"\x93NUMPY\x01\x00" + random.Random(3).randbytes(5000), []),
    "npz of junk": (b"PK\x03\x04" + random.Random(4).randbytes(5000), []),
    "a huge npy": (b"\x93NUMPY\x01\x00\x46\x00"
                   b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776, 30), }\n", []),
}


# All programs read tables by the same code; one of them meets every kind.
@pytest.mark.parametrize(
    "program, kind",
    [("ae-score", kind) for kind in BAD_TABLES]
    + [(program, kind) for program in ("ae-impute", "ae-purify", "ae-embed")
       for kind in ("a short row", "too large", "no cell is known")],
)
def test_bad_tables_are_exit_4_in_one_line_and_leave_nothing(run, trained_once, tmp_path, program, kind):
    content, words = BAD_TABLES[kind]
    (tmp_path / "bad.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    one_error(run(program, trained_once, "bad.csv", "-o", "out.csv"), 4, "bad.csv", *words)
    assert [p.name for p in tmp_path.iterdir()] == ["bad.csv"]


@pytest.mark.parametrize("kind", ["empty", "only a header", "a short row", "twice the same column", "too large",
                                  "binary", "a truncated gzip", "npy of junk", "a huge npy"])
def test_training_on_bad_tables_is_exit_4_in_one_line(run, tmp_path, kind):
    content, _ = BAD_TABLES[kind]
    (tmp_path / "bad.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    config = ["--set", "/data/rows=", "--set", "/data/normal=[]"]
    one_error(run("ae-train", CONFIG, "--data", "bad.csv", "--out", "out", "-q", *config), 4, "bad.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["bad.csv"]


def test_files_that_cannot_be_read_are_exit_4(run, trained, tmp_path):
    (tmp_path / "folder").mkdir()
    for name, words in {"nowhere.csv": "No such file", "folder": "Is a directory", "/proc/self/mem": "error"}.items():
        one_error(run("ae-score", trained, name, "-o", "out.csv"), 4, name, words)
        one_error(run("ae-train", CONFIG, "--data", name, "--out", "out", "-q"), 4, name, words)
    for name in ("nowhere", "folder", "/proc/self/mem"):
        one_error(run("ae-score", name, WDBC, "-o", "out.csv"), 4, name)
    one_error(run("ae-train", "nowhere.json", "--out", "out"), 2, "nowhere.json")
    one_error(run("ae-train", "folder", "--out", "out", "-q"), 4, "folder", "no images")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder", "model"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read")
def test_a_file_without_permission_is_exit_4(bin_folder, trained_once, tmp_path):
    secret = tmp_path / "secret.csv"
    shutil.copy(WDBC, secret)
    secret.chmod(0)
    nobody = ["setpriv", "--reuid=65534", "--clear-groups"]
    if subprocess.run([*nobody, "test", "-r", bin_folder / "ae-roc", "-a", "-x", tmp_path]).returncode != 0:
        pytest.skip("the programs or the table are out of reach for others")
    done = subprocess.run([*nobody, bin_folder / "ae-roc", secret], capture_output=True, text=True, cwd="/")
    assert done.returncode == 4 and "Permission denied" in done.stderr and done.stderr.count("\n") == 1


def test_label_columns_must_be_there(run, tmp_path):
    unlabelled = [{k: v for k, v in row.items() if k != "diagnosis"} for row in rows_of(WDBC.read_text())]
    write_csv(tmp_path / "unlabelled.csv", unlabelled)
    one_error(run("ae-train", CONFIG, "--data", "unlabelled.csv", "--out", "x"), 2, "/data/label", '"diagnosis"')
    one_error(run("ae-train", CONFIG, "--set", "/data/normal=benignn", "--out", "x"), 2, "/data/normal",
              'did you mean "benign"?')
    (tmp_path / "none.idx").write_text("\n")
    one_error(run("ae-train", CONFIG, "--set", "/data/rows=none.idx", "--out", "x"), 4, "none.idx", "no rows")
    (tmp_path / "far.idx").write_text("0\n569\n")
    one_error(run("ae-train", CONFIG, "--set", "/data/rows=far.idx", "--out", "x", "-q"), 4, "far.idx:2", "569")


def score_rows(changes=()):
    rows = [{"id": i, "score": f"{i / 10}", "label": "0" if i < 12 else "1"} for i in range(20)]
    for index, change in changes:
        rows[index].update(change)
    return rows


@pytest.mark.parametrize(
    "rows, words",
    [
        (score_rows([(i, {"label": "0"}) for i in range(20)]), ["normal", "anomal"]),
        (score_rows([(i, {"label": "1"}) for i in range(20)]), ["normal", "anomal"]),
        (score_rows([(i, {"label": ""}) for i in range(20)]), ["label"]),
        (score_rows([(3, {"score": "abc"})]), [":5", '"abc"']),
        (score_rows([(3, {"score": "nan"})]), [":5", "finite number"]),
        (score_rows([(3, {"score": "1e400"})]), [":5", '"1e400"']),
        (score_rows([(3, {"label": "perhaps"})]), ['"perhaps"', "--normal"]),
        ([{"id": 1, "score": 2}], ['"label"', "--label-column"]),
        ([{"id": 1, "label": 0}], ['"score"', "--score-column"]),
    ],
    ids=["only normal", "only anomalies", "no labels", "a word", "nan", "too large", "odd label", "no label",
         "no score"],
)
def test_scores_that_have_no_roc_are_exit_4(run, tmp_path, rows, words):
    write_csv(tmp_path / "scores.csv", rows)
    outcome = run("ae-roc", "scores.csv", "--summary", "s.json", "--plot", "p.svg", "--report", "r.html", "-o", "c.csv")
    one_error(outcome, 4, "scores.csv", *words)
    assert [p.name for p in tmp_path.iterdir()] == ["scores.csv"]


# ------------------------------------------------------------------------------------------------ models


def refused(run, tmp_path, content, *words):
    (tmp_path / "bad.safetensors").write_bytes(content)
    one_error(run("ae-score", "bad.safetensors", WDBC, "-o", "out.csv"), 4, "bad.safetensors", *words)
    assert not (tmp_path / "out.csv").exists()


def test_models_cut_short_are_refused(run, trained, tmp_path):
    whole = (trained / "model.safetensors").read_bytes()
    for length in (0, 5, 8, 100, len(whole) // 2, len(whole) - 1):
        refused(run, tmp_path, whole[:length])
    refused(run, tmp_path, whole + b"\0")


def test_flipped_bits_never_change_scores_silently(run, trained, tmp_path):
    whole = (trained / "model.safetensors").read_bytes()
    expected = run("ae-score", trained, WDBC, "-q")
    header_length = struct.unpack("<Q", whole[:8])[0]
    chance = random.Random(3)
    places = [chance.randrange(8 + header_length) for _ in range(15)]
    places += [chance.randrange(8 + header_length, len(whole)) for _ in range(8)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        (tmp_path / "bad.safetensors").write_bytes(damaged)
        outcome = run("ae-score", "bad.safetensors", WDBC, "-q")
        if outcome.code == 0:  # only the name of the digest itself can have changed
            assert outcome.stdout == expected.stdout, place
        else:
            one_error(outcome, 4, "bad.safetensors")


def unsealed(trained):
    header, tensors = split_safetensors((trained / "model.safetensors").read_bytes())
    del header["__metadata__"]["sha256"]
    return header, tensors


def test_an_unsealed_model_is_read_as_other_tools_would_write_it(run, trained, tmp_path):
    (tmp_path / "other.safetensors").write_bytes(join_safetensors(*unsealed(trained)))
    ours, others = (run("ae-score", model, WDBC, "-q") for model in (trained, "other.safetensors"))
    assert ours.code == others.code == 0 and ours.stderr == others.stderr == ""
    scores = [[line.rpartition(",")[0] for line in answer.stdout.splitlines()] for answer in (ours, others)]
    assert scores[0] == scores[1]


def edit_metadata(key, edit):
    def apply(header, tensors):
        metadata = header["__metadata__"]
        value = edit(json.loads(metadata[key]))
        metadata[key] = value if isinstance(value, str) else json.dumps(value)
        return header, tensors

    return apply


def set_in(pointer, value):
    def edit(document):
        place = document
        for key in pointer[:-1]:
            place = place[key]
        place[pointer[-1]] = value
        return document

    return edit


def poison(bits):
    def apply(header, tensors):
        begin, _ = header["model.output.weight"]["data_offsets"]
        return header, tensors[:begin] + struct.pack("<I", bits) + tensors[begin + 4 :]

    return apply


def entry(**changes):
    def apply(header, tensors):
        header["model.output.weight"].update(changes)
        return header, tensors

    return apply


def drop_tensor(header, tensors):
    begin, end = header.pop("model.output.weight")["data_offsets"]
    for name, other in header.items():
        if name != "__metadata__" and other["data_offsets"][0] >= end:
            other["data_offsets"] = [offset - (end - begin) for offset in other["data_offsets"]]
    return header, tensors[:begin] + tensors[end:]


def rename_tensor(header, tensors):
    return {"model.odd" if name == "model.output.weight" else name: value for name, value in header.items()}, tensors


def metadata_without(key):
    def apply(header, tensors):
        del header["__metadata__"][key]
        return header, tensors

    return apply


HOSTILE = {
    "nan weight": (poison(0x7FC00000), ["model.output.weight", "nan"]),
    "infinite weight": (poison(0xFF800000), ["model.output.weight", "inf"]),
    "huge shape": (entry(shape=[1 << 40, 1 << 40]), ["model.output.weight", "too large"]),
    "large shape": (entry(shape=[1 << 20, 1 << 10]), ["model.output.weight"]),
    "transposed": (lambda h, t: entry(shape=h["model.output.weight"]["shape"][::-1])(h, t), ["model.output.weight"]),
    "negative shape": (entry(shape=[-1, 4]), ["model.output.weight"]),
    "other type": (entry(dtype="F16"), ["model.output.weight", "F16"]),
    "odd offsets": (entry(data_offsets=[0, 1 << 62]), ["model.output.weight"]),
    "missing tensor": (drop_tensor, ["weights", "damaged"]),
    "renamed tensor": (rename_tensor, ["model.output.weight"]),
    "other format": (lambda h, t: ({**h, "__metadata__": {"format": "pt"}}, t), ["not an aetools model", '"pt"']),
    "no metadata": (lambda h, t: ({k: v for k, v in h.items() if k != "__metadata__"}, t), ["not an aetools model"]),
    "newer version": (edit_metadata("version", lambda v: "99"), ['"99"', "train again"]),
    "no schema": (metadata_without("schema"), ["schema"]),
    "no config": (metadata_without("config"), ["config"]),
    "broken schema": (edit_metadata("schema", lambda v: "{"), ["schema"]),
    "empty schema": (edit_metadata("schema", lambda v: {}), ["schema"]),
    "zero spread": (edit_metadata("schema", set_in(["columns", 0, "scaler", "spread"], 0)),
                    ["/columns/0/scaler/spread"]),
    "broken config": (edit_metadata("config", lambda v: "[1]"), []),
    "other latent": (edit_metadata("config", set_in(["model", "latent"], 7)), ["bottleneck"]),
    "monstrous config": (edit_metadata("config", set_in(["model", "hidden"], [65536] * 9)), ["weights", "damaged"]),
    "unknown family": (edit_metadata("config", set_in(["model", "type"], "oracle")), ["/model/type", '"oracle"']),
    "unsorted calibration": (edit_metadata("calibration", lambda v: v[::-1]), ["calibration"]),
    "calibration of words": (edit_metadata("calibration", lambda v: ["a"]), ["calibration"]),
    "infinite calibration": (edit_metadata("calibration", lambda v: "[1e999]"), ["calibration"]),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_models_are_refused_in_one_line(run, trained, tmp_path, kind):
    change, words = HOSTILE[kind]
    header, tensors = change(*unsealed(trained))
    refused(run, tmp_path, join_safetensors(header, tensors), *words)


@pytest.mark.parametrize("profile", ["{", "[]x", "[7]", '[{"rows": 4, "observed": 5}]'])
def test_a_damaged_profile_is_told_of_by_who_reads_it(run, trained, tmp_path, profile):
    header, tensors = edit_metadata("profile", lambda v: profile)(*unsealed(trained))
    (tmp_path / "m.safetensors").write_bytes(join_safetensors(header, tensors))
    plain = run("ae-score", "m.safetensors", WDBC, "--explain", 2, "-q")  # has no use for it
    whole = run("ae-score", trained, WDBC, "--explain", 2, "-q").stdout
    # The last column is the digest of the file.
    without_digest = lambda text: [line.rsplit(",", 1)[0] for line in text.splitlines()]
    assert (plain.code, without_digest(plain.stdout)) == (0, without_digest(whole))
    for program in ("ae-info m.safetensors", f"ae-score m.safetensors {WDBC} -q --explain 2 --reasons",
                    f"ae-score m.safetensors {WDBC} -q --summary day.json",
                    f"ae-score m.safetensors {WDBC} -q --page page.html",
                    f"ae-score m.safetensors {WDBC} -q --alpha 0.05 --fail-on-drift"):
        one_error(run(*program.split()), 4, "m.safetensors", '"profile"', "damaged")
    assert not (tmp_path / "day.json").exists() and not (tmp_path / "page.html").exists()


def test_other_files_are_no_models(run, trained, tmp_path):
    refused(run, tmp_path, WDBC.read_bytes())
    refused(run, tmp_path, b"{}")
    refused(run, tmp_path, struct.pack("<Q", 1 << 62) + b"{}")
    nested = b'{"a":' + b"[" * 100_000
    refused(run, tmp_path, struct.pack("<Q", len(nested)) + nested)
    foreign = {"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    refused(run, tmp_path, join_safetensors(foreign, b"\0" * 4), "not an aetools model")


# ------------------------------------------------------------------------------------------------ outputs


@pytest.mark.parametrize("name", ["x.csv.gz", "x.npy", "x.h5ad", "x.parquet"])
def test_text_goes_to_no_file_whose_name_says_otherwise(run, trained, tmp_path, name):
    for program, more in [("ae-score", []), ("ae-impute", []), ("ae-impute", ["--evaluate", "masked"]), ("ae-purify", [])]:
        one_error(run(program, trained, WDBC, *more, "-q", "-o", name), 2, name, "text")
    assert not (tmp_path / name).exists()


def test_existing_outputs_stay_unless_forced(run, trained, tmp_path):
    assert run("ae-score", trained, WDBC, "-q", "-o", "scores.csv").code == 0
    commands = {
        "ae-score": [trained, WDBC, "-o"],
        "ae-impute": [trained, WDBC, "-o"],
        "ae-purify": [trained, WDBC, "-o"],
        "ae-roc": ["scores.csv", "--normal", "benign", "--summary"],
    }
    for program, arguments in commands.items():
        (tmp_path / "old").write_text("old")
        one_error(run(program, *arguments, "old"), 2, "old", "--force")
        assert (tmp_path / "old").read_text() == "old"
        assert run(program, *arguments, "old", "--force", "-q").code == 0
        assert (tmp_path / "old").read_text() != "old"
    one_error(run("ae-score", trained, WDBC, "-o", "nowhere/x.csv"), 1, "nowhere")
    one_error(run("ae-score", trained, WDBC, "-o", tmp_path), 1, str(tmp_path), "directory")


def test_no_output_is_an_input_the_model_or_another_output(run, trained, tmp_path):
    table, model = (tmp_path / "t.csv"), tmp_path / "m"
    table.write_bytes(WDBC.read_bytes())
    shutil.copytree(trained, model)
    before = table.read_bytes(), (model / "model.safetensors").read_bytes()
    for program, arguments in [("ae-score", ["-o", "{}"]), ("ae-score", ["-o", "z.csv", "--summary", "{}"]),
                               ("ae-score", ["-o", "z.csv", "--page", "{}"]), ("ae-impute", ["-o", "{}"]),
                               ("ae-purify", ["-o", "{}"]), ("ae-embed", ["-o", "{}"])]:
        if program != "ae-embed":  # whose outputs tell their format by the name
            told = [part.format("m/model.safetensors") for part in arguments]
            one_error(run(program, model, "t.csv", *told, "--force", "-q"), 2, "is an input file")
        one_error(run(program, model, "t.csv", *[part.format("t.csv") for part in arguments], "--force", "-q"), 2, "is an input file")
    for one, other in (("--page", "--output"), ("--summary", "--page")):
        one_error(run("ae-score", model, "t.csv", one, "q", other, "q", "--force", "-q"), 2, "both write to", "q")
    one_error(run("ae-impute", model, "t.csv", "-o", "k.csv", "--mark", tmp_path / "k.csv", "-q"), 2, "both write to")
    one_error(run("ae-impute", model, "t.csv", "--mark", "-", "-q"), 2, "both write to")
    assert (table.read_bytes(), (model / "model.safetensors").read_bytes()) == before
    assert not (tmp_path / "q").exists() and not (tmp_path / "z.csv").exists()


def limited(command, file_bytes, **options):
    """Runs a command that may write no file larger than this: a disk that fills up in the middle."""
    if os.environ.get("AETOOLS_COVERAGE") == "1":
        pytest.skip("programs that count their lines write those into files too")

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))

    return subprocess.run(command, preexec_fn=limit, capture_output=True, timeout=60, **options)


def test_a_write_that_fails_in_the_middle_leaves_nothing(bin_folder, trained, tmp_path):
    (tmp_path / "old.csv").write_text("old")
    for program in ("ae-score", "ae-impute", "ae-purify", "ae-embed"):
        for name, force in (("new.csv", []), ("old.csv", ["--force"])):
            done = limited([bin_folder / program, trained, WDBC, "-o", name, *force], 10_000, cwd=tmp_path)
            assert done.returncode == 1 and done.stdout == b""
            assert done.stderr.count(b"\n") == 1 and name.encode() in done.stderr and b"File too large" in done.stderr
    done = limited([bin_folder / "ae-train", CONFIG, "--out", "run", *FAST], 10_000, cwd=tmp_path)
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1 and b"state.safetensors" in done.stderr
    assert not (tmp_path / "run/model.safetensors").exists()
    assert (tmp_path / "old.csv").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "old.csv", "run"]


def test_a_temporary_file_that_fills_its_disk_is_told(bin_folder, trained, tmp_path):
    done = limited([bin_folder / "ae-score", trained, WDBC, "--fdr", "0.1"], 5_000, cwd=tmp_path,
                   env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 1 and done.stdout.count(b"\n") <= 1
    assert b"TMPDIR" in done.stderr and done.stderr.count(b"\n") == 1
    done = subprocess.run([bin_folder / "ae-score", trained, WDBC, "--fdr", "0.1"], capture_output=True,
                          env={**os.environ, "TMPDIR": str(tmp_path / "nowhere")})
    assert done.returncode == 1 and b"TMPDIR" in done.stderr and done.stderr.count(b"\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room for 256 kB; only root can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True)
    if made.returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_left_clean(run, trained, small_disk):
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 248_000)
    for program in ("ae-score", "ae-impute", "ae-purify", "ae-embed"):
        one_error(run(program, trained, WDBC, "-o", small_disk / "out.csv"), 1, "out.csv", "No space left on device")
    one_error(run("ae-train", CONFIG, "--out", small_disk / "run", *FAST), 1, "No space left on device")
    assert sorted(p.name for p in small_disk.iterdir()) == ["filler", "run"]
    assert "model.safetensors" not in [p.name for p in (small_disk / "run").iterdir()]
    filler.unlink()
    assert run("ae-train", CONFIG, "--out", small_disk / "run", *FAST).code == 0
    assert run("ae-score", small_disk / "run", WDBC, "-o", small_disk / "out.csv", "-q").code == 0


@pytest.mark.parametrize(
    "program, more", [("ae-score", []), ("ae-impute", []), ("ae-purify", []), ("ae-embed", []),
                      ("ae-score", ["--fdr", "0.1"])])
def test_pipes_and_devices(bin_folder, trained, program, more):
    command = [bin_folder / program, trained, WDBC, "-q", *more]
    words = " ".join(f"'{word}'" for word in command)
    quiet = subprocess.run(["bash", "-c", f"{words} | head -1; exit ${{PIPESTATUS[0]}}"], capture_output=True)
    assert (quiet.returncode, quiet.stderr, quiet.stdout.count(b"\n")) == (0, b"", 1)
    with open("/dev/full", "w") as full:
        told = subprocess.run(command, stdout=full, stderr=subprocess.PIPE)
    assert told.returncode == 1
    assert b"No space left on device" in told.stderr and told.stderr.count(b"\n") == 1
    closed = subprocess.run(["bash", "-c", f"{words} >&-"], capture_output=True)
    assert closed.returncode == 1 and closed.stderr.count(b"\n") == 1 and b"standard output" in closed.stderr


def feed_then_kill(command, folder, lines, kill_after):
    """Feeds rows for ever, kills the program when it has read `kill_after` of them."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=folder)
    fed = 0
    try:
        process.stdin.write((lines[0] + "\n").encode())
        while fed < kill_after:
            process.stdin.write(("\n".join(lines[1:]) + "\n").encode())
            fed += len(lines) - 1
    finally:
        process.kill()
        process.wait()
        try:
            process.stdin.close()
        except BrokenPipeError:
            pass


@pytest.mark.parametrize("program", ["ae-score", "ae-impute", "ae-purify", "ae-embed"])
def test_kill_9_leaves_no_partial_output(bin_folder, trained, tmp_path, program):
    lines = WDBC.read_text().splitlines()
    (tmp_path / "old.csv").write_text("old")
    for kill_after in (0, 600, 20_000):
        for name in ("new.csv", "old.csv"):
            command = [bin_folder / program, trained, "-", "-o", name, "--force", "-q"]
            feed_then_kill(command, tmp_path, lines, kill_after)
    assert (tmp_path / "old.csv").read_text() == "old"
    assert not (tmp_path / "new.csv").exists()


def test_a_stop_signal_ends_a_stream_without_output(bin_folder, trained, tmp_path):
    process = subprocess.Popen([bin_folder / "ae-score", trained, "-", "-o", "out.csv"], stdin=subprocess.PIPE,
                               stderr=subprocess.PIPE, cwd=tmp_path)
    process.stdin.write((HEADER + "\n" + FIRST + "\n").encode())
    process.stdin.flush()
    wait_for(lambda: catches(process, signal.SIGTERM))
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    told = process.stderr.read()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert b"SIGTERM" in told and told.count(b"\n") == 1
    assert not (tmp_path / "out.csv").exists()


FAILING_READ = """
#define _GNU_SOURCE
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>
/* Standard input breaks after 40 kB, as a disk or a network file system does. */
ssize_t read(int fd, void* buffer, size_t size) {
  static size_t total = 0;
  if (fd == 0 && total > 40000) { errno = EIO; return -1; }
  ssize_t count = syscall(SYS_read, fd, buffer, size > 8192 ? 8192 : size);
  if (fd == 0 && count > 0) total += count;
  return count;
}
"""


@pytest.mark.parametrize("program", ["ae-score", "ae-impute", "ae-embed"])
def test_a_read_error_in_the_middle_is_exit_4_without_output(bin_folder, trained, tmp_path, program):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    subprocess.run([compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", tmp_path / "failing.so"], check=True,
                   input=FAILING_READ.encode())
    with open(WDBC, "rb") as stdin:
        done = subprocess.run([bin_folder / program, trained, "-", "-o", "out.csv"], stdin=stdin, capture_output=True,
                              cwd=tmp_path, env={**os.environ, "LD_PRELOAD": str(tmp_path / "failing.so")}, timeout=60)
    if b"runtime does not come first" in done.stderr:
        pytest.skip("a sanitizer's runtime must be the first library")
    assert done.returncode == 4, done.stderr
    assert b"Input/output error" in done.stderr and done.stderr.count(b"\n") == 1
    assert not (tmp_path / "out.csv").exists()


# ------------------------------------------------------------------------------------------------ streams


def test_results_come_before_the_input_ends(bin_folder, trained):
    process = subprocess.Popen([bin_folder / "ae-score", trained, "-", "-q"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    process.stdin.write((HEADER + "\n" + FIRST + "\n").encode())
    process.stdin.flush()
    assert process.stdout.readline() == b"id,score,p_value,label,model\n"
    assert process.stdout.readline().startswith(b"0,")
    process.stdin.write((SECOND + "\n").encode())
    process.stdin.flush()
    assert process.stdout.readline().startswith(b"1,")
    process.stdin.close()
    assert process.wait(timeout=30) == 0


def peak_memory(command, feed):
    """Largest resident memory in MB of a program fed by a generator of bytes; its exit code and stderr."""
    read, write = os.pipe()
    process = subprocess.Popen(command, stdin=read, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    os.close(read)
    try:
        with open(write, "wb") as pipe:
            for piece in feed:
                pipe.write(piece)
    except BrokenPipeError:
        pass
    told = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss / 1024, process.returncode, told


def test_memory_does_not_grow_with_the_rows(bin_folder, trained):
    lines = WDBC.read_text().splitlines()
    block = ("\n".join(lines[1:]) + "\n").encode()

    def table(repeats):
        yield (lines[0] + "\n").encode()
        for _ in range(repeats):
            yield block

    command = [bin_folder / "ae-score", trained, "-", "-q", "--threads", "1"]
    few, code, _ = peak_memory(command, table(10))
    assert code == 0
    many, code, _ = peak_memory(command, table(150))
    assert code == 0
    assert SANITIZED or many < min(500, few + 20)


@pytest.mark.parametrize(
    "junk", [b"y\n", b"\0" * 4096, b"a,b,c,", b'"'], ids=["yes", "zeros", "one line", "open quote"])
def test_endless_junk_is_refused_at_once_in_little_memory(bin_folder, trained, junk):
    piece = junk * (65536 // len(junk))
    megabytes, code, told = peak_memory([bin_folder / "ae-score", trained, "-"], (piece for _ in range(3200)))
    assert code == 4 and told.count(b"\n") == 1, told
    assert SANITIZED or megabytes < 500

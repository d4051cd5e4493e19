"""What several test files need: reading and writing tables and checkpoints, independently of the programs."""

import csv
import io
import json
import math
import os
import struct
import time
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2]
CONFIGS = SOURCE / "configs"
WDBC = CONFIGS / "data" / "wdbc.csv"
FAST = ["--set", "/training/epochs=30", "-q"]

PROGRAMS = ["ae-train", "ae-info", "ae-score", "ae-roc", "ae-probe", "ae-impute", "ae-purify", "ae-attack", "ae-embed",
            "ae-deconvolve", "ae-replay", "ae-export"]
WITHOUT_LIBTORCH = ["ae-roc", "ae-info", "ae-probe", "ae-deconvolve"]  # which start in milliseconds
WITHOUT_TORCH = os.environ.get("AETOOLS_WITH_TORCH") == "0"
BUILT_PROGRAMS = WITHOUT_LIBTORCH if WITHOUT_TORCH else PROGRAMS

needs_torch = pytest.mark.skipif(WITHOUT_TORCH, reason="built without LibTorch")


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def validity_checker(run, kind):
    """Gives rows of the table that ae-score --validity KIND writes of files that must be fine."""

    def check_files(*files, warned=""):
        done = run("ae-score", *files, "--validity", kind, "-q")
        assert done.code == 0, done.stderr
        assert warned in done.stderr and (warned or done.stderr == "")
        return rows_of(done.stdout)

    return check_files


def write_csv(path, rows, **format):
    """Writes a list of dicts with the keys of the first as header."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), **{"lineterminator": "\n", **format})
        writer.writeheader()
        writer.writerows(rows)


def write_config(path, config):
    path.write_text(json.dumps(config))
    return path


def split_safetensors(data):
    """(header, tensor bytes) of a file's bytes."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def join_safetensors(header, tensors):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


def read_safetensors(path):
    """A second reader, written from the format's description alone: metadata and the entries of the tensors."""
    header, tensors = split_safetensors(path.read_bytes())
    metadata = header.pop("__metadata__")
    sizes = {"F32": 4, "F64": 8, "I64": 8, "U8": 1}
    covered = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        assert begin == covered
        assert end - begin == math.prod(entry["shape"]) * sizes[entry["dtype"]], name
        covered = end
    assert covered == len(tensors)
    return metadata, header


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.01)


def catches(process, signal_number):
    """Whether the program has come so far as to handle the signal itself."""
    with open(f"/proc/{process.pid}/status") as status:
        caught = next(line for line in status if line.startswith("SigCgt:"))
    return int(caught.split()[1], 16) >> (signal_number - 1) & 1 == 1


def one_error(outcome, code, *words):
    """The run failed as the contract says: this exit code, one line on stderr that holds the words, no data."""
    assert outcome.code == code, outcome
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1 and ": error: " in outcome.stderr, outcome.stderr
    assert "unexpected failure" not in outcome.stderr, outcome.stderr
    for word in words:
        assert str(word) in outcome.stderr

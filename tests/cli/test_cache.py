"""/data/cache: training from a file that is mapped instead of held in memory."""

import json
import os
import random
import resource
import signal
import subprocess

import pytest
from support import needs_torch, one_error, wait_for, write_config

pytestmark = needs_torch

SANITIZED = os.environ.get("AETOOLS_SANITIZED") == "1"
CACHE = ["--set", '/data/cache="cache"']


def write_table(path, rows, columns=6, seed=1):
    """Numbers with gaps, a category and a label."""
    chance = random.Random(seed)
    with open(path, "w") as file:
        file.write(",".join(f"x{i}" for i in range(columns)) + ",colour,label\n")
        for _ in range(rows):
            base = chance.gauss(0, 1)
            cells = ["" if chance.random() < 0.02 else f"{base + chance.gauss(0, 0.3):.6g}" for _ in range(columns)]
            file.write(",".join(cells + [chance.choice(["red", "blue"]), chance.choice(["a", "a", "b"])]) + "\n")


@pytest.fixture
def config(tmp_path):
    write_table(tmp_path / "table.csv", 700)
    return write_config(tmp_path / "config.json", {
        "data": {"path": "table.csv", "label": "label", "normal": "a"},
        "model": {"hidden": [16], "latent": 3},
        "training": {"epochs": 5, "trim": 0.1, "early_stopping": {"patience": 0}},
    })


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("changes", [[], ["--set", "/training/engine=autograd"],
                                     ["--set", "/data/scaling=quantile", "--set", "/score/type=mahalanobis"],
                                     ["--set", "/data/scaling=robust", "--set", "/score/type=neighbours"]],
                         ids=["dense", "autograd", "quantile", "robust"])
def test_the_model_is_the_same_to_the_byte(run, tmp_path, config, changes):
    plain = run("ae-train", config, "--out", "plain", *changes)
    assert plain.code == 0
    for out in ("made", "found"):
        cached = run("ae-train", config, "--out", out, *changes, *CACHE)
        assert (cached.code, cached.stderr.replace(f"{out}/", "plain/")) == (0, plain.stderr)
        for name in ("model.safetensors", "distrusted.idx"):
            assert (tmp_path / out / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    assert len(files(tmp_path / "cache")) == 1 and files(tmp_path / "cache")[0].endswith(".aecache")
    written = json.loads((tmp_path / "found/config.json").read_text())
    assert written["data"]["cache"] == str(tmp_path / "cache")


@pytest.mark.parametrize("first, then", [(CACHE, CACHE), (CACHE, []), ([], CACHE)], ids=["both", "first", "then"])
def test_an_interrupted_run_goes_on_with_or_without_it(bin_folder, run, tmp_path, config, first, then):
    long = ["--set", "/training/epochs=400", "--set", "/training/engine=autograd", "--set",
            "/training/checkpoint/seconds=0.02"]
    assert run("ae-train", config, "--out", "whole", "-q", *long).code == 0
    process = subprocess.Popen([bin_folder / "ae-train", config, "--out", "run", "-q", *long, *first], cwd=tmp_path)
    wait_for(lambda: (tmp_path / "run/state.safetensors").exists() or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert run("ae-train", config, "--out", "run", "--resume", "-q", *long, *then).code == 0
    assert (tmp_path / "run/model.safetensors").read_bytes() == (tmp_path / "whole/model.safetensors").read_bytes()


def test_a_damaged_one_is_named_and_made_again(run, tmp_path, config):
    assert run("ae-train", config, "--out", "first", "-q", *CACHE).code == 0
    (cache,) = (tmp_path / "cache").iterdir()
    whole = cache.read_bytes()
    for damaged in (whole[:-1], b"", whole[: len(whole) // 2] + b"\xff" + whole[len(whole) // 2 + 1 :]):
        cache.write_bytes(damaged)
        outcome = run("ae-train", config, "--out", "again", "-q", "--force", *CACHE)
        assert outcome.code == 0 and outcome.stderr.count("\n") == 1
        assert ": warning: " in outcome.stderr and cache.name in outcome.stderr and "damaged" in outcome.stderr
        assert cache.read_bytes() == whole
    assert (tmp_path / "again/model.safetensors").read_bytes() == (tmp_path / "first/model.safetensors").read_bytes()


def test_changed_data_are_read_again(run, tmp_path, config):
    assert run("ae-train", config, "--out", "old", "-q", *CACHE).code == 0
    write_table(tmp_path / "table.csv", 700, seed=2)
    assert run("ae-train", config, "--out", "new", "-q", *CACHE).code == 0
    assert run("ae-train", config, "--out", "plain", "-q").code == 0
    assert (tmp_path / "new/model.safetensors").read_bytes() == (tmp_path / "plain/model.safetensors").read_bytes()
    assert len(files(tmp_path / "cache")) == 2


def test_runs_at_the_same_time_may_make_it_together(bin_folder, run, tmp_path, config):
    assert run("ae-train", config, "--out", "plain", "-q").code == 0
    started = [subprocess.Popen([bin_folder / "ae-train", config, "--out", f"run{i}", "-q", *CACHE], cwd=tmp_path,
                                stderr=subprocess.PIPE) for i in range(4)]
    for i, process in enumerate(started):
        assert (process.communicate(timeout=120)[1], process.returncode) == (b"", 0)
        assert (tmp_path / f"run{i}/model.safetensors").read_bytes() == (
            tmp_path / "plain/model.safetensors").read_bytes()
    assert len(files(tmp_path / "cache")) == 1


def test_what_cannot_be_cached_is_refused(run, tmp_path, config):
    piped = run("ae-train", config, "--out", "run", "--data", "-", *CACHE, stdin="x\n1\n2\n")
    one_error(piped, 2, "/data/cache")
    (tmp_path / "file").write_text("")
    blocked = run("ae-train", config, "--out", "run", "--set", '/data/cache="file"')
    one_error(blocked, 1, "file")
    (tmp_path / "table.csv").write_text("x,label\n1,a\ninf,a\n2,a\n")
    bad = run("ae-train", config, "--out", "run", *CACHE)
    one_error(bad, 4, "table.csv:3:1", "finite")
    assert files(tmp_path / "cache") == []


@pytest.mark.skipif(SANITIZED, reason="AddressSanitizer reserves memory of its own")
def test_private_memory_is_far_below_the_data(bin_folder, tmp_path):
    rows, columns = 400_000, 60  # 190 MB of numbers and marks
    chance = random.Random(3)
    header = ",".join(f"x{i}" for i in range(columns)) + "\n"
    lines = "".join(",".join(f"{chance.gauss(0, 1):.3f}" for _ in range(columns)) + "\n" for _ in range(500))
    (tmp_path / "small.csv").write_text(header + lines)
    (tmp_path / "large.csv").write_text(header + rows // 500 * lines)
    config = write_config(tmp_path / "config.json", {
        "data": {"path": "small.csv"}, "model": {"hidden": [8], "latent": 2},
        "training": {"epochs": 1, "batch_size": 256, "validation_fraction": 0.02}})

    def learns(megabytes, *settings):
        limit = megabytes << 20
        return subprocess.run([bin_folder / "ae-train", config, "--out", "run", "-q", "--force", "--threads", "1", *settings],
                              cwd=tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
                              capture_output=True, timeout=120).returncode == 0

    # What the libraries take for themselves, to 40 MB; and 80 MB more, for 20 bytes a row and the buffers.
    base = next(megabytes for megabytes in range(220, 2000, 40) if learns(megabytes))
    large = ["--data", "large.csv"]
    assert not learns(base + 80, *large)
    assert learns(base + 80, *large, *CACHE)  # makes it
    assert learns(base + 80, *large, *CACHE)  # finds it

"""/data/cache: training from a file that is mapped instead of held in memory."""

import json
import os
import random
import resource
import signal
import struct
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


def write_table_config(folder):
    write_table(folder / "table.csv", 700)
    return write_config(folder / "config.json", {
        "data": {"path": "table.csv", "label": "label", "normal": "a"},
        "model": {"hidden": [16], "latent": 3},
        "training": {"epochs": 5, "trim": 0.1, "early_stopping": {"patience": 0}},
    })


def write_bmp(path, width, height, pixels):
    """24 bits a pixel, bottom row first; `pixels` may be shorter than the image: then the rest is black."""
    stride = (3 * width + 3) // 4 * 4
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"BM" + struct.pack("<IHHI", 54 + stride * height, 0, 0, 54))
        file.write(struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 2835, 2835, 0, 0))
        file.write(pixels)
        file.truncate(54 + stride * height)


def write_images(folder, count, seed=1, width=40, height=32):
    chance = random.Random(seed)
    for i in range(count):
        base = chance.randrange(40, 200)
        write_bmp(folder / f"{i:04}.bmp", width, height,
                  bytes(base + chance.randrange(16) for _ in range(3 * width * height)))


def write_image_config(folder):
    write_images(folder / "set", 24)
    (folder / "set" / "broken.bmp").write_bytes(b"no image")
    write_bmp(folder / "set" / "small.bmp", 12, 40, b"")
    return write_config(folder / "images.json", {
        "data": {"type": "images", "path": "set", "unreadable": "skip", "tile": {"size": 16},
                 "augment": {"flip_horizontal": True, "shift": 2}},
        "model": {"type": "conv", "width": 2, "levels": 1, "code": 2},
        "training": {"epochs": 3, "batch_size": 8, "trim": 0.1},
        "score": {"type": "map", "kind": "auto", "normalize": "global"},
    })


@pytest.fixture
def config(tmp_path):
    return write_table_config(tmp_path)


@pytest.fixture
def image_config(tmp_path):
    return write_image_config(tmp_path)


@pytest.fixture
def learns(bin_folder, tmp_path):
    """learns(megabytes, config, settings...): whether a run ends well with so much private memory."""

    def within(megabytes, config, *settings, seconds=120):
        limit = megabytes << 20
        return subprocess.run([bin_folder / "ae-train", config, "--out", "run", "-q", "--force", "--threads", "1", *settings],
                              cwd=tmp_path, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (limit, limit)),
                              capture_output=True, timeout=seconds).returncode == 0

    return within


def what_libraries_take(learns, config):
    """Megabytes, to 40, in which a small run ends well. With less some libraries try again for ever."""
    for megabytes in range(220, 2000, 40):
        try:
            if learns(megabytes, config, seconds=20):
                return megabytes
        except subprocess.TimeoutExpired:
            pass
    raise AssertionError("a small run takes more than 2 GB")


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


@pytest.fixture(scope="module", params=["table", "images"])
def long_run(request, bin_folder, tmp_path_factory):
    """A config, settings that make its training long enough to be interrupted, and the model it ends with."""
    folder = tmp_path_factory.mktemp(request.param)
    config = write_table_config(folder) if request.param == "table" else write_image_config(folder)
    settings = ["--set", f"/training/epochs={200 if request.param == 'table' else 20}", "--set",
                "/training/engine=autograd", "--set", "/training/checkpoint/seconds=0.02"]
    subprocess.run([bin_folder / "ae-train", config, "--out", folder / "whole", "-q", *settings], check=True, timeout=120)
    return config, settings, (folder / "whole/model.safetensors").read_bytes()


@pytest.mark.parametrize("first, then", [(CACHE, CACHE), (CACHE, []), ([], CACHE)], ids=["both", "first", "then"])
def test_an_interrupted_run_goes_on_with_or_without_it(bin_folder, run, tmp_path, long_run, first, then):
    config, settings, whole = long_run
    process = subprocess.Popen([bin_folder / "ae-train", config, "--out", "run", "-q", *settings, *first], cwd=tmp_path)
    wait_for(lambda: (tmp_path / "run/state.safetensors").exists() or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert run("ae-train", config, "--out", "run", "--resume", "-q", *settings, *then).code == 0
    assert (tmp_path / "run/model.safetensors").read_bytes() == whole


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


def test_a_model_of_images_is_the_same_to_the_byte(run, tmp_path, image_config):
    plain = run("ae-train", image_config, "--out", "plain")
    assert plain.code == 0 and "left out" in plain.stderr and "1 of 26 images are smaller" in plain.stderr
    for out in ("made", "found"):
        cached = run("ae-train", image_config, "--out", out, *CACHE)
        assert (cached.code, cached.stderr.replace(f"{out}/", "plain/")) == (0, plain.stderr)
        assert (tmp_path / out / "model.safetensors").read_bytes() == (
            tmp_path / "plain/model.safetensors").read_bytes()
        manifests = [json.loads((tmp_path / name / "run.json").read_text()) for name in (out, "plain")]
        assert manifests[0]["data_sha256"] == manifests[1]["data_sha256"]
    assert len(files(tmp_path / "cache")) == 1 and files(tmp_path / "cache")[0].endswith(".aecache")


def test_other_images_are_read_again(run, tmp_path, image_config):
    assert run("ae-train", image_config, "--out", "old", "-q", *CACHE).code == 0
    write_images(tmp_path / "set", 1, seed=2)
    assert run("ae-train", image_config, "--out", "new", "-q", *CACHE).code == 0
    assert run("ae-train", image_config, "--out", "plain", "-q").code == 0
    assert (tmp_path / "new/model.safetensors").read_bytes() == (tmp_path / "plain/model.safetensors").read_bytes()
    assert (tmp_path / "new/model.safetensors").read_bytes() != (tmp_path / "old/model.safetensors").read_bytes()
    assert len(files(tmp_path / "cache")) == 2


def test_damaged_images_are_named_and_made_again(run, tmp_path, image_config):
    assert run("ae-train", image_config, "--out", "first", "-q", *CACHE).code == 0
    (cache,) = (tmp_path / "cache").iterdir()
    whole = cache.read_bytes()
    cache.write_bytes(whole[:20_000] + bytes([whole[20_000] ^ 1]) + whole[20_001:])
    outcome = run("ae-train", image_config, "--out", "again", "-q", *CACHE)
    assert outcome.code == 0 and cache.name in outcome.stderr and "damaged" in outcome.stderr
    assert cache.read_bytes() == whole
    assert (tmp_path / "again/model.safetensors").read_bytes() == (tmp_path / "first/model.safetensors").read_bytes()


def test_a_run_that_is_killed_while_making_it_leaves_nothing_false(bin_folder, run, tmp_path, image_config):
    chance = random.Random(4)
    for i in range(300):
        write_bmp(tmp_path / "set" / f"large{i}.bmp", 600, 400, chance.randbytes(300_000))
    once = ["--set", "/training/epochs=1", "--set", "/data/resize/scale=0.1", "-q"]
    (tmp_path / "cache").mkdir()
    process = subprocess.Popen([bin_folder / "ae-train", image_config, "--out", "run", *once, *CACHE], cwd=tmp_path,
                               stderr=subprocess.DEVNULL)

    # It holds a file open in the folder from then on until the whole is in place.
    def is_making():
        folder = f"/proc/{process.pid}/fd"
        for descriptor in os.listdir(folder):
            try:
                if os.readlink(f"{folder}/{descriptor}").startswith(str(tmp_path / "cache")):
                    return True
            except OSError:  # closed meanwhile
                pass
        return False

    wait_for(lambda: process.poll() is not None or is_making())
    process.kill()
    assert process.wait(60) == -signal.SIGKILL
    again = run("ae-train", image_config, "--out", "run", *once, "--force", *CACHE)
    assert again.code == 0 and "damaged" not in again.stderr
    assert len([name for name in files(tmp_path / "cache") if name.endswith(".aecache")]) == 1
    assert run("ae-train", image_config, "--out", "plain", *once).code == 0
    assert (tmp_path / "run/model.safetensors").read_bytes() == (tmp_path / "plain/model.safetensors").read_bytes()


def test_runs_at_the_same_time_may_make_images_together(bin_folder, run, tmp_path, image_config):
    assert run("ae-train", image_config, "--out", "plain", "-q").code == 0
    started = [subprocess.Popen([bin_folder / "ae-train", image_config, "--out", f"run{i}", "-q", *CACHE], cwd=tmp_path,
                                stderr=subprocess.PIPE) for i in range(2)]
    for i, process in enumerate(started):
        said = process.communicate(timeout=120)[1].decode()
        assert process.returncode == 0 and said.count("\n") == 1 and "left out" in said
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
def test_private_memory_is_far_below_the_data(learns, tmp_path):
    rows, columns = 400_000, 60  # 190 MB of numbers and marks
    chance = random.Random(3)
    header = ",".join(f"x{i}" for i in range(columns)) + "\n"
    lines = "".join(",".join(f"{chance.gauss(0, 1):.3f}" for _ in range(columns)) + "\n" for _ in range(500))
    (tmp_path / "small.csv").write_text(header + lines)
    (tmp_path / "large.csv").write_text(header + rows // 500 * lines)
    config = write_config(tmp_path / "config.json", {
        "data": {"path": "small.csv"}, "model": {"hidden": [8], "latent": 2},
        "training": {"epochs": 1, "batch_size": 256, "validation_fraction": 0.02}})

    # What the libraries take for themselves, to 40 MB; and 80 MB more, for 20 bytes a row and the buffers.
    base = what_libraries_take(learns, config)
    large = ["--data", "large.csv"]
    assert not learns(base + 80, config, *large)
    assert learns(base + 80, config, *large, *CACHE)  # makes it
    assert learns(base + 80, config, *large, *CACHE)  # finds it


def write_black_stack(path, images, side, channels):
    """An NPY file of float32 images that takes hardly any room on a disk."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({images}, {side}, {side}, {channels}), }}".ljust(117)
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", 118) + header.encode() + b"\n")
        file.truncate(128 + 4 * images * side * side * channels)


@pytest.mark.skipif(SANITIZED, reason="AddressSanitizer reserves memory of its own")
def test_images_of_several_times_the_allowed_memory(learns, tmp_path):
    # 1000 MB of pixels in memory, as in the file. Many channels, so that most of the time is not the network's.
    write_black_stack(tmp_path / "small.npy", 4, 64, 16)
    write_black_stack(tmp_path / "large.npy", 4000, 64, 16)
    config = write_config(tmp_path / "config.json", {
        "data": {"type": "images", "path": "small.npy", "tile": {"size": 32}},
        "model": {"type": "conv", "width": 1, "levels": 1, "code": 1},
        "training": {"epochs": 1, "batch_size": 64, "validation_fraction": 0.002},
        "score": {"type": "map", "kind": "squared"}})

    # What the libraries take for themselves, to 40 MB; and 80 MB more, for the buffers.
    limit = 80 + what_libraries_take(learns, config)
    assert limit < 500  # or the images would not be several times as large
    large = ["--data", "large.npy"]
    assert not learns(limit, config, *large)
    assert learns(limit, config, *large, *CACHE)  # makes it
    assert learns(limit, config, *large, *CACHE)  # finds it
    manifest = json.loads((tmp_path / "run/run.json").read_text())
    assert manifest["training"]["training_rows"] + manifest["training"]["held_out_rows"] == 4000 * 4

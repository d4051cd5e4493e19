"""Training on image folders, as a user would from the shell. The images are made here, PNG by hand."""

import csv
import gzip
import json
import os
import signal
import struct
import subprocess
import time
import zlib
from pathlib import Path

import pytest

from other_files import other_files
from support import one_error, split_safetensors

np = pytest.importorskip("numpy")
pytestmark = pytest.mark.skipif(os.environ.get("AETOOLS_WITH_TORCH") == "0", reason="built without LibTorch")

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
PCB = CONFIGS / "pcb-inspection.json"
FAST = ["--set", "/training/epochs=3", "--set", "/model/width=4", "--threads", 1, "-q"]


def png(path, pixels):
    """8-bit or 16-bit, gray [h, w] or RGB [h, w, 3]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pixels.shape[:2]
    depth = 8 * pixels.dtype.itemsize
    raw = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
    stride = len(raw) // height
    rows = b"".join(b"\0" + raw[y * stride : (y + 1) * stride] for y in range(height))

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, 0 if pixels.ndim == 2 else 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def stripes(seed, size=96, dtype=np.uint8):
    """A texture that is easy to learn: stripes of random phase and a little noise."""
    generator = np.random.default_rng(seed)
    x = np.arange(size)
    wave = 0.5 + 0.4 * np.sin(2 * np.pi * x / 12 + generator.uniform(0, 6))
    image = np.clip(wave[None, :] + generator.normal(0, 0.02, (size, size)), 0, 1)
    return np.round(image * np.iinfo(dtype).max).astype(dtype)


def write_boards(folder):
    for i in range(12):
        png(folder / "train" / "good" / f"{i:03}.png", stripes(i))
    return folder


@pytest.fixture
def boards(tmp_path):
    return write_boards(tmp_path / "boards")


@pytest.fixture(scope="module")
def trained_on_boards(bin_folder, tmp_path_factory):
    """trained_on_boards(name, settings...): images and a model of them, which is trained when first asked for by that name;
    tests only read both."""
    folder = tmp_path_factory.mktemp("trained")
    boards = write_boards(folder / "boards")

    def trained(name, *more):
        if not (folder / name).exists():
            command = [bin_folder / "ae-train", PCB, "--data", boards, "--out", folder / name, *FAST, *more]
            done = subprocess.run([str(part) for part in command], capture_output=True, timeout=120)
            assert (done.returncode, done.stderr) == (0, b"")
        return boards, folder / name

    return trained


def metadata_of(path):
    return split_safetensors(path.read_bytes())[0]["__metadata__"]


def train(run, data, out, *more):
    return run("ae-train", PCB, "--data", data, "--out", out, *FAST, *more)


def test_a_folder_of_images_becomes_a_self_contained_model(run, boards, tmp_path):
    outcome = train(run, boards, "model", "--set", "/data/resize/scale=1", "--set", "/training/epochs=15",
                    "--set", "/training/batch_size=4")
    assert (outcome.code, outcome.stdout, outcome.stderr) == (0, "", "")
    metadata = metadata_of(tmp_path / "model" / "model.safetensors")
    geometry = json.loads(metadata["geometry"])
    assert (geometry["channels"], geometry["height"], geometry["width"]) == (1, 64, 64)
    assert geometry["tile"] == {"size": 64, "stride": 0, "margin": 8}
    assert "schema" not in metadata
    losses = [float(line.split(",")[1]) for line in (tmp_path / "model" / "metrics.csv").read_text().split()[1:]]
    assert losses[-1] < 0.5 * losses[0]


def test_the_same_run_gives_the_same_bytes(run, boards, tmp_path):
    for out in "ab":
        assert train(run, boards, out).code == 0
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    assert train(run, boards, "a").code == 2  # refused without --force
    assert train(run, boards, "a", "--resume").code == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_run_continues_to_the_same_bytes(run, bin_folder, trained_on_boards, tmp_path, number):
    more = ["--set", "/training/checkpoint/seconds=0", "--set", "/training/epochs=12", "--set", "/training/batch_size=4"]
    boards, whole = trained_on_boards("whole", *more)
    command = [bin_folder / "ae-train", PCB, "--data", boards, "--out", tmp_path / "cut", *FAST, *more]
    process = subprocess.Popen([str(part) for part in command], stderr=subprocess.PIPE)
    deadline = time.time() + 60
    while not (tmp_path / "cut" / "state.safetensors").exists() and time.time() < deadline:
        time.sleep(0.005)
    process.send_signal(number)
    process.communicate()
    if process.returncode != 0:  # else it was faster than us
        assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 128 + number)
    resumed = train(run, boards, "cut", "--resume", *more)
    assert (resumed.code, resumed.stderr) == (0, "")
    assert (whole / "model.safetensors").read_bytes() == (tmp_path / "cut/model.safetensors").read_bytes()


@pytest.mark.parametrize("family", ["conv", "unet", "conv_variational", "dense_images"])
def test_every_family_trains_on_colour_and_sixteen_bits(run, tmp_path, family):
    for i in range(6):
        colour = np.stack([stripes(10 * i + c, 40, np.uint16) for c in range(3)], 2)
        png(tmp_path / "set" / f"{i}.png", colour)
    config = {
        "data": {"type": "images", "path": "set", "augment": {"flip_horizontal": True}},
        "model": {"type": family, **({"hidden": [8]} if family == "dense_images" else {"width": 4})},
        "training": {"epochs": 2, "batch_size": 2, "corruption": [{"type": "gaussian", "sigma": 0.05}]},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    outcome = run("ae-train", "config.json", "--out", "model", "-q")
    assert (outcome.code, outcome.stderr) == (0, "")
    geometry = json.loads(metadata_of(tmp_path / "model" / "model.safetensors")["geometry"])
    assert (geometry["channels"], geometry["height"], geometry["width"]) == (3, 40, 40)
    png(tmp_path / "others" / "same.png", np.stack([stripes(c, 40, np.uint16) for c in range(3)], 2))
    png(tmp_path / "others" / "wide.png", np.stack([stripes(c, 44, np.uint16) for c in range(3)], 2))
    scored = run("ae-score", "model", "others", "-o", "scores.csv", "-q")
    assert scored.code == (4 if family == "dense_images" else 0)
    assert ("wide.png: 44 x 44 network pixels; this model reads 40 x 40 alone" in scored.stderr) == (family == "dense_images")
    with open(tmp_path / "scores.csv", newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == (["same.png"] if family == "dense_images" else ["same.png", "wide.png"])


def test_digits_come_from_idx_files_with_their_labels(run, tmp_path):
    images = np.stack([stripes(i, 28) for i in range(30)])
    labels = np.arange(30, dtype=np.uint8) % 3
    name = "train-{}-ubyte.gz"
    with gzip.open(tmp_path / name.format("images-idx3"), "wb") as file:
        file.write(struct.pack(">HBBIII", 0, 8, 3, *images.shape) + images.tobytes())
    with gzip.open(tmp_path / name.format("labels-idx1"), "wb") as file:
        file.write(struct.pack(">HBBI", 0, 8, 1, 30) + labels.tobytes())
    options = ["--data", "train-images-idx3-ubyte.gz", "--set", "/training/epochs=2", "-q"]
    assert run("ae-train", CONFIGS / "mnist-novelty.json", "--out", "digit", *options).code == 0
    metadata = json.loads(metadata_of(tmp_path / "digit" / "model.safetensors")["training"])
    assert metadata["training_rows"] + metadata["held_out_rows"] == 10
    wrong = run("ae-train", CONFIGS / "mnist-novelty.json", "--out", "x", *options, "--set", "/data/normal=7")
    assert wrong.code == 2 and "labels seen: 0, 1, 2" in wrong.stderr


def test_what_cannot_be_trained_on_is_one_clear_line(run, boards, tmp_path):
    def fails(code, *words, data=boards, more=()):
        outcome = train(run, data, "never", *more)
        assert outcome.code == code, outcome.stderr
        assert outcome.stderr.count("\n") == 1, outcome.stderr
        for word in words:
            assert word in outcome.stderr
        assert not (tmp_path / "never").exists()

    (tmp_path / "empty").mkdir()
    fails(4, "empty", "found no files", data="empty")
    fails(4, "missing", "No such file", data="missing")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.gif").write_bytes(b"GIF89a")
    fails(4, "1 .gif", data="pictures")
    fails(4, ".gif", data="pictures/a.gif")
    fails(2, "standard input", data="-")
    png(tmp_path / "boards/train/good/900.png", stripes(0, 80))
    fails(4, "900.png", "80 x 80", "96 x 96", "/data/tile/size",
          more=["--set", '/data/tile={"size": 0}', "--set", "/data/resize/scale=1"])
    good = (tmp_path / "boards/train/good/000.png").read_bytes()
    (tmp_path / "boards/train/good/001.png").write_bytes(good[: len(good) // 2])
    fails(4, "001.png", "damaged")
    skipped = train(run, boards, "skipped", "--set", "/data/unreadable=skip")
    assert skipped.code == 0 and "001.png" in skipped.stderr
    (tmp_path / "boards/train/good/001.png").write_bytes(good)
    fails(2, "/model/type", "conv", more=["--set", '/model={"type": "dense"}'])
    fails(2, "/model/type", "dense engine", "autograd", more=["--set", "/training/engine=dense"])
    fails(2, "/data/tile/stride", more=["--set", "/data/tile/stride=60"])
    rate = train(run, boards, "diverged", "--set", "/training/learning_rate=1e6", "--set", "/training/optimizer/type=sgd")
    assert rate.code == 1 and "epoch 1" in rate.stderr


def test_what_is_no_image_is_told_what_it_is_and_what_to_use(run, tmp_path):
    rows = np.random.default_rng(1).normal(size=(20, 30))
    table = '/data/type "table"'
    words = other_files(tmp_path)
    (tmp_path / "table.csv").write_text("a,b\n1,2\n3,4\n")
    np.save(tmp_path / "rows.npy", rows)
    np.savez(tmp_path / "rows.npz", rows=rows)
    np.save(tmp_path / "floats.npy", np.full((5, 8, 8), 17.25))
    np.save(tmp_path / "coordinates.npy", rows[:, :24].reshape(20, 2, 4, 3).astype(np.float32) * 10)
    np.save(tmp_path / "first.npy", np.zeros((5, 3, 32, 32), np.float32))
    (tmp_path / "photo").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF\0")
    words |= {
        "table.csv": ["text table", table],
        "rows.npy": ["(20, 30)", '"<f8"', "(images, height, width)", table],
        "rows.npz": ["(20, 30)", '"<f8"', "(images, height, width)", table],
        "floats.npy": ["image 0", "17.25", "[0, 1]", "255"],
        "coordinates.npy": ["image 0", "[0, 1]", "(20, 24)", table],
        "first.npy": ["(5, 3, 32, 32)", "channels first", "moveaxis"],
        "photo": ["JPEG image", ".jpg"],
    }
    for name, told in words.items():
        one_error(train(run, name, "never"), 4, name, "expected", *told)
    (tmp_path / "wrong.png").write_bytes((tmp_path / "x.gif").read_bytes())
    one_error(train(run, "wrong.png", "never"), 4, "wrong.png", "a GIF image", "expected a PNG")
    assert not (tmp_path / "never").exists()


def test_a_stack_of_floats_between_zero_and_one_is_trained_on(run, tmp_path):
    stack = np.stack([stripes(i, 32) for i in range(12)]) / np.float32(255)
    np.save(tmp_path / "stack.npy", stack)
    np.save(tmp_path / "doubles.npy", stack.astype(float))
    for name in ("stack", "doubles"):
        outcome = train(run, f"{name}.npy", name, "--set", "/data/tile/size=0", "--set", "/data/tile/margin=0")
        assert (outcome.code, outcome.stderr) == (0, "")
    models = [split_safetensors((tmp_path / name / "model.safetensors").read_bytes()) for name in ("stack", "doubles")]
    assert models[0][1] == models[1][1]


def test_programs_for_tables_refuse_a_model_of_images(run, trained_on_boards, tmp_path):
    _, model = trained_on_boards("model")
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    outcome = run("ae-impute", model, "table.csv", "-o", "out.csv")
    assert outcome.code == 2 and "trained on images" in outcome.stderr
    assert not (tmp_path / "out.csv").exists()


def test_a_damaged_geometry_is_refused(run, trained_on_boards, tmp_path):
    boards, model = trained_on_boards("model")
    path = tmp_path / "model" / "model.safetensors"
    path.parent.mkdir()
    data = (model / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    for geometry in ("[]", '{"height": 64}', '{"channels": 1, "height": 0, "width": 64}',
                     '{"channels": 1, "height": 65536, "width": 65536}', '{"channels": 2, "height": 64, "width": 64}',
                     '{"channels": 1, "height": 64, "width": 64, "tile": {"size": 9, "margin": 5}}'):
        header["__metadata__"]["geometry"] = geometry
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
        outcome = run("ae-score", "model", boards)
        assert outcome.code == 4, (geometry, outcome.stderr)
        assert "model.safetensors" in outcome.stderr

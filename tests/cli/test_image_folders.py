"""Folders of images as people have them: links, files of other kinds, turned and transparent pictures, public layouts."""

import csv
import io
import json
import os
import struct
import subprocess
import zlib

import pytest

numpy = pytest.importorskip("numpy")
from pictures import write_png
from support import one_error

pytestmark = pytest.mark.skipif(os.environ.get("AETOOLS_WITH_TORCH") == "0", reason="built without LibTorch")

HEIGHT, WIDTH = 24, 32
CONFIG = {
    "data": {"type": "images"},
    "model": {"type": "conv", "levels": 2, "width": 4, "code": 2},
    "training": {"epochs": 2, "batch_size": 8, "learning_rate": 0.005, "validation_fraction": 0.4},
}


def stripes(seed):
    rng = numpy.random.default_rng(seed)
    y, x = numpy.mgrid[:HEIGHT, :WIDTH]
    return (128 + 60 * numpy.sin((x + 2 * y + rng.integers(12)) / 2) + rng.normal(0, 6, y.shape)).astype(numpy.uint8)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def add_chunk(path, kind, body):
    """Right behind the header of a PNG file."""
    data = path.read_bytes()
    path.write_bytes(data[:33] + chunk(kind, body) + data[33:])


def write_rgba(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype(numpy.uint8))
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory, bin_folder):
    """Trained on the good ones of an MVTec root that is reached by a link."""
    folder = tmp_path_factory.mktemp("folders")
    for i in range(20):
        write_png(folder / "store" / f"{i:02}.png", stripes(i))
    (folder / "boards/train").mkdir(parents=True)
    (folder / "boards/train/good").symlink_to(folder / "store")
    (folder / "store/loop").symlink_to(folder / "boards")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    command = [bin_folder / "ae-train", folder / "config.json", "--data", folder / "boards", "--out", folder / "model"]
    done = subprocess.run([*command, "-q"], capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    return folder / "model"


def scores_of(outcome):
    assert outcome.code == 0, outcome.stderr
    return {row["id"]: row["score"] for row in csv.DictReader(io.StringIO(outcome.stdout))}


def test_all_orientations_score_as_the_upright_image(run, model, tmp_path):
    upright = stripes(50)
    upright[4:9, 3:12] = 250
    turned = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: numpy.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: numpy.rot90(upright, -1),
    }
    for orientation, stored in turned.items():
        path = tmp_path / "turned" / f"{orientation}.png"
        write_png(path, numpy.ascontiguousarray(stored))
        add_chunk(path, b"eXIf", b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0" + bytes([orientation]) + bytes(7))
    scores = scores_of(run("ae-score", model, "turned", "-q"))
    assert len(scores) == 8 and len(set(scores.values())) == 1


def test_what_transparency_hides_does_not_count(run, model, tmp_path):
    shown = stripes(60)
    alpha = numpy.full(shown.shape, 255)
    alpha[5:12, 8:20] = 0
    alpha[15:18] = 100
    seen = numpy.floor(shown * (alpha / 255) + 0.5).astype(int)
    hidden = numpy.where(alpha == 0, 255 - shown, shown)
    for name, values, opacity in (("a", shown, alpha), ("b", hidden, alpha), ("c", seen, numpy.full(shown.shape, 255))):
        write_rgba(tmp_path / "set" / f"{name}.png", numpy.dstack([values, values, values, opacity]))
    scores = scores_of(run("ae-score", model, "set"))
    assert len(scores) == 3 and len(set(scores.values())) == 1


def test_another_depth_or_other_channels_are_told_in_one_line(run, model, tmp_path):
    write_png(tmp_path / "new/a.png", stripes(1))
    write_png(tmp_path / "new/b.png", stripes(2).astype(numpy.uint16) * 257)
    write_png(tmp_path / "new/c.png", stripes(3).astype(numpy.uint16) * 257)
    write_png(tmp_path / "new/d.png", numpy.dstack([stripes(4)] * 3))
    outcome = run("ae-score", model, "new", "-q")
    assert outcome.code == 0 and outcome.stderr.count("\n") == 1
    assert "2 images are 16-bit gray (b.png, ...), 1 image is 8-bit RGB (d.png)" in outcome.stderr
    assert "trained on 8-bit gray" in outcome.stderr


def test_gray_of_one_bit_and_with_alpha_is_named_so(run, model, tmp_path):
    def write(name, depth, colour, rows):
        path = tmp_path / "new" / name
        path.parent.mkdir(exist_ok=True)
        header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour, 0, 0, 0)
        body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""))

    write_png(tmp_path / "new/a.png", stripes(1))
    write("b.png", 1, 0, numpy.packbits(stripes(2) > 128, axis=1))
    write("c.png", 8, 4, numpy.dstack([stripes(3), numpy.full((HEIGHT, WIDTH), 255, numpy.uint8)]))
    outcome = run("ae-score", model, "new", "-q")
    assert outcome.code == 0 and outcome.stderr.count("\n") == 1
    assert "1 image is 1-bit gray (b.png), 1 image is 8-bit gray with alpha (c.png), but" in outcome.stderr


def test_training_on_the_images_to_test_with_is_told(run, tmp_path):
    for i in range(8):
        write_png(tmp_path / "boards/train/good" / f"{i}.png", stripes(i))
        write_png(tmp_path / "boards/test/good" / f"{i}.png", stripes(10 + i))
        write_png(tmp_path / "boards/test/cut" / f"{i}.png", 255 - stripes(i))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    trained = run("ae-train", "config.json", "--data", "boards/test", "--out", "model")
    assert trained.code == 0 and "5 training images, 3 held out" in trained.stderr
    told = [line for line in trained.stderr.splitlines() if "boards/test: " in line]
    assert len(told) == 1
    assert "boards/test: trained on good alone, of images to test with; those to train on are in train: give " in told[0]
    assert told[0].endswith('/boards"')
    trained = run("ae-train", "config.json", "--data", "boards", "--out", "other")
    assert trained.code == 0 and "to test with" not in trained.stderr


def test_what_is_not_looked_at_is_counted_and_named(run, model, tmp_path):
    write_png(tmp_path / "new/a.png", stripes(1))
    write_png(tmp_path / "new/moving.png", stripes(2))
    add_chunk(tmp_path / "new/moving.png", b"acTL", struct.pack(">II", 3, 0))
    (tmp_path / "new/deep").mkdir()
    (tmp_path / "new/deep/film.gif").write_bytes(b"GIF89a\0\0\0\0")
    (tmp_path / "new/shot.webp").write_bytes(b"RIFF\0\0\0\0WEBP")
    (tmp_path / "new/notes.txt").write_text("text\n")
    plain = run("ae-score", model, "new")
    assert plain.code == 0 and len(scores_of(plain)) == 2
    assert "2 files are not looked at: " in plain.stderr and '"deep/film.gif", "shot.webp"' in plain.stderr
    assert "1 image holds further pages or frames" in plain.stderr and "moving.png" in plain.stderr
    assert "1 text file is left out" in plain.stderr and "notes.txt" in plain.stderr
    alarm = ["--threshold", "1e9", "--fail-on-anomaly", "-q"]
    watched = run("ae-score", model, "new", *alarm, "-o", "watched.csv")
    assert watched.code == 4 and "3 files were not looked at" in watched.stderr and "notes.txt" not in watched.stderr
    assert (tmp_path / "watched.csv").exists()
    assert run("ae-score", model, "new", *alarm, "--unreadable", "ignore").code == 0
    (tmp_path / "new/shot.webp").unlink()
    (tmp_path / "new/deep/film.gif").unlink()
    (tmp_path / "new/moving.png").unlink()
    assert run("ae-score", model, "new", *alarm).code == 0


def test_a_broken_link_is_an_unreadable_image(run, model, tmp_path):
    write_png(tmp_path / "new/a.png", stripes(1))
    (tmp_path / "new/b.png").symlink_to(tmp_path / "nowhere.png")
    outcome = run("ae-score", model, "new")
    assert outcome.code == 4 and "b.png" in outcome.stderr and "1 of 2 images" in outcome.stderr


def test_classes_are_labels_and_only_good_ones_are_trained_on(run, model, tmp_path):
    for i in range(8):
        write_png(tmp_path / "parts/OK" / f"{i}.png", stripes(i))
        write_png(tmp_path / "parts/NG" / f"{i}.png", 255 - stripes(i))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    trained = run("ae-train", "config.json", "--data", "parts", "--out", "model")
    assert trained.code == 0 and "5 training images, 3 held out" in trained.stderr
    assert "of its folders NG, OK, trained on OK" in trained.stderr
    rows = list(csv.DictReader(io.StringIO(run("ae-score", "model", "parts").stdout)))
    assert sorted({(row["id"].split("/")[0], row["label"]) for row in rows}) == [("NG", "NG"), ("OK", "OK")]
    (tmp_path / "parts/OK").rename(tmp_path / "parts/other")
    one_error(run("ae-train", "config.json", "--data", "parts", "--out", "never"), 4, "parts: holds images of defects",
              '"NG"', "/data/normal", "parts/**")
    assert run("ae-train", "config.json", "--data", "parts", "--out", "named", "--set", '/data/normal="other"').code == 0


@pytest.mark.parametrize("ending", ["_mask.png", "_GT.png", "_label.bmp"])
def test_masks_beside_their_images_are_no_images(run, model, tmp_path, ending):
    for i in range(8):
        write_png(tmp_path / f"flat/{i}.png", stripes(i))
    write_png(tmp_path / f"flat/5{ending}", numpy.zeros((24, 24), numpy.uint8))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    one_error(run("ae-train", "config.json", "--data", "flat", "--out", "never"), 4, "flat: holds masks of defects", f'"5{ending}"')
    scored = run("ae-score", model, "flat")
    assert f'"5{ending}" is taken for masks and left out' in scored.stderr
    assert [row["id"] for row in csv.DictReader(io.StringIO(scored.stdout))] == [f"{i}.png" for i in range(8)]


def test_two_files_of_one_name_may_be_image_and_mask(run, tmp_path):
    for i in range(8):
        write_png(tmp_path / f"flat/{i}.png", stripes(i))
    write_png(tmp_path / "flat/5.bmp", numpy.zeros((24, 24), numpy.uint8))
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    one_error(run("ae-train", "config.json", "--data", "flat", "--out", "never"), 4, '"5.bmp" and "5.png"', "flat/**/*.png")
    assert run("ae-train", "config.json", "--data", "flat/*.png", "--out", "model", "-q").code == 0


def test_a_table_of_visa_tells_what_is_trained_on(run, tmp_path):
    lines = ["object,split,label,image,mask"]
    for i in range(9):
        write_png(tmp_path / f"VisA/candle/Data/Images/Normal/{i}.png", stripes(i))
        lines.append(f"candle,{'train' if i < 7 else 'test'},normal,candle/Data/Images/Normal/{i}.png,")
    write_png(tmp_path / "VisA/candle/Data/Images/Anomaly/0.png", stripes(9))
    write_png(tmp_path / "VisA/candle/Data/Masks/Anomaly/0.png", numpy.eye(HEIGHT, WIDTH, dtype=numpy.uint8))
    lines.append("candle,test,anomaly,candle/Data/Images/Anomaly/0.png,candle/Data/Masks/Anomaly/0.png")
    (tmp_path / "VisA/split_csv").mkdir()
    (tmp_path / "VisA/split_csv/1cls.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    trained = run("ae-train", "config.json", "--data", "VisA", "--out", "model")
    assert trained.code == 0 and "4 training images, 3 held out" in trained.stderr and "VisA" in trained.stderr
    scored = run("ae-score", "model", "VisA", "-o", "scores.csv", "--maps", "maps", "-q")
    assert (scored.code, scored.stderr) == (0, "")
    rows = list(csv.DictReader((tmp_path / "scores.csv").open()))
    assert [(row["id"], row["label"]) for row in rows] == [
        ("candle/Data/Images/Anomaly/0.png", "anomaly"),
        ("candle/Data/Images/Normal/7.png", "normal"),
        ("candle/Data/Images/Normal/8.png", "normal"),
    ]
    pixels = []
    for truth in ("VisA", "VisA/candle/Data/Masks", "VisA/candle"):
        outcome = run("ae-roc", "scores.csv", "--normal", "normal", "--maps", "maps", "--truth", truth, "--bootstrap", "0",
                      "--summary", f"{len(pixels)}.json", "-q")
        assert outcome.code == 0, outcome.stderr
        pixels.append(json.loads((tmp_path / f"{len(pixels)}.json").read_text())["pixels"])
    assert pixels[0] == pixels[1] == pixels[2]


def test_identical_images_are_held_out_together_and_count_once(run, tmp_path):
    """However often each image is there, a model is calibrated on those that it has not seen, one value each."""
    for copies in (1, 6):
        for copy in range(copies):
            for i in range(20):
                write_png(tmp_path / f"set{copies}/{copy}-{i:02}.png", stripes(i))
        (tmp_path / "config.json").write_text(json.dumps(CONFIG))
        done = run("ae-train", "config.json", "--data", f"set{copies}", "--out", f"model{copies}")
        assert done.code == 0, done.stderr
        told = "100 images are identical to earlier ones; identical images are held out together" in done.stderr
        assert told == (copies == 6)
        calibration = json.loads(run("ae-info", f"model{copies}", "--json").stdout)["calibration"]["scores"]
        if copies == 1:
            assert calibration == 8
        # Of 20 images, some 8 are held out; 6 x 8 or images seen in training would be something else.
        assert 1 <= calibration < 20
        scores = run("ae-score", f"model{copies}", "set1")
        assert len(scores_of(scores)) == 20


def test_a_set_of_one_image_cannot_be_held_out_and_trained_on(run, tmp_path):
    for i in range(4):
        write_png(tmp_path / f"set/{i}.png", stripes(1))
    for seed in range(4):  # which of the four is held out depends on it
        config = {**CONFIG, "training": {**CONFIG["training"], "epochs": 1, "seed": seed}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        done = run("ae-train", "config.json", "--data", "set", "--out", f"model{seed}")
        if done.code == 4:
            one_error(done._replace(stderr=done.stderr.splitlines(keepends=True)[-1]), 4, "all images are identical",
                      "validation_fraction")
            return
    raise AssertionError("none of the seeds holds the first image out")

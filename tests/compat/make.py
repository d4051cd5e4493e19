#!/usr/bin/env python3
"""Trains a tiny model of each kind and keeps what the programs answer by it, for tests/cli/test_compat.py.

    AETOOLS_BIN=build/ci/apps tests/compat/make.py

writes tests/compat/VERSION for the version of the programs in AETOOLS_BIN, which must not be there yet: what a version
has written stays as it is. What to keep of a new kind of model is an entry of CASES.
"""

import json
import math
import os
import random
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
from pictures import write_png  # noqa: E402
from support import write_csv  # noqa: E402

TRAINING = {"epochs": 20, "batch_size": 16, "learning_rate": 0.01, "validation_fraction": 0.25, "seed": 0}
LINEAR = {"type": "linear", "latent": 2}
TABLE_LOSS = [{"type": "mse"}, {"type": "cross_entropy", "weight": 0.5}]
DEFECTS = [{"type": "synthetic", "translucent": 0}]

SCORE_TABLE = "ae-score {case}/model.safetensors inputs/table.csv --explain 2 -o {case}/scores.csv"
IMPUTE = "ae-impute {case}/model.safetensors inputs/table.csv -o {case}/imputed.csv"
PURIFY = "ae-purify {case}/model.safetensors inputs/table.csv --steps 2 -o {case}/purified.csv"
SCORE_IMAGES = (
    "ae-score {case}/model.safetensors inputs/{images} -o {case}/scores.csv --regions {case}/regions.csv"
    " --maps {case}/maps --pixel-alpha 0.1 --region-alpha 1"
)


def table_case(model, *commands, score=None, loss=(), scaling="standard", corruption=()):
    data = {"label": "label", "normal": "usual", "id": "name", "scaling": scaling}
    config = {"data": data, "model": model, "training": {**TRAINING, "corruption": list(corruption)}}
    if loss:
        config["loss"] = {"terms": list(loss)}
    if score:
        config["score"] = score
    return {"config": config, "train": "train.csv", "commands": [SCORE_TABLE, *commands]}


def image_case(training_images, images, model, loss, score, data=None, training=None):
    return {
        "config": {
            "data": {"type": "images", **(data or {})},
            "model": model,
            "loss": {"terms": loss},
            "score": {"type": "map", **score},
            "training": {**TRAINING, "epochs": 6, "batch_size": 4, **(training or {})},
        },
        "train": training_images,
        "commands": [SCORE_IMAGES.replace("{images}", images)],
    }


# A folder each: how its model is trained, and what is asked of it.
CASES = {
    "dense": table_case(
        {"type": "dense", "hidden": [6], "latent": 2, "activation": "gelu"},
        IMPUTE,
        PURIFY,
        corruption=[{"type": "mask", "rate": 0.2}],
    ),
    "dense-ensemble": table_case(
        {"type": "dense", "hidden": [5, 4], "latent": 2, "norm": "layer", "embedding": 2, "members": 2},
        loss=[{"type": "huber", "delta": 0.5}, {"type": "cross_entropy"}],
        scaling="quantile",
    ),
    "linear": table_case(LINEAR, loss=TABLE_LOSS, scaling="robust"),
    "variational": table_case(
        {"type": "variational", "hidden": [6], "latent": 2},
        loss=[{"type": "l1"}, {"type": "cross_entropy"}, {"type": "kl", "weight": 0.2, "warm_up": 5}],
    ),
    "normalized": table_case(LINEAR, score={"type": "normalized"}),
    "mahalanobis": table_case(LINEAR, score={"type": "mahalanobis", "latent": True}),
    "masked": table_case(
        {"type": "dense", "hidden": [6], "latent": 2},
        score={"type": "masked", "judge": "mahalanobis", "groups": 2, "repeats": 2},
        corruption=[{"type": "mask"}],
    ),
    "neighbours": table_case(LINEAR, score={"type": "neighbours", "judge": "normalized", "k": 3}),
    "prototypes": table_case(LINEAR, score={"type": "prototypes", "judge": "normalized", "cell": 12}),
    "fusion": table_case(
        LINEAR,
        score={
            "type": "fusion",
            "combine": "ratio",
            "weights": [2, 1, 1],
            "members": [
                {"type": "neighbours", "judge": "local", "k": 8, "ridge": 10, "whiten": True, "curved": True},
                {"type": "prototypes", "judge": "local", "cell": 20, "curved": True},
                {"type": "loss"},
            ],
        },
    ),
    "conv": image_case(
        "train_boards",
        "boards/test",
        {"type": "conv", "levels": 2, "width": 4, "code": 2, "members": 2},
        [{"type": "mse"}],
        {"kind": "fused", "normalize": "none", "sigma": 0.7, "wide_sigma": 2, "relative": 0.5, "reduction": "max"},
        {"channels": "gray", "tile": {"size": 16, "margin": 2}},
        {"corruption": DEFECTS, "emphasis": 4},
    ),
    "unet": image_case(
        "train_caps",
        "caps/test",
        {"type": "unet", "levels": 2, "width": 3, "code": 2, "norm": "group", "padding": "reflect"},
        [{"type": "mse"}, {"type": "ssim", "weight": 0.1, "window": 5}],
        {"kind": "ssim", "ssim_window": 5, "normalize": "position", "reduction": "top"},
        {"augment": {"flip_horizontal": True}},
        {"corruption": [{"type": "gaussian", "sigma": 0.05}]},
    ),
    "conv_variational": image_case(
        "train_digits-images-idx3-ubyte",
        "digits-images-idx3-ubyte",
        {"type": "conv_variational", "levels": 2, "width": 3, "code": 2, "upsample": "transposed"},
        [{"type": "bce"}, {"type": "kl", "weight": 0.1}],
        {"kind": "squared", "normalize": "global", "reduction": "mean"},
        {"normal": 0},
    ),
}


def table_row(chance, name, odd=False):
    """Two numbers and a category that one hidden number decides, one number of its own; an odd row's do not agree."""
    hidden = chance.uniform(-1, 1)
    other = -hidden if odd else hidden
    row = {
        "name": name,
        "length": f"{hidden + chance.gauss(0, 0.1):.3f}",
        "weight": f"{20 - 6 * other + chance.gauss(0, 0.5):.2f}",
        "speed": f"{math.exp(chance.gauss(2, 0.5)):.3f}",
        "colour": "red" if hidden < -0.3 else "green" if hidden < 0.3 else "blue",
        "batch": "7",
        "label": "odd" if odd else "usual",
    }
    for column in ("length", "weight", "speed", "colour"):
        if chance.random() < 0.06:
            row[column] = ""
    return row


def write_tables(training, inputs):
    chance = random.Random(1)
    write_csv(training / "train.csv", [table_row(chance, f"t{i}", odd=i % 20 == 0) for i in range(100)])
    rows = [table_row(chance, f"r{i}", odd=i % 5 == 0) for i in range(25)]
    rows[3]["colour"] = "violet"  # a level that training has not seen
    rows[7].update(length="", weight="", speed="", colour="", batch="")
    rows[11]["speed"] = "6e1"  # far out
    write_csv(inputs / "table.csv", rows)


def noisy(chance, pixels):
    noise = [[chance.gauss(0, 5) for _ in row] for row in pixels]
    return numpy.clip(numpy.round(pixels + numpy.array(noise)), 0, 255).astype(numpy.uint8)


def board(chance, height, width, spot=None):
    """Stripes at an angle; a spot is at (y, x)."""
    y, x = numpy.mgrid[:height, :width]
    pixels = 110 + 60 * numpy.sin((x + 2 * y + chance.randrange(12)) * 2 * numpy.pi / 12)
    if spot:
        pixels[spot[0] : spot[0] + 5, spot[1] : spot[1] + 5] = 240
    return noisy(chance, pixels)


def cap(chance, dent=False):
    """A round red thing on blue, 14 x 18."""
    y, x = numpy.mgrid[:14, :18]
    inside = (y - 6.5) ** 2 + (x - 8.5) ** 2 < 30
    if dent:
        inside &= (y - 3) ** 2 + (x - 6) ** 2 > 9
    return numpy.stack([noisy(chance, 60 + 140 * (inside == red)) for red in (True, True, False)], 2)


def digit(chance, kind):
    """A ring (0) or a bar (1), 12 x 12."""
    y, x = numpy.mgrid[:12, :12] - 5.5
    shape = abs(numpy.hypot(y, x) - 3.5) < 1 if kind == 0 else abs(x) < 1
    return noisy(chance, 20 + 200 * shape)


def write_digits(path, chance, kinds):
    images = numpy.stack([digit(chance, kind) for kind in kinds])
    path.write_bytes(struct.pack(">HBBIII", 0, 8, 3, *images.shape) + images.tobytes())
    labels = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
    labels.write_bytes(struct.pack(">HBBI", 0, 8, 1, len(kinds)) + bytes(kinds))


def write_images(training, inputs):
    chance = random.Random(2)
    for i in range(12):
        write_png(training / "train_boards" / f"{i:02}.png", board(chance, 32, 40))
        write_png(training / "train_caps" / f"{i:02}.png", cap(chance))
    boards, caps = inputs / "boards" / "test", inputs / "caps" / "test"
    write_png(boards / "good" / "same.png", board(chance, 32, 40))
    write_png(boards / "good" / "small.png", board(chance, 13, 21))
    write_png(boards / "spot" / "wide.png", board(chance, 24, 50, spot=(9, 30)))
    for i in range(2):
        write_png(caps / "good" / f"{i}.png", cap(chance))
        write_png(caps / "dent" / f"{i}.png", cap(chance, dent=True))
    write_digits(training / "train_digits-images-idx3-ubyte", chance, [0] * 14 + [1] * 2)
    write_digits(inputs / "digits-images-idx3-ubyte", chance, [0, 0, 1, 0])


def run(folder, command):
    """One of the programs in AETOOLS_BIN; more threads would not be faster and might round otherwise."""
    program, *arguments = command
    path = Path(os.environ["AETOOLS_BIN"]).resolve() / program
    return subprocess.run([path, *arguments], cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


def write_case(name, case, training, folder):
    (training / "config.json").write_text(json.dumps(case["config"]))
    run(training, ["ae-train", "config.json", "--data", case["train"], "--out", name, "--threads", "1", "-q"])
    (folder / name).mkdir()
    shutil.copy(training / name / "model.safetensors", folder / name)
    commands = [command.format(case=name) for command in case["commands"]]
    for command in commands:
        run(folder, [*shlex.split(command), "--threads", "1", "-q"])
    (folder / name / "commands.txt").write_text("".join(f"{command}\n" for command in commands))
    for picture in (folder / name).glob("maps/**/*.png"):
        picture.unlink()  # shows what the .npy beside it tells


def main():
    if "AETOOLS_BIN" not in os.environ:
        sys.exit("make.py: AETOOLS_BIN is not set; expected the folder with the programs")
    version = run(HERE, ["ae-train", "--version"]).split()[1]
    folder = HERE / version
    if folder.exists():
        sys.exit(f"make.py: {folder} exists; what a version has written stays: raise the version for new models")
    with tempfile.TemporaryDirectory() as temporary:
        training, written = Path(temporary) / "training", Path(temporary) / version
        training.mkdir()
        (written / "inputs").mkdir(parents=True)
        write_tables(training, written / "inputs")
        write_images(training, written / "inputs")
        for name, case in CASES.items():
            write_case(name, case, training, written)
        shutil.move(written, folder)


if __name__ == "__main__":
    main()

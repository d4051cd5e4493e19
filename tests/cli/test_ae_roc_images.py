"""ae-roc on images: pixel figures against scikit-learn and a slow AUPRO, boxes against a plain double loop, bad inputs."""

import json
import struct
import zlib

import numpy as np
import pytest

metrics = pytest.importorskip("sklearn.metrics")
ndimage = pytest.importorskip("scipy.ndimage")


def png(pixels, depth=8, colour=0, palette=None, interlaced=False):
    """PNG bytes of [H, W] or [H, W, channels] numbers, after the specification."""
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    def lines(part):
        raw = b""
        for row in part:
            values = np.atleast_1d(row).reshape(-1)
            if depth == 16:
                packed = values.astype(">u2").tobytes()
            elif depth == 8:
                packed = values.astype(np.uint8).tobytes()
            else:
                bits = "".join(format(int(v), f"0{depth}b") for v in values)
                bits += "0" * (-len(bits) % 8)
                packed = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
            raw += b"\0" + packed
        return raw

    pixels = np.asarray(pixels)
    height, width = pixels.shape[:2]
    if interlaced:
        raw = b""
        for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
            part = pixels[y0::dy, x0::dx]
            if part.size:
                raw += lines(part)
    else:
        raw = lines(pixels)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    body = chunk(b"IHDR", header)
    if palette is not None:
        body += chunk(b"PLTE", bytes(palette))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def blob_mask(random, height, width, blobs):
    mask = np.zeros((height, width), bool)
    for _ in range(blobs):
        y, x = random.integers(0, height), random.integers(0, width)
        h, w = random.integers(1, 9, 2)
        mask[y:y + h, x:x + w] = True
    if blobs > 1:  # touching by a corner only: one region of two
        mask[2, 2] = mask[3, 3] = True
    return mask


class Inspection:
    """A folder of images, some good, some with copper or open defects, on boards that training has seen or not."""

    def __init__(self, folder, seed=0, value=lambda random, mask: random.normal(size=mask.shape) + 1.5 * mask):
        self.folder = folder
        random = np.random.default_rng(seed)
        self.rows = []  # id, score, label, board, mask, map
        for i in range(24):
            label = ["good", "copper", "open", "good"][i % 4]
            height, width = int(random.integers(20, 40)), int(random.integers(20, 40))
            mask = np.zeros((height, width), bool) if label == "good" else blob_mask(random, height, width, 1 + i % 3)
            values = value(random, mask).astype(np.float32)
            score = float(np.sort(values.reshape(-1))[-20:].mean())
            self.rows.append([f"test/{label}/{i:03}.png", score, label, "seen" if i % 3 else "unseen", mask, values])
        self.write()

    def write(self):
        for name, _, label, _, mask, values in self.rows:
            path = self.folder / "maps" / name.replace(".png", ".npy")
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, values)
            if label != "good":
                truth = self.folder / "truth" / label / (name.split("/")[-1].replace(".png", "_mask.png"))
                truth.parent.mkdir(parents=True, exist_ok=True)
                truth.write_bytes(png(255 * mask))
        self.write_scores()

    def write_scores(self):
        lines = [f"{name},{score!r},0.5,{label}\n" for name, score, label, *_ in self.rows]
        (self.folder / "scores.csv").write_text("id,score,p_value,label\n" + "".join(lines))
        lines = [f"{name},{label},{board}\n" for name, _, label, board, *_ in self.rows]
        (self.folder / "manifest.csv").write_text("file,type,board\n" + "".join(lines))


def slow_figures(rows):
    """Pixel AUROC, AP by scikit-learn; AUPRO by each threshold of the maps."""
    truth = np.concatenate([mask.reshape(-1) for *_, mask, _ in rows])
    values = np.concatenate([value.reshape(-1) for *_, value in rows])
    regions = []
    for *_, mask, value in rows:
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [np.sort(value[labels == region]) for region in range(1, count + 1)]
    normal = np.sort(values[~truth])
    fpr, pro = [0.0], [0.0]
    for threshold in np.unique(values)[::-1]:
        fpr.append((len(normal) - np.searchsorted(normal, threshold)) / len(normal))
        pro.append(np.mean([(len(r) - np.searchsorted(r, threshold)) / len(r) for r in regions]))

    def aupro(limit):
        inside = [f for f in fpr if f < limit] + [limit]
        return np.trapz(np.interp(inside, fpr, pro) if len(set(fpr)) == len(fpr) else steps(limit), inside) / limit

    def steps(limit):  # several points of one FPR: the curve rises straight up there
        result = [p for f, p in zip(fpr, pro) if f < limit]
        after = next(i for i, f in enumerate(fpr) if f >= limit)
        share = (limit - fpr[after - 1]) / (fpr[after] - fpr[after - 1])
        return result + [pro[after - 1] + share * (pro[after] - pro[after - 1])]

    return {"auroc": metrics.roc_auc_score(truth, values), "average_precision": metrics.average_precision_score(truth, values),
            "aupro_30": aupro(0.3), "aupro_05": aupro(0.05), "regions": len(regions)}


MAP_KINDS = {
    "normal": lambda random, mask: random.normal(size=mask.shape) + 1.5 * mask,
    "heavy tails": lambda random, mask: np.exp(4 * random.normal(size=mask.shape) + 3 * mask),
    "nearly constant": lambda random, mask: 0.5 + 1e-6 * (random.normal(size=mask.shape) + 2 * mask),
    "few values": lambda random, mask: random.integers(0, 4, mask.shape) + mask * random.integers(0, 3, mask.shape),
    "mostly zero": lambda random, mask: (random.random(mask.shape) < 0.2) * random.random(mask.shape) + 0.3 * mask,
    "negative": lambda random, mask: -1e20 * random.random(mask.shape) ** 2 * (1 - 0.5 * mask),
}

PIXELS = ("--normal", "good", "--maps", "maps", "--truth", "truth", "--summary", "s.json", "--force", "-q")


def summary(run, tmp_path, *args, warnings=""):
    outcome = run("ae-roc", "scores.csv", *args)
    assert outcome.code == 0 and outcome.stderr == warnings, outcome
    return json.loads((tmp_path / "s.json").read_text())


def same_figures(found, rows):
    for name, value in slow_figures(rows).items():
        assert found[name] == pytest.approx(value, abs=2e-4), name


@pytest.mark.parametrize("kind", MAP_KINDS)
def test_pixel_figures_equal_the_slow_reference(run, tmp_path, kind):
    rows = Inspection(tmp_path, value=MAP_KINDS[kind]).rows
    found = summary(run, tmp_path, *PIXELS, "--bootstrap", 0)
    same_figures(found["pixels"], rows)
    for part in found["types"]:
        same_figures(part["pixels"], [row for row in rows if row[2] in ("good", part["name"])])


def test_image_figures_by_type_and_group(run, tmp_path):
    rows = Inspection(tmp_path).rows
    found = summary(run, tmp_path, *PIXELS, "--manifest", "manifest.csv", "--group-by", "board", "--choose", "fpr=0.2")
    threshold = found["chosen"]["threshold"]
    assert [part["name"] for part in found["types"]] == ["copper", "open"]
    assert [part["name"] for part in found["groups"]] == ["seen", "unseen"] and found["group_by"] == "board"
    parts = [(part, [row for row in rows if row[2] in ("good", part["name"])]) for part in found["types"]]
    parts += [(part, [row for row in rows if row[3] == part["name"]]) for part in found["groups"]]
    for part, own in parts:
        labels, scores = [row[2] != "good" for row in own], [row[1] for row in own]
        assert part["auroc"]["value"] == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
        assert part["auprc"]["value"] == pytest.approx(metrics.average_precision_score(labels, scores), abs=1e-12)
        flagged = [score >= threshold for score in scores]
        assert part["confusion"]["tp"] == sum(f and y for f, y in zip(flagged, labels))
        assert part["confusion"]["fp"] == sum(f and not y for f, y in zip(flagged, labels))
        same_figures(part["pixels"], own)
    table = run("ae-roc", "scores.csv", *PIXELS).stdout
    for text in ("pixel AUROC", "AUPRO to FPR 0.3", "copper", "Each type against all normal rows"):
        assert text in table


def test_pixel_intervals_agree_with_plain_resampling(run, tmp_path):
    rows = Inspection(tmp_path).rows
    found = summary(run, tmp_path, *PIXELS, "--bootstrap", 2000)["pixels"]
    assert found["intervals"]["resamples"] == 200
    random = np.random.default_rng(1)
    truth = [row[4].reshape(-1) for row in rows]
    values = [row[5].reshape(-1) for row in rows]
    precisions = []
    for _ in range(200):
        drawn = random.integers(0, len(rows), len(rows))
        precisions.append(metrics.average_precision_score(
            np.concatenate([truth[i] for i in drawn]), np.concatenate([values[i] for i in drawn])))
    low, high = found["intervals"]["average_precision"]
    assert low < found["average_precision"] < high
    expected = np.percentile(precisions, [2.5, 97.5])
    assert [low, high] == pytest.approx(list(expected), abs=0.4 * (expected[1] - expected[0]))
    again = summary(run, tmp_path, *PIXELS, "--bootstrap", 2000, "--threads", 2)["pixels"]
    assert again == found


def mask_variants(mask):
    height, width = mask.shape
    rgb = np.zeros((height, width, 3), int)
    rgb[..., 2] = mask
    alpha = np.dstack([mask, np.full(mask.shape, 255)])
    faint = np.zeros((height, width, 4), int)
    faint[..., 0] = mask
    yield "1 bit", png(mask, depth=1)
    yield "2 bits", png(mask, depth=2)
    yield "4 bits", png(3 * mask, depth=4)
    yield "0 and 1", png(mask)
    yield "16 bits", png(mask, depth=16)
    yield "palette", png(mask, depth=8, colour=3, palette=[0, 0, 0, 0, 0, 9])
    yield "1-bit palette", png(mask, depth=1, colour=3, palette=[0, 0, 0, 128, 0, 0])
    yield "blue", png(rgb, colour=2)
    yield "16-bit colour", png(rgb, depth=16, colour=2)
    yield "gray and alpha", png(alpha, colour=4)
    yield "colour and alpha", png(faint, colour=6)
    yield "interlaced", png(255 * mask, interlaced=True)
    yield "interlaced bits", png(mask, depth=1, interlaced=True)
    black_and_red, black_and_black = [0, 0, 0, 0, 0, 0, 255, 0], [0, 0, 0, 255]
    yield "BMP, 1 bit", bmp(mask, 1, black_and_red)
    yield "BMP, 4 bits", bmp(mask, 4, black_and_red)
    yield "BMP, 8 bits", bmp(2 * mask, 8, [0, 0, 0, 0, *black_and_black, 9, 9, 9, 0])
    yield "BMP, 24 bits", bmp(mask << 8, 24)
    yield "BMP, 32 bits", bmp(mask | 0xFF000000, 32)
    yield "BMP, first row first", bmp(mask, 8, black_and_red, downwards=True)


def bmp(pixels, bits, palette=(), downwards=False):
    """Windows 3 BMP, written from the format's description."""
    height, width = pixels.shape
    rows = []
    for row in pixels if downwards else pixels[::-1]:
        digits = "".join(format(int(value), f"0{bits}b") for value in row)
        if bits > 8:  # bytes of a pixel, lowest first
            line = b"".join(int(value).to_bytes(bits // 8, "little") for value in row)
        else:
            digits += "0" * (-len(digits) % 8)
            line = bytes(int(digits[i : i + 8], 2) for i in range(0, len(digits), 8))
        rows.append(line + bytes(-len(line) % 4))
    start = 54 + len(palette)
    body = b"".join(rows)
    header = struct.pack("<IiiHHIIiiII", 40, width, -height if downwards else height, 1, bits, 0, len(body), 0, 0,
                         len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + bytes(palette) + body


def test_every_kind_of_mask_means_the_same(run, tmp_path):
    inspection = Inspection(tmp_path)
    name, mask = next((row[0], row[4]) for row in inspection.rows if row[2] == "copper")
    expected = summary(run, tmp_path, *PIXELS, "--bootstrap", 0)["pixels"]
    path = tmp_path / "truth/copper" / name.split("/")[-1].replace(".png", "_mask.png")
    for kind, data in mask_variants(mask.astype(int)):
        path.write_bytes(data)
        assert summary(run, tmp_path, *PIXELS, "--bootstrap", 0)["pixels"] == expected, kind
    path.unlink()
    path.with_name(path.name.upper()).write_bytes(bmp(mask, 1, [0, 0, 0, 0, 9, 9, 9, 0]))  # any case and extension
    assert summary(run, tmp_path, *PIXELS, "--bootstrap", 0)["pixels"] == expected
    path.with_name(path.name.upper()).unlink()
    parts = path.with_name(path.name.replace("_mask.png", ""))  # a folder of masks, to be united
    parts.mkdir()
    for i in range(3):
        part = mask & (np.arange(mask.shape[1]) % 3 == i)
        (parts / f"{i:03}.png").write_bytes(png(part))
    assert summary(run, tmp_path, *PIXELS, "--bootstrap", 0)["pixels"] == expected
    (parts / "001.png").write_bytes(png(np.ones((2, 2))))
    error(run("ae-roc", "scores.csv", *PIXELS), 4, "001.png: is 2x2 pixels", "000.png, a mask of the same image")
    for part in parts.iterdir():
        part.unlink()
    parts.rmdir()
    for dtype in (bool, np.uint8, np.float32, np.int64):
        np.save(path.with_suffix(".npy"), mask.astype(dtype))
        assert summary(run, tmp_path, *PIXELS, "--bootstrap", 0)["pixels"] == expected, dtype
    path.with_suffix(".npy").unlink()
    plain = tmp_path / "truth" / name
    plain.parent.mkdir(parents=True)
    plain.write_bytes(png(mask))
    assert summary(run, tmp_path, *PIXELS, "--bootstrap", 0)["pixels"] == expected


def error(outcome, code, *parts):
    assert outcome.code == code, outcome
    lines = outcome.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("ae-roc: error: "), outcome.stderr
    for part in parts:
        assert part in lines[0], lines[0]


def test_without_any_mask_only_image_figures(run, tmp_path):
    Inspection(tmp_path)
    command = ["ae-roc", "scores.csv", "--normal", "good", "--maps", "maps", "--truth", "nowhere", "--summary", "s.json", "-q"]
    error(run(*command), 4, "nowhere")
    (tmp_path / "nowhere").mkdir()
    outcome = run(*command)
    assert outcome.code == 0
    assert outcome.stderr.startswith("ae-roc: warning: nowhere: no mask") and "no pixel figures" in outcome.stderr
    found = json.loads((tmp_path / "s.json").read_text())
    assert "pixels" not in found and len(found["types"]) == 2


def test_masks_that_no_image_finds_are_an_error(run, tmp_path):
    Inspection(tmp_path)
    (tmp_path / "truth/copper").rename(tmp_path / "truth/cooper")
    (tmp_path / "truth/open").rename(tmp_path / "truth/opne")
    error(run("ae-roc", "scores.csv", *PIXELS), 4, "truth: holds", "masks", "cooper/", "but none of a scored image",
          "test/copper/")


def test_a_data_sets_root_tells_the_masks(run, tmp_path):
    inspection = Inspection(tmp_path)
    expected = summary(run, tmp_path, *PIXELS, "--bootstrap", 0)["pixels"]
    root = tmp_path / "root"
    for row in inspection.rows:
        (root / row[0]).parent.mkdir(parents=True, exist_ok=True)
        (root / row[0]).write_bytes(png(row[4]))
    (root / "train/good").mkdir(parents=True)
    (tmp_path / "truth").rename(root / "ground_truth")
    options = ["root" if part == "truth" else part for part in PIXELS]
    assert summary(run, tmp_path, *options, "--bootstrap", 0)["pixels"] == expected


def test_images_of_a_data_set_without_masks_are_not_taken_for_masks(run, tmp_path):
    inspection = Inspection(tmp_path)
    root = tmp_path / "root"
    for row in inspection.rows:
        (root / row[0]).parent.mkdir(parents=True, exist_ok=True)
        (root / row[0]).write_bytes(png(row[4]))
    (root / "train/good").mkdir(parents=True)
    options = ["root" if part == "truth" else part for part in PIXELS]
    error(run("ae-roc", "scores.csv", *options), 4, "root: MVTec AD without a mask", "ground_truth/TYPE/NAME_mask.png")


def test_missing_masks_and_maps_are_named(run, tmp_path):
    rows = Inspection(tmp_path).rows
    (tmp_path / "truth/copper/001_mask.png").unlink()
    error(run("ae-roc", "scores.csv", *PIXELS), 4, "truth: no mask for 1 image", "test/copper/001.png", "--allow-missing")
    warning = run("ae-roc", "scores.csv", *PIXELS, "--allow-missing")
    assert warning.code == 0 and "left out" in warning.stderr
    same_figures(json.loads((tmp_path / "s.json").read_text())["pixels"], rows[:1] + rows[2:])
    (tmp_path / "truth/copper/001_mask.png").write_bytes(png(rows[1][4]))
    (tmp_path / "maps/test/good/000.npy").unlink()
    error(run("ae-roc", "scores.csv", *PIXELS), 4, "maps: no map for 1 image", "test/good/000.png")


def test_masks_of_no_scored_image_are_told(run, tmp_path):
    inspection = Inspection(tmp_path)
    expected = summary(run, tmp_path, *PIXELS, "--bootstrap", 0)["pixels"]
    (tmp_path / "truth/copper/099_mask.png").write_bytes(png(np.ones((5, 5))))
    line = ('ae-roc: warning: truth: 1 mask belongs to none of the images: "copper/099_mask.png"; name them as their images '
            "are, or remove them\n")
    assert summary(run, tmp_path, *PIXELS, "--bootstrap", 0, warnings=line)["pixels"] == expected
    # It may be of a row that has no label.
    text = (tmp_path / "scores.csv").read_text()
    (tmp_path / "scores.csv").write_text(text + "test/copper/099.png,1,0.5,\n")
    outcome = run("ae-roc", "scores.csv", *PIXELS, "--bootstrap", 0)
    assert outcome.code == 0 and "belongs to none" not in outcome.stderr
    assert len(inspection.rows) == 24


def test_empty_masks_count_as_normal_with_a_warning(run, tmp_path):
    inspection = Inspection(tmp_path)
    inspection.rows[1][4][:] = False
    inspection.write()
    outcome = run("ae-roc", "scores.csv", *PIXELS)
    assert outcome.code == 0 and "1 defective image has a mask without a defect" in outcome.stderr
    same_figures(json.loads((tmp_path / "s.json").read_text())["pixels"], inspection.rows)
    for row in inspection.rows:
        row[4][:] = False
    inspection.write()
    outcome = run("ae-roc", "scores.csv", *PIXELS)
    assert outcome.code == 0 and "no mask has a defect pixel" in outcome.stderr


def damaged(folder, kind):
    mask, values = folder / "truth/copper/001_mask.png", folder / "maps/test/copper/001.npy"
    whole = mask.read_bytes()
    if kind == "sizes differ":
        mask.write_bytes(png(np.ones((5, 7))))
    elif kind == "not finite":
        array = np.load(values)
        array[3, 4] = np.nan
        np.save(values, array)
    elif kind == "infinite":
        array = np.load(values)
        array[0, 1] = np.inf
        np.save(values, array)
    elif kind == "cut short":
        mask.write_bytes(whole[:len(whole) // 2])
    elif kind == "wrong checksum":
        mask.write_bytes(whole[:20] + bytes([whole[20] ^ 1]) + whole[21:])
    elif kind == "huge":
        mask.write_bytes(png(np.ones((1, 1)))[:16] + struct.pack(">IIBBBBB", 1 << 20, 1 << 20, 16, 6, 0, 0, 0) + b"1234")
    elif kind == "not a picture":
        mask.write_bytes(b"hello")
    elif kind == "no bitmap":
        mask.write_bytes(b"BM, a bitmap")
    elif kind == "lossy":
        mask.write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF\0")
    elif kind == "empty":
        mask.write_bytes(b"")
    elif kind == "flat map":
        np.save(values, np.zeros(7))
    elif kind == "three axes":
        np.save(values, np.zeros((2, 3, 4)))
    elif kind == "map is no array":
        values.write_bytes(b"hello")
    elif kind == "folder":
        mask.unlink()
        mask.mkdir()
    elif kind == "good image marked":
        good = folder / "truth/good/000_mask.png"
        good.parent.mkdir()
        good.write_bytes(png(np.ones(np.load(folder / "maps/test/good/000.npy").shape)))


@pytest.mark.parametrize("kind, parts", [
    ("sizes differ", ["001.npy", "001_mask.png", "7x5"]),
    ("not finite", ["001.npy: row 3, column 4 is nan"]),
    ("infinite", ["001.npy: row 0, column 1 is inf"]),
    ("cut short", ["001_mask.png: cannot be read as PNG", "the file ends too early"]),
    ("wrong checksum", ["001_mask.png: cannot be read as PNG"]),
    ("huge", ["001_mask.png: cannot be read as PNG"]),
    ("not a picture", ["001_mask.png: of no known kind", "PNG, BMP or NPY"]),
    ("no bitmap", ["001_mask.png: cannot be read as BMP", "the file ends too early"]),
    ("lossy", ["001_mask.png: found a JPEG image", "PNG, BMP or NPY"]),
    ("empty", ["001_mask.png: the file is empty"]),
    ("flat map", ["001.npy: the map has 1x7 pixels, but the mask"]),
    ("three axes", ["001.npy", "(2, 3, 4)"]),
    ("map is no array", ["001.npy: not an NPY file"]),
    ("folder", ["no mask for 1 image", "copper/001.png"]),
    ("good image marked", ["000_mask.png", '"good" means normal', "--truth"]),
])
def test_bad_maps_and_masks_are_one_line_and_exit_4(run, tmp_path, kind, parts):
    Inspection(tmp_path)
    damaged(tmp_path, kind)
    error(run("ae-roc", "scores.csv", *PIXELS), 4, *parts)
    assert not (tmp_path / "s.json").exists()


def test_bad_groups(run, tmp_path):
    inspection = Inspection(tmp_path)
    group = ("-q", "--normal", "good", "--manifest", "manifest.csv", "--group-by")
    error(run("ae-roc", "scores.csv", *group, "bord"), 4, 'no column "bord"', 'did you mean "board"?')
    text = (tmp_path / "manifest.csv").read_text()
    (tmp_path / "manifest.csv").write_text(text.replace("test/copper/001.png", "other.png"))
    error(run("ae-roc", "scores.csv", *group, "board"), 4, "no row for 1 image of scores.csv", "test/copper/001.png")
    (tmp_path / "manifest.csv").write_text(text.replace("file,", "name,"))
    error(run("ae-roc", "scores.csv", *group, "board"), 4, "--id-column")
    error(run("ae-roc", "scores.csv", "-q", "--normal", "good", "--group-by", "board"), 4, 'no column "board"', "--manifest")
    (tmp_path / "manifest.csv").write_text(text + "test/copper/001.png,copper,other\n")
    error(run("ae-roc", "scores.csv", *group, "board"), 4, "occurs a second time")
    inspection.rows.append(inspection.rows[0])
    inspection.write_scores()
    (tmp_path / "manifest.csv").write_text(text)
    error(run("ae-roc", "scores.csv", *group, "board"), 4, "occurs a second time")


def test_a_group_of_one_class_has_no_area(run, tmp_path):
    (tmp_path / "scores.csv").write_text("id,score,label,line\na,1,0,x\nb,2,1,x\nc,3,1,y\n")
    found = summary(run, tmp_path, "--group-by", "line", "--summary", "s.json", "--bootstrap", 0, "-q",
                    warnings="ae-roc: warning: scores.csv: one normal row only: AUROC has no DeLong interval, [0, 1] is given\n")
    assert found["groups"][1]["auroc"] is None and found["groups"][1]["fpr"] is None
    assert found["groups"][1]["tpr"] == 1


def box_case(folder, seed=0):
    random = np.random.default_rng(seed)
    images, regions = [], []
    (folder / "boxes").mkdir(exist_ok=True)
    for i in range(20):
        label = "good" if i % 4 == 0 else "defect"
        name = f"test/{label}/{i:03}.png"
        boxes = []
        if label == "defect":
            for _ in range(int(random.integers(1, 5))):
                x, y, w, h = random.integers(0, 80), random.integers(0, 80), *random.integers(5, 20, 2)
                boxes.append((int(x), int(y), int(x + w), int(y + h), "ab"[int(random.integers(0, 2))]))
            (folder / f"boxes/{i:03}.csv").write_text(
                "x1,y1,x2,y2,type\n" + "".join(",".join(map(str, box)) + "\n" for box in boxes))
        found = []
        for x1, y1, x2, y2, _ in boxes:
            if random.random() < 0.6:
                dx, dy = random.integers(-8, 9, 2)
                found.append((int(x1 + dx), int(y1 + dy), int(x2 - x1), int(y2 - y1)))
        if random.random() < 0.5:
            found.append((int(random.integers(0, 90)), int(random.integers(0, 90)), 6, 6))
        images.append((name, label, boxes, found))
        regions += [(name, j, x, y, w, h, x + w / 2 - 0.5, y + h / 2 - 0.5) for j, (x, y, w, h) in enumerate(found)]
    (folder / "scores.csv").write_text(
        "id,score,label\n" + "".join(f"{name},{len(found) + 0.1 * i},{label}\n" for i, (name, label, _, found) in enumerate(images)))
    (folder / "regions.csv").write_text("id,region,x,y,width,height,area,peak,mean,centroid_x,centroid_y\n" + "".join(
        f"{n},{j},{x},{y},{w},{h},{w * h},1,1,{cx},{cy}\n" for n, j, x, y, w, h, cx, cy in regions))
    (folder / "all.csv").write_text("id,x,y,width,height,type\n" + "".join(
        f"{name},{x1},{y1},{x2 - x1},{y2 - y1},{kind}\n" for name, _, boxes, _ in images for x1, y1, x2, y2, kind in boxes))
    return images


def overlap(box, region):
    x, y, w, h = region
    width, height = min(box[2], x + w) - max(box[0], x), min(box[3], y + h) - max(box[1], y)
    shared = max(0, width) * max(0, height)
    return shared, shared / (w * h + (box[2] - box[0]) * (box[3] - box[1]) - shared)


RULES = {
    "centre": lambda b, r: b[0] <= r[0] + r[2] / 2 < b[2] and b[1] <= r[1] + r[3] / 2 < b[3],
    "overlap": lambda b, r: overlap(b, r)[0] > 0,
    "iou=0.3": lambda b, r: overlap(b, r)[1] >= 0.3,
    "iou=0.6,centre": lambda b, r: overlap(b, r)[1] >= 0.6 or RULES["centre"](b, r),
}


@pytest.mark.parametrize("rule", RULES)
def test_boxes_equal_a_plain_double_loop(run, tmp_path, rule):
    images, match = box_case(tmp_path), RULES[rule]
    args = ("--normal", "good", "--regions", "regions.csv", "--box-hit", rule, "--summary", "s.json", "--force", "-q")
    found = summary(run, tmp_path, "--boxes", "boxes", *args)["boxes"]
    hit = [(box, any(match(box, r) for r in regions)) for _, _, boxes, regions in images for box in boxes]
    assert (found["boxes"], found["hit"]) == (len(hit), sum(h for _, h in hit))
    assert found["hit_rate"] == pytest.approx(sum(h for _, h in hit) / len(hit))
    wrong = {label: sum(not any(match(box, r) for box in boxes) for _, own, boxes, regions in images if own == label
                        for r in regions) for label in ("good", "defect")}
    assert found["false_regions"] == wrong["good"] + wrong["defect"]
    assert found["false_regions_per_normal_image"] == pytest.approx(wrong["good"] / 5)
    assert found["false_regions_per_defective_image"] == pytest.approx(wrong["defect"] / 15)
    assert found["types"] == [{"name": kind, "boxes": sum(b[4] == kind for b, _ in hit),
                               "hit": sum(h for b, h in hit if b[4] == kind)} for kind in "ab"]
    assert summary(run, tmp_path, "--boxes", "all.csv", *args)["boxes"] == found
    assert "boxes hit" in run("ae-roc", "scores.csv", "--boxes", "boxes", *args).stdout


def test_bad_boxes(run, tmp_path):
    box_case(tmp_path)
    args = ("--normal", "good", "--regions", "regions.csv", "--boxes", "boxes")
    (tmp_path / "boxes/001.csv").write_text("x1,y1,x2,y2\n1,2,x,4\n")
    error(run("ae-roc", "scores.csv", *args), 4, "001.csv:2:5", '"x" is not a coordinate')
    (tmp_path / "boxes/001.csv").write_text("x1,y1,x2,y2\n5,2,5,4\n")
    error(run("ae-roc", "scores.csv", *args), 4, "001.csv:2:5: a box without area")
    (tmp_path / "boxes/001.csv").write_text("x1,y1,x3,y2\n5,2,6,4\n")
    error(run("ae-roc", "scores.csv", *args), 4, 'no column "x2"')
    (tmp_path / "boxes/001.csv").unlink()
    error(run("ae-roc", "scores.csv", *args), 4, "boxes: no boxes for 1 defective image", "test/defect/001.png")
    assert run("ae-roc", "scores.csv", *args, "--allow-missing").code == 0
    text = (tmp_path / "regions.csv").read_text()
    (tmp_path / "regions.csv").write_text(text + "test/other.png,0,1,1,2,2,4,1,1,2,2\n")
    error(run("ae-roc", "scores.csv", *args), 4, "test/other.png", "one run")


def test_tables_that_are_read_are_not_written_over(run, tmp_path):
    box_case(tmp_path)
    (tmp_path / "groups.csv").write_text("id,board\n")
    args = ("--normal", "good", "--regions", "regions.csv", "--boxes", "all.csv", "--manifest", "groups.csv", "--group-by", "board")
    for name in ("scores.csv", "regions.csv", "all.csv", "groups.csv"):
        before = (tmp_path / name).read_bytes()
        error(run("ae-roc", "scores.csv", *args, "-o", name, "--force"), 2, "-o", name, "is an input file")
        assert (tmp_path / name).read_bytes() == before


@pytest.mark.parametrize("args, parts", [
    (("--maps", "maps"), ["--maps needs --truth"]),
    (("--truth", "truth"), ["--truth needs --maps"]),
    (("--boxes", "boxes"), ["--boxes needs --regions"]),
    (("--regions", "regions.csv"), ["--regions needs --boxes"]),
    (("--manifest", "manifest.csv"), ["--manifest needs --group-by"]),
    (("--box-hit", "center"), ["--box-hit", 'did you mean "centre"?']),
    (("--box-hit", "iou=0"), ["0 < X <= 1"]),
    (("scores.csv", "--group-by", "board"), ["one table of scores"]),
])
def test_wrong_command_lines_are_exit_2(run, tmp_path, args, parts):
    Inspection(tmp_path)
    error(run("ae-roc", "scores.csv", "--normal", "good", *args), 2, *parts)

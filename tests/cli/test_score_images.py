"""ae-score on images from the shell: defects are found where they were planted, and every output tells the same."""

import base64
import csv
import io
import json
import os
import re
import shutil
import subprocess

import numpy
import pytest
from pictures import read_npy, read_png, write_png
from support import one_error

pytestmark = pytest.mark.skipif(os.environ.get("AETOOLS_WITH_TORCH") == "0", reason="built without LibTorch")

HEIGHT, WIDTH = 40, 48
PLANTED = {"test/spot/00.png": (12, 20, 8, 8), "test/spot/01.png": (22, 30, 8, 8), "test/spot/02.png": (10, 8, 8, 8)}


def board(rng, height=HEIGHT, width=WIDTH):
    """Stripes at an angle with a little noise."""
    y, x = numpy.mgrid[:height, :width]
    stripes = 110 + 60 * numpy.sin((x + 2 * y + rng.integers(0, 12)) * 2 * numpy.pi / 12)
    return numpy.clip(stripes + rng.normal(0, 6, (height, width)), 0, 255).astype(numpy.uint8)


def rows_of(text):
    return list(csv.DictReader(io.StringIO(text)))


def make_root(root):
    rng = numpy.random.default_rng(1)
    for i in range(90):
        write_png(root / "train" / "good" / f"{i:02}.png", board(rng))
    for i in range(40):
        write_png(root / "test" / "good" / f"{i:02}.png", board(rng))
    for name, (y, x, height, width) in PLANTED.items():
        image = board(rng)
        image[y : y + height, x : x + width] = 255 - image[y : y + height, x : x + width] // 3
        write_png(root / name, image)


CONFIG = {
    "data": {"type": "images", "path": "boards"},
    "model": {"type": "conv", "levels": 2, "width": 8, "code": 4},
    "training": {"epochs": 12, "batch_size": 8, "learning_rate": 0.005, "validation_fraction": 0.33},
}


@pytest.fixture(scope="module")
def inspection(tmp_path_factory, bin_folder):
    """A trained model and its images; tests only read them."""
    folder = tmp_path_factory.mktemp("inspection")
    make_root(folder / "boards")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    done = subprocess.run(
        [bin_folder / "ae-train", "config.json", "--out", "model", "-q"], cwd=folder, capture_output=True, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return folder


def test_the_map_head_is_the_default_of_images_and_stored(inspection):
    stored = json.loads((inspection / "model" / "config.json").read_text())
    assert stored["score"]["type"] == "map"
    assert stored["score"]["reduction"] == "top"


def test_planted_defects_score_highest(run, inspection):
    scored = run("ae-score", inspection / "model", inspection / "boards", "-q")
    assert (scored.code, scored.stderr) == (0, "")
    rows = rows_of(scored.stdout)
    assert list(rows[0]) == ["id", "score", "p_value", "label", "model"]
    assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
    assert len(rows) == 43
    assert {row["label"] for row in rows} == {"good", "spot"}
    by_score = sorted(rows, key=lambda row: -float(row["score"]))
    assert {row["id"] for row in by_score[:3]} == set(PLANTED)
    smallest = min(float(row["p_value"]) for row in rows)
    assert all(float(row["p_value"]) == smallest for row in by_score[:3])


def test_outputs_agree_with_each_other(run, inspection, tmp_path):
    ndimage = pytest.importorskip("scipy.ndimage")
    scored = run("ae-score", inspection / "model", inspection / "boards", "--regions", "regions.csv",
                 "--masks", "masks", "--maps", "maps", "--reconstructions", "expected", "-q")
    assert scored.code == 0, scored.stderr
    regions = rows_of((tmp_path / "regions.csv").read_text())
    assert list(regions[0]) == (
        "id,region,x,y,width,height,area,peak,mean,centroid_x,centroid_y".split(",")
    )
    for name, (y, x, height, width) in PLANTED.items():
        first = next(region for region in regions if region["id"] == name)
        assert first["region"] == "1"
        assert x <= float(first["centroid_x"]) <= x + width
        assert y <= float(first["centroid_y"]) <= y + height
    for row in rows_of(scored.stdout):
        name = row["id"].removesuffix(".png")
        image_map = read_npy(tmp_path / "maps" / f"{name}.npy")
        mask = read_png(tmp_path / "masks" / f"{name}_mask.png")
        assert image_map.dtype == numpy.float32
        assert image_map.shape == mask.shape == (HEIGHT, WIDTH)
        assert read_png(tmp_path / "expected" / f"{name}.png").shape == (HEIGHT, WIDTH)
        assert read_png(tmp_path / "maps" / f"{name}_overlay.png").shape == (HEIGHT, WIDTH, 3)
        assert set(numpy.unique(mask)) <= {0, 255}
        # The regions of this image are the components of its mask, as another library labels them.
        labels, count = ndimage.label(mask, structure=numpy.ones((3, 3)))
        own = [region for region in regions if region["id"] == row["id"]]
        assert len(own) == count
        found = set()
        for label, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
            inside = labels == label
            values = image_map[inside].astype(float)
            centre_y, centre_x = ndimage.center_of_mass(inside)
            found.add(
                (columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start, int(inside.sum()))
            )
            place = (columns.start, rows.start, inside.sum())
            same = [r for r in own if (int(r["x"]), int(r["y"]), int(r["area"])) == place]
            assert same
            assert float(same[0]["peak"]) == pytest.approx(values.max())
            assert float(same[0]["mean"]) == pytest.approx(values.mean())
            assert float(same[0]["centroid_x"]) == pytest.approx(centre_x)
            assert float(same[0]["centroid_y"]) == pytest.approx(centre_y)
        assert found == {tuple(int(r[k]) for k in ("x", "y", "width", "height", "area")) for r in own}


def test_one_gray_scale_serves_all_maps(run, inspection, tmp_path):
    assert run("ae-score", inspection / "model", inspection / "boards" / "test", "--maps", "maps", "-q").code == 0
    slopes, offsets = [], []
    for path in sorted((tmp_path / "maps").rglob("*.npy")):
        values, levels = read_npy(path).ravel(), read_png(path.with_suffix(".png")).ravel()
        inside = (levels > 0) & (levels < 65535)
        slope, offset = numpy.polyfit(values[inside].astype(float), levels[inside], 1)
        slopes.append(slope)
        offsets.append(offset)
    assert max(slopes) / min(slopes) == pytest.approx(1, abs=1e-3)
    assert max(offsets) - min(offsets) < 5


def test_the_pixel_threshold_holds_on_new_good_images(run, inspection, tmp_path):
    scored = run("ae-score", inspection / "model", inspection / "boards" / "test" / "good", "--masks", "masks",
                 "--region-alpha", "1", "--pixel-alpha", "0.05", "-q")
    assert scored.code == 0, scored.stderr
    masks = [read_png(path) for path in sorted((tmp_path / "masks").rglob("*.png"))]
    assert len(masks) == 40
    assert numpy.mean(masks) / 255 == pytest.approx(0.05, abs=0.02)
    scored = run("ae-score", inspection / "model", inspection / "boards" / "test" / "good", "--alpha", "0.1", "-q")
    flagged = [row["flag"] == "1" for row in rows_of(scored.stdout)]
    assert 0 <= sum(flagged) <= 12  # 4 expected of 40; the 99.9 % quantile of a binomial, and few calibration images


def test_a_small_minimum_area_and_opening_only_remove_regions(run, inspection, tmp_path):
    spots = inspection / "boards" / "test" / "spot"
    counts = {}
    for name, extra in {"all": [], "large": ["--minimum-area", "30"], "open": ["--opening", "3"]}.items():
        outcome = run("ae-score", inspection / "model", spots, "--regions", f"{name}.csv", "--region-alpha", "1",
                      "--pixel-alpha", "0.05", "-q", *extra)
        assert outcome.code == 0, outcome.stderr
        regions = rows_of((tmp_path / f"{name}.csv").read_text())
        counts[name] = len(regions)
        if name == "large":
            assert all(int(region["area"]) >= 30 for region in regions)
    assert 3 <= counts["large"] < counts["all"]
    assert 3 <= counts["open"] < counts["all"]


def test_a_corrupt_file_is_named_and_the_others_are_scored(run, inspection, tmp_path):
    folder = tmp_path / "batch"
    rng = numpy.random.default_rng(5)
    for name in ("a", "c"):
        write_png(folder / f"{name}.png", board(rng))
    (folder / "b.png").write_bytes((folder / "a.png").read_bytes()[:200])
    outcome = run("ae-score", inspection / "model", folder, "-o", "scores.csv")
    assert outcome.code == 4
    assert "b.png" in outcome.stderr and "1 of 3 images" in outcome.stderr
    assert [row["id"] for row in rows_of((tmp_path / "scores.csv").read_text())] == ["a.png", "c.png"]

    ignored = run("ae-score", inspection / "model", folder, "--unreadable", "ignore", "-q")
    assert ignored.code == 0
    assert "b.png" in ignored.stderr
    assert len(rows_of(ignored.stdout)) == 2

    stopped = run("ae-score", inspection / "model", folder, "--unreadable", "stop", "-o", "none.csv", "-q")
    assert stopped.code == 4
    assert stopped.stderr.count("\n") == 1 and "b.png" in stopped.stderr
    assert not (tmp_path / "none.csv").exists()


def test_flags_and_exit_codes_are_as_for_tables(run, inspection):
    boards = inspection / "boards"
    spots = boards / "test" / "spot"
    flagged = run("ae-score", inspection / "model", spots, "--alpha", "0.05", "--fail-on-anomaly", "-q")
    assert flagged.code == 3
    assert [row["flag"] for row in rows_of(flagged.stdout)] == ["1", "1", "1"]
    fdr = run("ae-score", inspection / "model", boards, "--fdr", "0.5", "-q")
    assert fdr.code == 0
    assert {row["id"] for row in rows_of(fdr.stdout) if row["flag"] == "1"} >= set(PLANTED)


def test_a_threshold_of_ae_roc_flags_images(run, inspection, tmp_path):
    scores = rows_of(run("ae-score", inspection / "model", inspection / "boards", "-o", "-", "-q").stdout)
    threshold = sorted(float(row["score"]) for row in scores)[-3]
    (tmp_path / "summary.json").write_text(json.dumps({"chosen": {"threshold": threshold}}))
    flagged = run("ae-score", inspection / "model", inspection / "boards", "--roc", "summary.json", "--fail-on-anomaly")
    assert flagged.code == 3 and "43 images scored, 3 flagged" in flagged.stderr
    assert {row["id"] for row in rows_of(flagged.stdout) if row["flag"] == "1"} == set(PLANTED)


def test_darker_images_are_told_and_fail_only_when_asked(run, inspection, tmp_path):
    rng = numpy.random.default_rng(8)
    for i in range(40):
        write_png(tmp_path / "dark" / f"{i:02}.png", board(rng) // 3)
    good = inspection / "boards" / "test" / "good"
    fresh = run("ae-score", inspection / "model", good, "--alpha", "0.05", "--fail-on-drift", "-q")
    assert (fresh.code, fresh.stderr) == (0, "")
    asked = run("ae-score", inspection / "model", "dark", "--fail-on-drift", "-q")
    assert asked.code == 3
    assert asked.stderr.count("\n") == 1
    assert "these images do not score as the 30 normal images" in asked.stderr
    silent = run("ae-score", inspection / "model", "dark", "-q")
    assert (silent.code, silent.stderr, silent.stdout) == (0, "", asked.stdout)
    stale = run("ae-score", inspection / "model", "dark", "--fdr", "0.1", "-q")
    assert stale.code == 0 and "do not score as" in stale.stderr


def test_alphas_beyond_counting_go_by_a_named_tail(run, inspection, tmp_path):
    config = {**CONFIG, "training": {**CONFIG["training"], "epochs": 4, "validation_fraction": 0.75}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    trained = run("ae-train", "config.json", "--data", inspection / "boards", "--out", "model", "-q")
    assert (trained.code, trained.stderr) == (0, "")
    boards = inspection / "boards"
    counted = rows_of(run("ae-score", "model", boards, "--alpha", "0.05", "-q").stdout)
    assert "tail_p_value" not in counted[0]
    outcome = run("ae-score", "model", boards, "--alpha", "0.001")
    assert outcome.code == 0 and "generalised Pareto" in outcome.stderr
    rows = rows_of(outcome.stdout)
    assert list(rows[0]) == ["id", "score", "p_value", "tail_p_value", "flag", "label", "model"]
    assert min(float(row["tail_p_value"]) for row in rows) < 1 / (1 + 0.75 * 90)
    for row, other in zip(rows, counted):
        assert [row[key] for key in ("id", "score", "p_value")] == [other[key] for key in ("id", "score", "p_value")]
        assert float(row["tail_p_value"]) <= float(row["p_value"])
        assert row["flag"] == ("1" if float(row["tail_p_value"]) <= 0.001 else "0")


def items_of(page):
    return [json.loads(text) for text in re.findall(r'class="item">(.*?)</script>', page)]


@pytest.mark.parametrize("rule", [["--alpha", "0.25"], ["--fdr", "0.6"], ["--threshold", "median"]])
@pytest.mark.parametrize("regions", [["--region-alpha", "0"], ["--region-alpha", "1", "--pixel-alpha", "0.05"]])
def test_exactly_the_flagged_images_have_regions(run, inspection, tmp_path, rule, regions):
    """Whatever the rules for regions would say by themselves: that none stands out, or that many do."""
    boards = inspection / "boards"
    rule = [str(inspection_median(run, inspection)) if part == "median" else part for part in rule]
    outputs = ["--regions", "regions.csv", "--masks", "masks", "--gallery", "page.html", "--maps", "maps"]
    scored = run("ae-score", inspection / "model", boards, *rule, *regions, *outputs, "-q")
    assert scored.code == 0, scored.stderr
    flagged = {row["id"] for row in rows_of(scored.stdout) if row["flag"] == "1"}
    assert set(PLANTED) <= flagged and len(flagged) < 43
    found = rows_of((tmp_path / "regions.csv").read_text())
    assert {region["id"] for region in found} == flagged
    for row in rows_of(scored.stdout):
        name = row["id"].removesuffix(".png")
        mask = read_png(tmp_path / "masks" / f"{name}_mask.png") > 0
        assert mask.any() == (row["id"] in flagged)
        assert int(mask.sum()) == sum(int(region["area"]) for region in found if region["id"] == row["id"])
        if mask.any():
            image_map = read_npy(tmp_path / "maps" / f"{name}.npy")
            first = next(region for region in found if region["id"] == row["id"])
            assert float(first["peak"]) == image_map.max() or regions[1] == "1"
    shown = {item["id"] for item in items_of((tmp_path / "page.html").read_text()) if item["regions"]}
    assert shown == flagged or rule[0] == "--fdr"  # which the page, being written meanwhile, does not know yet


def inspection_median(run, inspection):
    scores = [float(row["score"]) for row in rows_of(run("ae-score", inspection / "model", inspection / "boards", "-q").stdout)]
    return numpy.median(scores)


def test_without_a_rule_regions_follow_from_the_map_alone(run, inspection, tmp_path):
    """30 held-out images give no threshold for the page at 0.01 either."""
    scored = run("ae-score", inspection / "model", inspection / "boards", "--gallery", "page.html", "--region-alpha", "1",
                 "--regions", "regions.csv", "-q")
    assert scored.code == 0, scored.stderr
    found = {region["id"] for region in rows_of((tmp_path / "regions.csv").read_text())}
    assert set(PLANTED) < found
    assert found == {item["id"] for item in items_of((tmp_path / "page.html").read_text()) if item["regions"]}


def test_existing_outputs_and_colliding_names_are_refused(run, inspection, tmp_path):
    rng = numpy.random.default_rng(6)
    write_png(tmp_path / "one" / "a.png", board(rng))
    assert run("ae-score", inspection / "model", "one", "--masks", "out", "-q").code == 0
    again = run("ae-score", inspection / "model", "one", "--masks", "out", "-q")
    assert again.code == 2 and "--force" in again.stderr
    assert run("ae-score", inspection / "model", "one", "--masks", "out", "--force", "-q").code == 0
    (tmp_path / "one" / "a.PNG").write_bytes((tmp_path / "one" / "a.png").read_bytes())
    collision = run("ae-score", inspection / "model", "one", "--masks", "other", "-q")
    assert collision.code == 2 and "both write" in collision.stderr
    assert not (tmp_path / "other").exists()


def test_what_is_written_is_none_of_the_images_and_masks_that_are_read(run, inspection, tmp_path):
    rng = numpy.random.default_rng(8)
    for name in ("in/a.png", "in/spot/00.png", "in/a_mask.png"):
        write_png(tmp_path / name, board(rng))
    write_png(tmp_path / "truth/spot/00_mask.png", numpy.zeros((HEIGHT, WIDTH), numpy.uint8))
    (tmp_path / "in/all.txt").write_text("a.png\na_mask.png\nspot/00.png\n")
    numpy.save(tmp_path / "0.npy", numpy.stack([board(rng)]))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for source, option, given, refused in (
        ("in", "--maps", "in", "in/a.png"),
        ("in", "--reconstructions", "in/", "in/a.png"),
        ("in/*.png", "--reconstructions", "in", "in/a.png"),
        ("in/all.txt", "--masks", "in", "in/a_mask.png"),
        ("in", "--regions", "in/a.png", "in/a.png"),
        ("in/a.png", "--regions", "in/a.png", "in/a.png"),
        ("in/all.txt", "--regions", "in/all.txt", "in/all.txt"),
        ("in", "--output", "in/a.png", "in/a.png"),
        ("in", "--page", "in/a.png", "in/a.png"),
        ("in", "--summary", "in/a.png", "in/a.png"),
        ("0.npy", "--maps", ".", "0.npy"),
    ):
        one_error(run("ae-score", inspection / "model", source, option, given, "--force", "-q"), 2, option, refused,
                  "is an input file")
    one_error(run("ae-score", inspection / "model", "in", "--masks", "truth", "--page", "page.html", "--truth", "truth",
                  "--force", "-q"), 2, "--masks", "truth/spot/00_mask.png", "is an input file")
    one_error(run("ae-score", inspection / "model", "in", "--regions", "x.csv", "-o", "x.csv", "-q"), 2, "both write to")
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    beside = run("ae-score", inspection / "model", "in", "--maps", "out", "--regions", "in/regions.csv", "--force", "-q")
    assert beside.code == 0 and (tmp_path / "in/regions.csv").exists() and (tmp_path / "out/a.npy").exists()


def test_masks_of_no_image_are_told_where_masks_are_looked_up(run, inspection, tmp_path):
    shutil.copytree(inspection / "boards/test/spot", tmp_path / "boards/test/spot")
    rng = numpy.random.default_rng(9)
    for name in ("train/good/00.png", "test/good/00.png"):
        write_png(tmp_path / "boards" / name, board(rng))
    mask = numpy.zeros((HEIGHT, WIDTH), numpy.uint8)
    mask[3:9, 3:9] = 255
    for i in range(3):
        write_png(tmp_path / f"boards/ground_truth/spot/{i:02}_mask.png", mask)
    score = ["ae-score", inspection / "model", "boards", "-o", "scores.csv", "--maps", "maps", "--force", "-q"]
    masks = "boards/ground_truth: {} to none of the images: {}; name them as their images are, or remove them\n"

    def told(outcome):
        assert outcome.code == 0, outcome
        return [line for line in outcome.stderr.splitlines(keepends=True) if "mask" in line]

    assert told(run(*score)) == []
    for name in ("spot/07", "spot/08", "hole/00"):
        write_png(tmp_path / f"boards/ground_truth/{name}_mask.png", mask)
    three = masks.format("3 masks belong", '"hole/00_mask.png", "spot/07_mask.png" and 1 more')
    assert told(run(*score)) == ["ae-score: warning: " + three]
    roc = ["ae-roc", "scores.csv", "--normal", "good", "--maps", "maps", "--bootstrap", "0", "-q"]
    for truth in ("boards", "boards/ground_truth"):
        assert told(run(*score, "--page", "page.html", "--truth", truth)) == ["ae-score: warning: " + three]
        assert told(run(*roc, "--truth", truth)) == ["ae-roc: warning: " + three]
    # A data set knows the masks of images that are not scored.
    some = [part if part != "boards" else "boards/test/spot" for part in score]
    assert told(run(*some, "--page", "page.html", "--truth", "boards")) == ["ae-score: warning: " + three]


def test_options_of_tables_are_refused_for_images(run, inspection):
    outcome = run("ae-score", inspection / "model", inspection / "boards", "--explain", "2", "-q")
    assert outcome.code == 2 and "--explain" in outcome.stderr


def test_the_same_run_writes_the_same_bytes(run, inspection, tmp_path):
    for name in ("first", "second"):
        outcome = run("ae-score", inspection / "model", inspection / "boards" / "test" / "spot", "--maps", name, "-q")
        assert outcome.code == 0
    for path in sorted((tmp_path / "first").rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "second" / path.relative_to(tmp_path / "first")).read_bytes()


def test_a_gallery_shows_the_images(run, inspection, tmp_path):
    outcome = run("ae-score", inspection / "model", inspection / "boards", "--gallery", "boards.html", "-q")
    assert outcome.code == 0, outcome.stderr
    page = (tmp_path / "boards.html").read_text()
    for name in PLANTED:
        assert name in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_a_gallery_shows_what_should_have_been_found(run, inspection, tmp_path):
    known = dict(PLANTED)
    unfit = known.popitem()[0]
    for name, (y, x, height, width) in known.items():
        mask = numpy.zeros((HEIGHT, WIDTH), numpy.uint8)
        mask[y : y + height, x : x + width] = 255
        write_png(tmp_path / "truth" / (name.removeprefix("test/").removesuffix(".png") + "_mask.png"), mask)
    other = tmp_path / "truth" / (unfit.removeprefix("test/").removesuffix(".png") + "_mask.png")
    write_png(other, numpy.zeros((3, 5), numpy.uint8))
    outcome = run("ae-score", inspection / "model", inspection / "boards", "--gallery", "a.html", "--truth", "truth")
    assert outcome.code == 0
    assert unfit in outcome.stderr and "not shown" in outcome.stderr
    page = (tmp_path / "a.html").read_text()
    records = re.findall(r'class="(item|pictures)">(.*?)</script>', page)  # an image, then its pictures
    items = [json.loads(text) for kind, text in records if kind == "item"]
    pictures = [json.loads(text) for kind, text in records if kind == "pictures"]
    assert len(items) == len(pictures) == len(PLANTED) + 40
    truths = {item["id"]: shown["truth"] for item, shown in zip(items, pictures) if "truth" in shown}
    assert sorted(truths) == sorted(known)
    name = min(known)
    (tmp_path / "shown.png").write_bytes(base64.b64decode(truths[name]))
    pixels = read_png(tmp_path / "shown.png")
    y, x, height, width = known[name]
    assert (pixels[y : y + height, x : x + width] == 255).all() and int(pixels.sum()) == 255 * height * width

    other = run("ae-score", inspection / "model", inspection / "boards", "--gallery", "b.html", "--truth", "truht", "-q")
    assert other.code == 4 and "truht" in other.stderr and other.stderr.count("\n") == 1
    (tmp_path / "truth").rename(tmp_path / "elsewhere")
    write_png(tmp_path / "truth" / "spots" / "00.png", numpy.zeros((HEIGHT, WIDTH), numpy.uint8))
    unfound = run("ae-score", inspection / "model", inspection / "boards", "--gallery", "b.html", "--truth", "truth", "-q")
    assert unfound.code == 4 and unfound.stderr.count("\n") == 1
    assert 'truth: holds 1 mask, "spots/00.png", but none of' in unfound.stderr
    assert not (tmp_path / "b.html").exists()

    alone = run("ae-score", inspection / "model", inspection / "boards", "--truth", "truth", "-q")
    assert alone.code == 2 and "--gallery" in alone.stderr

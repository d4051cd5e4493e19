"""The ROC page and plot in a real browser: right numbers at every position of the slider, no errors, nothing loaded.

Needs the sample generator (AETOOLS_REPORT_SAMPLES=path, or the build folder's tests/report_samples) and Chromium;
skipped, with the reason, where one is missing. Pictures go to AETOOLS_SCREENSHOTS, if set, to be looked at.
"""

import csv
import json
import math
import os
import pathlib
import random
import re
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import Browser, chromium  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ["separated", "hard", "tiny", "rare", "large", "negative", "equal", "extreme", "steep", "hostile",
         "compared", "several"]


def generator():
    named = os.environ.get("AETOOLS_REPORT_SAMPLES")
    candidates = [pathlib.Path(named)] if named else sorted(ROOT.glob("build*/**/tests/report_samples"))
    return next((path for path in candidates if path.is_file()), None)


def pixels(png):
    """Width, height and the rows of an 8-bit RGB or RGBA PNG, filters undone."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data = 8, b""
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at:at + 8])
        body = png[at + 8:at + 8 + size]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
        if kind == b"IDAT":
            data += body
        at += 12 + size
    assert depth == 8 and colour in (2, 6)
    step = 3 if colour == 2 else 4
    raw, rows, last = zlib.decompress(data), [], bytearray(width * step)
    for y in range(height):
        start = y * (width * step + 1)
        kind, row = raw[start], bytearray(raw[start + 1:start + 1 + width * step])
        for i in range(len(row)):
            a = row[i - step] if i >= step else 0
            b, c = last[i], last[i - step] if i >= step else 0
            if kind == 1:
                row[i] = (row[i] + a) & 255
            elif kind == 2:
                row[i] = (row[i] + b) & 255
            elif kind == 3:
                row[i] = (row[i] + (a + b) // 2) & 255
            elif kind == 4:
                p = a + b - c
                pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
                row[i] = (row[i] + (a if pa <= pb and pa <= pc else b if pb <= pc else c)) & 255
        rows.append(bytes(row))
        last = row
    return width, height, step, rows


def linear(colour):
    parts = [int(colour[i:i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]


def contrast(a, b):
    """As WCAG 2 defines it."""
    light = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05 for r, g, b in (linear(a), linear(b)))
    return light[1] / light[0]


# Machado, Oliveira and Fernandes 2009, at full severity, of linear RGB.
VISIONS = {
    "full": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def times(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector)) for row in matrix]


def lab(vision, colour):
    """CIELAB of what is seen, for the white of sRGB."""
    rgb = [min(1, max(0, c)) for c in times(vision, linear(colour))]
    xyz = times([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], rgb)
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116
               for t in (xyz[0] / 0.9505, xyz[1], xyz[2] / 1.089))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@unittest.skipUnless(chromium(), "chromium is not installed")
@unittest.skipUnless(generator(), "report_samples is not built; name it in AETOOLS_REPORT_SAMPLES")
class ReportInBrowser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        subprocess.run([generator(), cls.folder], check=True, timeout=120)
        cls.pictures = pathlib.Path(os.environ.get("AETOOLS_SCREENSHOTS", cls.folder / "pictures"))
        cls.pictures.mkdir(parents=True, exist_ok=True)
        cls.browser = Browser().__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()
        cls.temporary.cleanup()

    def open(self, name, **how):
        page = self.browser.open((self.folder / name).as_uri(), **how)
        self.addCleanup(page.close)
        self.addCleanup(lambda: self.assertEqual(page.problems, [], name))
        return page

    def scores(self, name):
        with open(self.folder / (name + ".csv"), newline="") as file:
            return [(float(row["score"]), row["label"] == "1") for row in csv.DictReader(file)]

    def embedded(self, name):
        text = (self.folder / (name + ".html")).read_text(encoding="utf-8")
        return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S).group(1))

    @staticmethod
    def counts(rows, threshold):
        """(tp, fp, tn, fn), one row after another; threshold None flags nothing."""
        result = [0, 0, 0, 0]
        for score, anomaly in rows:
            flagged = threshold is not None and score >= threshold
            result[(0 if anomaly else 1) if flagged else (3 if anomaly else 2)] += 1
        return result

    def shown(self, page):
        texts = page.evaluate('["tp","fp","tn","fn"].map(id => document.getElementById(id).textContent)')
        return [int(text.replace(",", "")) for text in texts]

    def shown_threshold(self, page):
        text = page.evaluate('document.getElementById("typed").value')
        return None if text == "" else float(text)

    def slide(self, page, position):
        page.evaluate(f'(() => {{ const s = document.getElementById("slider"); s.value = {position};'
                      ' s.dispatchEvent(new Event("input", {bubbles: true})); })()')

    # ---- galleries

    def gallery(self, name):
        with open(self.folder / (name + ".csv"), newline="") as file:
            return [(row["id"], float(row["score"]), row["label"]) for row in csv.DictReader(file)]

    def rows_shown(self, page):
        """(id, chips) of each row of the page, top to bottom, after all have been built."""
        page.evaluate('(() => { const m = document.getElementById("more"); while (!m.hidden) m.click(); })()')
        return page.evaluate("""[...document.querySelectorAll("#rows .row")].map(row => [row.querySelector(".name").textContent,
            [...row.querySelectorAll(".chip")].map(chip => chip.textContent)])""")

    def set_threshold(self, page, value):
        page.evaluate(f"""(() => {{ const typed = document.getElementById("typed"); typed.value = "{value!r}";
            typed.dispatchEvent(new Event("change")); }})()""")
        page.evaluate("new Promise(done => setTimeout(done, 250))")

    def choose(self, page, group, value):
        page.evaluate(f"""document.querySelector('#{group} button[data-value="{value}"]').click()""")

    def test_gallery_shows_every_image_by_falling_score(self):
        items = self.gallery("boards_gallery")
        page = self.open("boards_gallery.html")
        rows = self.rows_shown(page)
        self.assertEqual([row[0] for row in rows], [i[0] for i in sorted(items, key=lambda i: -i[1])])
        for (name, chips), (_, score, label) in zip(rows, sorted(items, key=lambda i: -i[1])):
            flagged = score >= 0.02
            expected = [label] + ["flagged"] * flagged
            expected += ["false alarm"] if flagged and label == "good" else []
            expected += ["missed"] if not flagged and label != "good" else []
            self.assertEqual(chips, expected, name)
        sizes = page.evaluate("""Promise.all([...document.querySelectorAll("#rows img")].map(i => (i.loading = "eager", i.decode())
            .then(() => i.naturalWidth)))""")
        self.assertEqual(sizes, [128] * (5 * len(items)))
        page.evaluate("window.scrollTo(0, 0)")
        page.screenshot(self.pictures / "gallery.png", whole=False)

    def test_gallery_follows_threshold_and_filters(self):
        items = self.gallery("boards_gallery")
        page = self.open("boards_gallery.html", dark=True)
        for threshold in (0.0, 0.0127, 0.031, 1.0):
            self.set_threshold(page, threshold)
            flagged = [i for i in items if i[1] >= threshold]
            sentence = page.evaluate('document.getElementById("sentence").textContent')
            self.assertIn(f"{len(flagged)} of 120 images are flagged", sentence)
            self.assertIn(f"{sum(i[2] != 'good' for i in flagged)} of 40 defective images found", sentence)
            self.choose(page, "states", "flagged")
            self.assertEqual({row[0] for row in self.rows_shown(page)}, {i[0] for i in flagged})
            self.choose(page, "states", "wrong")
            self.assertEqual({row[0] for row in self.rows_shown(page)},
                             {i[0] for i in items if (i[1] >= threshold) == (i[2] == "good")})
            self.choose(page, "types", "=open")
            self.choose(page, "states", "passed")
            self.assertEqual({row[0] for row in self.rows_shown(page)},
                             {i[0] for i in items if i[1] < threshold and i[2] == "open"})
            self.choose(page, "types", "*")
            self.choose(page, "states", "all")
        page.evaluate('document.getElementById("reset").click()')
        self.assertEqual(page.evaluate('document.getElementById("typed").value'), "0.02")
        page.evaluate("""(() => { const s = document.getElementById("search"); s.value = "BOARD_10"; s.dispatchEvent(new Event("input")); })()""")
        self.assertEqual({row[0] for row in self.rows_shown(page)}, {i[0] for i in items if "board_10" in i[0]})
        self.assertEqual(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), True)
        page.screenshot(self.pictures / "gallery_dark.png", whole=False)

    def test_gallery_slider_flags_what_lies_right_of_the_line(self):
        items = self.gallery("boards_gallery")
        page = self.open("boards_gallery.html")
        for position in (0, 0.2, 0.5, 1):
            self.slide(page, position)
            threshold = float(page.evaluate('document.getElementById("typed").value'))
            sentence = page.evaluate('document.getElementById("sentence").textContent')
            self.assertIn(f"{sum(i[1] >= threshold for i in items)} of 120", sentence)
        box = page.evaluate('(() => { const b = document.querySelector(".pointed").getBoundingClientRect(); return [b.x, b.y, b.width]; })()')
        page.mouse("mousePressed", box[0] + 0.25 * box[2], box[1] + 20)
        page.mouse("mouseReleased", box[0] + 0.25 * box[2], box[1] + 20)
        self.assertAlmostEqual(float(page.evaluate('document.getElementById("slider").value')), 0.25, delta=0.01)

    def test_gallery_enlarges_an_image_and_walks(self):
        page = self.open("boards_gallery.html", width=1300, height=950)
        first = page.evaluate('document.querySelector("#rows .name").textContent')
        page.evaluate('document.querySelectorAll("#rows .cell button")[2].click()')
        page.settle()
        self.assertTrue(page.evaluate('document.getElementById("viewer").open'))
        self.assertEqual(page.evaluate('document.getElementById("viewer-title").textContent'), first)
        self.assertEqual(page.evaluate('document.querySelectorAll("#stage img").length'), 2)  # heat map over input
        self.assertEqual(page.evaluate('document.querySelectorAll("#viewer-regions tbody tr").length'), 1)
        page.screenshot(self.pictures / "gallery_viewer.png", whole=False)
        page.press("ArrowRight")
        second = page.evaluate('document.querySelectorAll("#rows .name")[1].textContent')
        self.assertEqual(page.evaluate('document.getElementById("viewer-title").textContent'), second)
        self.choose(page, "layers", "mask")
        self.assertEqual(page.evaluate('document.querySelectorAll("#stage img").length'), 1)
        page.evaluate('document.getElementById("close").click()')
        self.assertFalse(page.evaluate('document.getElementById("viewer").open'))

    def test_gallery_of_other_kinds(self):
        for name, images in (("unlabelled_gallery", 12), ("undecided_gallery", 12), ("hostile_gallery", 3), ("empty_gallery", 0), ("many_gallery", 100)):
            page = self.open(name + ".html", width=500)
            self.assertEqual(len(self.rows_shown(page)), images, name)
            self.assertTrue(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name)
            self.assertEqual([r for r in page.requests if not r.startswith("file:")], [])
        many = self.open("many_gallery.html")
        kept = self.gallery("many_gallery")
        flagged = [i for i, item in enumerate(kept) if item[1] >= 0.02]
        expected = 10 + len([i for i in flagged if i >= 10][:10])
        self.assertIn(f"of {expected} of 100 images", many.evaluate('document.getElementById("facts").textContent'))

    def test_embedded_counts_are_those_of_the_scores(self):
        for name in NAMES:
            rows, data = self.scores(name), self.embedded(name)["evaluations"][0]
            stops = range(len(data["threshold"]))
            if len(rows) > 5000:
                stops = random.Random(1).sample(stops, 20)
            for i in stops:
                tp, fp, _, _ = self.counts(rows, data["threshold"][i])
                self.assertEqual((data["tp"][i], data["fp"][i]), (tp, fp), f"{name} stop {i}")

    def test_slider_positions_show_the_exact_confusion_table(self):
        for name in NAMES:
            page, rows = self.open(name + ".html"), self.scores(name)
            seen = set()
            for position in [0, 0.1, 0.2, 0.31, 0.42, 0.5, 0.63, 0.77, 0.9, 0.96, 1]:
                self.slide(page, position)
                threshold = self.shown_threshold(page)
                self.assertEqual(self.shown(page), self.counts(rows, threshold), f"{name} at {threshold}")
                seen.add(threshold)
            self.assertGreaterEqual(len(seen), min(4, len({score for score, _ in rows}) + 1), name)
            self.assertIn(None, seen)
            self.assertIn(min(score for score, _ in rows), seen)

    def test_rates_follow_from_the_counts(self):
        page, rows = self.open("hard.html"), self.scores("hard")
        self.slide(page, 0.6)
        tp, fp, tn, fn = self.counts(rows, self.shown_threshold(page))
        expected = {
            "Recall (TPR)": f"{100 * tp / (tp + fn):.1f}%", "False positive rate": f"{100 * fp / (fp + tn):.1f}%",
            "Precision": f"{100 * tp / (tp + fp):.1f}%", "F1": f"{2 * tp / (2 * tp + fp + fn):.3f}",
            "Matthews correlation":
                f"{(tp * tn - fp * fn) / math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)):.3f}",
            "Balanced accuracy": f"{50 * (tp / (tp + fn) + tn / (fp + tn)):.1f}%",
            "Rows flagged": f"{100 * (tp + fp) / len(rows):.1f}%",
        }
        names = page.evaluate('[...document.querySelectorAll("#rates dt")].map(n => n.textContent)')
        values = page.evaluate('[...document.querySelectorAll("#rates dd")].map(n => n.textContent)')
        self.assertEqual(dict(zip(names, (v.replace("\u2009", "") for v in values))), expected)

    def test_keyboard_visits_every_threshold(self):
        page, rows = self.open("tiny.html"), self.scores("tiny")
        page.evaluate('document.getElementById("slider").focus()')
        page.press("End")
        visited = [self.shown_threshold(page)]
        for _ in range(5):
            page.press("ArrowLeft")
            visited.append(self.shown_threshold(page))
            self.assertEqual(self.shown(page), self.counts(rows, visited[-1]))
        self.assertEqual(visited, [None] + sorted((score for score, _ in rows), reverse=True))
        page.press("ArrowLeft")  # stays at the end
        self.assertEqual(self.shown_threshold(page), visited[-1])
        page.press("ArrowRight")
        self.assertEqual(self.shown_threshold(page), visited[-2])
        page.press("Home")
        self.assertEqual(self.shown_threshold(page), visited[-1])
        page.press("PageUp")
        self.assertNotEqual(self.shown_threshold(page), visited[-1])
        spoken = page.evaluate('document.getElementById("slider").getAttribute("aria-valuetext")')
        self.assertRegex(spoken, r"of 2 anomalies found, \d of 3 normal rows")

    def test_buttons_lead_to_the_best_thresholds(self):
        page, rows = self.open("hard.html"), self.scores("hard")
        table = {t: self.counts(rows, t) for t in {score for score, _ in rows}}
        positives, negatives = 300, 700
        best = {
            "Youden": max(tp / positives - fp / negatives for tp, fp, _, _ in table.values()),
            "best F1": max(2 * tp / (2 * tp + fp + fn) for tp, fp, _, fn in table.values()),
            "FPR \u2264 1%": max(tp for tp, fp, _, _ in table.values() if fp <= 0.01 * negatives),
            "FPR \u2264 5%": max(tp for tp, fp, _, _ in table.values() if fp <= 0.05 * negatives),
        }
        labels = page.evaluate('[...document.querySelectorAll("#presets button")].map(b => b.textContent)')
        # One button where several rules choose one threshold.
        self.assertEqual(sorted(", ".join(labels).split(", ")), sorted(best))
        for number, rules in enumerate(labels):
            page.evaluate(f'document.querySelectorAll("#presets button")[{number}].click()')
            tp, fp, _, fn = self.shown(page)
            for rule in rules.split(", "):
                reached = {"Youden": tp / positives - fp / negatives, "best F1": 2 * tp / (2 * tp + fp + fn)}.get(rule, tp)
                self.assertAlmostEqual(reached, best[rule], 12, rule)
            pressed = page.evaluate(f'document.querySelectorAll("#presets button")[{number}].getAttribute("aria-pressed")')
            self.assertEqual(pressed, "true")

    def test_pointing_at_the_plots_moves_the_threshold(self):
        page, rows = self.open("hard.html", height=1700), self.scores("hard")
        for figure in ["histogram", "roc", "pr"]:
            box = page.evaluate(f'(() => {{ const b = document.querySelector("#{figure} .pointed").getBoundingClientRect();'
                                ' return [b.x, b.y, b.width, b.height]; })()')
            before = self.shown_threshold(page)
            for share in (0.7, 0.75):
                page.mouse("mousePressed" if share == 0.7 else "mouseMoved", box[0] + share * box[2], box[1] + 0.3 * box[3])
            page.mouse("mouseReleased", box[0] + 0.75 * box[2], box[1] + 0.3 * box[3])
            self.assertNotEqual(self.shown_threshold(page), before, figure)
            self.assertEqual(self.shown(page), self.counts(rows, self.shown_threshold(page)), figure)

    def test_typed_threshold_counts_as_typed(self):
        page, rows = self.open("hard.html"), self.scores("hard")
        for typed in ["5.12345", "-3", "4.5", "1e9"]:
            page.evaluate(f'(() => {{ const t = document.getElementById("typed"); t.value = "{typed}";'
                          ' t.dispatchEvent(new Event("change")); })()')
            self.assertEqual(self.shown(page), self.counts(rows, float(typed)), typed)
        before = self.shown(page)
        page.evaluate('(() => { const t = document.getElementById("typed"); t.value = "often";'
                      ' t.dispatchEvent(new Event("change")); })()')
        self.assertEqual(self.shown(page), before)
        self.assertEqual(page.evaluate('document.getElementById("typed").getAttribute("aria-invalid")'), "true")

    def test_solid_bars_cover_exactly_the_errors_in_small_data(self):
        page = self.open("tiny.html")
        for position in [0, 0.3, 0.6, 1]:
            self.slide(page, position)
            _, fp, _, fn = self.shown(page)
            for kind, wrong in [("normal", fp), ("anomaly", fn)]:
                drawn = page.evaluate(f'document.querySelector("path.bars.{kind}.wrong-side").getAttribute("d")')
                self.assertEqual(drawn.count("M"), wrong, f"{kind} at {position}")  # one row a bin there

    def test_second_score_can_be_chosen(self):
        page, data = self.open("compared.html"), self.embedded("compared")
        page.evaluate('document.querySelectorAll("input[name=evaluation]")[1].click()')
        second = data["evaluations"][1]
        self.assertEqual(self.shown(page)[:2], [second["tp"][second["chosen"]], second["fp"][second["chosen"]]])
        self.assertIn("higher than the second", page.evaluate('document.getElementById("comparison").textContent'))

    def test_any_of_several_scores_can_be_chosen(self):
        page, data = self.open("several.html", height=1500), self.embedded("several")
        rows = page.evaluate('[...document.querySelectorAll("#scores tbody tr")].map(r => [...r.cells].map(c => c.textContent.trim()))')
        self.assertEqual(len(rows), 8)
        for row, e in zip(rows, data["evaluations"]):
            self.assertEqual([row[0], row[1], row[3], row[-1]],
                             [e["name"], f"{e['auroc']['value']:.3f}", f"{e['auprc']['value']:.3f}", e["model"]])
        tests = page.evaluate('[...document.querySelectorAll("#tests tbody tr")].map(r => [...r.cells].map(c => c.textContent))')
        self.assertEqual([row[:2] for row in tests],
                         [[data["evaluations"][i]["name"], data["evaluations"][j]["name"]] for i in range(8) for j in range(i + 1, 8)])
        styles = page.evaluate("""[...document.querySelectorAll("#roc path.curve")].map(n => {
            const s = getComputedStyle(n); return s.stroke + s.strokeDasharray; })""")
        self.assertEqual(len(set(styles)), 8)
        page.evaluate('document.querySelectorAll("input[name=evaluation]")[5].click()')
        sixth = data["evaluations"][5]
        self.assertEqual(self.shown(page)[:2], [sixth["tp"][sixth["chosen"]], sixth["fp"][sixth["chosen"]]])
        self.assertIn(f"{sixth['auroc']['value']:.3f}", page.evaluate('document.getElementById("roc-note").textContent'))
        page.screenshot(self.pictures / "several-chosen.png")

    def test_the_page_carries_the_warnings(self):
        page = self.open("hard.html")
        self.assertIn('rows without a label ("NA")', page.evaluate('document.getElementById("warnings").textContent'))
        self.assertIn("chosen on these labels", page.evaluate('document.getElementById("notes").textContent'))

    def test_small_rates_are_told_and_undefined_ones_are_not(self):
        page = self.open("faint.html")
        texts = page.evaluate('[...document.querySelectorAll("#rates dd")].map(n => n.textContent)')
        self.assertEqual(texts[1].replace("\u2009", ""), "0.0010%")
        self.assertIn("0.9999967", page.evaluate('document.getElementById("summaries").textContent'))
        self.slide(page, 1)  # nothing is flagged
        self.assertEqual(page.evaluate('document.querySelectorAll("#rates dd")[2].textContent'), "\u2013")
        self.assertEqual(page.evaluate('document.querySelector("#pr .mark").getAttribute("visibility")'), "hidden")
        self.assertNotIn("NaN", page.evaluate('document.querySelector("main").innerText'))
        self.assertNotIn("NaN", page.evaluate('[...document.querySelectorAll("svg")].map(n => n.outerHTML).join("")'))

    def test_equal_buttons_are_one(self):
        labels = self.open("apart.html").evaluate('[...document.querySelectorAll("#presets button")].map(b => b.textContent)')
        self.assertEqual(labels, ["Youden, best F1, FPR \u2264 1%, FPR \u2264 5%"])

    def test_curves_stay_apart_for_every_kind_of_colour_vision(self):
        """All pairs of the eight colours, as eyes with any of the three dichromacies see them, and their contrast."""
        css = (ROOT / "src/report/assets/roc_svg.css").read_text()
        page_css = (ROOT / "src/report/assets/page.css").read_text()
        names = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth"]
        light, dark = css.split("@media", 1)
        for part, ground in ((light, "#ffffff"), (dark, "#12151a")):
            colours = [re.search(rf"\.{name} {{ stroke: (#[0-9a-f]{{6}});", part).group(1) for name in names]
            for colour in colours:
                self.assertIn(colour, page_css)
                self.assertGreater(contrast(colour, ground), 2.9, colour)
            for vision in VISIONS.values():
                seen = [lab(vision, colour) for colour in colours]
                nearest = min(math.dist(a, b) for i, a in enumerate(seen) for b in seen[:i])
                self.assertGreater(nearest, 20)

    def test_pages_load_nothing_and_fit_a_phone(self):
        for name in NAMES:
            page = self.open(name + ".html", width=360, height=740)
            self.assertEqual(page.requests, [(self.folder / (name + ".html")).as_uri()])
            wide = page.evaluate("document.documentElement.scrollWidth")
            self.assertLessEqual(wide, 360, name)
            page.screenshot(self.pictures / f"{name}-phone.png")

    def test_hostile_names_are_shown_and_not_obeyed(self):
        page = self.open("hostile.html")
        self.assertIn("</script><script>alert(1)</script>", page.evaluate('document.querySelector("h1").textContent'))
        self.assertEqual(page.evaluate("document.scripts.length"), 2)
        self.assertEqual(page.evaluate('document.querySelectorAll("main img, main script").length'), 0)
        # Even a script that got in would not run.
        page.evaluate('(() => { const s = document.createElement("script"); s.textContent = "window.foreign = 1";'
                      ' document.body.append(s); })()')
        self.assertIsNone(page.evaluate("window.foreign ?? null"))
        self.assertEqual(len(page.problems), 1)
        self.assertIn("Content Security Policy", page.problems.pop())

    def test_every_control_has_a_name(self):
        page = self.open("compared.html")
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        controls = [n for n in nodes if not n.get("ignored")
                    and n.get("role", {}).get("value") in ("slider", "button", "textbox", "checkbox", "radio")]
        self.assertGreaterEqual(len(controls), 11)
        for node in controls:
            self.assertTrue(node["name"]["value"].strip(), node)

    def test_light_and_dark_differ_and_print_is_light(self):
        for name in ["separated", "compared", "several"]:
            for file in [name + ".html", name + ".svg"]:
                corner = {}
                for dark in (False, True):
                    page = self.open(file, width=1200, height=700, dark=dark)
                    picture = page.screenshot(self.pictures / f"{file}-{'dark' if dark else 'light'}.png", whole=False)
                    width, height, step, rows = pixels(picture)
                    self.assertEqual((width, height), (1200, 700))
                    corner[dark] = rows[3][3 * step:3 * step + 3]
                    self.assertGreater(len({row[i:i + 3] for row in rows for i in range(0, len(row), 40 * step)}), 3, file)
                self.assertEqual(corner[False], b"\xff\xff\xff")
                self.assertLess(max(corner[True]), 40)
        page = self.open("separated.html", dark=True)
        page.look(800, 700, dark=True, media="print")
        page.settle()
        self.assertEqual(page.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(255, 255, 255)")

    def test_plots_are_valid_xml_within_their_frame(self):
        for name in NAMES:
            root = xml.etree.ElementTree.parse(self.folder / (name + ".svg")).getroot()
            self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
            page = self.open(name + ".svg", width=950, height=700)
            outside = page.evaluate(
                '(() => { const r = document.documentElement.getBoundingClientRect();'
                ' return [...document.querySelectorAll("path.curve, text:not(g *), circle")].filter(n => {'
                ' const b = n.getBoundingClientRect();'
                ' return b.left < r.left || b.right > r.right || b.top < r.top || b.bottom > r.bottom; }).length; })()')
            self.assertEqual(outside, 0, name)


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Draws pictures of a made-up circuit board for trying visual inspection where no real ones are at hand.

    scripts/draw-boards.py [--train N] [--test N] [--seed K] DIR

writes DIR/train/good, DIR/test/good, DIR/test/TYPE and DIR/ground_truth/TYPE/NAME_mask.png as MVTec lays them out. Every
picture is a part of one layout as a camera might see it: shifted, with ragged edges and noise. Defects are of the six
types that DeepPCB names. Needs NumPy only.
"""

import argparse
import os
import pathlib
import struct
import sys
import zlib

try:
    import numpy as np
except ImportError:
    # Another Python may come first on the PATH than the one that the system's packages are for.
    system = "/usr/bin/python3"
    if os.path.exists(system) and os.environ.get("DRAW_BOARDS_WITH") != system:
        os.environ["DRAW_BOARDS_WITH"] = system
        os.execv(system, [system, os.path.abspath(__file__), *sys.argv[1:]])
    sys.exit(f"draw-boards.py: {sys.executable} has no NumPy; install it: apt-get install python3-numpy")

LAYOUT, PICTURE = 960, 320  # pixels along each side
TRACE, PAD, HOLE = 5, 11, 4  # half width and radii
DARK, COPPER = 35.0, 215.0
TYPES = ("open", "short", "mousebite", "spur", "pinhole", "copper")


def write_png(path, pixels):
    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows, 9))
        + chunk(b"IEND", b"")
    )


def distance_to_segment(shape, a, b):
    """Of every pixel to the line from a to b, both (y, x)."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    (ay, ax), (by, bx) = a, b
    length = max((by - ay) ** 2 + (bx - ax) ** 2, 1e-6)
    t = np.clip(((y - ay) * (by - ay) + (x - ax) * (bx - ax)) / length, 0, 1)
    return np.hypot(y - ay - t * (by - ay), x - ax - t * (bx - ax))


def draw_layout(random):
    """The distance to the copper's edge, positive inside, and the traces as segments."""
    inside = np.full((LAYOUT, LAYOUT), -1e3, np.float32)
    segments = []
    pitch = 40
    for row in range(pitch, LAYOUT, pitch):
        x = int(random.integers(0, 3)) * pitch
        while x < LAYOUT - 2 * pitch:
            length = int(random.integers(2, 7)) * pitch
            turn = int(random.choice([-1, 0, 0, 1])) * pitch // 2
            corner = (row, x + length // 2)
            end = (row + turn, x + length // 2 + abs(turn))
            points = [(row, x), corner, end, (row + turn, min(x + length, LAYOUT - 20))]
            for a, b in zip(points, points[1:]):
                if a == b:
                    continue
                low_y, high_y = max(0, min(a[0], b[0]) - 20), min(LAYOUT, max(a[0], b[0]) + 20)
                low_x, high_x = max(0, min(a[1], b[1]) - 20), min(LAYOUT, max(a[1], b[1]) + 20)
                window = inside[low_y:high_y, low_x:high_x]
                far = distance_to_segment(
                    window.shape, (a[0] - low_y, a[1] - low_x), (b[0] - low_y, b[1] - low_x)
                )
                np.maximum(window, TRACE - far, out=window)
                segments.append((a, b))
            x += length + int(random.integers(1, 3)) * pitch
    holes = []
    for y in range(pitch, LAYOUT, pitch):
        for x in range(pitch, LAYOUT, pitch):
            if random.uniform() < 0.12:
                holes.append((y, x))
    y, x = np.mgrid[:LAYOUT, :LAYOUT].astype(np.float32)
    for hole in holes:
        window = np.s_[max(0, hole[0] - 16) : hole[0] + 16, max(0, hole[1] - 16) : hole[1] + 16]
        far = np.hypot(y[window] - hole[0], x[window] - hole[1])
        inside[window] = np.where(far < PAD + 2, np.minimum(PAD - far, far - HOLE), inside[window])
    return inside, segments


def smooth_noise(random, shape, width):
    """Noise that varies over about `width` pixels, with deviation 1."""
    coarse = random.standard_normal((shape[0] // width + 2, shape[1] // width + 2))
    y = np.arange(shape[0]) / width
    x = np.arange(shape[1]) / width
    rows, columns = y.astype(int), x.astype(int)
    fy, fx = (y - rows)[:, None], (x - columns)[None, :]
    corners = [coarse[rows + i][:, columns + j] for i in (0, 1) for j in (0, 1)]
    mixed = (1 - fy) * ((1 - fx) * corners[0] + fx * corners[1]) + fy * ((1 - fx) * corners[2] + fx * corners[3])
    return mixed / mixed.std()


def photograph(inside, random):
    """Gray values of copper whose edges are ragged by about a pixel."""
    ragged = inside + 0.7 * smooth_noise(random, inside.shape, 4)
    coverage = np.clip(ragged + 0.5, 0, 1)
    image = DARK + (COPPER - DARK) * coverage + 6 * smooth_noise(random, inside.shape, 40)
    return np.clip(image + 4 * random.standard_normal(inside.shape), 0, 255).round().astype(np.uint8)


def blob(shape, centre, radius, random):
    """The distance to the edge of an irregular blob, positive inside."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    angle = np.arctan2(y - centre[0], x - centre[1])
    edge = radius * np.ones(shape, np.float32)
    for k in range(2, 5):
        edge += radius * random.uniform(0, 0.15) * np.cos(k * angle + random.uniform(0, 6.28))
    return edge - np.hypot(y - centre[0], x - centre[1])


def spoil(inside, segments, kind, random):
    """A copy of the distances with one defect; None where there is no room for it."""
    shape = inside.shape
    margin = 30
    long_enough = [s for s in segments if np.hypot(s[1][0] - s[0][0], s[1][1] - s[0][1]) > 30]
    if not long_enough:
        return None
    a, b = long_enough[random.integers(len(long_enough))]
    t = random.uniform(0.2, 0.8)
    on_trace = np.array([a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])])
    across = np.array([a[1] - b[1], b[0] - a[0]], float)
    across /= np.hypot(*across)
    side = across * (1 if random.uniform() < 0.5 else -1)
    if kind == "open":
        gap = distance_to_segment(shape, on_trace - 9 * across, on_trace + 9 * across) - random.uniform(2, 4)
        return np.minimum(inside, gap)
    if kind == "short":
        bridge = random.uniform(2, 4) - distance_to_segment(shape, on_trace, on_trace + 40 * side)
        return np.maximum(inside, bridge)
    if kind == "mousebite":
        place = on_trace + (TRACE + 1) * side
        return np.minimum(inside, -blob(shape, place, random.uniform(3.5, 6), random))
    if kind == "spur":
        spike = random.uniform(2, 3.5) - distance_to_segment(shape, on_trace, on_trace + random.uniform(10, 16) * side)
        return np.maximum(inside, spike)
    if kind == "pinhole":
        return np.minimum(inside, -blob(shape, on_trace, random.uniform(2.2, 3.2), random))
    for _ in range(100):
        place = random.uniform(margin, shape[0] - margin, 2)
        if inside[int(place[0]), int(place[1])] < -9:
            return np.maximum(inside, blob(shape, place, random.uniform(3, 6), random))
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=pathlib.Path)
    parser.add_argument("--train", type=int, default=200, help="good pictures to learn from (default 200)")
    parser.add_argument("--test", type=int, default=10, help="pictures of each kind to test with (default 10)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.folder.exists():
        sys.exit(f"draw-boards.py: {arguments.folder} exists; give the name of a new folder")
    random = np.random.default_rng(arguments.seed)
    inside, segments = draw_layout(random)

    def part():
        y, x = random.integers(0, LAYOUT - PICTURE, 2)
        shifted = [((a[0] - y, a[1] - x), (b[0] - y, b[1] - x)) for a, b in segments]
        seen = [s for s in shifted if all(30 < v < PICTURE - 30 for point in s for v in point)]
        return inside[y : y + PICTURE, x : x + PICTURE], seen

    for split, count in (("train", arguments.train), ("test", arguments.test)):
        for i in range(count):
            write_png(arguments.folder / split / "good" / f"{i:03d}.png", photograph(part()[0], random))
    for kind in TYPES:
        for i in range(arguments.test):
            bad = None
            while bad is None:
                good, seen = part()
                bad = spoil(good, seen, kind, random)
            mask = ((good > 0) != (bad > 0)).astype(np.uint8) * 255
            write_png(arguments.folder / "test" / kind / f"{i:03d}.png", photograph(bad, random))
            write_png(arguments.folder / "ground_truth" / kind / f"{i:03d}_mask.png", mask)


if __name__ == "__main__":
    main()

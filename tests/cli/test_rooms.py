"""The direction of dependencies between the rooms of src/: left never includes right."""

import re
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"
ROOMS = "base config data stats model loss score train infer report cli".split()
NEEDS_TORCH = {"model", "loss", "score", "train", "infer"}


def includes():
    for path in sorted(SOURCE.rglob("*.[ch]pp")):
        room = path.relative_to(SOURCE).parts[0]
        for line in path.read_text().splitlines():
            found = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
            if found:
                yield path, room, found.group(1)


def test_every_folder_is_a_known_room():
    assert {p.name for p in SOURCE.iterdir() if p.is_dir()} == set(ROOMS)


def test_left_never_includes_right():
    wrong = []
    for path, room, target in includes():
        other = target.split("/")[0]
        if other in ROOMS and ROOMS.index(other) > ROOMS.index(room):
            wrong.append(f"{path.relative_to(SOURCE)} includes {target}")
    assert not wrong


def test_libraries_stay_in_their_rooms():
    wrong = []
    for path, room, target in includes():
        library = target.split("/")[0]
        if library in {"torch", "ATen", "c10"} and room not in NEEDS_TORCH:
            wrong.append(f"{path.relative_to(SOURCE)} includes {target}")
        if library in {"CLI", "spdlog"} and room != "cli":
            wrong.append(f"{path.relative_to(SOURCE)} includes {target}")
    assert not wrong


def test_headers_keep_the_expensive_torch_header_out():
    internal = {"stem.hpp", "module_network.hpp"}  # included by .cpp files of their own room only
    expensive = [p for p, _, target in includes() if target == "torch/torch.h" and p.suffix == ".hpp"]
    assert [p for p in expensive if p.name not in internal] == []

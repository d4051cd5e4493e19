"""The direction of dependencies between the rooms of src/: one-way, without circles."""

import re
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src"

# A room, and the rooms that it may include besides itself and whatever those may. Kinds of data do not know each other,
# but that counts also come as tables, and neither do training and applying.
DIRECTLY = {
    "base": [],
    "config": ["base"],
    "cli": ["config"],
    "data": ["config"],
    "data/bytes": ["data"],
    "data/tables": ["data/bytes"],
    "data/images": ["data/bytes"],
    "data/colvar": ["data/tables"],
    "data/counts": ["data/tables"],
    "data/arrays": ["data/bytes"],
    "data/hdf5": ["data/counts", "data/arrays"],
    "geometry": ["base"],
    "data/structures": ["data/arrays", "geometry"],
    "data/crystals": ["data/tables", "geometry"],
    "data/gemmi": ["data/structures", "data/crystals"],
    "stats": ["base"],
    "evaluate": ["data/tables", "data/images", "stats"],
    "fit": ["evaluate", "data/counts", "data/colvar"],
    "report": ["fit"],
    "model": ["data/tables", "data/images", "stats", "geometry"],
    "value": ["base"],
    "loss": ["model", "value"],
    "score": ["loss", "evaluate"],
    "recipe": ["score", "data/hdf5", "data/gemmi"],
    "attack": ["base"],
    "train": ["recipe", "report", "attack", "victim"],
    "victim": ["value", "evaluate"],
    "apply": ["recipe", "report", "victim"],
    "replay": ["recipe", "report"],
    "attack/campaign": ["apply", "attack"],
    "script": ["recipe"],
}
NEEDS_TORCH = {"model", "value", "loss", "score", "recipe", "train", "victim", "apply", "replay", "attack", "attack/campaign",
               "script"}
LIBRARIES = {
    "torch": NEEDS_TORCH,
    "ATen": NEEDS_TORCH,
    "c10": NEEDS_TORCH,
    "CLI": {"cli"},
    "spdlog": {"cli"},
    "Eigen": {"fit"},
    "hdf5.h": {"data/hdf5"},
    "gemmi": {"data/gemmi"},
}


def allowed(room):
    rooms, new = {room}, [room]
    while new:
        new = [other for name in new for other in DIRECTLY[name] if other not in rooms]
        rooms.update(new)
    return rooms


def room_of(path):
    """Of a file below src/, by its folder."""
    return Path(path).parent.as_posix()


def includes():
    for path in sorted(SOURCE.rglob("*.[ch]pp")):
        for line in path.read_text().splitlines():
            found = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
            if found:
                yield path, room_of(path.relative_to(SOURCE)), found.group(1)


def test_every_folder_with_sources_is_a_known_room():
    assert {room_of(p.relative_to(SOURCE)) for p in SOURCE.rglob("*.[ch]pp")} == set(DIRECTLY)


def test_rooms_have_no_circles():
    for room, others in DIRECTLY.items():
        for other in others:
            assert room not in allowed(other), f"{room} and {other} include each other"


def test_rooms_include_only_what_they_may():
    wrong = []
    for path, room, target in includes():
        other = room_of(target)
        if other in DIRECTLY and other not in allowed(room):
            wrong.append(f"{path.relative_to(SOURCE)} includes {target}")
    assert not wrong


def test_every_include_of_ours_exists():
    """An old folder's name would otherwise be taken for a library's."""
    wrong = []
    for path, _, target in includes():
        first = target.split("/")[0]
        if "/" in target and first in {room.split("/")[0] for room in DIRECTLY} and not (SOURCE / target).exists():
            wrong.append(f"{path.relative_to(SOURCE)} includes {target}")
    assert not wrong


def test_libraries_stay_in_their_rooms():
    wrong = []
    for path, room, target in includes():
        rooms = LIBRARIES.get(target.split("/")[0])
        if rooms is not None and room not in rooms:
            wrong.append(f"{path.relative_to(SOURCE)} includes {target}")
    assert not wrong


def test_headers_keep_the_expensive_torch_header_out():
    internal = {"stem.hpp", "module_network.hpp"}  # included by .cpp files of their own room only
    expensive = [p for p, _, target in includes() if target == "torch/torch.h" and p.suffix == ".hpp"]
    assert [p for p in expensive if p.name not in internal] == []


def test_every_source_is_compiled():
    """Rooms are found by a pattern, so a folder that the pattern misses would silently not compile."""
    listed = (SOURCE / "CMakeLists.txt").read_text()
    rooms = {room.split("/")[0] for room in DIRECTLY}
    named = {word for call in re.findall(r"aetools_room_sources\(\w+ ([^)]*)\)", listed) for word in call.split()}
    assert "GLOB_RECURSE" in listed and named == rooms

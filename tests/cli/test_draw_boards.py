"""scripts/draw-boards.py, as a user would run it."""

import subprocess
import sys

import pytest

pytest.importorskip("numpy")

import pictures
from support import SOURCE


def test_drawn_boards_have_the_defects_that_their_masks_say(tmp_path):
    script = [sys.executable, SOURCE / "scripts" / "draw-boards.py", "--train", "1", "--test", "1"]
    for folder in ("one", "again"):
        subprocess.run([*script, tmp_path / folder], check=True)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.png"))
    assert len(files) == 1 + 7 + 6
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "again" / file).read_bytes() for file in files)
    for kind in ("open", "short", "mousebite", "spur", "pinhole", "copper"):
        board = pictures.read_png(tmp_path / "one" / "test" / kind / "000.png")
        mask = pictures.read_png(tmp_path / "one" / "ground_truth" / kind / "000_mask.png") > 0
        assert board.shape == mask.shape == (320, 320)
        assert 4 <= mask.sum() <= 400
        # Missing copper is dark, surplus copper is bright.
        missing = kind in ("open", "mousebite", "pinhole")
        assert (board[mask].mean() < 125) == missing, kind
    again = subprocess.run([*script, tmp_path / "one"], capture_output=True, text=True)
    assert again.returncode == 1 and "exists" in again.stderr

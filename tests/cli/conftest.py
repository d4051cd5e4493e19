"""Runs the programs as a user does. AETOOLS_BIN names the folder that holds them."""

import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest


class Outcome(NamedTuple):
    code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def bin_folder():
    folder = os.environ.get("AETOOLS_BIN")
    if not folder:
        pytest.skip("AETOOLS_BIN is not set: the folder with the programs")
    return Path(folder).resolve()


@pytest.fixture
def run(bin_folder, tmp_path):
    """run("ae-roc", "scores.csv", "-q", stdin="text or bytes") in an empty folder of its own."""

    def run_program(program, *args, stdin=None, timeout=120):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        done = subprocess.run(
            [bin_folder / program, *map(str, args)],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            cwd=tmp_path,
            timeout=timeout,
        )
        return Outcome(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    return run_program

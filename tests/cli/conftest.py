"""Runs the programs as a user does. AETOOLS_BIN names the folder that holds them."""

import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import started
from support import BUILT_PROGRAMS, CONFIGS, FAST, PROGRAMS


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


@pytest.fixture(params=PROGRAMS)
def program(request):
    if request.param not in BUILT_PROGRAMS:
        pytest.skip("built without LibTorch")
    return request.param


@pytest.fixture(scope="session")
def declarations(bin_folder):
    """Of each program that was built, what it declares for its command line: names, types, help and so on."""
    said = {}
    for name in BUILT_PROGRAMS:
        done = started.run([bin_folder / name, "--generate", "json"], timeout=60)
        said[name] = json.loads(done.stdout)
    return said


@pytest.fixture
def run(bin_folder, tmp_path):
    """run("ae-roc", "scores.csv", "-q", stdin="text or bytes") in an empty folder of its own."""

    def run_program(program, *args, stdin=None, timeout=120, cwd=None):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        done = started.run([bin_folder / program, *args], input=stdin, cwd=cwd or tmp_path, timeout=timeout)
        return Outcome(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    return run_program


@pytest.fixture(scope="session")
def trained_once(bin_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained") / "model"
    command = [bin_folder / "ae-train", CONFIGS / "wdbc.json", "--out", folder, *FAST]
    done = started.run(command, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    return folder


@pytest.fixture
def trained(trained_once, tmp_path):
    """A folder with a model of the normal rows of configs/data/wdbc.csv, free to be changed."""
    return Path(shutil.copytree(trained_once, tmp_path / "model"))

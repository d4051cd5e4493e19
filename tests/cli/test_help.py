"""Help, versions and the examples that help gives."""

import json
import os
import re
import shutil
import subprocess

import pytest
from support import CONFIGS, PROGRAMS, WITHOUT_LIBTORCH, needs_torch


def examples_of(help_text):
    block = help_text.split("Examples:\n")[1].split("\n\n")[0]
    return [line.strip() for line in block.splitlines() if re.match(r"  \S", line)]


def test_help_shows_examples_before_the_options(run, program):
    for arguments in (["--help"], ["-h"], ["--help", "--nonsense"]):
        shown = run(program, *arguments)
        assert (shown.code, shown.stderr) == (0, "")
    text = shown.stdout
    assert text.startswith(f"{program}: ")
    assert len(examples_of(text)) >= 2
    assert text.index("Examples:") < text.index("Usage:") < text.index("Options:")
    for flag in ("--help", "--version", "--verbose", "--quiet", "--threads", "--force"):
        assert flag in text.split("Usage:")[1]


def test_version_names_commit_compiler_and_libraries(run, program):
    shown = run(program, "--version")
    assert (shown.code, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert re.fullmatch(rf"{program} \d+\.\d+\.\d+", lines[0])
    assert any(line.startswith("git: ") for line in lines)
    assert any(line.startswith("compiler: ") for line in lines)
    libraries = [line for line in lines if line.startswith(("LibTorch: ", "BLAS: "))]
    assert len(libraries) == (0 if program in WITHOUT_LIBTORCH else 2)


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--treads", "2"], ["--threads", "0"], ["--threads"], ["-q", "-v"]])
def test_usage_errors_are_exit_2_in_one_line(run, program, arguments):
    outcome = run(program, *arguments, "a", "b")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr.count("\n") == 1 and outcome.stderr.startswith(f"{program}: error: ")
    assert "--help" in outcome.stderr


@needs_torch
def test_the_examples_of_all_programs_run_one_after_another_where_they_are_installed(bin_folder, tmp_path_factory):
    build = bin_folder.parent
    if not (build / "cmake_install.cmake").exists() or shutil.which("cmake") is None:
        pytest.skip("AETOOLS_BIN is no folder of a build")
    prefix, work = tmp_path_factory.mktemp("prefix"), tmp_path_factory.mktemp("work")
    command = ["cmake", "--install", build, "--prefix", prefix, "--component", "programs"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    environment = {**os.environ, "PATH": f"{prefix}/bin:{os.environ['PATH']}"}
    for program in PROGRAMS:
        told = subprocess.run([prefix / "bin" / program, "--help"], capture_output=True, text=True, check=True).stdout
        for example in examples_of(told):
            assert " configs/" not in example  # nothing of that name lies here
            if "board" in example:  # needs images
                continue
            done = subprocess.run(["bash", "-c", example], cwd=work, env=environment, capture_output=True, text=True)
            assert done.returncode == (3 if "--fail-on-anomaly" in example else 0), (example, done.stderr)
    for name in ("scores.csv", "other.csv", "summary.json", "roc.svg", "report.html", "filled.csv", "purified.csv", "codes.csv", "codes.npy",
                 "principal.csv", "pca_check.json", "wdbc.pt", "plumed/plumed.dat",
                 "info.json", "info.html", "training-curve.svg"):
        assert (work / name).stat().st_size > 0, name
    filled = (work / "filled.csv").read_text().splitlines()
    whole = (CONFIGS / "data/wdbc.csv").read_text().splitlines()
    assert [line.split(",")[1:] for line in filled] == [line.split(",")[1:] for line in whole]
    assert os.path.samefile(prefix / "share/doc/aetools/configs", prefix / "share/aetools/configs")  # pages link to it


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_help_fits_the_terminal(run, monkeypatch, program, columns):
    """Examples are to be copied, so they stay in one line; and so does a word that is longer and no list."""
    monkeypatch.setenv("COLUMNS", str(columns))
    told = run(program, "--help")
    assert told.code == 0
    examples = set(examples_of(told.stdout))
    long = [line for line in told.stdout.splitlines() if len(line) > columns and line.strip() not in examples]
    assert [line for line in long if len(line.split()) > 1 or "," in line] == []


def test_help_shows_every_default(program, declarations, run):
    text = " ".join(run(program, "--help").stdout.split())
    for argument in declarations[program]["arguments"]:
        if argument["default"]:
            assert f"(default: {argument['default']})" in text, argument


@needs_torch
def test_the_table_of_settings_names_every_field_of_the_schema(run):
    schema = json.loads(run("ae-train", "--print-schema").stdout)
    settings = run("ae-train", "--print-settings")
    assert (settings.code, settings.stderr) == (0, "")
    names = {line.split(":")[0].split(" ")[0].rsplit("/", 1)[-1] for line in settings.stdout.splitlines()}

    def properties(node):
        if isinstance(node, dict):
            if isinstance(node.get("properties"), dict):
                yield from node["properties"]
            for value in node.values():
                yield from properties(value)
        elif isinstance(node, list):
            for value in node:
                yield from properties(value)

    missing = set(properties(schema)) - names - {"$schema", "extends"}  # for editors, and for what a config builds on
    assert not missing, missing


@pytest.mark.parametrize("name", WITHOUT_LIBTORCH)
def test_small_programs_link_no_large_library(bin_folder, name):
    """Also not by way of another one."""
    if shutil.which("ldd") is None:
        pytest.skip("needs ldd")
    linked = subprocess.run(["ldd", bin_folder / name], capture_output=True, text=True, check=True).stdout
    assert "libz.so" in linked
    assert not re.search("hdf5|torch|opencv", linked)

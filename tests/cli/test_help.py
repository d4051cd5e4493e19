"""Help, versions and the examples that help gives."""

import json
import os
import re
import shutil
import subprocess

import pytest
from support import CONFIGS, PROGRAMS, needs_torch


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
    assert len(libraries) == (0 if program == "ae-roc" else 2)


@pytest.mark.parametrize("arguments", [["--nonsense"], ["--treads", "2"], ["--threads", "0"], ["--threads"], ["-q", "-v"]])
def test_usage_errors_are_exit_2_in_one_line(run, program, arguments):
    outcome = run(program, *arguments, "a", "b")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert outcome.stderr.count("\n") == 1 and outcome.stderr.startswith(f"{program}: error: ")
    assert "--help" in outcome.stderr


@needs_torch
def test_the_first_two_examples_of_all_programs_run_one_after_another(run, bin_folder, tmp_path):
    shutil.copytree(CONFIGS, tmp_path / "configs")
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    expected = {"--fail-on-anomaly": 3}
    for program in PROGRAMS:
        for example in examples_of(run(program, "--help").stdout)[:2]:  # the others need images
            done = subprocess.run(["bash", "-c", example], cwd=tmp_path, env=environment, capture_output=True, text=True)
            code = next((code for option, code in expected.items() if option in example), 0)
            assert done.returncode == code, (example, done.stderr)
    for name in ("scores.csv", "other.csv", "summary.json", "roc.svg", "report.html", "filled.csv", "purified.csv"):
        assert (tmp_path / name).stat().st_size > 0
    filled = (tmp_path / "filled.csv").read_text().splitlines()
    whole = (CONFIGS / "data/wdbc.csv").read_text().splitlines()
    assert [line.split(",")[1:] for line in filled] == [line.split(",")[1:] for line in whole]


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

    missing = set(properties(schema)) - names - {"$schema"}  # for editors only
    assert not missing, missing

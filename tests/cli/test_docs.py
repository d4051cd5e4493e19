"""The pages that users read: their commands run, and what they name exists.

Every `sh` block is run, page by page, in a folder of its own with the repository's configs and scripts. Comments, which
no reader sees, tell what else a block needs:

    <!-- setup: COMMAND -->     is run at this place: it makes the files that a reader has himself
    <!-- exit code: N -->       the next block ends with N, not with 0
    <!-- not run: REASON -->    the next block is only read: its syntax and the options of our programs
"""

import csv
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import NamedTuple

import pytest
from support import CONFIGS, PROGRAMS, SOURCE, WDBC, needs_torch

PAGES = [SOURCE / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG", "configs/README")]
PAGES += sorted((SOURCE / "docs").glob("*.md"))
LANGUAGES = {"sh", "cpp", "cmake", "json", "python", ""}  # "": what a program prints
MOST_NOT_RUN = 16


def name_of(page):
    return page.relative_to(SOURCE).as_posix()


class Block(NamedTuple):
    language: str
    text: str
    place: str  # FILE:LINE
    exit_code: int = 0
    not_run: str = ""


def blocks_of(page):
    """Fenced blocks in their order; a setup comment is a block of the language "setup"."""
    blocks, marks, fence = [], {}, None
    for number, line in enumerate(page.read_text().splitlines(), 1):
        place = f"{name_of(page)}:{number}"
        if fence is not None:
            if line == "```":
                blocks.append(Block(fence[0], "\n".join(fence[2]) + "\n", fence[1], **marks))
                marks, fence = {}, None
            else:
                fence[2].append(line)
            continue
        mark = re.fullmatch(r"<!-- (setup|exit code|not run): (.*) -->", line)
        assert mark or "<!--" not in line, f"{place}: not a comment that this test knows"
        if mark and mark[1] == "setup":
            blocks.append(Block("setup", mark[2], place))
        elif mark:
            marks[mark[1].replace(" ", "_")] = int(mark[2]) if mark[1] == "exit code" else mark[2]
        elif line.startswith("```"):
            fence = (line[3:], place, [])
            assert fence[0] in LANGUAGES, f"{place}: a block of {fence[0]}"
        else:
            assert not marks, f"{place}: expected the block that the comment above is about"
    assert fence is None and not marks, f"{name_of(page)}: ends within a block"
    return blocks


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
SHELL = [block for block in BLOCKS if block.language == "sh"]


def prose_of(page):
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text())


def code_of(page):
    """What stands in single backquotes."""
    return re.findall(r"`([^`]+)`", prose_of(page))


# --- Commands run ---


@pytest.fixture
def workplace(tmp_path, bin_folder):
    """Runs shell commands among the repository's configs and scripts. What is tried here are commands, not figures:
    recipes learn for a few epochs, of images one network for one, and few boards are drawn."""
    for name in ("configs", "scripts"):
        shutil.copytree(SOURCE / name, tmp_path / name)
    for path in (tmp_path / "configs").glob("*.json"):
        config = json.loads(path.read_text())
        of_images = config.get("data", {}).get("type") == "images"
        if "extends" in config:
            continue
        config["training"]["epochs"] = 1 if of_images else 30
        if of_images:
            config["model"]["members"] = 1
        path.write_text(json.dumps(config))
    draw = tmp_path / "scripts" / "draw-boards.py"
    many = draw.read_text()
    assert "default=200" in many and "default=10," in many
    draw.write_text(many.replace("default=200", "default=12").replace("default=10,", "default=1,"))
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python3"  # the one that has what the tests need
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    environment = {**os.environ, "PATH": f"{python.parent}:{bin_folder}:{os.environ['PATH']}"}

    def run_block(block):
        command = ["bash", "-euo", "pipefail", "-c", block.text]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL)
        told = f"{block.place}\n{block.text}{done.stdout[-2000:]}{done.stderr[-2000:]}"
        assert done.returncode == block.exit_code, told

    return run_block


def runs(block):
    return block.language == "setup" or (block.language == "sh" and not block.not_run)


@needs_torch
@pytest.mark.parametrize("page", [page for page in PAGES if any(map(runs, blocks_of(page)))], ids=name_of)
def test_the_commands_of_a_page_run_one_after_another(workplace, page):
    for block in filter(runs, blocks_of(page)):
        workplace(block)


def test_few_blocks_are_not_run_and_their_syntax_is_right():
    not_run = [block for block in SHELL if block.not_run]
    assert 0 < len(not_run) <= MOST_NOT_RUN and len(not_run) < len(SHELL) / 2
    for block in not_run:
        assert len(block.not_run.split()) >= 2, f"{block.place}: give a reason"
        checked = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True)
        assert (checked.returncode, checked.stderr) == (0, ""), block.place


@needs_torch
def test_configs_in_pages_are_accepted(run, tmp_path):
    configs = [block for block in BLOCKS if block.language == "json"]
    assert configs
    for block in configs:
        (tmp_path / "config.json").write_text(block.text)
        printed = run("ae-train", "config.json", "--print-config")
        assert printed.code == 0, (block.place, printed.stderr)


@needs_torch
@pytest.mark.parametrize("changes", [
    {},
    {"/data/scaling": "robust", "/model": {"type": "linear", "latent": 4}},
    {"/model": {"type": "dense", "hidden": [20], "latent": 5}, "/training/corruption": [{"type": "mask"}]},
], ids=["dense", "linear", "masked"])
def test_the_program_of_the_model_files_page_scores_as_ae_score(run, tmp_path, changes):
    page = SOURCE / "docs" / "model-file.md"
    (program,) = [block.text for block in blocks_of(page) if block.language == "python"]
    assert len(program.splitlines()) <= 40
    settings = [word for pointer, value in changes.items() for word in ("--set", f"{pointer}={json.dumps(value)}")]
    trained = run("ae-train", CONFIGS / "wdbc.json", "--out", "model", "--set", "/training/epochs=30", *settings, "-q")
    assert trained.code == 0, trained.stderr
    lines = [line.split(",") for line in WDBC.read_text().splitlines()[:200]]
    for i in range(1, 100):
        lines[i][i % 30] = "NA"
    (tmp_path / "holes.csv").write_text("".join(",".join(line) + "\n" for line in lines))

    expected = list(csv.DictReader(io.StringIO(run("ae-score", "model", "holes.csv", "-q").stdout)))
    command = [sys.executable, "-c", program, "model/model.safetensors", "holes.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [row["id"] for row in found] == [row["id"] for row in expected] == [str(i) for i in range(199)]
    scores = [float(row["score"]) for row in expected]
    assert [float(row["score"]) for row in found] == pytest.approx(scores, rel=1e-4)
    # A score that rounding brings across a calibration score changes the count by one; 36 rows were held out.
    p_values = [float(row["p_value"]) for row in expected]
    assert [float(row["p_value"]) for row in found] == pytest.approx(p_values, abs=1.1 / 37)
    assert len(set(scores)) > 150


# --- What pages name is there ---


def test_the_readme_is_short():
    assert len((SOURCE / "README.md").read_text().splitlines()) <= 150


def anchors(page):
    headings = re.findall(r"(?m)^#+ (.*)$", prose_of(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_pictures_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name_of(page)}: {target}"
        assert not anchor or anchor in anchors(file), f"{name_of(page)}: no heading for {target}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_are_named_are_there(page):
    for text in code_of(page):
        path = re.match(r"(?:configs|docs|scripts|src|tests)/[\w./-]+\.\w+", text)
        assert not path or (SOURCE / path[0]).exists(), f"{name_of(page)}: {text}"


def test_every_page_is_found_from_the_readme():
    named = set(re.findall(r"\]\(([\w./-]+\.md)", (SOURCE / "README.md").read_text())) | {"README.md"}
    assert {name_of(page) for page in PAGES} == named


@pytest.fixture(scope="module")
def options(bin_folder):
    """Of each program, as its --help lists them; of each script, all that its text names."""
    known = {}
    for program in PROGRAMS:
        done = subprocess.run([bin_folder / program, "--help"], capture_output=True, text=True, check=True)
        listed = re.findall(r"(?m)^ +(-\w)?,? *(--[a-z0-9-]+)?(?:,(--[a-z0-9-]+))?", done.stdout)
        known[program] = {option for pair in listed for option in pair if option}
    for script in (SOURCE / "scripts").rglob("*"):
        if os.access(script, os.X_OK) and script.is_file():
            known[name_of(script)] = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", script.read_text()))
    return known


def commands_of(shell):
    """Simple commands of a shell text as lists of words."""
    words = []
    for line in shell.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.wordchars += "$*?{}[]=:,%~"
        for word in [*lexer, ";"]:
            if set(word) <= set("();<>|&"):
                yield words
                words = []
            else:
                words.append(word)


def check_options(words, options, place):
    """Those behind the first of our programs or scripts among the words."""
    at = next((i for i, word in enumerate(words) if word in options), None)
    if at is None:
        return 0
    given = [word.split("=")[0] for word in words[at + 1 :] if re.match(r"--?[a-z]", word)]
    if not words[at].startswith("scripts/cluster/"):  # those hand everything over to others
        for option in given:
            assert option in options[words[at]], f"{place}: {words[at]} has no option {option}"
    return len(given)


@needs_torch
def test_options_in_pages_are_listed_by_help(options):
    everywhere = set().union(*options.values())
    checked = 0
    for block in SHELL:
        for words in commands_of(block.text):
            checked += check_options(words, options, block.place)
    for page in PAGES:
        for text in code_of(page):
            words = text.split()
            checked += check_options(words, options, name_of(page))
            if re.match(r"--?[a-z]", text):
                assert words[0] in everywhere, f"{name_of(page)}: no program has an option {words[0]}"
    assert checked > 100


@needs_torch
def test_settings_in_pages_are_printed(run):
    printed = {line.split(":")[0].split(" ")[0] for line in run("ae-train", "--print-settings").stdout.splitlines()}
    known = {"/".join(setting.split("/")[:end]) for setting in printed for end in range(2, setting.count("/") + 2)}
    sections = "|".join(sorted({setting.split("/")[1] for setting in known}))
    named = 0
    for page in PAGES:
        for setting in re.findall(rf"(?<![\w./)>-])/(?:{sections})(?:/[\w*]+)*", page.read_text()):
            assert re.sub(r"/\d+\b", "/*", setting) in known, f"{name_of(page)}: no setting {setting}"
            named += 1
    assert named > 200


@needs_torch
def test_the_page_of_settings_is_what_the_programs_declare(run):
    schema = run("ae-train", "--print-schema")
    command = [sys.executable, SOURCE / "scripts" / "make-settings-page.py"]
    made = subprocess.run(command, input=schema.stdout, capture_output=True, text=True, check=True).stdout
    page = (SOURCE / "docs" / "settings.md").read_text()
    assert made == page, "make it anew: ae-train --print-schema | scripts/make-settings-page.py > docs/settings.md"

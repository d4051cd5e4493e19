"""The options of all programs together: one name for one meaning, one meaning for one name, and each with its help."""

import itertools
import os
import re
from collections import defaultdict

from support import BUILT_PROGRAMS

TYPES = {"FILE", "PATH", "DIR", "NUMBER", "INTEGER", "COLUMN", "LABEL", "RULE", "POINTER=VALUE", "TEXT"}
FILE_OF_A_KIND = r"[A-Z]+\.[a-z]+"  # CONFIG.json
CHOICES = r"\{[a-z0-9-]+(,[a-z0-9-]+)*\}"

# Names that may mean something else in another program, and why.
DIFFERENT_ON_PURPOSE = {
    "-o": "each program has one main output, a folder of some and a file of others",
    "--output": "each program writes something else",
    "--seed": "what is drawn at random differs",
    "--bootstrap": "ae-roc resamples samples, ae-deconvolve blocks of time",
    "--penalty": "ae-probe penalises coefficients, ae-deconvolve the curvature of a density",
    "--plumed": "ae-deconvolve adds a file that PLUMED's tools read, ae-export writes input for it",
    "--loss": "ae-embed writes it, ae-probe has it made for --nested",
    "--error-model": "ae-embed writes what ae-replay reads",
    "--true": "ae-embed takes a column of its input, ae-deconvolve one of its pairs",
    "--weight": "ae-embed takes a column of its input, ae-deconvolve one of its pairs",
    "--purifier": "ae-attack judges a classifier behind it",
    "--among": "stands beside --purifier, which ae-purify has among what is for images alone",
    "--steps": "ae-purify projects, ae-attack follows gradients",
    "--first": "ae-purify has an audit that stops there",
    "--maps": "ae-score writes what ae-roc reads",
    "--regions": "ae-score writes what ae-roc reads",
    "--unreadable": "ae-score also speaks of alarms, ae-embed of sizes",
    "--page": "ae-score shows what was scored, ae-info what is in the model",
    "--summary": "each program sums up what it did",
    "--truth": "ae-score shows in a page what ae-roc counts",
    "action": "ae-probe fits models, ae-replay packs transitions",
    "files": "ae-probe reads tables, ae-replay transitions",
    "input": "some programs take images, too, or several tables, or a config",
    "--page": "each program that writes one shows something else",
    "--plot": "ae-roc draws curves of rates, ae-info those of losses, ae-probe those of survival",
    "--labels": "ae-probe takes outcomes and controls from such a table",
    "--id": "the ids of ae-roc's table of scores, or of ae-probe's of columns",
    "--id-column": "ae-roc matches files by it, ae-probe also leaves it out of what is predicted from",
    "--label-column": "ae-roc knows normal and anomalous, ae-probe any classes",
    "--score-column": "ae-roc judges scores, ae-probe predicts from them",
    "--missing": "ae-probe has no model whose texts it could add to",
    "--set": "ae-probe passes them on to ae-train",
}


def options_of(declarations):
    """(program, name, argument) for every name."""
    for program, said in declarations.items():
        for argument in said["arguments"]:
            for name in argument["names"]:
                yield program, name, argument


def test_all_programs_are_swept(bin_folder):
    built = {p.name for p in bin_folder.glob("ae-*") if p.is_file() and os.access(p, os.X_OK)}
    assert built == set(BUILT_PROGRAMS)


def test_no_name_is_declared_twice_in_a_program(declarations):
    for program, said in declarations.items():
        names = [name for argument in said["arguments"] for name in argument["names"]]
        assert len(names) == len(set(names)), (program, sorted(names))
        assert "--generate" not in names  # the build asks for pages by it


def test_names_are_lower_case_words_joined_by_hyphens(declarations):
    for program, name, argument in options_of(declarations):
        pattern = r"[a-z]+" if argument["positional"] else r"-[a-z]|--[a-z]+(-[a-z]+)*"
        assert re.fullmatch(pattern, name), (program, name)
        has_long_name = argument["positional"] or any(other.startswith("--") for other in argument["names"])
        assert has_long_name, (program, name)


def test_a_name_means_the_same_in_every_program(declarations):
    meanings = defaultdict(set)
    for _, name, argument in options_of(declarations):
        meanings[name].add((tuple(argument["names"]), argument["type"], argument["help"], argument["group"]))
    different = {name for name, found in meanings.items() if len(found) > 1}
    assert different - set(DIFFERENT_ON_PURPOSE) == set(), [meanings[name] for name in different]


def test_no_exception_outlives_its_reason(declarations):
    programs = defaultdict(set)
    for program, name, _ in options_of(declarations):
        programs[name].add(program)
    if "ae-train" in declarations:  # with LibTorch
        assert all(len(programs[name]) > 1 for name in DIFFERENT_ON_PURPOSE)


def test_a_meaning_has_the_same_name_in_every_program(declarations):
    names = defaultdict(set)
    for _, _, argument in options_of(declarations):
        names[argument["help"].lower()].add(tuple(argument["names"]))
    assert [found for found in names.values() if len(found) > 1] == []


def test_no_word_is_used_beside_its_abbreviation(declarations):
    """--min-area beside --minimum-width."""
    # ae-train's folder, the others' file (see -o above), and words that merely begin alike.
    allowed = {("out", "output"), ("all", "allow"), ("set", "settings"), ("time", "timeout"), ("mode", "model"),
               ("norm", "normal"), ("out", "outputs"), ("attack", "attacked"), ("relax", "relaxed")}
    names = {name for _, name, _ in options_of(declarations) if name.startswith("--")}
    words = sorted({word for name in names for word in name[2:].split("-")})
    pairs = {(one, other) for one, other in itertools.combinations(words, 2) if len(one) > 2 and other.startswith(one)}
    plurals = {(one, other) for one, other in pairs if other in (one + "s", one + "es")}
    assert pairs - plurals <= allowed


def test_every_option_says_what_it_takes(declarations):
    for program, name, argument in options_of(declarations):
        said = argument["type"]
        flag = said == "" and not argument["positional"]
        known = said in TYPES or re.fullmatch(FILE_OF_A_KIND, said) or re.fullmatch(CHOICES, said)
        assert flag or known, (program, name, said)
        assert argument["choices"] == (said[1:-1].split(",") if said.startswith("{") else [])


def test_every_option_is_explained_by_a_sentence(declarations):
    for program, name, argument in options_of(declarations):
        text = argument["help"]
        where = (program, name, text)
        assert re.match(r"[A-Z]\w*\b", text), where
        assert not text.endswith((".", ";", ",", " ")), where
        assert text == " ".join(text.split()) and text.isascii() and text.isprintable(), where
        assert len(text.split()) > 1, where
        assert "default" not in text.lower() or argument["default"] == "", where
        if argument["repeats"] and not argument["positional"]:
            assert "repeat" in text, where


def test_help_names_only_options_that_exist(declarations):
    names = defaultdict(set)
    for program, name, _ in options_of(declarations):
        names[program].add(name)
    for program, _, argument in options_of(declarations):
        owners = {program, *re.findall(r"ae-[a-z]+", argument["help"])}  # "as ae-score --maps writes them"
        if owners <= set(declarations):
            for mentioned in re.findall(r"--[a-z]+(?:-[a-z]+)*", argument["help"]):
                assert any(mentioned in names[owner] for owner in owners), (program, argument["help"])


def test_exclusions_are_mutual_and_needs_exist(declarations):
    for program, said in declarations.items():
        by_name = {name: argument for argument in said["arguments"] for name in argument["names"]}
        for argument in said["arguments"]:
            for other in argument["excludes"]:
                assert set(by_name[other]["excludes"]) & set(argument["names"]), (program, argument["names"], other)
            for other in argument["needs"]:
                assert other in by_name, (program, argument["names"], other)


def test_defaults_are_values_that_the_option_takes(declarations, run):
    for program, said in declarations.items():
        for argument in said["arguments"]:
            checked = argument["choices"] or argument["type"] in ("NUMBER", "INTEGER")
            if argument["default"] == "" or not checked:
                continue
            name = argument["names"][-1]
            assert f"{name}: found" in run(program, f"{name}=nonsense").stderr
            assert name not in run(program, f"{name}={argument['default']}").stderr

"""A kind of data and an objective of the tests' own (tests/toy) come in by one registry line each: the same programs,
linked with them, train, resume, score and write."""

import json
import os
import random
import subprocess

import pytest
import started
from conftest import Outcome
from support import needs_torch, read_safetensors, rows_of, wait_for, write_config

pytestmark = needs_torch

LENGTH = 8


@pytest.fixture(scope="session")
def toy_folder(bin_folder):
    folder = bin_folder.parent / "tests" / "toy"
    if not (folder / "ae-train").exists():
        pytest.skip("the programs of tests/toy are not built")
    return folder


@pytest.fixture
def toy(toy_folder, tmp_path):
    def run(program, *args):
        done = started.run([toy_folder / program, *args], cwd=tmp_path, timeout=120)
        return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


def alternating(generator):
    """A word whose letters come in equal pairs: abab is strange, aabb is not."""
    return "".join(2 * generator.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(LENGTH // 2))


@pytest.fixture
def config(tmp_path):
    generator = random.Random(3)
    words = [alternating(generator) for _ in range(600)]
    (tmp_path / "words.txt").write_text("\n".join(words) + "\n")
    return write_config(
        tmp_path / "config.json",
        {
            "data": {"type": "words", "path": "words.txt"},
            "objective": {"type": "sign", "memory": 0.5},
            "model": {"type": "linear", "latent": LENGTH // 2},
            "training": {"epochs": 40, "learning_rate": 0.002, "checkpoint": {"epochs": 1}},
        },
    )


def test_train_score_and_save(toy, config, tmp_path):
    assert toy("ae-train", config, "--out", "model", "-q") == (0, "", "")
    metadata, _ = read_safetensors(tmp_path / "model" / "model.safetensors")
    assert metadata["length"] == str(LENGTH)
    assert '"words"' in metadata["config"] and '"sign"' in metadata["config"]

    generator = random.Random(4)
    normal = [alternating(generator) for _ in range(40)]
    strange = ["".join(generator.sample("abcdefghijklmnopqrstuvwxyz", LENGTH)) for _ in range(40)]
    (tmp_path / "new.txt").write_text("\n".join(normal + strange) + "\n")
    scored = toy("ae-score", "model", "new.txt", "--explain", "1", "--alpha", "0.05", "-q")
    assert scored.code == 0, scored.stderr
    rows = rows_of(scored.stdout)
    assert [row["id"] for row in rows] == [str(i) for i in range(80)]
    scores = [float(row["score"]) for row in rows]
    auroc = sum(s > n for s in scores[40:] for n in scores[:40]) / 1600
    assert auroc > 0.95
    for row, word in zip(rows, normal + strange):
        assert row["top1_observed"] == word[int(row["top1_column"].removeprefix("letter"))]


def test_impute_writes_words_back(toy, config, tmp_path):
    assert toy("ae-train", config, "--out", "model", "-q").code == 0
    (tmp_path / "holes.txt").write_text("aabbcc.d\nmm..nnoo\n")
    filled = toy("ae-impute", "model", "holes.txt", "-q")
    assert filled.code == 0, filled.stderr
    first, second = filled.stdout.splitlines()
    assert first[:6] == "aabbcc" and first[7] == "d" and first[6] != "."
    assert second[:2] + second[4:] == "mmnnoo" and "." not in second


def test_embed_writes_the_codes_of_words(toy, config, tmp_path):
    pca = json.loads(config.read_text())
    pca["objective"] = {"type": "principal_components"}
    pca["loss"] = {"terms": [{"type": "mse"}]}
    assert toy("ae-train", write_config(config, pca), "--out", "model", "-q") == (0, "", "")
    codes = toy("ae-embed", "model", "words.txt", "-q")
    rows = rows_of(codes.stdout)
    assert (codes.code, len(rows), list(rows[0])) == (0, 600, ["id", *(f"z{i}" for i in range(LENGTH // 2))])
    linear = toy("ae-embed", "model", "words.txt", "--linear", "-o", "z.csv", "-q")
    assert linear == (0, "", "")
    check = json.loads((tmp_path / "pca_check.json").read_text())
    assert check["excess_error"] < 1e-6 and check["explained_variance"] > 1 - 1e-9  # equal pairs: half the letters tell all
    refused = toy("ae-embed", "model", "words.txt", "--keep", "x", "-q")
    assert refused.code == 2 and "--keep" in refused.stderr


def test_killed_and_resumed_it_ends_with_the_same_bytes(toy, toy_folder, config, tmp_path):
    assert toy("ae-train", config, "--out", "whole", "-q").code == 0
    command = [toy_folder / "ae-train", config, "--out", tmp_path / "killed", "-q"]
    state = tmp_path / "killed" / "state.safetensors"
    for step in range(3):
        process = subprocess.Popen([*command, *(["--resume"] if step else [])])
        before = state.stat().st_mtime_ns if state.exists() else 0
        wait_for(lambda: process.poll() is not None or (state.exists() and state.stat().st_mtime_ns > before))
        process.kill()
        process.wait()
    assert state.exists(), "it ended before it could be killed"
    assert toy("ae-train", config, "--out", "killed", "--resume", "-q") == (0, "", "")

    def model_bytes(name):
        return (tmp_path / name / "model.safetensors").read_bytes()

    assert model_bytes("killed") == model_bytes("whole")


def test_a_program_without_the_toys_names_its_own_kinds_and_objectives(run, config):
    outcome = run("ae-train", config, "--out", "model", "-q")
    assert outcome.code == 2
    assert '/data/type: found "words", expected one of "table", "images"' in outcome.stderr
    assert '/objective/type: found "sign", expected' in outcome.stderr and '"reconstruction"' in outcome.stderr


def test_the_doors_are_the_only_places_that_ask_which_kind_it_is():
    """`dynamic_cast` and `as<...Kind>` stand in files that belong to one kind, or in the door itself."""
    from support import SOURCE

    found = []
    for folder in ("src", "apps"):
        for path in sorted((SOURCE / folder).rglob("*.[ch]pp")):
            name = path.relative_to(SOURCE).as_posix()
            for line in path.read_text().splitlines():
                asks = ".images()" in line or "as<recipe::" in line
                asks = asks or ("dynamic_cast" in line and ("Kind" in line or "Options&" in line or "Samples" in line))
                if asks and os.path.basename(name) not in ("score_images.cpp", "image_batches.cpp", "embed_images.cpp", "impute_counts.cpp",
                                                             "exportable.cpp"):
                    found.append(f"{name}: {line.strip()}")
    assert found == []

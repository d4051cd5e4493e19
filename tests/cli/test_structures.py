"""Backbones of proteins as data: learned in frames of their own, written back where they lay."""

import csv
import json
import subprocess

import numpy as np
import pytest
from support import CONFIGS, needs_torch, one_error, write_config

pytestmark = needs_torch


def placed(a, b, c, distance, angle, torsion):
    """The atom behind c, at a distance, an angle b-c-d and a torsion about b-c (arrays of chains)."""
    along = (c - b) / np.linalg.norm(c - b, axis=-1, keepdims=True)
    normal = np.cross(b - a, along)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    angle, torsion = np.radians(angle), np.radians(torsion)[:, None]
    turned = np.cos(torsion) * np.cross(normal, along) + np.sin(torsion) * normal
    return c + distance * (np.sin(angle) * turned - np.cos(angle) * along)


def chains(seed, count, residues):
    """Helix and strand, with the ideal lengths and angles: [count, residues, 4, 3]."""
    rng = np.random.default_rng(seed)
    helix = rng.random((count, residues + 1)) < 0.5
    phi = np.where(helix, -63, -120) + 10 * rng.normal(size=helix.shape)
    psi = np.where(helix, -43, 135) + 10 * rng.normal(size=helix.shape)
    n, ca = np.zeros((count, 3)), np.tile([1.459, 0, 0], (count, 1))
    c = placed(np.tile([0.0, 1, 0], (count, 1)), n, ca, 1.525, 111, psi[:, 0])
    made = []
    for i in range(residues):
        made.append(np.stack([n, ca, c, placed(n, ca, c, 1.229, 120.1, psi[:, i] + 180)], 1))
        behind = placed(n, ca, c, 1.336, 117.2, psi[:, i])
        next_ca = placed(ca, c, behind, 1.459, 121.7, np.full(count, 180.0))
        n, ca, c = behind, next_ca, placed(c, behind, next_ca, 1.525, 111, phi[:, i + 1])
    return np.stack(made, 1)


def turns(seed, count):
    """Rotations [count, 3, 3]."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(count, 3, 3)))
    q = q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]
    return q * np.sign(np.linalg.det(q))[:, None, None]


@pytest.fixture(scope="module")
def folder(bin_folder, tmp_path_factory):
    """A model of six residues, whose training chains all lie otherwise."""
    folder = tmp_path_factory.mktemp("structures")
    x = chains(1, 400, 6)
    turn = turns(2, len(x))
    np.save(folder / "train.npy", np.einsum("nraj,nkj->nrak", x, turn) + 50 * turn[:, None, None, 0])
    config = {"data": {"type": "structures", "path": "train.npy"}, "model": {"type": "backbone", "hidden": [64], "latent": 8},
              "training": {"epochs": 60, "learning_rate": 0.003}}
    write_config(folder / "c.json", config)
    subprocess.run([bin_folder / "ae-train", "c.json", "--out", "model", "-q"], cwd=folder, check=True)
    return folder


def test_reconstructions_lie_where_the_samples_lay(run, folder, tmp_path):
    x = chains(3, 30, 6)
    turn = turns(4, 1)[0]
    np.save(tmp_path / "here.npy", x)
    np.save(tmp_path / "there.npy", x @ turn.T + [300, -20, 7])
    for name in "here", "there":
        done = run("ae-purify", folder / "model", f"{name}.npy", "-o", f"{name}-out.npy", "-q")
        assert done.code == 0, done.stderr
    here, there = (np.load(tmp_path / f"{name}-out.npy") for name in ("here", "there"))
    assert here.shape == x.shape
    assert np.abs(here @ turn.T + [300, -20, 7] - there).max() < 2e-3  # the network is of single precision
    assert np.sqrt(((here - x) ** 2).sum(-1).mean()) < 1.2  # the chains' own spread about their mean is about 3
    bonds = np.linalg.norm(here[:, :, 1] - here[:, :, 0], axis=-1)
    assert np.abs(bonds - 1.459).max() < 2.001 * 0.020
    joints = np.linalg.norm(here[:, 1:, 0] - here[:, :-1, 2], axis=-1)
    assert np.abs(joints - 1.336).max() < 2.001 * 0.023


def test_scores_do_not_depend_on_how_a_chain_lies(run, folder, tmp_path):
    x = chains(5, 20, 6)
    np.save(tmp_path / "a.npy", x)
    np.save(tmp_path / "b.npy", np.einsum("nraj,nkj->nrak", x, turns(6, len(x))) - 80)
    scores = []
    for name in "a", "b":
        done = run("ae-score", folder / "model", f"{name}.npy", "-o", f"{name}.csv", "-q")
        assert done.code == 0, done.stderr
        with open(tmp_path / f"{name}.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["id"] for row in rows] == [str(i) for i in range(20)]
        scores.append(np.array([float(row["score"]) for row in rows]))
    assert np.abs(scores[0] - scores[1]).max() < 1e-4 * scores[0].max()


def test_stretches_of_a_longer_chain_and_its_breaks(run, folder, tmp_path):
    x = chains(7, 1, 20)[0]
    x[11:] += 40  # a break
    x[3, 3] = np.nan  # an O that is missing
    np.save(tmp_path / "long.npy", x[None])
    np.savez(tmp_path / "two.npz", xyz=np.concatenate([x, x[:7]]), offset=[0, 20, 27])
    config = {"data": {"type": "structures", "path": "two.npz", "residues": 6, "stride": 5},
              "model": {"type": "dense", "hidden": [8], "latent": 2}, "training": {"epochs": 2}}
    write_config(tmp_path / "c.json", config)
    told = run("ae-train", "c.json", "--out", "m")
    assert told.code == 0, told.stderr
    scored = run("ae-score", "m", "two.npz", "-o", "s.csv")
    with open(tmp_path / "s.csv", newline="") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    # Residues of arrays follow each other whatever their distance.
    assert ids == ["0:1-6", "0:6-11", "0:11-16", "1:1-6"]
    assert "5 residues" in scored.stderr, scored.stderr
    done = run("ae-purify", "m", "long.npy", "-o", "p.npy", "-q")
    assert done.code == 0, done.stderr
    restored = np.load(tmp_path / "p.npy")
    assert restored.shape == (3, 6, 4, 3) and np.isfinite(restored).all()
    done = run("ae-impute", "m", "long.npy", "-o", "i.npy", "-q")
    assert done.code == 0, done.stderr
    imputed = np.load(tmp_path / "i.npy")
    known = np.isfinite(x[:6])
    assert np.abs(imputed[0][known] - x[:6][known]).max() < 1e-4 and np.isfinite(imputed).all()


def test_molecules_and_pdb(run, folder, tmp_path):
    helix = CONFIGS / "data" / "helix.pdb"
    config = {"data": {"type": "structures", "path": str(helix), "residues": 6},
              "model": {"type": "backbone", "hidden": [8], "latent": 2}, "training": {"epochs": 3}}
    write_config(tmp_path / "c.json", config)
    assert run("ae-train", "c.json", "--out", "m", "-q").code == 0
    done = run("ae-purify", "m", helix, "-o", "p.pdb", "-q")
    assert done.code == 0, done.stderr
    written = (tmp_path / "p.pdb").read_text()
    assert [line.split() for line in written.splitlines() if line.startswith("MODEL")] == [["MODEL", str(i + 1)] for i in range(15)]
    judged = run("ae-score", "p.pdb", "--validity", "protein", "-o", "v.csv", "-q")  # the first one
    assert judged.code == 0, judged.stderr
    with open(tmp_path / "v.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["residues"] == "6" and float(row["bonds_within_4_sigma"]) == 1


def test_ids_of_several_files_and_only_missing(run, folder, tmp_path):
    for name, seed in (("a", 9), ("b", 10)):
        np.save(tmp_path / f"{name}.npy", chains(seed, 2, 6))
    done = run("ae-score", folder / "model", "a.npy", "b.npy", "-o", "s.csv", "-q")
    assert done.code == 0, done.stderr
    with open(tmp_path / "s.csv", newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["a.npy:0", "a.npy:1", "b.npy:0", "b.npy:1"]
    done = run("ae-impute", folder / "model", "a.npy", "-o", "i.npy", "--only-missing", "-q")
    assert done.code == 0, done.stderr
    assert np.abs(np.load(tmp_path / "i.npy") - np.load(tmp_path / "a.npy")).max() < 1e-9


def test_stretches_that_overlap_what_is_held_out_are_warned_of(run, tmp_path):
    np.save(tmp_path / "long.npy", chains(11, 4, 30))
    for stride, warned in ((1, True), (6, False)):
        config = {"data": {"type": "structures", "path": "long.npy", "residues": 6, "stride": stride},
                  "model": {"hidden": [], "latent": 2}, "training": {"epochs": 1}}
        write_config(tmp_path / "c.json", config)
        told = run("ae-train", "c.json", "--out", f"m{stride}")
        assert told.code == 0 and ("share residues" in told.stderr) == warned, told.stderr
    config = {"data": {"type": "structures", "path": "long.npy", "residues": 1}, "model": {"hidden": [], "latent": 2}}
    write_config(tmp_path / "one.json", config)
    one_error(run("ae-train", "one.json", "--out", "one"), 2, "/data/residues", "single residue")


def test_what_is_refused(run, folder, tmp_path):
    np.save(tmp_path / "five.npy", chains(8, 4, 5))
    one_error(run("ae-score", folder / "model", "five.npy", "-o", "s.csv"), 4, "five.npy", "5 residues", "expected 6")
    np.save(tmp_path / "six.npy", chains(8, 4, 6))
    one_error(run("ae-purify", folder / "model", "six.npy", "-o", "p.csv"), 2, "p.csv", ".npy")
    np.save(tmp_path / "flat.npy", np.zeros((5, 12)))
    one_error(run("ae-score", folder / "model", "flat.npy", "-o", "s.csv"), 4, "flat.npy", "(structures, residues, 4, 3)")
    config = {"data": {"type": "structures", "path": "five.npy", "residues": 6}, "model": {"hidden": [], "latent": 2}}
    write_config(tmp_path / "c.json", config)
    one_error(run("ae-train", "c.json", "--out", "m"), 4, "five.npy", "6 residues")
    np.save(tmp_path / "table.npy", np.random.default_rng(0).normal(size=(50, 7)))
    config = {"data": {"type": "table", "path": "table.npy"}, "model": {"type": "backbone", "hidden": [], "latent": 2}}
    write_config(tmp_path / "t.json", config)
    one_error(run("ae-train", "t.json", "--out", "m", "-q"), 2, "12 numeric columns")


def test_a_model_of_structures_tells_what_it_is(run, folder):
    told = json.loads(run("ae-info", folder / "model", "--json").stdout)
    assert "structures" in json.dumps(told)

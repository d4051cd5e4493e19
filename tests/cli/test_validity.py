"""ae-score --validity: what is wrong with structures, without a model."""

import csv
import gzip
import io
import json
import math
import os
import subprocess
import threading

import numpy as np
import pytest
from support import needs_torch, one_error, rows_of, validity_checker

pytestmark = needs_torch

BONDS = {"N-CA": (1.459, 0.020), "CA-C": (1.525, 0.026), "C-O": (1.229, 0.019), "C-N": (1.336, 0.023)}
ANGLES = {"N-CA-C": (111.0, 2.7), "CA-C-O": (120.1, 2.1), "CA-C-N": (117.2, 2.2), "O-C-N": (122.7, 1.6),
          "C-N-CA": (121.7, 2.5)}
ATOMS = ("N", "CA", "C", "O")


def extended(a, b, c, distance, angle, torsion):
    """NeRF: the atom behind c."""
    along = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, along)
    normal /= np.linalg.norm(normal)
    upright = np.cross(normal, along)
    angle, torsion = math.radians(angle), math.radians(torsion)
    return c + distance * (-math.cos(angle) * along + math.sin(angle) * (math.cos(torsion) * upright
                                                                         + math.sin(torsion) * normal))


def chain(residues, phi=-57, psi=-47, omega=180):
    """An ideal backbone [residues, 4, 3]."""
    n, ca = np.zeros(3), np.array([1.459, 0, 0])
    c = extended(np.array([0, 1.0, 0]), n, ca, 1.525, 111, psi)
    atoms = []
    for _ in range(residues):
        o = extended(n, ca, c, 1.229, 120.1, psi + 180)
        atoms.append((n, ca, c, o))
        following = extended(n, ca, c, 1.336, 117.2, psi)
        next_ca = extended(ca, c, following, 1.459, 121.7, omega)
        n, ca, c = following, next_ca, extended(c, following, next_ca, 1.525, 111, phi)
    return np.array(atoms)


def shaken(residues=16, size=0.02, seed=0, **torsions):
    """As real ones are: not ideal."""
    return chain(residues, **torsions) + np.random.default_rng(seed).normal(0, size, (residues, 4, 3))


def z_scores(xyz):
    """A second implementation: z of bonds, and of angles."""
    at = {name: xyz[:, i] for i, name in enumerate(ATOMS)}

    def points(name):
        parts = name.split("-")
        crossing = name in ("C-N", "CA-C-N", "O-C-N", "C-N-CA")
        behind = parts.index("N") if crossing else len(parts)
        return [at[part][1:] if i >= behind else (at[part][:-1] if crossing else at[part]) for i, part in enumerate(parts)]

    bonds, angles = [], []
    for name, (mean, sigma) in BONDS.items():
        a, b = points(name)
        bonds.append((np.linalg.norm(a - b, axis=1) - mean) / sigma)
    for name, (mean, sigma) in ANGLES.items():
        a, b, c = points(name)
        u, v = a - b, c - b
        cosine = (u * v).sum(1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)
        angles.append((np.degrees(np.arccos(cosine)) - mean) / sigma)
    return np.concatenate(bonds), np.concatenate(angles)


@pytest.fixture
def check(run, tmp_path):
    """Rows of the table, of files that must be fine."""

    return validity_checker(run, "protein")


def flags(row):
    return row["verdict"].split()


# --- Arrays ---


def test_scores_are_those_of_a_second_implementation(check, tmp_path):
    chains = np.stack([shaken(seed=seed, size=size) for seed, size in ((0, 0.01), (1, 0.05), (2, 0.3))])
    np.save(tmp_path / "chains.npy", chains)
    np.save(tmp_path / "single.npy", chains.astype(np.float32))
    rows = check("chains.npy")
    assert [row["id"] for row in rows] == ["0", "1", "2"]
    for row, xyz in zip(rows, chains):
        for name, z in zip(("bond", "angle"), z_scores(xyz)):
            assert float(row[f"{name}_rmsz"]) == pytest.approx(math.sqrt((z**2).mean()), abs=1e-6)
            assert float(row[f"{name}s_within_4_sigma"]) == pytest.approx((abs(z) <= 4).mean(), abs=1e-12)
            assert float(row[f"{name}s_within_12_sigma"]) == pytest.approx((abs(z) <= 12).mean(), abs=1e-12)
            assert float(row[f"worst_{name}"]) == pytest.approx(z[abs(z).argmax()], abs=1e-6)
    for row, single in zip(rows, check("single.npy")):
        assert float(single["bond_rmsz"]) == pytest.approx(float(row["bond_rmsz"]), abs=1e-4)


def test_an_ideal_helix_is_too_ideal_and_its_mirror_image_is_noticed(check, tmp_path):
    helix = chain(20)
    np.save(tmp_path / "two.npy", np.stack([helix, helix * [1, 1, -1]]))
    ideal, image = check("two.npy")
    assert float(ideal["bond_rmsz"]) < 1e-6 and float(ideal["angle_rmsz"]) < 1e-6
    assert (ideal["clashes"], ideal["positive_phi"], image["positive_phi"]) == ("0", "0", "1")
    assert flags(ideal) == ["bonds_too_ideal", "angles_too_ideal"]
    assert flags(image) == ["bonds_too_ideal", "angles_too_ideal", "mirrored"]
    assert float(ideal["handedness"]) == pytest.approx(-float(image["handedness"]), abs=1e-9)


@pytest.mark.parametrize("torsions", [(-57, -47), (-120, 130), (-75, 145)])
def test_no_helix_or_strand_is_flagged_and_every_mirror_image_is(check, tmp_path, torsions):
    phi, psi = torsions
    fine = np.stack([shaken(30, seed=seed, phi=phi, psi=psi) for seed in range(5)])
    np.save(tmp_path / "fine.npy", fine)
    np.save(tmp_path / "images.npy", fine * [-1, 1, 1])
    assert [flags(row) for row in check("fine.npy")] == [[]] * 5
    assert [flags(row) for row in check("images.npy")] == [["mirrored"]] * 5


def test_a_long_peptide_bond_between_neighbours_is_a_wrong_bond(check, tmp_path):
    xyz = shaken(20)
    step = xyz[10, 0] - xyz[9, 2]
    xyz[10:] += step / np.linalg.norm(step) * (2.94 - np.linalg.norm(step))
    np.save(tmp_path / "long.npy", xyz)
    (row,) = check("long.npy")
    assert "bonds" in flags(row) and row["chain_breaks"] == "0"
    assert float(row["worst_bond"]) == pytest.approx((2.94 - 1.336) / 0.023, abs=1e-6)
    assert row["worst_bond_at"] == "C(10)-N(11)"


def test_missing_atoms_are_left_out_and_residues_without_any_are_gaps_or_padding(check, tmp_path):
    xyz = np.stack([shaken(20)] * 2)
    xyz[0, 15:] = np.nan
    xyz[1, 8] = np.nan
    xyz[1, 3, 3, 1] = np.nan
    np.save(tmp_path / "holes.npy", xyz)
    padded, gap = check("holes.npy")
    assert (padded["residues"], padded["missing_atoms"], padded["chain_breaks"], padded["verdict"]) == ("15", "0", "0", "")
    assert (gap["residues"], gap["missing_atoms"], gap["chain_breaks"], gap["verdict"]) == ("19", "1", "1", "breaks")
    bonds, _ = z_scores(xyz[1])
    bonds = bonds[~np.isnan(bonds)]
    assert float(gap["bond_rmsz"]) == pytest.approx(math.sqrt((bonds**2).mean()), abs=1e-6)


def test_chains_of_several_lengths_in_an_archive(check, tmp_path):
    chains = [shaken(length, seed=length) for length in (5, 16, 9)]
    xyz = np.concatenate(chains).astype(np.float32)
    np.savez(tmp_path / "chains.npz", xyz=xyz, offset=np.cumsum([0, 5, 16, 9]))
    np.savez_compressed(tmp_path / "packed.npz", xyz=xyz, offset=np.cumsum([0, 5, 16, 9]))
    rows = check("chains.npz")
    assert [row["residues"] for row in rows] == ["5", "16", "9"]
    assert check("packed.npz") == rows
    for row, one in zip(rows, chains):
        bonds, _ = z_scores(one)
        assert float(row["bond_rmsz"]) == pytest.approx(math.sqrt((bonds**2).mean()), abs=1e-4)


def test_nanometres_are_told(check, tmp_path):
    np.save(tmp_path / "nm.npy", shaken() / 10)
    check("nm.npy", warned="nanometres")


def test_random_points_clash_and_are_no_chain(check, tmp_path):
    np.save(tmp_path / "noise.npy", np.random.default_rng(1).normal(0, 2, (1, 16, 4, 3)))
    (row,) = check("noise.npy")
    assert {"bonds", "angles", "clashes"} <= set(flags(row))


def arrays(tmp_path):
    return {
        "shape": (dict(xyz=np.zeros((4, 5, 3))), "(4, 5, 3)"),
        "infinite": (dict(xyz=np.full((1, 2, 4, 3), np.inf)), "coordinate inf"),
        "text": (dict(xyz=np.full((2, 4, 3), "a")), "xyz"),
        "empty": (dict(xyz=np.zeros((0, 2, 4, 3))), "(0, 2, 4, 3)"),
        "offsets": (dict(xyz=np.zeros((5, 4, 3)), offset=np.array([0, 3, 2, 5])), "found 2"),
        "first": (dict(xyz=np.zeros((5, 4, 3)), offset=np.array([1, 5])), "found 1"),
        "last": (dict(xyz=np.zeros((5, 4, 3)), offset=np.array([0, 4])), "ends at 4"),
        "parts": (dict(xyz=np.zeros((5, 4, 3)), offset=np.array([0, 2.5, 5])), "2.5"),
        "many": (dict(xyz=np.zeros((5, 4, 3)), offset=np.zeros(50)), "(50)"),
        "none": (dict(a=np.zeros(3)), "a (3"),
        "several": (dict(truth=np.zeros((5, 4, 3)), made=np.zeros((5, 4, 3))), "several arrays of coordinates: truth (5, 4, 3"),
        "rows": (dict(xyz=np.zeros((2, 5, 4, 3)), offset=np.array([0, 1, 2])), "offset beside xyz (2, 5, 4, 3"),
        "plural": (dict(xyz=np.zeros((5, 4, 3)), offsets=np.array([0, 2, 5])), "found offsets (3,"),
    }


@pytest.mark.parametrize("name", arrays(None))
def test_arrays_that_are_no_backbones_are_told(run, tmp_path, name):
    content, told = arrays(tmp_path)[name]
    np.savez(tmp_path / "bad.npz", **content)
    done = run("ae-score", "bad.npz", "--validity", "protein")
    one_error(done, 4, "bad.npz", told.split(")")[0])


def test_every_cut_file_is_refused(run, tmp_path):
    np.save(tmp_path / "whole.npy", shaken(3))
    whole = (tmp_path / "whole.npy").read_bytes()
    for length in (0, 5, 60, 128, 129, len(whole) - 1):
        (tmp_path / "cut.npy").write_bytes(whole[:length])
        one_error(run("ae-score", "cut.npy", "--validity", "protein", "-o", "v.csv"), 4, "cut.npy")
        assert not (tmp_path / "v.csv").exists()


def test_arrays_that_cannot_be_read_in_places_are_refused(run, tmp_path):
    np.save(tmp_path / "a.npy", shaken(3))
    whole = (tmp_path / "a.npy").read_bytes()
    one_error(run("ae-score", "-", "--validity", "protein", stdin=whole), 4, "<stdin>: found arrays in a pipe")
    (tmp_path / "a.npy.gz").write_bytes(gzip.compress(whole))
    one_error(run("ae-score", "a.npy.gz", "--validity", "protein"), 4, "a.npy.gz: found compressed arrays", "decompress")


def from_fifo(run, tmp_path, content):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: fifo.write_bytes(content))
    writer.start()
    done = run("ae-score", "fifo", "--validity", "protein", "-q", timeout=30)
    writer.join()
    fifo.unlink()
    return done


def test_a_fifo_is_read_once(run, tmp_path):
    np.save(tmp_path / "a.npy", shaken(3))
    one_error(from_fifo(run, tmp_path, (tmp_path / "a.npy").read_bytes()), 4, "fifo: found arrays in a pipe")
    text = pdb(residues(shaken(3))).encode()
    (row,) = rows_of(from_fifo(run, tmp_path, text).stdout)
    (of_stdin,) = rows_of(run("ae-score", "-", "--validity", "protein", "-q", stdin=text).stdout)
    assert (row.pop("id"), of_stdin.pop("id")) == ("fifo:A", "-:A") and row == of_stdin


# --- Molecules ---


class Atom:
    def __init__(self, name, at, residue="ALA", number=1, chain="A", het=False, alt=" ", insertion=" ", occupancy=1.0,
                 element=None, sequence=None, model=1, asym=None):
        self.name, self.at, self.residue, self.number, self.chain = name, at, residue, number, chain
        self.het, self.alt, self.insertion, self.occupancy = het, alt, insertion, occupancy
        self.element = element or name[0]
        self.sequence, self.model, self.asym = sequence, model, asym or chain


def pdb(atoms, ter=True):
    lines, chains = ["HEADER    TEST"], None
    for serial, a in enumerate(atoms, 1):
        if ter and chains and (a.chain, a.asym, a.het) != chains:
            lines.append("TER")
        chains = (a.chain, a.asym, a.het)
        name = f" {a.name:<3}" if len(a.element) == 1 else f"{a.name:<4}"
        x, y, z = a.at
        lines.append(f"{'HETATM' if a.het else 'ATOM  '}{serial:>5} {name}{a.alt}{a.residue:>3} {a.chain}{a.number:>4}"
                     f"{a.insertion}   {x:8.3f}{y:8.3f}{z:8.3f}{a.occupancy:6.2f}  0.00          {a.element:>2}")
    return "\n".join([*lines, "END", ""])


COLUMNS = ("group_PDB id type_symbol label_atom_id label_alt_id label_comp_id label_asym_id label_entity_id label_seq_id "
           "pdbx_PDB_ins_code Cartn_x Cartn_y Cartn_z occupancy B_iso_or_equiv auth_seq_id auth_asym_id "
           "pdbx_PDB_model_num").split()


def mmcif(atoms):
    lines = ["data_test", "loop_", *(f"_atom_site.{name}" for name in COLUMNS)]
    for serial, a in enumerate(atoms, 1):
        x, y, z = a.at
        sequence = "." if a.het and a.sequence is None else a.sequence or a.number
        lines.append(f"{'HETATM' if a.het else 'ATOM'} {serial} {a.element} {a.name} {a.alt.strip() or '.'} {a.residue} "
                     f"{a.asym} 1 {sequence} {a.insertion.strip() or '?'} {x:.3f} {y:.3f} {z:.3f} {a.occupancy} 0 "
                     f"{a.number} {a.chain} {a.model}")
    return "\n".join([*lines, "#", ""])


def residues(xyz, first=1, **more):
    return [Atom(name, xyz[i, j], number=first + i, **more) for i in range(len(xyz)) for j, name in enumerate(ATOMS)]


def rounded(xyz):
    return xyz.round(3)


@pytest.fixture
def molecule(check, tmp_path):
    """Rows of atoms written as PDB and as mmCIF, which must be the same."""

    def rows(atoms, warned=""):
        (tmp_path / "m.pdb").write_text(pdb(atoms))
        (tmp_path / "m.cif").write_text(mmcif(atoms))
        of_pdb, of_mmcif = check("m.pdb", warned=warned), check("m.cif", warned=warned)
        for one, other in zip(of_pdb, of_mmcif):
            assert one.pop("id") == other.pop("id").replace(".cif", ".pdb")
        assert of_pdb == of_mmcif
        return of_pdb

    return rows


def expected(check, tmp_path, xyz):
    np.save(tmp_path / "expected.npy", rounded(xyz))
    (row,) = check("expected.npy")
    return row


def same(row, other):
    for name in ("residues", "missing_atoms", "chain_breaks", "clashes", "verdict"):
        assert row[name] == other[name], name
    for name in ("bond_rmsz", "angle_rmsz", "handedness", "worst_bond", "worst_angle"):
        assert float(row[name]) == pytest.approx(float(other[name]), abs=1e-9), name


def test_molecules_are_the_same_as_arrays_of_their_atoms(molecule, check, tmp_path):
    one, two = shaken(12), shaken(9, seed=5) + 40
    rows = molecule(residues(one) + residues(two, chain="B"))
    same(rows[0], expected(check, tmp_path, one))
    same(rows[1], expected(check, tmp_path, two))


def test_ids_name_file_and_chain(check, tmp_path):
    (tmp_path / "m.pdb").write_text(pdb(residues(shaken()) + residues(shaken() + 40, chain="B")))
    (tmp_path / "m.cif.gz").write_bytes(gzip.compress(mmcif(residues(shaken())).encode()))
    np.save(tmp_path / "a.npy", shaken())
    assert [row["id"] for row in check("m.pdb")] == ["m.pdb:A", "m.pdb:B"]
    assert [row["id"] for row in check("m.cif.gz", "a.npy")] == ["m.cif.gz:A", "a.npy:0"]


def test_the_most_occupied_conformation_is_taken_as_a_whole(molecule, check, tmp_path):
    xyz = shaken(12)
    atoms = []
    for atom in residues(xyz):
        if atom.number == 6:
            other = Atom(atom.name, atom.at + [0, 0, 3], number=6, alt="A", occupancy=0.4)
            atom.alt, atom.occupancy = "B", 0.6
            atoms += [other, atom]
        else:
            atoms.append(atom)
    same(molecule(atoms)[0], expected(check, tmp_path, xyz))
    # Of equal ones the first; what only the other has is missing.
    for atom in atoms:
        if atom.number == 6:
            atom.occupancy = 0.5
            atom.alt = {"A": "B", "B": "A"}[atom.alt]
    same(molecule(atoms)[0], expected(check, tmp_path, xyz))
    lacking = [atom for atom in atoms if not (atom.number == 6 and atom.alt == "A" and atom.name == "O")]
    for atom in lacking:
        if atom.number == 6:
            atom.occupancy = {"A": 0.8, "B": 0.2}[atom.alt]
    assert molecule(lacking)[0]["missing_atoms"] == "1"


def test_of_two_residue_types_at_one_number_the_most_occupied_is_taken(molecule, check, tmp_path):
    xyz = shaken(12)
    atoms = []
    for atom in residues(xyz):
        if atom.number == 6:
            atom.residue, atom.alt, atom.occupancy = "SER", "B", 0.7
            atoms.append(Atom(atom.name, atom.at + [3, 0, 0], residue="THR", number=6, alt="A", occupancy=0.3))
        atoms.append(atom)
    same(molecule(atoms)[0], expected(check, tmp_path, xyz))


def test_ions_waters_and_ligands_are_no_residues(molecule, check, tmp_path):
    xyz = shaken(12)
    strays = [
        Atom("CA", [20, 0, 0], residue="CA", number=100, het=True, element="CA"),
        Atom("O", [25, 0, 0], residue="HOH", number=101, het=True),
        *residues(shaken(1) + 30, first=102, residue="GLY", het=True),
    ]
    same(molecule(residues(xyz) + strays)[0], expected(check, tmp_path, xyz))
    (tmp_path / "no_ter.pdb").write_text(pdb(residues(xyz) + strays, ter=False))
    same(check("no_ter.pdb")[0], expected(check, tmp_path, xyz))


def test_selenomethionine_within_a_chain_is_a_residue(molecule, check, tmp_path):
    xyz = shaken(12)
    atoms = residues(xyz)
    for atom in atoms:
        if atom.number == 6:
            atom.residue, atom.het, atom.sequence = "MSE", True, 6
    (tmp_path / "m.pdb").write_text(pdb(atoms, ter=False))
    (tmp_path / "m.cif").write_text(mmcif(atoms))
    for name in ("m.pdb", "m.cif"):
        same(check(name)[0], expected(check, tmp_path, xyz))


def test_insertion_codes_are_neighbours_and_gaps_are_breaks(molecule, check, tmp_path):
    xyz = shaken(12)
    atoms = residues(xyz)
    for atom in atoms:
        if atom.number > 6:
            atom.sequence = atom.number
            atom.number, atom.insertion = (6, "A") if atom.number == 7 else (atom.number - 1, " ")
        else:
            atom.sequence = atom.number
    same(molecule(atoms)[0], expected(check, tmp_path, xyz))
    # A gap of numbers between bonded residues is none; one between far ones is a break, not a wrong bond.
    gap = residues(xyz[:6]) + residues(xyz[6:], first=20)
    assert molecule(gap)[0]["chain_breaks"] == "0"
    broken = molecule(residues(xyz[:6]) + residues(xyz[6:] + 9, first=20))[0]
    assert (broken["chain_breaks"], broken["verdict"]) == ("1", "breaks")
    wrong = molecule(residues(xyz[:6]) + residues(xyz[6:] + 9, first=7))[0]
    assert wrong["chain_breaks"] == "0" and "bonds" in flags(wrong)
    assert wrong["worst_bond_at"] == "C(6)-N(7)"


def test_the_first_of_several_models_is_taken_and_it_is_told(check, run, tmp_path):
    one, two = residues(shaken(8)), residues(shaken(8, seed=3))
    body = [pdb(atoms).replace("HEADER    TEST\n", "").replace("END\n", "") for atoms in (one, two)]
    (tmp_path / "m.pdb").write_text("".join(f"MODEL     {i:>4}\n{text}ENDMDL\n" for i, text in enumerate(body, 1)))
    for atom in two:
        atom.model = 2
    (tmp_path / "m.cif").write_text(mmcif(one + two))
    for name in ("m.pdb", "m.cif"):
        rows = check(name, warned="several models; the first is taken")
        assert len(rows) == 1
        same(rows[0], expected(check, tmp_path, shaken(8)))


def test_atoms_of_occupancy_0_are_missing_unless_all_are(molecule, check, tmp_path):
    xyz = shaken(8)
    atoms = residues(xyz)
    atoms[7].occupancy = 0
    assert molecule(atoms)[0]["missing_atoms"] == "1"
    for atom in atoms:
        atom.occupancy = 0
    same(molecule(atoms)[0], expected(check, tmp_path, xyz))


def test_numbers_beyond_9999_are_hybrid_36(check, tmp_path):
    xyz = shaken(4)
    (tmp_path / "m.pdb").write_text(pdb(residues(xyz[:2], first=9998) + residues(xyz[2:] + 9)).replace("A   1 ", "AA000 ")
                                    .replace("A   2 ", "AA001 "))
    (row,) = check("m.pdb")
    assert row["chain_breaks"] == "0" and row["worst_bond_at"] == "C(9999)-N(10000)"


def test_atoms_behind_end_are_a_further_model(check, tmp_path):
    frames = [pdb(residues(shaken(8, seed=seed)), ter=False).replace("HEADER    TEST\n", "") for seed in (0, 3)]
    for text in ("".join(frames), "TER\nEND".join("".join(frames).split("END"))):
        (tmp_path / "m.pdb").write_text(text)
        (row,) = check("m.pdb", warned="several models; the first is taken")
        same(row, expected(check, tmp_path, shaken(8)))


@pytest.mark.parametrize("between", [[], residues(shaken(5, seed=3) + 90, chain="B")])
def test_a_chain_of_a_name_that_was_there_is_a_further_chain(molecule, check, tmp_path, between):
    one, two = shaken(12), shaken(12, seed=7) + 40
    rows = molecule(residues(one) + between + residues(two, asym="C"))
    assert len(rows) == (3 if between else 2)
    same(rows[0], expected(check, tmp_path, one))
    same(rows[-1], expected(check, tmp_path, two))
    assert check("m.pdb")[-1]["id"] == "m.pdb:A(2)"


def test_numbers_that_come_again_within_a_chain_go_on(molecule, check, tmp_path):
    xyz = shaken(24)
    row = molecule(residues(xyz[:12]) + residues(xyz[12:]))[0]
    same(row, expected(check, tmp_path, xyz))
    # What was missing of a residue, and stands at another place, is of it.
    atoms = residues(xyz[:12])
    last = [atom for atom in atoms if atom.name == "O"]
    same(molecule([atom for atom in atoms if atom.name != "O"] + last)[0], expected(check, tmp_path, xyz[:12]))


def test_an_atom_that_comes_twice_in_a_residue_is_told(run, tmp_path):
    atoms = residues(shaken(4))
    atoms.insert(6, Atom("CA", [9, 9, 9], number=2))
    for name, text, place in (("m.pdb", pdb(atoms), "m.pdb:8"), ("m.cif", mmcif(atoms), "m.cif: atom 7 of _atom_site")):
        (tmp_path / name).write_text(text)
        one_error(run("ae-score", name, "--validity", "protein"), 4, f'{place}: atom "CA" of residue 2 comes a second time')


def test_fields_that_are_no_numbers_are_told_and_blanks_are_1(check, run, tmp_path):
    whole = pdb(residues(shaken(4)))
    for old, new, told in (
        ("  1.00  0.00", "  abc   0.00", 'm.pdb:2: occupancy "abc"'),
        ("  1.00  0.00", "******  0.00", 'm.pdb:2: occupancy "******"'),
        ("ALA A   3 ", "ALA A   x ", 'm.pdb:10: residue number "   x"'),
        ("ALA A   3 ", "ALA A     ", 'm.pdb:10: residue number "    "'),
        ("ALA A   3 ", "ALA AA00a ", 'm.pdb:10: residue number "A00a"'),
    ):
        (tmp_path / "m.pdb").write_text(whole.replace(old, new, 1))
        one_error(run("ae-score", "m.pdb", "--validity", "protein"), 4, told)
    (tmp_path / "m.pdb").write_text(whole.replace("  1.00  0.00", "        0.00"))
    same(check("m.pdb")[0], expected(check, tmp_path, shaken(4)))
    (tmp_path / "m.pdb").write_text(whole.replace("ALA A   3 ", "ALA Aa000 "))
    assert check("m.pdb")[0]["chain_breaks"] == "0"


def test_a_byte_order_mark_and_small_elements_change_nothing(check, tmp_path):
    atoms = residues(shaken(8))
    (tmp_path / "m.pdb").write_text("\ufeff" + pdb(atoms).replace("HEADER    TEST\n", ""), encoding="utf-8")
    (tmp_path / "m.cif").write_text("\ufeff" + mmcif(atoms).replace(" C CA ", " c CA ").replace(" N N ", " n N "),
                                    encoding="utf-8")
    for name in ("m.pdb", "m.cif"):
        same(check(name)[0], expected(check, tmp_path, shaken(8)))


def test_the_first_data_block_with_atoms_is_taken(check, tmp_path):
    one, two = mmcif(residues(shaken(8))), mmcif(residues(shaken(9, seed=5))).replace("data_test", "data_two")
    (tmp_path / "m.cif").write_text("data_info\n_entry.id x\n" + one)
    same(check("m.cif")[0], expected(check, tmp_path, shaken(8)))
    (tmp_path / "m.cif").write_text(one + two)
    (row,) = check("m.cif", warned="m.cif: several data blocks with atoms; the first is taken")
    same(row, expected(check, tmp_path, shaken(8)))


def test_a_loop_that_ends_within_a_row_is_told_with_its_line(run, tmp_path):
    (tmp_path / "m.cif").write_text(mmcif(residues(shaken(3))).replace("#\n", "ATOM 13\n#\n"))
    one_error(run("ae-score", "m.cif", "--validity", "protein"), 4, "m.cif:2: ", "number of values in the loop",
              "begins here", "one for each tag")


def test_too_much_text_is_refused(run, tmp_path):
    block = gzip.compress((b"REMARK" + b" " * 73 + b"\n") * 200_000)
    (tmp_path / "m.pdb.gz").write_bytes(block * 34)
    one_error(run("ae-score", "m.pdb.gz", "--validity", "protein"), 4, "m.pdb.gz: more than 512 MiB of text")


@pytest.mark.parametrize("atoms", [["CA"], ["N", "CA", "C"]])
def test_what_cannot_be_judged_is_missing(molecule, atoms):
    (row,) = molecule([atom for atom in residues(shaken(12)) if atom.name in atoms])
    assert "missing" in flags(row)


def test_hands_by_cb(molecule):
    xyz = shaken(8)
    atoms = residues(xyz)
    n, ca, c = (xyz[:, i] for i in range(3))
    b, a = ca - n, c - ca
    cb = -0.58273431 * np.cross(b, a) + 0.56802827 * b - 0.54067466 * a + ca
    atoms += [Atom("CB", at, number=i) for i, at in enumerate(cb, 1)]
    (row,) = molecule(atoms)
    assert float(row["cb_volume"]) == pytest.approx(2.5, abs=0.3) and row["chiral_flips"] == "0"
    for atom in atoms:
        atom.at = atom.at * [1, 1, -1]
    (image,) = molecule(atoms)
    assert float(image["cb_volume"]) == pytest.approx(-float(row["cb_volume"]), abs=1e-3)
    assert image["chiral_flips"] == "8" and {"chirality", "mirrored"} <= set(flags(image))
    # Conformations of CB alone: the most occupied one counts.
    for atom in [atom for atom in atoms if atom.name == "CB" and atom.number < 3]:
        atom.alt, atom.occupancy = "B", 0.6
        atoms.append(Atom("CB", atom.at * [1, 1, -1], number=atom.number, alt="A", occupancy=0.4))
    (row,) = molecule(atoms)
    assert row["chiral_flips"] == "8" and row["cb_volume"] == image["cb_volume"]


def test_glycine_and_proline_have_their_own_ideal_values(molecule):
    atoms = residues(chain(2))
    for atom in atoms:
        atom.residue = ("GLY", "PRO")[atom.number - 1]
    (row,) = molecule(atoms)
    assert float(row["worst_bond"]) == pytest.approx((1.525 - 1.514) / 0.016, abs=0.1)
    assert row["worst_bond_at"] == "CA(1)-C(1)"


def test_gemmi_measures_the_same(check, tmp_path):
    gemmi = pytest.importorskip("gemmi")
    for name, write in (("m.pdb", pdb), ("m.cif", mmcif)):
        (tmp_path / name).write_text(write(residues(shaken(12, size=0.05))))
        (read,) = gemmi.read_structure(str(tmp_path / name))[0]
        bonds, angles = [], []
        for residue, following in zip(read, [*list(read)[1:], None]):
            n, ca, c, o = (residue.find_atom(atom, "*").pos for atom in ATOMS)
            bonds += [(n.dist(ca), "N-CA"), (ca.dist(c), "CA-C"), (c.dist(o), "C-O")]
            angles += [((n, ca, c), "N-CA-C"), ((ca, c, o), "CA-C-O")]
            if following:
                n, next_ca = (following.find_atom(atom, "*").pos for atom in ("N", "CA"))
                bonds.append((c.dist(n), "C-N"))
                angles += [((ca, c, n), "CA-C-N"), ((o, c, n), "O-C-N"), ((c, n, next_ca), "C-N-CA")]
        z = np.array([(value - BONDS[kind][0]) / BONDS[kind][1] for value, kind in bonds])
        of_angles = np.array([(math.degrees(gemmi.calculate_angle(*p)) - ANGLES[k][0]) / ANGLES[k][1] for p, k in angles])
        (row,) = check(name)
        assert float(row["bond_rmsz"]) == pytest.approx(math.sqrt((z**2).mean()), abs=1e-4)
        assert float(row["angle_rmsz"]) == pytest.approx(math.sqrt((of_angles**2).mean()), abs=1e-4)


@pytest.mark.parametrize("name", ["m.pdb", "m.cif"])
def test_molecules_that_are_wrong_are_told(run, tmp_path, name):
    whole = (pdb if name == "m.pdb" else mmcif)(residues(shaken(4)))
    first = next(line for line in whole.splitlines() if line.startswith("ATOM"))
    number = first[30:38].strip() if name == "m.pdb" else first.split()[10]
    bad = number[:-1] + "x"
    for text, told in (
        (whole.replace(number, bad, 1), f'"{" " * (8 - len(bad)) if name == "m.pdb" else ""}{bad}"'),
        (whole.replace(" N ", " X ").replace(" CA ", " Y  ").replace(" C ", " Z "), "no protein chain"),
        (whole.split("ATOM")[0], "atoms" if name == "m.pdb" else ""),
        ("", ""),
        ("hello\n", "atoms"),
        ("\x89PNG\r\n\x1a\n", ""),
    ):
        (tmp_path / name).write_text(text, encoding="latin-1")
        one_error(run("ae-score", name, "--validity", "protein"), 4, name, told)


def test_every_cut_molecule_is_refused_or_shorter(run, tmp_path):
    for name, write in (("m.pdb", pdb), ("m.cif", mmcif)):
        whole = write(residues(shaken(3)))
        for length in range(0, len(whole), 97):
            (tmp_path / name).write_text(whole[:length])
            done = run("ae-score", name, "--validity", "protein", "-q")
            assert done.code in (0, 4) and "unexpected" not in done.stderr


# --- The command ---


def test_the_table_and_the_summary_appear_together(run, tmp_path):
    xyz = np.stack([shaken(), shaken() * [1, 1, -1]])
    np.save(tmp_path / "two.npy", xyz)
    command = ["two.npy", "--validity", "protein", "-o", "v.csv", "--summary", "s.json"]
    done = run("ae-score", *command)
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr.endswith("2 structures, 1 flagged: mirrored 1\n")
    header, *lines = csv.reader(io.StringIO((tmp_path / "v.csv").read_text()))
    assert header[0] == "id" and len(lines) == 2 and {len(line) for line in lines} == {len(header)}
    told = json.loads((tmp_path / "s.json").read_text())
    bonds = np.concatenate([z_scores(one)[0] for one in xyz])
    assert told["structures"] == 2 and told["flagged"] == 1 and told["flags"]["mirrored"]["structures"] == 1
    assert told["bonds"]["count"] == len(bonds)
    assert told["bonds"]["rmsz"] == pytest.approx(math.sqrt((bonds**2).mean()), abs=1e-9)
    assert told["positive_phi"] == 0.5
    assert told["handedness"] == pytest.approx(0, abs=1e-9) and told["cb_volume"] is None
    one_error(run("ae-score", *command), 2, "v.csv", "--force")
    assert run("ae-score", *command, "--force", "-q") == (0, "", "")


def test_the_common_options_are_for_it_too(run, tmp_path, declarations):
    np.save(tmp_path / "a.npy", shaken())
    common = [o for o in declarations["ae-score"]["arguments"] if o["group"] == "Common options"]
    names = {name for option in common for name in option["names"] if name.startswith("--")}
    assert {"--log-json", "--threads", "--force", "--quiet", "--verbose"} <= names
    for name in names - {"--help", "--version"}:
        done = run("ae-score", "a.npy", "--validity", "protein", "-o", "v.csv", "--force", name,
                   *(["1"] if name == "--threads" else []))
        assert done.code == 0, done.stderr


def test_a_file_given_twice_is_refused(run, tmp_path):
    np.save(tmp_path / "a.npy", shaken())
    one_error(run("ae-score", "a.npy", "a.npy", "--validity", "protein"), 2, '"a.npy" is given twice')


def test_what_was_found_is_not_told_when_nothing_is_written(bin_folder, tmp_path):
    np.save(tmp_path / "a.npy", shaken())
    with open("/dev/full", "w") as full:
        done = subprocess.run([bin_folder / "ae-score", "a.npy", "--validity", "protein"], cwd=tmp_path,
                              stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode != 0 and "flagged" not in done.stderr


def test_what_needs_a_model_is_refused(run, tmp_path):
    np.save(tmp_path / "a.npy", shaken())
    for option in (["--alpha", "0.05"], ["--explain", "3"], ["--format", "jsonl"], ["--page", "p.html"], ["--top", "3"]):
        done = run("ae-score", "a.npy", "--validity", "protein", *option)
        one_error(done, 2, option[0], "--validity")
    one_error(run("ae-score", "a.npy", "--validity", "molecule"), 2, "--validity", "protein")
    one_error(run("ae-score", "a.npy"), 2, "input is required")
    one_error(run("ae-score", "--validity", "protein"), 2, "required")
    one_error(run("ae-score", "a.npy", "--validity", "protein", "-o", "a.npy", "--force"), 2, "--output")
    one_error(run("ae-score", "none.npy", "--validity", "protein"), 4, "none.npy")


# --- Relaxation ---


def relaxed(run, tmp_path, xyz, *more):
    np.save(tmp_path / "noisy.npy", xyz)
    done = run("ae-score", "noisy.npy", "--validity", "protein", "--relax", "100", "--relaxed", "r.npy", "-q", "--force", *more)
    assert (done.code, done.stderr) == (0, "")
    return rows_of(done.stdout), np.load(tmp_path / "r.npy")


def noisy_chains():
    truth = np.stack([chain(60, *torsions) for torsions in ((-63, -42), (-120, 130), (-75, 145))])
    return truth, truth + np.random.default_rng(1).normal(0, 0.3, truth.shape)


def test_relaxed_structures_are_near_the_truth_and_as_measured_ones(run, check, tmp_path):
    truth, noisy = noisy_chains()
    rows, made = relaxed(run, tmp_path, noisy)
    assert made.dtype == np.float64 and made.shape == truth.shape
    for row, xyz, before, true in zip(rows, made, noisy, truth):
        off = math.sqrt(((xyz - before) ** 2).sum(-1).mean())
        assert float(row["moved"]) == pytest.approx(off, abs=1e-9) and row["converged"] == "1"
        assert math.sqrt(((xyz - true) ** 2).sum(-1).mean()) < 0.33
        for name, limit, z, was in zip(("bond", "angle"), (0.58, 0.88), z_scores(xyz), z_scores(before)):
            rmsz = math.sqrt((z**2).mean())
            assert rmsz == pytest.approx(limit, rel=0.05) and abs(z).max() <= 4
            assert float(row[f"{name}_rmsz"]) == pytest.approx(rmsz, abs=1e-6)
            assert float(row[f"{name}_rmsz_before"]) == pytest.approx(math.sqrt((was**2).mean()), abs=1e-6)
        assert row["verdict"] == "" and "bonds" in row["verdict_before"]
    assert [row["bond_rmsz"] for row in check("r.npy")] == [row["bond_rmsz"] for row in rows]


def test_relaxation_turns_with_the_structure_and_is_the_same_on_any_threads(run, tmp_path):
    _, noisy = noisy_chains()
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    rows, made = relaxed(run, tmp_path, noisy, "--threads", "1")
    first = (tmp_path / "r.npy").read_bytes()
    assert relaxed(run, tmp_path, noisy, "--threads", "3")[0] == rows
    assert (tmp_path / "r.npy").read_bytes() == first
    _, other = relaxed(run, tmp_path, noisy @ turn + [3, -40, 7])
    assert abs(made @ turn + [3, -40, 7] - other).max() < 1e-6


def test_what_is_fine_or_missing_stays_as_it_is(run, tmp_path):
    xyz = np.stack([chain(20), shaken(20, size=0.005), np.full((20, 4, 3), np.nan), chain(20)])
    xyz[3, 15:] = np.nan
    xyz[3, 4, 1] = np.nan
    rows, made = relaxed(run, tmp_path, xyz)
    assert np.array_equal(made, xyz, equal_nan=True)
    assert [(row["moved"], row["relax_steps"]) for row in rows] == [("0", "0")] * 4


def test_relaxed_molecules_are_written_as_pdb(run, check, tmp_path):
    one, two = shaken(12, size=0.1), shaken(9, seed=5, size=0.1) + 40
    (tmp_path / "m.pdb").write_text(pdb(residues(one, residue="GLY") + residues(two, chain="B", first=7)))
    np.save(tmp_path / "a.npy", np.stack([one, one + 1]))
    command = ["m.pdb", "--validity", "protein", "--relax", "100", "--relaxed", "r.pdb", "-q"]
    done = run("ae-score", *command)
    assert done.code == 0, done.stderr
    for row, again in zip(rows_of(done.stdout), check("r.pdb")):
        assert again["id"] == row["id"].replace("m.pdb", "r.pdb")
        assert float(again["bond_rmsz"]) == pytest.approx(float(row["bond_rmsz"]), abs=0.05)
    lines = (tmp_path / "r.pdb").read_text().splitlines()
    assert lines[0][17:26] == "GLY A   1" and lines[-1] == "END" and {len(line) for line in lines if line[0] == "A"} == {78}
    one_error(run("ae-score", *command), 2, "r.pdb", "--force")
    done = run("ae-score", "m.pdb", "a.npy", "--validity", "protein", "--relax", "100", "--relaxed", "all.pdb", "-q")
    assert done.code == 0, done.stderr
    text = (tmp_path / "all.pdb").read_text()
    assert text.count("MODEL ") == text.count("ENDMDL") == 3 and "UNK A" in text


def test_the_summary_tells_of_before_and_after(run, tmp_path):
    _, noisy = noisy_chains()
    relaxed(run, tmp_path, noisy, "--summary", "s.json", "-o", "v.csv")
    told = json.loads((tmp_path / "s.json").read_text())
    assert told["flagged"] == 0 and told["relaxed"]["before"]["flagged"] == 3
    assert told["bonds"]["rmsz"] < 0.6 and told["relaxed"]["before"]["bonds"]["rmsz"] > 10
    assert told["relaxed"]["not_converged"] == 0 and told["relaxed"]["moved"] == pytest.approx(0.43, abs=0.04)


def test_hopeless_structures_are_told_in_one_line(run, tmp_path):
    line = np.stack([np.arange(80) * 1.4, np.zeros(80), np.zeros(80)], 1).reshape(20, 4, 3)
    np.save(tmp_path / "bad.npy", np.stack([np.zeros((20, 4, 3)), line, chain(20) * 1e4]))
    done = run("ae-score", "bad.npy", "--validity", "protein", "--relax", "30", "--relaxed", "r.npy", "-q")
    assert done.code == 0 and done.stderr.count("\n") == 1 and "did not settle within 30 steps" in done.stderr
    assert np.isfinite(np.load(tmp_path / "r.npy")).all()


def test_options_of_relaxation_that_do_not_fit_are_refused(run, tmp_path):
    np.save(tmp_path / "a.npy", shaken())
    validity = ["a.npy", "--validity", "protein"]
    one_error(run("ae-score", "a.npy", "b.npy", "--relax", "5"), 2, "--relax")
    one_error(run("ae-score", *validity, "--relaxed", "r.npy"), 2, "--relaxed")
    one_error(run("ae-score", *validity, "--relax", "0"), 2, "--relax")
    one_error(run("ae-score", *validity, "--relax", "5", "--relaxed", "r.xyz"), 2, "r.xyz", ".npy")
    one_error(run("ae-score", *validity, "--relax", "5", "--relaxed", "a.npy", "--force"), 2, "--relaxed")
    np.save(tmp_path / "far.npy", shaken() + 1e5)
    one_error(run("ae-score", "far.npy", "--validity", "protein", "--relax", "5", "--relaxed", "r.pdb", "-o", "v.csv"), 4,
              "100", ".npy")
    assert not (tmp_path / "r.pdb").exists() and not (tmp_path / "v.csv").exists()

"""ae-score --validity crystal: what is wrong with crystals, and which are the same, without a model."""

import csv
import gzip
import io
import itertools
import json
import math

import numpy as np
import pytest
from support import SOURCE, needs_torch, one_error, rows_of, validity_checker

pytestmark = needs_torch

QUARTZ = SOURCE / "configs" / "data" / "quartz.cif"
CELL = ("a", "b", "c", "alpha", "beta", "gamma")


def vectors(a, b, c, alpha, beta, gamma):
    """The cell's vectors as rows."""
    cos = [math.cos(math.radians(angle)) for angle in (alpha, beta, gamma)]
    sin = math.sin(math.radians(gamma))
    y = (cos[0] - cos[1] * cos[2]) / sin
    return np.array([[a, 0, 0], [b * cos[2], b * sin, 0], [c * cos[1], c * y, c * math.sqrt(1 - cos[1] ** 2 - y**2)]])


def shortest(cell, fractions, reach=3):
    """Of all pairs and their images, by looking at each."""
    images = np.array(list(itertools.product(range(-reach, reach + 1), repeat=3)))
    best = np.inf
    for i, a in enumerate(fractions):
        for j, b in enumerate(fractions):
            distances = np.linalg.norm((a - b + images) @ cell, axis=1)
            best = min(best, distances[distances > 0].min() if i == j else distances.min())
    return best


def cif(sites, cell=(5, 6, 7, 80, 100, 110), name="x", operations=None, loop="label fract_x fract_y fract_z", more=""):
    lines = [f"data_{name}"]
    for tag, value in zip(("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma"), cell):
        lines.append(f"_cell_{tag} {value}")
    lines.append(more)
    if operations:
        lines += ["loop_", "_space_group_symop_operation_xyz"] + [f"'{one}'" for one in operations]
    lines += ["loop_"] + [f"_atom_site_{tag}" for tag in loop.split()] + sites
    return "\n".join(lines) + "\n"


def long_table(crystals):
    """Of (id, cell parameters, elements, fractions)."""
    lines = ["material_id,n_atoms,a,b,c,alpha,beta,gamma,z,fx,fy,fz"]
    for name, cell, elements, fractions in crystals:
        for element, at in zip(elements, fractions):
            lines.append(",".join([name, str(len(elements)), *map(repr, map(float, cell)), str(element),
                                   *map(repr, map(float, at))]))
    return "\n".join(lines) + "\n"


@pytest.fixture
def check(run, tmp_path):
    """Rows of the table, of files that must be fine."""

    return validity_checker(run, "crystal")


# --- CIF ---


def test_symmetry_makes_the_other_sites(check):
    (row,) = check(QUARTZ)
    assert (row["id"], row["formula"], row["sites"], row["verdict"]) == (f"{QUARTZ}:quartz", "O6Si3", "9", "")
    cell = vectors(4.913, 4.913, 5.405, 90, 90, 120)
    assert float(row["volume"]) == pytest.approx(np.linalg.det(cell), abs=1e-9)
    assert float(row["density"]) == pytest.approx(3 * 60.084 / 0.602214076 / np.linalg.det(cell), rel=1e-4)
    turned = [lambda x, y, z: (x, y, z), lambda x, y, z: (-y, x - y, z + 2 / 3), lambda x, y, z: (-x + y, -x, z + 1 / 3),
              lambda x, y, z: (y, x, -z), lambda x, y, z: (x - y, -y, -z + 1 / 3),
              lambda x, y, z: (-x, -x + y, -z + 2 / 3)]
    sites = [turn(0.4697, 0, 0.6667) for turn in turned[:3]] + [turn(0.4135, 0.2669, 0.7858) for turn in turned]
    assert float(row["shortest_distance"]) == pytest.approx(shortest(cell, np.array(sites)), abs=1e-9)
    assert [row[name] for name in CELL] == ["4.913", "4.913", "5.405", "90", "90", "120"]


def test_a_space_group_may_be_named_instead(check, run, tmp_path):
    sites = ["Na1 0 0 0", "Cl1 0.5 0.5 0.5"]
    cubic = (5.64, 5.64, 5.64, 90, 90, 90)
    (tmp_path / "salt.cif").write_text(cif(sites, cubic, more="_symmetry_space_group_name_H-M 'F m -3 m'"))
    (row,) = check("salt.cif")
    assert (row["formula"], row["sites"], row["shortest_distance"]) == ("Cl4Na4", "8", "2.82")
    (tmp_path / "diamond.cif").write_text(cif(["C1 0 0 0"], cubic, more="_symmetry_space_group_name_H-M 'F d -3 m'"))
    (row,) = check("diamond.cif", warned="two origins")
    assert row["sites"] == "8"
    (tmp_path / "none.cif").write_text(cif(sites, cubic, more="_symmetry_space_group_name_H-M 'F x y z'"))
    one_error(run("ae-score", "none.cif", "--validity", "crystal"), 4, "none.cif", '"F x y z"', "operations")
    (tmp_path / "number.cif").write_text(cif(sites, cubic, more="_space_group_IT_number 225"))
    one_error(run("ae-score", "number.cif", "--validity", "crystal"), 4, "number.cif", '"225"', "Hermann-Mauguin")


def test_occupancies_are_named_and_a_dot_is_one(check, tmp_path):
    loop = "label type_symbol fract_x fract_y fract_z occupancy calc_flag"
    (tmp_path / "alloy.cif").write_text(cif(["Fe1 Fe 0 0 0 0.5(1) .", "Ni1 Ni 0 0 0 0.5 .", "O1 O2- 0.5 0.5 0.5 . .",
                                             "O2 O 0.5 0 0.5 ? .", "C1 C 0 0.5 0.5 0 .", "D1 . 0 0.5 0 1 dum"], loop=loop))
    (row,) = check("alloy.cif")
    assert (row["formula"], row["sites"], row["partial_sites"]) == ("Fe0.5Ni0.5O2", "3", "1")
    assert (row["overlaps"], row["verdict"]) == ("0", "disordered")


def test_rows_that_symmetry_makes_of_others_are_merged_and_told(check, tmp_path):
    operations = ["x,y,z", "-x,-y,-z"]
    sites = ["Fe1 0.1 0.2 0.3", "Fe2 0.9 0.8 0.7", "O1 0 0 0", "O2 .5 .5 .5"]
    (tmp_path / "twice.cif").write_text(cif(sites, operations=operations))
    (row,) = check("twice.cif")
    assert (row["formula"], row["sites"], row["merged_sites"], row["verdict"]) == ("Fe2O2", "4", "2", "")
    # Without symmetry, two atoms at one place are two.
    (tmp_path / "both.cif").write_text(cif(["Fe1 0.1 0.2 0.3", "Fe2 0.1 0.2 0.3"]))
    (row,) = check("both.cif")
    assert (row["sites"], row["overlaps"], row["shortest_distance"], row["verdict"]) == ("2", "1", "0", "too_close")


def test_each_block_is_a_crystal_and_compression_does_not_matter(check, tmp_path):
    text = "data_global\n_audit_creation_method x\n" + cif(["C1 0 0 0"], name="one") + cif(["N1 0 0 0"], name="two")
    (tmp_path / "two.cif.gz").write_bytes(gzip.compress(("\ufeff# a comment\n" + text).encode()))
    assert [(row["id"], row["formula"]) for row in check("two.cif.gz")] == [("two.cif.gz:one", "C"), ("two.cif.gz:two", "N")]


def test_what_is_not_known_is_missing(check, tmp_path):
    (tmp_path / "cell.cif").write_text(cif(["C1 0 0 0"], cell=("?", 6, 7, 80, 100, 110)))
    (tmp_path / "site.cif").write_text(cif(["C1 0 0 0", "C2 ? . 0"]))
    (tmp_path / "angles.cif").write_text(cif(["C1 0 0 0"], cell=(6, 6, 7, 20, 20, 90)))
    none, site, angles = check("cell.cif", "site.cif", "angles.cif")
    assert (none["verdict"], none["volume"], none["shortest_distance"], none["overlaps"]) == ("missing", "", "", "")
    assert (site["verdict"], site["sites"], site["missing_sites"]) == ("missing", "1", "1")
    assert (angles["verdict"], angles["volume"]) == ("missing", "")


@pytest.mark.parametrize("text, said", [
    (cif(["C1 a 0 0"]), ["fract_x", '"a"']),
    (cif(["1 0 0 0"]), ["label", '"1"', "symbol"]),
    (cif(["Xx1 Xx 0 0 0"], loop="label type_symbol fract_x fract_y fract_z"), ["type_symbol", '"Xx"']),
    (cif(["C1 0 0 0 -1"], loop="label fract_x fract_y fract_z occupancy"), ["occupancy", '"-1"']),
    (cif(["C1 0 0 0"], operations=["x,y"]), ["operation", '"x,y"']),
    (cif(["C1 0 0 0"], operations=["x,y,99999999999999999999999999*z"]), ["operation"]),
    (cif(["C1 0 0 0"], cell=("five", 6, 7, 80, 100, 110)), ["_cell_length_a", '"five"']),
    (cif(["C1 0 0 0"], cell=(1e300, 6, 7, 80, 100, 110)), ["cell of 1e+300"]),
    (cif(["C1 1e300 0 0"]), ["cells away"]),
    (cif(["C1 0 0 0"]).replace("fract_x", "x"), ["no sites", "fract_x"]),
    (cif(["C1 0 0"]), ["loop"]),
    ("data_x\n_cell_length_a 'open\n", ["cannot be read"]),
    (cif(["C1 0 0 0"], operations=["x,y,z"] * 1001), ["1001 operations"]),
])
def test_what_is_wrong_with_a_cif_is_told_in_a_line(run, tmp_path, text, said):
    (tmp_path / "x.cif").write_text(text)
    one_error(run("ae-score", "x.cif", "--validity", "crystal"), 4, "x.cif", *said)


# --- Tables ---


def test_long_and_wide_tables_are_those_of_a_second_implementation(check, tmp_path):
    chance = np.random.default_rng(0)
    crystals = []
    for i in range(8):
        cell = [*chance.uniform(3, 6, 3), *chance.uniform(55, 100, 3)]
        crystals.append((f"c{i}", cell, chance.choice([6, 8, 26], 4), chance.uniform(-1, 2, (4, 3))))
    (tmp_path / "long.csv.gz").write_bytes(gzip.compress(long_table(crystals).encode()))
    wide, positions = io.StringIO(), io.StringIO()
    out, others = csv.writer(wide), csv.writer(positions)
    out.writerow(["name", *CELL, *[f"{column}{i}" for i in range(1, 6) for column in ("z", "fx", "fy", "fz")]])
    others.writerow(["structure", "Z", *[f"{v}_{x}" for v in "abc" for x in "xyz"], "p_x", "p_y", "p_z"])
    for name, cell, elements, fractions in crystals:
        out.writerow([name, *cell, *[x for e, at in zip(elements, fractions) for x in (e, *at)], *["", "", "", "nan"]])
        rows = vectors(*cell)
        for element, at in zip(elements, fractions @ rows):
            others.writerow([name, {6: "C", 8: "O", 26: "Fe"}[element], *rows.ravel(), *at])
    (tmp_path / "wide.csv").write_text(wide.getvalue())
    (tmp_path / "positions.csv").write_text(positions.getvalue())
    long, wide, positions = check("long.csv.gz"), check("wide.csv"), check("positions.csv")
    assert [row["id"] for row in long] == [c[0] for c in crystals] == [row["id"] for row in positions]
    assert [row["id"] for row in wide] == [str(i) for i in range(8)]
    for (_, cell, _, fractions), *rows in zip(crystals, long, wide, positions):
        for row in rows:
            assert float(row["volume"]) == pytest.approx(abs(np.linalg.det(vectors(*cell))), rel=1e-9)
            assert float(row["shortest_distance"]) == pytest.approx(shortest(vectors(*cell), fractions, 4), abs=1e-6)
            assert (row["sites"], row["formula"]) == ("4", rows[0]["formula"])


def test_what_a_network_leaves_out_is_missing_and_not_a_crash(check, tmp_path):
    (tmp_path / "w.csv").write_text("id,a,b,c,alpha,beta,gamma,z1,fx1,fy1,fz1,z2,fx2,fy2,fz2\n"
                                    "full,4,4,4,90,90,90,6,0,0,0,8,.5,.5,.5\n"
                                    "nan,nan,4,4,90,90,90,6,0,0,0,8,.5,.5,.5\n"
                                    "flat,4,4,4,90,90,180,6,0,0,0,8,.5,.5,.5\n"
                                    "tiny,.1,.1,.1,90,90,90,6,0,0,0,8,.5,.5,.5\n"
                                    "negative,-4,4,4,90,90,90,6,0,0,0,8,.5,.5,.5\n"
                                    "lost,4,4,4,90,90,90,6,nan,0,0,,.5,.5,.5\n"
                                    "one,4,4,4,90,90,90,6,0,0,0,,,,\n"
                                    "none,4,4,4,90,90,90,,,,,,,,\n"
                                    "near,4,4,4,90,90,90,6,0.95,0,0,8,0.05,0,0\n")
    rows = {row["id"]: row for row in check("w.csv")}
    assert {name: row["verdict"] for name, row in rows.items()} == {
        "full": "", "nan": "missing", "flat": "missing", "tiny": "volume", "negative": "missing", "lost": "missing",
        "one": "", "none": "missing", "near": "too_close"}
    assert rows["lost"]["missing_sites"] == "2" and rows["near"]["overlaps"] == "1"


@pytest.mark.parametrize("text, said", [
    ("id,a,b\n1,2,3\n", ["no columns of a cell", "alpha"]),
    ("id,a,b,c,alpha,beta,gamma\n1,2,3,4,90,90,90\n", ["no columns of sites", "fx1"]),
    ("a,b,c,alpha,beta,gamma,z,fx,fy,fz\n3,3,3,90,90,90,6,0,0,0\n", ["structure, material_id or id"]),
    ("id,a,b,c,alpha,beta,gamma,z,fx,fy,fz\n1,x,3,3,90,90,90,6,0,0,0\n", [":2:", '"x"', "a number"]),
    ("id,a,b,c,alpha,beta,gamma,z,fx,fy,fz\n1,3,3,3,90,90,90,119,0,0,0\n", [":2:", '"119"', "1 to 118"]),
    ("id,a,b,c,alpha,beta,gamma,z,fx,fy,fz\n1,3,3,3,90,90,90,6.5,0,0,0\n", [":2:", '"6.5"']),
    ("id,a,b,c,alpha,beta,gamma,z,fx,fy,fz\n1,3,3,3,90,90,90,Carbon,0,0,0\n", [":2:", '"Carbon"']),
    ("id,a,b,c,alpha,beta,gamma,z,fx,fy,fz\n1,3,3,3,90,90,90,6,1e20,0,0\n", [":2:", "cells away"]),
    ("id,a,b,c,alpha,beta,gamma,z,fx,fy,fz\n1,3,3,1e9,90,90,90,6,0,0,0\n", [":2:", "a cell of 1000000000 Angstrom"]),
    ("id,a,b,c,alpha,beta,gamma,z,fx,fy,fz\n1,3,3,3,90,90,90,6,0,0,0\n1,3,3,4,90,90,90,6,0,0,0\n", [":3:", "another cell"]),
    ("id,n_atoms,a,b,c,alpha,beta,gamma,z,fx,fy,fz\n1,2,3,3,3,90,90,90,6,0,0,0\n", ['"1"', "rows of 1", "expected 2"]),
    ("id,a,b,c,alpha,beta,gamma,z,fx,fy,fz,occupancy\n1,3,3,3,90,90,90,6,0,0,0,200\n", ["occupancy", '"200"']),
])
def test_what_is_wrong_with_a_table_is_told_in_a_line(run, tmp_path, text, said):
    (tmp_path / "x.csv").write_text(text)
    one_error(run("ae-score", "x.csv", "--validity", "crystal"), 4, "x.csv", *said)


def test_too_many_sites_and_other_files_are_refused(run, tmp_path):
    (tmp_path / "x.cif").write_text(cif(["C1 .1 .2 .3"] * 20001))
    one_error(run("ae-score", "x.cif", "--validity", "crystal"), 4, "x.cif", "20000 sites")
    (tmp_path / "x.csv").write_text("id,a,b,c,alpha,beta,gamma,z,fx,fy,fz\n" + "1,9,9,9,90,90,90,6,.1,.2,.3\n" * 1000000)
    one_error(run("ae-score", "x.csv", "--validity", "crystal"), 4, "x.csv:20002:", "20000 sites")
    np.save(tmp_path / "x.npy", np.zeros((2, 3)))
    one_error(run("ae-score", "x.npy", "--validity", "crystal"), 4, "x.npy", "CIF file or a table")


# --- The reference ---


def another_description(name, cell, elements, fractions, chance, noise=0.0):
    """In a basis that is sheared, about another origin, in another order; as lengths and angles, thus turned."""
    basis = np.array([[1, 1, 0], [0, 1, 0], [2, -1, 1]]) @ vectors(*cell)
    lengths = np.linalg.norm(basis, axis=1)
    angles = [math.degrees(math.acos(basis[i] @ basis[j] / lengths[i] / lengths[j])) for i, j in ((1, 2), (0, 2), (0, 1))]
    at = fractions @ vectors(*cell) + noise * chance.normal(size=fractions.shape)
    at = (at @ np.linalg.inv(basis) + chance.uniform(size=3)) % 1
    order = chance.permutation(len(elements))
    return name, [*lengths, *angles], np.array(elements)[order], at[order]


def test_crystals_are_compared_with_those_of_their_id(run, tmp_path):
    chance = np.random.default_rng(3)
    crystals, found = [], []
    for i in range(4):
        crystals.append((f"c{i}", [*chance.uniform(5, 7, 3), *chance.uniform(70, 110, 3)], [6, 6, 8, 26],
                         np.array([[0, 0, 0], [0.5, 0.1, 0.4], [0.2, 0.6, 0.7], [0.8, 0.4, 0.1]])))
    found.append(another_description(*crystals[2], chance))
    found.append(another_description(*crystals[0], chance, noise=0.02))
    found.append(("c1", crystals[1][1], [6, 6, 8, 27], crystals[1][3]))
    (tmp_path / "truth.csv").write_text(long_table(crystals))
    (tmp_path / "found.csv").write_text(long_table(found))
    done = run("ae-score", "found.csv", "--validity", "crystal", "--reference", "truth.csv", "--summary", "s.json")
    assert done.code == 0 and done.stderr.endswith("3 crystals, 0 flagged; 2 of 4 match the reference\n")
    same, shaken, other = rows_of(done.stdout)
    assert same["match"] == "1" and float(same["max_distance"]) < 1e-6 and float(same["strain"]) < 1e-6
    assert shaken["match"] == "1" and 0.005 < float(shaken["rms"]) < 0.06
    assert float(shaken["rms"]) <= float(shaken["max_distance"])
    volume = float(shaken["volume"]) / 4
    assert float(shaken["normalised_rms"]) == pytest.approx(float(shaken["rms"]) / volume ** (1 / 3), rel=1e-6)
    assert (other["match"], other["rms"], other["match_types_forced"], other["type_accuracy"]) == ("0", "", "1", "0.75")
    told = json.loads((tmp_path / "s.json").read_text())["reference"]
    assert (told["compared"], told["without_a_crystal"], told["matches"], told["undecided"]) == (3, 1, 2, 0)
    assert (told["match_rate"], told["match_rate_of_valid"], told["match_rate_with_types_forced"]) == (0.5, 0.5, 0.75)
    assert told["mean_rms"] == pytest.approx((float(same["rms"]) + float(shaken["rms"])) / 2)


# StructureMatcher() of pymatgen 2022.11.7, get_rms_dist(), of the first of two cells of 4 A against the second.
def test_the_normalised_figure_is_that_of_published_match_rates(run, tmp_path):
    cubic = (4, 4, 4, 90, 90, 90)
    (tmp_path / "a.cif").write_text(cif(["Cs1 0.03 0 0", "Cl1 0.5 0.5 0.5"], cubic))
    (tmp_path / "b.cif").write_text(cif(["Cs1 0 0 0", "Cl1 0.5 0.5 0.5"], cubic))
    done = run("ae-score", "a.cif", "--validity", "crystal", "--reference", "b.cif", "-q")
    (row,) = rows_of(done.stdout)
    assert float(row["normalised_rms"]) == pytest.approx(0.0188988, abs=1e-6)
    assert float(row["rms"]) == pytest.approx(0.06, abs=1e-9)


def test_impossible_crystals_match_nothing_and_large_ones_are_undecided(run, tmp_path):
    large = [f"C{i} {(i * 0.381966) % 1:.6f} {(i * 0.7548776) % 1:.6f} {(i * 0.5698402) % 1:.6f}" for i in range(501)]
    (tmp_path / "a.cif").write_text(cif(["C1 0 0 0"], cell=("?", 4, 4, 90, 90, 90), name="none")
                                    + cif(large, cell=(30, 30, 30, 90, 90, 90), name="large")
                                    + cif(["C1 0 0 0", "C2 0 0 0"], name="near"))
    done = run("ae-score", "a.cif", "--validity", "crystal", "--reference", "a.cif", "--summary", "s.json", "-q")
    assert done.code == 0, done.stderr
    assert [row["match"] for row in rows_of(done.stdout)] == ["0", "", "1"]
    told = json.loads((tmp_path / "s.json").read_text())["reference"]
    assert (told["undecided"], told["matches"]) == (1, 1)
    assert told["match_rate"] == pytest.approx(1 / 3) and told["match_rate_of_valid"] == 0


def test_what_cannot_be_compared_is_told(run, tmp_path):
    (tmp_path / "a.cif").write_text(cif(["C1 0 0 0"], name="a"))
    (tmp_path / "b.cif").write_text(cif(["C1 0 0 0"], name="b"))
    (tmp_path / "twice.cif").write_text(cif(["C1 0 0 0"], name="a") + cif(["C1 0 0 0"], name="c").replace("data_c", "data_A"))
    (tmp_path / "same.csv").write_text("id,a,b,c,alpha,beta,gamma,z1,fx1,fy1,fz1\n" + "1,4,4,4,90,90,90,6,0,0,0\n" * 2)
    compare = lambda *files: run("ae-score", files[0], "--validity", "crystal", "--reference", files[1], "-o", "out.csv")
    one_error(compare("a.cif", "b.cif"), 4, "a.cif", '"a"', "no reference in b.cif")
    one_error(compare("same.csv", "same.csv"), 4, "same.csv", '"1" twice')
    one_error(compare("a.cif", "none.cif"), 4, "none.cif")
    assert not (tmp_path / "out.csv").exists()
    one_error(run("ae-score", "model", "a.cif", "--reference", "b.cif"), 2, "--reference", "--validity")
    one_error(run("ae-score", "a.npy", "--validity", "protein", "--reference", "b.cif"), 2, "--reference")
    one_error(run("ae-score", "-", "--validity", "crystal", "--reference", "-"), 2, "standard input")
    one_error(run("ae-score", "a.cif", "--validity", "crystal", "--reference", "b.cif", "-o", "b.cif", "--force"), 2, "b.cif")


def test_a_table_streams_through_a_pipe(run, tmp_path, bin_folder):
    import subprocess
    rows = "id,a,b,c,alpha,beta,gamma,z1,fx1,fy1,fz1\n" + "".join(f"{i},4,4,4,90,90,90,6,0,0,0\n" for i in range(3))
    done = subprocess.run([bin_folder / "ae-score", "-", "--validity", "crystal", "-q"], input=rows, capture_output=True, text=True)
    assert done.returncode == 0 and [row["id"] for row in rows_of(done.stdout)] == ["0", "1", "2"]
    done = subprocess.run([bin_folder / "ae-score", "-", "--validity", "crystal", "-q"], input=QUARTZ.read_text(), capture_output=True,
                          text=True)
    assert done.returncode == 0 and rows_of(done.stdout)[0]["id"] == "-:quartz"


def test_sites_that_would_not_be_read_are_refused(run, tmp_path):
    cell = "a,b,c,alpha,beta,gamma"
    wide = {"zero.csv": ("z0,fx0,fy0,fz0,z1,fx1,fy1,fz1", "11,0,0,0,17,.5,.5,.5", '"z0"'),
            "cut.csv": ("z1,fx1,fy1,fz1,z2,fx2,fy2", "11,0,0,0,17,.5,.5", '"z2"'),
            "gap.csv": ("z1,fx1,fy1,fz1,z3,fx3,fy3,fz3", "11,0,0,0,17,.5,.5,.5", '"z3"')}  # fmt: skip
    for name, (header, row, column) in wide.items():
        (tmp_path / name).write_text(f"{header},{cell}\n{row},4,4,4,90,90,90\n")
        one_error(run("ae-score", name, "--validity", "crystal"), 4, name, column)
    rows = "".join(f"{id},11,4,4,4,90,90,90,{x},0,0\n" for id, x in (("A", 0), ("B", 0), ("A", 0.5)))
    (tmp_path / "long.csv").write_text(f"structure,z,{cell},fx,fy,fz\n{rows}")
    again = run("ae-score", "long.csv", "--validity", "crystal", "-o", "v.csv", "-q")
    one_error(again, 4, "long.csv", '"A"', "one after another")


def test_cells_of_which_no_end_is_seen_are_told_as_not_compared(run, tmp_path):
    header = "structure,z,a,b,c,alpha,beta,gamma,fx,fy,fz\n"
    (tmp_path / "reference.csv").write_text(header + "A,11,10,10,10,90,90,90,0,0,0\n")
    (tmp_path / "flat.csv").write_text(header + "A,11,10000,10000,0.00001,90,90,90,0,0,0\n")
    done = run("ae-score", "flat.csv", "--validity", "crystal", "--reference", "reference.csv", "-q")
    assert done.code == 0, done.stderr
    (row,) = rows_of(done.stdout)
    assert row["match"] == ""

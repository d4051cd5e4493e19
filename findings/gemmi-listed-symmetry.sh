#!/usr/bin/env bash
# gemmi 0.5.7 (Debian 12): a CIF's list of symmetry operations is not read; the space group's name alone expands a cell.
#
# A CIF of a small-unit-cell structure lists its operations (_space_group_symop_operation_xyz), and may name its space
# group besides, in notations that differ from program to program. SmallStructure.get_all_unit_cell_sites() of gemmi
# looks the name up, and never at the list. Where the name does not tell one of two origins it takes the first; where it
# knows the name not at all, as with the S and Z that some databases write behind it, or there is only a number or
# Hall's symbol, no operation is applied. Nothing is said in either case.
#
# Seen, of spinel MgAl2O4 in its second origin with all 192 operations listed, 56 atoms in a cell (8 Mg, 16 Al, 32 O):
#   'F d -3 m:2'    56 sites: 8 Mg, 16 Al, 32 O
#   'F d -3 m'      32 sites: 16 Mg, 8 Al, 8 O
#   'F d -3 m S'    3 sites
#   number 227      3 sites
#   no name         3 sites
# Whoever expands cells with it should apply the listed operations, which are what a CIF means.
#
# Needs apt-get with Debian 12's sources, and Python 3.11; the library goes into a temporary folder.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq -o APT::Sandbox::User=root python3-gemmi=0.5.7+ds-2+b1
for package in *.deb; do dpkg -x "$package" .; done

cat > spinel.py << 'PY'
from collections import Counter

import gemmi

assert gemmi.__version__ == "0.5.7", gemmi.__version__
operations = [o.triplet() for o in gemmi.find_spacegroup_by_name("F d -3 m:2").operations()]
assert len(operations) == 192


def sites(name):
    lines = ["data_spinel"]
    lines += [f"_cell_length_{axis} 8.0831" for axis in "abc"]
    lines += [f"_cell_angle_{angle} 90" for angle in ("alpha", "beta", "gamma")]
    lines += [name, "loop_", "_space_group_symop_operation_xyz", *(f"'{o}'" for o in operations), "loop_"]
    lines += ["_atom_site_" + tag for tag in ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy")]
    lines += ["Mg1 Mg 0.125 0.125 0.125 1", "Al1 Al 0.5 0.5 0.5 1", "O1 O 0.2624 0.2624 0.2624 1"]
    block = gemmi.cif.read_string("\n".join(lines) + "\n").sole_block()
    found = gemmi.make_small_structure_from_block(block).get_all_unit_cell_sites()
    return dict(Counter(site.type_symbol for site in found))


alone = {"Mg": 1, "Al": 1, "O": 1}
for name, seen in {
    "_space_group_name_H-M_alt 'F d -3 m:2'": {"Mg": 8, "Al": 16, "O": 32},
    "_space_group_name_H-M_alt 'F d -3 m'": {"Mg": 16, "Al": 8, "O": 8},
    "_symmetry_space_group_name_H-M 'F d -3 m S'": alone,
    "_space_group_IT_number 227": alone,
    "": alone,
}.items():
    print(name or "no name", sites(name))
    assert sites(name) == seen, (name, sites(name))
print("as described")
PY
PYTHONPATH="$folder/usr/lib/python3/dist-packages" python3.11 spinel.py

// Protein chains of PDB and mmCIF files; the latter's text the library gemmi reads.
//
// - Of several models the first is read, of several data blocks the first one with atoms, which is told. In PDB, atoms
//   behind END are a further model, too.
// - A residue is of the chain where the file says so: by label_seq_id of mmCIF, by TER of PDB. Where it does not, those
//   of ATOM records are, and of HETATM records those that are bonded to a neighbour; waters and ligands are not.
// - Of alternate conformations each residue has the one with the largest sum of occupancies of N, CA, C and O (of CB
//   where only that has any), the first in the alphabet of equal ones, and atoms without such a letter. Two residue
//   types at one number: likewise.
// - A number that comes again within a chain is another residue, an atom that does so within a residue an error. See
//   ChainLister.
// - An atom of occupancy 0 was not seen: it is missing, unless all of its chain's are 0. An occupancy that is not given
//   is 1.
// - A CA that is no carbon is a calcium ion.
#pragma once

#include <memory>
#include <vector>

#include "base/reporter.hpp"
#include "data/bytes/source.hpp"
#include "data/structures/structures.hpp"

namespace ae::data {

// A backbone a chain, its id the chain's name. InputError when the file is damaged, or no chain has a backbone.
// `head`: the file's first bytes, by which the formats are told apart.
std::vector<geometry::Backbone> read_molecules(std::unique_ptr<ByteSource> source, std::string_view head,
                                               Reporter& reporter);

}  // namespace ae::data

// Atoms of a backbone that lie within each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "geometry/backbone.hpp"

namespace ae::geometry {

// Van der Waals radii in Angstrom, those of Probe for atoms whose hydrogens are looked at apart (Word et al. 1999,
// J. Mol. Biol. 285, 1711): a hydrogen bond N...O of 2.7 does not count as a clash. Hydrogens are not looked at.
constexpr std::array<double, kBackboneAtoms> kRadii{1.55, 1.70, 1.65, 1.40};
constexpr double kClashOverlap = 0.4;             // Angstrom; of MolProbity's definition
constexpr std::int64_t kMostClashes = 1'000'000;  // where counting ends

// Pairs of atoms that overlap by kClashOverlap or more, of two residues that are not joined (see is_joined()). At most
// kMostClashes.
std::int64_t clashes(const Backbone& backbone);

// Atom a of residue r is number kBackboneAtoms * r + a.
struct AtomPair {
  std::size_t first, second;  // first < second
};
// Pairs that overlap by `overlap` or more, which may be below 0, of two residues that are not neighbours by `joined`
// (whether each is joined to the one before it). In the order of the second, then of space. Of a cube of 3 Angstrom or
// little more, that holds at most half a dozen atoms of a molecule, no more than 24 are looked at.
std::vector<AtomPair> close_pairs(const Backbone& backbone, const std::vector<char>& joined, double overlap);

}  // namespace ae::geometry
